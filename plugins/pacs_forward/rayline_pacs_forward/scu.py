"""A C-STORE service class user (PS3.4 §B.2) that reports success only for what the peer stored."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import pydicom
from pydicom.dataset import FileDataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from rayline.plugin import Destination, PeerUnreachable, RetryableError

# PS3.8 §9.3.2.2: context ids are odd and below 256.
_MAXIMUM_CONTEXTS: Final = 128
_SUCCESS: Final = 0x0000
# PS3.4 §B.2.3, table B.2-1: stored, with elements coerced or discarded, or not matching the SOP class.
_WARNINGS: Final = frozenset({0xB000, 0xB006, 0xB007})


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds: for the connection, for association messages, for an answer to a C-STORE."""

    connect_seconds: float
    association_seconds: float
    response_seconds: float


@dataclass(frozen=True)
class Outgoing:
    """An instance to send, in the transfer syntax in which it is stored."""

    dataset: FileDataset
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str

    @classmethod
    def read(cls, content: bytes) -> "Outgoing":
        """Read Part 10 bytes; values stay encoded."""
        dataset = pydicom.dcmread(BytesIO(content))
        return cls(
            dataset,
            str(dataset.file_meta.MediaStorageSOPClassUID),
            str(dataset.file_meta.TransferSyntaxUID),
            str(dataset.get("Modality", "")),
        )

    @property
    def context(self) -> tuple[str, str]:
        """The presentation context that it needs: SOP class and transfer syntax."""
        return self.sop_class_uid, self.transfer_syntax_uid


@dataclass
class SendReport:
    """Counts of what the peer stored."""

    stored: int = 0
    with_warning: int = 0


def _without_delay(event: Any) -> None:
    # Nagle's algorithm and the peer's delayed ACK cost 40 ms an instance.
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class StoreClient:
    """Sends instances to one destination, over as few associations as their presentation contexts allow."""

    def __init__(self, destination: Destination, calling_ae_title: str, timeouts: Timeouts) -> None:
        self._destination = destination
        self._calling_ae_title = calling_ae_title
        self._timeouts = timeouts

    def send(self, instances: Iterable[Outgoing]) -> SendReport:
        """Send all; nothing is connected where there are none.

        Raises:
            PeerUnreachable: the peer cannot be reached, refuses the association, or stops answering.
            RetryableError: it refuses a presentation context or an instance. Instances sent before stay stored.
        """
        report = SendReport()
        contexts: list[tuple[str, str]] = []
        association: Any = None
        try:
            for instance in instances:
                if instance.context not in contexts:
                    if association is not None:
                        association.release()
                        association = None
                    contexts = [*contexts, instance.context][-_MAXIMUM_CONTEXTS:]
                if association is None:
                    association = self._associate(contexts)
                self._store(association, instance, report)
        finally:
            if association is not None and association.is_established:
                association.release()
        return report

    def _associate(self, contexts: list[tuple[str, str]]) -> Any:
        ae = AE(ae_title=self._calling_ae_title)
        ae.connection_timeout = self._timeouts.connect_seconds
        ae.acse_timeout = self._timeouts.association_seconds
        ae.dimse_timeout = self._timeouts.response_seconds
        ae.network_timeout = self._timeouts.response_seconds
        # One transfer syntax each, so that the peer cannot choose one in which the instance is not stored.
        ae.requested_contexts = [build_context(*context) for context in contexts]
        peer = self._destination
        try:
            association = ae.associate(
                peer.host,
                peer.port,
                ae_title=peer.ae_title,
                evt_handlers=[(evt.EVT_CONN_OPEN, _without_delay)],
            )
        except (OSError, UnicodeError):
            # pynetdicom looks the name up before it connects, and lets that failure through.
            raise PeerUnreachable(
                f"the host name of destination {peer.name} cannot be resolved; check host and the name server"
            ) from None
        if association.is_established:
            return association
        if association.is_rejected:
            what = "refused the association; check both AE titles at the PACS"
        elif association.is_aborted:
            what = "broke off or could not be reached; check host, port and that it listens"
        else:
            what = "did not answer"
        raise PeerUnreachable(f"destination {peer.name} {what}")

    def _store(self, association: Any, instance: Outgoing, report: SendReport) -> None:
        name = self._destination.name
        try:
            status = association.send_c_store(instance.dataset)
        except (RuntimeError, ValueError) as error:
            # RuntimeError: the association ended; ValueError: no accepted presentation context.
            accepted = {
                (context.abstract_syntax, str(context.transfer_syntax[0]))
                for context in association.accepted_contexts
            }
            if instance.context not in accepted:
                raise RetryableError(
                    f"destination {name} does not take SOP class {instance.sop_class_uid} in transfer syntax "
                    f"{instance.transfer_syntax_uid}; enable it at the PACS"
                ) from None
            raise PeerUnreachable(f"destination {name} ended the association: {error}") from None
        code = status.get("Status") if status else None
        if code is None:
            raise PeerUnreachable(f"destination {name} did not answer a C-STORE, or broke off")
        if code == _SUCCESS:
            report.stored += 1
        elif code in _WARNINGS:
            report.stored += 1
            report.with_warning += 1
        else:
            raise RetryableError(f"destination {name} refused an instance with status 0x{code:04X}")
