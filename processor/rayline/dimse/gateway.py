"""A Storage SCP (PS3.4 §B.2) in front of the uploads bucket; it says success once S3 keeps an instance, not before."""

import logging
import secrets
import ssl
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager, suppress
from enum import StrEnum
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import structlog
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, _config, evt
from pynetdicom.sop_class import Verification

from rayline.dicom.header import read_header
from rayline.dicom.reasons import ReasonCode
from rayline.dimse.settings import DimseSettings
from rayline.dimse.spool import Spool, TooLarge, Unreadable
from rayline.dimse.transport import BoundedDimse, Bounds, GatewayServer
from rayline.errors import ConfigurationError, RejectedEvent
from rayline.observability.logs import failure_fields
from rayline.observability.meter import Meter
from rayline.observability.metrics import (
    ASSOCIATIONS,
    GATEWAY_BYTES,
    GATEWAY_INSTANCES,
    GATEWAY_REJECTIONS,
    STORE_SECONDS,
)
from rayline.observability.traces import Traces, Untraced
from rayline.uploads import put_upload, upload_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

KEY_FOLDER: Final = "dimse"
_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018
_SUCCESS: Final = 0x0000
# What no later attempt would read either; what else the intake refuses is for people to look at, in quarantine.
_NOT_DICOM: Final = frozenset(
    {ReasonCode.EMPTY_OBJECT, ReasonCode.NOT_DICOM, ReasonCode.MALFORMED, ReasonCode.TRUNCATED}
)
_MOST_WAIT_SECONDS: Final = 0.1

_log = structlog.get_logger()


class Refusal(StrEnum):
    """Why the gateway refused something; each comment is what the code means."""

    # The peer calls another AE title than the gateway's.
    CALLED_AE_TITLE = "CALLED_AE_TITLE"
    # The peer's own AE title is not one that may send.
    CALLING_AE_TITLE = "CALLING_AE_TITLE"
    # There are as many associations as there may be.
    TOO_MANY_ASSOCIATIONS = "TOO_MANY_ASSOCIATIONS"
    # There are as many connections as there may be.
    TOO_MANY_CONNECTIONS = "TOO_MANY_CONNECTIONS"
    # The peer connects from an address that may not.
    PEER_NETWORK = "PEER_NETWORK"
    # The peer did not begin TLS as it should, or has no certificate that is known.
    TLS = "TLS"
    # Anything else about an association or a connection.
    FAILED = "FAILED"
    # The instance is larger than the gateway takes; answered 0xA700.
    TOO_LARGE = "TOO_LARGE"
    # S3 did not take the instance, or the disk is full; answered 0xA700, and the peer may try again.
    OUT_OF_RESOURCES = "OUT_OF_RESOURCES"
    # The data set is of another SOP class or instance than the request; answered 0xA900.
    OTHER_INSTANCE = "OTHER_INSTANCE"
    # The data set is none; answered 0xC000.
    NOT_DICOM = "NOT_DICOM"


# PS3.4 §B.2.3, table B.2-1; pynetdicom sends no Error Comment with them.
_STATUS: Final = {
    Refusal.TOO_LARGE: 0xA700,
    Refusal.OUT_OF_RESOURCES: 0xA700,
    Refusal.OTHER_INSTANCE: 0xA900,
    Refusal.NOT_DICOM: 0xC000,
}


class Refused(Exception):
    """An instance is not stored."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Gateway:
    """Takes instances until it is told to stop.

    Args:
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        settings: DimseSettings,
        s3: "S3Client",
        bucket: str,
        *,
        site: str,
        meter: Meter,
        traces: Traces | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._s3 = s3
        self._bucket = bucket
        self._site = site
        self._meter = meter
        self._traces = traces or Untraced()
        self._monotonic = monotonic
        self._thread: Thread | None = None
        _silence()
        self._server = self._listen()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    @property
    def alive(self) -> bool:
        """Whether it takes connections."""
        return self._thread is not None and self._thread.is_alive()

    @contextmanager
    def serving(self) -> "Iterator[None]":
        """Take instances while the context lasts, then drain."""
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="dimse", daemon=True
        )
        self._thread.start()
        _log.info("gateway_started")
        try:
            yield
        finally:
            self.drain()

    def drain(self) -> None:
        """Take no further association; give those under way their time, then end them."""
        self._server.stop_accepting()
        deadline = self._monotonic() + self._settings.drain_seconds
        while (under_way := self._server.active_associations) and self._monotonic() < deadline:
            # pynetdicom lists an association before its thread has started, and such a one cannot be joined.
            with suppress(RuntimeError):
                under_way[0].join(_MOST_WAIT_SECONDS)
        for association in self._server.active_associations:
            with suppress(Exception):
                association.abort()
        _log.info("gateway_stopped")

    def _listen(self) -> GatewayServer:
        settings = self._settings
        ae = AE(ae_title=settings.ae_title)
        ae.require_called_aet = True
        # pynetdicom takes an empty list for everybody; nobody can guess this title.
        ae.require_calling_aet = list(settings.calling_ae_titles) or [secrets.token_hex(8).upper()]
        ae.maximum_associations = settings.max_associations
        ae.maximum_pdu_size = settings.max_pdu_bytes
        ae.acse_timeout = settings.association_seconds
        ae.dimse_timeout = settings.idle_seconds
        ae.network_timeout = settings.idle_seconds
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
        ae.add_supported_context(Verification)
        bounds = Bounds(
            networks=settings.peer_networks,
            most_associations=settings.max_associations,
            most_pdu_bytes=settings.max_pdu_bytes,
            most_instance_bytes=settings.max_instance_bytes,
            pdu_seconds=settings.pdu_seconds,
            handshake_seconds=settings.association_seconds,
        )
        try:
            return GatewayServer(
                ae,
                (settings.host, settings.port),
                contexts=ae.supported_contexts,
                tls=_tls(settings),
                bounds=bounds,
                turned_away=self._turned_away,
                evt_handlers=[
                    (evt.EVT_ACCEPTED, self._accepted),
                    (evt.EVT_REJECTED, self._rejected),
                    (evt.EVT_CONN_CLOSE, _connection_closed),
                    (evt.EVT_C_ECHO, lambda _: _SUCCESS),
                    (evt.EVT_C_STORE, self._store),
                ],
            )
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {settings.host} port {settings.port} ({error.strerror}); "
                "set RAYLINE_DIMSE_HOST and RAYLINE_DIMSE_PORT"
            ) from None

    # -- associations ------------------------------------------------------------------------------------------

    def _accepted(self, event: evt.Event) -> None:
        self._meter.record(ASSOCIATIONS, 1, "accepted")
        # One of the titles that the site configured, so it may be named.
        _log.info("association_accepted", by=event.assoc.requestor.ae_title.strip())

    def _rejected(self, event: evt.Event) -> None:
        self._meter.record(ASSOCIATIONS, 1, "refused")
        asked = event.assoc.requestor.primitive
        if asked.called_ae_title.strip() != self._settings.ae_title.strip():
            refusal = Refusal.CALLED_AE_TITLE
        elif asked.calling_ae_title.strip() not in {
            each.strip() for each in self._settings.calling_ae_titles
        }:
            refusal = Refusal.CALLING_AE_TITLE
        else:
            refusal = Refusal.TOO_MANY_ASSOCIATIONS
        self._note(refusal)

    def _turned_away(self, reason: str) -> None:
        self._note(Refusal(reason))

    def _note(self, refusal: Refusal) -> None:
        self._meter.record(GATEWAY_REJECTIONS, 1, refusal.value)
        _log.warning("gateway_refused", reason=refusal.value)

    # -- instances ---------------------------------------------------------------------------------------------

    def _store(self, event: evt.Event) -> int:
        """Keep an instance, and answer its C-STORE."""
        began = self._monotonic()
        spool: Spool = event.request._dataset_file
        with self._traces.span("store", {}) as span:
            try:
                self._check(spool, event.request)
                size_bytes = spool.size
                self._keep(spool)
            except Refused as refused:
                self._note(refused.refusal)
                span.note({"rayline.reason": refused.refusal.value})
                return _STATUS[refused.refusal]
            finally:
                spool.close()
        self._meter.record(GATEWAY_INSTANCES)
        self._meter.record(GATEWAY_BYTES, size_bytes)
        self._meter.record(STORE_SECONDS, self._monotonic() - began)
        return _SUCCESS

    def _check(self, spool: Spool, request: Any) -> None:
        """Refuse what did not arrive whole, is no DICOM, or is another instance than was announced.

        Raises:
            Refused: it is one of these.
        """
        if isinstance(spool.problem, TooLarge):
            raise Refused(Refusal.TOO_LARGE)
        if isinstance(spool.problem, Unreadable) or (spool.problem is None and spool.opened() is None):
            raise Refused(Refusal.NOT_DICOM)
        if spool.problem is not None:
            _log.error("instance_not_spooled", **failure_fields(spool.problem))
            raise Refused(Refusal.OUT_OF_RESOURCES)
        try:
            header = read_header(spool)
        except RejectedEvent as rejected:
            if rejected.reason in _NOT_DICOM:
                raise Refused(Refusal.NOT_DICOM) from None
            return
        announced = (request.AffectedSOPClassUID, request.AffectedSOPInstanceUID)
        if (header.text(_SOP_CLASS_UID), header.text(_SOP_INSTANCE_UID)) != tuple(map(str, announced)):
            raise Refused(Refusal.OTHER_INSTANCE)

    def _keep(self, spool: Spool) -> None:
        """Put an instance into the uploads bucket under a key that says nothing of it.

        Raises:
            Refused: S3 did not acknowledge it.
        """
        content = spool.opened()
        assert content is not None
        try:
            put_upload(
                self._s3,
                self._bucket,
                upload_key(self._site, f"{KEY_FOLDER}/{uuid.uuid4().hex}.dcm"),
                content,
            )
        except Exception as error:
            _log.error("instance_not_stored", **failure_fields(error))
            raise Refused(Refusal.OUT_OF_RESOURCES) from None


def _connection_closed(event: evt.Event) -> None:
    dimse = event.assoc.dimse
    if isinstance(dimse, BoundedDimse):
        dimse.connection_closed()


def _tls(settings: DimseSettings) -> ssl.SSLContext | None:
    """TLS as the settings want it: 1.2 or later, as the BCP 195 profile asks for (PS3.15 §B.9).

    Raises:
        ConfigurationError: a file is not there, or is none of its kind.
    """
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file)
        if settings.tls_client_ca_file is not None:
            context.load_verify_locations(settings.tls_client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise ConfigurationError(
            f"the gateway's TLS files cannot be read ({type(error).__name__}); check RAYLINE_DIMSE_TLS_*"
        ) from None
    return context


def _silence() -> None:
    """Let nothing of pynetdicom's own log out: it names peers, instances and what could not be read."""
    _config.LOG_HANDLER_LEVEL = "none"
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        logger.setLevel(logging.CRITICAL)
