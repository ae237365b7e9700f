"""The gateway with a real peer on a loopback socket: what it acknowledges is kept, and nothing else is."""

import io
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import CTImageStorage, Verification
from support.in_memory_cloud.calls import aws_error
from support.in_memory_cloud.cloud import InMemoryCloud
from support.machine_world import captured_logs
from support.manual_clock import ManualClock

from rayline.dimse.gateway import Gateway
from rayline.dimse.settings import DimseSettings, load_dimse_settings
from rayline.dimse.transport import MOST_ASSOCIATE_BYTES
from rayline.errors import ConfigurationError
from rayline.observability.meter import Meter
from rayline.testing import ImageSpec, image_content

SITE = "test-site"
BUCKET = "test-uploads"
SENTINEL = "Zzyzx^Sentinel"
EXPLICIT = "1.2.840.10008.1.2.1"


class Served:
    """A gateway, its bucket, and what it published."""

    def __init__(self, s3: Any, folder: Path, **settings: Any) -> None:
        self.s3 = s3
        self.spool_folder = folder
        self._log = io.StringIO()
        self.meter = Meter(SITE, clock=ManualClock(), stream=self._log)
        given = {
            "host": "127.0.0.1",
            "port": 0,
            "calling_ae_titles": ("CT1",),
            "drain_seconds": 5.0,
            **settings,
        }
        self.settings = DimseSettings(**given)
        self.gateway = Gateway(self.settings, s3, BUCKET, site=SITE, meter=self.meter)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.gateway.port

    def keys(self) -> list[str]:
        """What is in the bucket."""
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def files(self) -> list[bytes]:
        """The bucket's objects."""
        return [self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in self.keys()]

    def counts(self, name: str, by: str = "") -> dict[str, float]:
        """A count by a dimension, summed over all that was published."""
        self.meter.flush()
        counts: dict[str, float] = {}
        for line in map(json.loads, self._log.getvalue().splitlines()):
            if name in line:
                value = line[name]
                label = line[by] if by else ""
                counts[label] = counts.get(label, 0) + (
                    value if isinstance(value, int | float) else len(value)
                )
        return counts


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where spools lie."""
    spools = tmp_path / "spools"
    spools.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spools))
    return spools


def bucket_of(cloud: Any) -> Any:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return s3


@contextmanager
def serving(s3: Any, folder: Path, **settings: Any) -> Iterator[Served]:
    served = Served(s3, folder, **settings)
    with served.gateway.serving():
        yield served


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    with serving(bucket_of(InMemoryCloud(ManualClock())), folder) as made:
        yield made


def image(instance: int = 1, **changes: Any) -> Any:
    """A CT image with a patient's name."""
    dataset = pydicom.dcmread(
        io.BytesIO(image_content(ImageSpec(patient=1, series=1, instance=instance, **changes)))
    )
    dataset.PatientName = SENTINEL
    return dataset


def encoded(dataset: Any) -> bytes:
    """The data set without preamble and file meta information, as it goes over the wire."""
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return data_set_of(buffer.getvalue())


def data_set_of(content: bytes) -> bytes:
    """What follows the file meta information, whose length (0002,0000) says (PS3.10 §7.1)."""
    (length,) = struct.unpack_from("<I", content, 128 + 4 + 8)
    return content[128 + 4 + 12 + length :]


@contextmanager
def association(
    served: Served, *, calling: str = "CT1", called: str = "RAYLINE", **options: Any
) -> Iterator[Any]:
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
    ae.requested_contexts = [
        build_context(Verification),
        *(build_context(uid, EXPLICIT) for uid in {CTImageStorage, str(image().SOPClassUID)}),
    ]
    made = ae.associate("127.0.0.1", served.port, ae_title=called, **options)
    try:
        yield made
    finally:
        if made.is_established:
            made.release()


def eventually(true: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["in-memory", "local"])
def test_an_image_that_is_acknowledged_is_kept_as_it_was_sent(
    kind: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    cloud = InMemoryCloud(ManualClock()) if kind == "in-memory" else request.getfixturevalue("local_cloud")
    s3 = cloud.client("s3")
    if kind == "local":
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    else:
        bucket_of(cloud)
    with serving(s3, folder) as served:
        before = set(served.keys())
        sent = image()
        with association(served) as peer:
            assert peer.send_c_echo().Status == 0x0000
            assert peer.send_c_store(sent).Status == 0x0000
        (key,) = set(served.keys()) - before
        content = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert data_set_of(content) == encoded(sent)
    meta = pydicom.dcmread(io.BytesIO(content)).file_meta
    assert meta.MediaStorageSOPInstanceUID == sent.SOPInstanceUID
    assert meta.MediaStorageSOPClassUID == sent.SOPClassUID
    assert meta.TransferSyntaxUID == EXPLICIT
    assert meta.SourceApplicationEntityTitle == "CT1"
    # Minted here: nothing of the image, and below the prefix whose creations are events.
    folder_name, _, name = key.rpartition("/")
    assert folder_name == f"upload/{SITE}/dimse"
    assert len(name) == 32 + len(".dcm")
    assert str(sent.SOPInstanceUID) not in key


def test_nothing_stays_on_disk_and_everything_is_measured(served: Served) -> None:
    with association(served) as peer:
        for number in range(3):
            assert peer.send_c_store(image(number + 1)).Status == 0x0000
    assert list(served.spool_folder.iterdir()) == []
    assert served.counts("Associations", "Outcome") == {"accepted": 1}
    assert served.counts("GatewayInstances") == {"": 3}
    assert served.counts("GatewayBytes") == {"": sum(map(len, served.files()))}
    assert served.counts("StoreSeconds") == {"": 3}


def test_what_s3_does_not_take_is_not_acknowledged(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> Any:
        raise aws_error("SlowDown", "slow down", "PutObject")

    with monkeypatch.context() as patch:
        patch.setattr(served.s3, "put_object", refuse)
        with association(served) as peer:
            answer = peer.send_c_store(image())
            assert answer.Status == 0xA700
            assert SENTINEL not in str(answer)
            # The association goes on, and so does the next attempt.
            patch.undo()
            assert peer.send_c_store(image()).Status == 0x0000
    assert len(served.keys()) == 1
    assert served.counts("GatewayRejections", "Reason") == {"OUT_OF_RESOURCES": 1}


def test_success_is_said_after_s3_has_it_and_not_before(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    real = served.s3.put_object

    def slowly(**request: Any) -> Any:
        asked.set()
        go_on.wait(20)
        return real(**request)

    monkeypatch.setattr(served.s3, "put_object", slowly)
    answers: list[Any] = []
    with association(served) as peer:
        sending = threading.Thread(target=lambda: answers.append(peer.send_c_store(image())))
        sending.start()
        assert asked.wait(20)
        assert answers == []
        go_on.set()
        sending.join(20)
    assert answers[0].Status == 0x0000


def test_a_full_disk_is_out_of_resources(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("rayline.dimse.spool.tempfile.TemporaryFile", lambda **_: Full())
    with association(served) as peer:
        assert peer.send_c_store(image()).Status == 0xA700
        assert peer.send_c_echo().Status == 0x0000
    assert served.keys() == []


def test_an_image_that_is_too_large_is_received_dropped_and_refused(folder: Path) -> None:
    s3 = bucket_of(InMemoryCloud(ManualClock()))
    with serving(s3, folder, max_instance_bytes=1_000) as served:
        with association(served) as peer:
            assert peer.send_c_store(image()).Status == 0xA700
            assert peer.send_c_echo().Status == 0x0000
        assert served.keys() == []
        assert served.counts("GatewayRejections", "Reason") == {"TOO_LARGE": 1}


def send_bytes(peer: Any, data: bytes, sop_instance_uid: str = "1.2.3") -> Any:
    """A C-STORE whose data set is whatever a test wants."""
    sent = image()
    from pynetdicom.dimse_primitives import C_STORE

    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = sent.SOPClassUID
    request.AffectedSOPInstanceUID = sop_instance_uid
    request.Priority = 2
    request.DataSet = io.BytesIO(data)
    context = next(each for each in peer.accepted_contexts if each.abstract_syntax == sent.SOPClassUID)
    peer._reactor_checkpoint.clear()
    peer.dimse.send_msg(request, context.context_id)
    _, answer = peer.dimse.get_msg(block=True)
    peer._reactor_checkpoint.set()
    return answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"this is no data set, and long enough to look like one" * 9, 0xC000),
        (b"\x08\x00\x16\x00UI\xff\xff", 0xC000),
        (encoded(image())[:-7], 0xC000),
        (encoded(image()), 0xA900),
    ],
    ids=["no data set", "ends in an element", "is cut short", "is another instance"],
)
def test_what_is_no_such_instance_is_refused_with_its_status(
    served: Served, data: bytes, status: int
) -> None:
    with association(served) as peer:
        answer = send_bytes(peer, data)
        assert answer.Status == status
        assert peer.send_c_echo().Status == 0x0000
    assert served.keys() == []
    assert list(served.spool_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("calling", "called", "reason"),
    [("CT2", "RAYLINE", "CALLING_AE_TITLE"), ("CT1", "OTHER", "CALLED_AE_TITLE")],
)
def test_a_peer_that_is_not_known_gets_no_association(
    served: Served, calling: str, called: str, reason: str
) -> None:
    with association(served, calling=calling, called=called) as peer:
        assert peer.is_rejected
    assert served.counts("Associations", "Outcome") == {"refused": 1}
    assert served.counts("GatewayRejections", "Reason") == {reason: 1}


def test_nobody_may_send_where_nobody_is_listed(folder: Path) -> None:
    s3 = bucket_of(InMemoryCloud(ManualClock()))
    with serving(s3, folder, calling_ae_titles=()) as served, association(served) as peer:
        assert peer.is_rejected


def test_a_peer_of_another_network_is_not_even_heard(folder: Path) -> None:
    s3 = bucket_of(InMemoryCloud(ManualClock()))
    with serving(s3, folder, peer_networks=("10.9.0.0/16",)) as served:
        with socket.create_connection(("127.0.0.1", served.port), 10) as peer:
            assert peer.recv(1) == b""
        assert served.counts("GatewayRejections", "Reason") == {"PEER_NETWORK": 1}


def test_associations_are_bounded(folder: Path) -> None:
    s3 = bucket_of(InMemoryCloud(ManualClock()))
    with serving(s3, folder, max_associations=1) as served, association(served) as first:
        assert first.is_established
        with association(served) as second:
            assert second.is_rejected
        assert first.send_c_echo().Status == 0x0000
        assert served.counts("GatewayRejections", "Reason") == {"TOO_MANY_ASSOCIATIONS": 1}


# -- hostile peers -------------------------------------------------------------------------------------------------


def closed(peer: socket.socket) -> bool:
    """Whether the gateway has hung up; what it says before, e.g. A-ABORT, is read."""
    peer.settimeout(20)
    with suppress(ConnectionError):
        while peer.recv(4096):
            pass
    return True


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"\x00" * 4096,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        struct.pack(">BBL", 1, 0, 4) + b"\xff\xff\xff\xff",
        struct.pack(">BBL", 4, 0, 6) + b"\x00\x00\x00\x02\x01\x03",
        struct.pack(">BBL", 1, 0, 2 * MOST_ASSOCIATE_BYTES),
        struct.pack(">BBL", 1, 0, 0xFFFFFFFF) + b"\x00" * 1000,
    ],
    ids=["http", "zeros", "tls", "short request", "data first", "long request", "endless request"],
)
def test_garbage_ends_its_own_connection_only(served: Served, garbage: bytes) -> None:
    with association(served) as good, socket.create_connection(("127.0.0.1", served.port), 10) as peer:
        with suppress(ConnectionError):
            peer.sendall(garbage)
        assert closed(peer)
        assert good.send_c_store(image()).Status == 0x0000
    assert len(served.keys()) == 1


def test_a_pdu_that_never_ends_is_not_waited_for(folder: Path) -> None:
    s3 = bucket_of(InMemoryCloud(ManualClock()))
    with serving(s3, folder, pdu_seconds=0.3) as served:
        with socket.create_connection(("127.0.0.1", served.port), 10) as peer:
            peer.sendall(struct.pack(">BBL", 1, 0, 200) + b"\x00")
            began = time.monotonic()
            # A byte now and then does not prolong it.
            with suppress(ConnectionError):
                for _ in range(20):
                    peer.sendall(b"\x00")
                    time.sleep(0.05)
            assert closed(peer)
            assert time.monotonic() - began < 10
        eventually(lambda: not served.gateway._server.active_associations)


def test_a_peer_that_says_nothing_is_hung_up_on(folder: Path) -> None:
    s3 = bucket_of(InMemoryCloud(ManualClock()))
    with (
        serving(s3, folder, association_seconds=0.3) as served,
        socket.create_connection(("127.0.0.1", served.port), 10) as peer,
    ):
        assert closed(peer)


def raw_association(served: Served) -> tuple[socket.socket, int]:
    """An accepted association on a bare socket, and the context of CT images."""
    requests: list[bytes] = []
    ae = AE(ae_title="CT1")
    ae.requested_contexts = [build_context(CTImageStorage, EXPLICIT)]
    made = ae.associate(
        "127.0.0.1", served.port, ae_title="RAYLINE",
        evt_handlers=[(evt.EVT_PDU_SENT, lambda event: requests.append(event.pdu.encode()))],
    )  # fmt: skip
    made.release()
    peer = socket.create_connection(("127.0.0.1", served.port), 10)
    peer.sendall(requests[0])
    assert peer.recv(65_536)[0] == 2, "A-ASSOCIATE-AC"
    return peer, 1


def data_pdu(context: int, control: int, fragment: bytes) -> bytes:
    """A P-DATA-TF of one presentation data value (PS3.8 §9.3.5)."""
    value = struct.pack(">LBB", len(fragment) + 2, context, control) + fragment
    return struct.pack(">BBL", 4, 0, len(value)) + value


def test_a_command_that_never_ends_is_cut_off(served: Served) -> None:
    peer, context = raw_association(served)
    with peer, suppress(ConnectionError):
        for _ in range(100):
            peer.sendall(data_pdu(context, 1, b"\x00" * 4096))
    with peer:
        eventually(lambda: not served.gateway._server.active_associations)


def test_a_pdu_longer_than_negotiated_is_cut_off(served: Served) -> None:
    peer, context = raw_association(served)
    with peer:
        with suppress(ConnectionError):
            peer.sendall(data_pdu(context, 0, b"\x00" * 2_000_000))
        assert closed(peer)


def test_a_peer_that_breaks_off_in_the_middle_leaves_nothing(served: Served) -> None:
    sent = image()
    peer, context = raw_association(served)
    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.dimse_primitives import C_STORE

    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sent.SOPClassUID, sent.SOPInstanceUID
    request.DataSet = io.BytesIO(encoded(sent))
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    for primitive in list(message.encode_msg(context, 1024))[:-1]:
        for context_id, fragment in primitive.presentation_data_value_list:
            peer.sendall(data_pdu(context_id, fragment[0], bytes(fragment[1:])))
    peer.close()
    eventually(lambda: not served.gateway._server.active_associations)
    assert served.keys() == []
    assert list(served.spool_folder.iterdir()) == []
    with association(served) as good:
        assert good.send_c_store(sent).Status == 0x0000


def test_requests_without_end_that_wait_for_no_answer_are_cut_off(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    real = served.s3.put_object

    def slowly(**request: Any) -> Any:
        go_on.wait(20)
        return real(**request)

    monkeypatch.setattr(served.s3, "put_object", slowly)
    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.dimse_primitives import C_STORE

    sent = image()
    peer, context = raw_association(served)
    with peer, suppress(ConnectionError):
        for number in range(50):
            request = C_STORE()
            request.MessageID, request.Priority = number + 1, 2
            request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = (
                sent.SOPClassUID,
                sent.SOPInstanceUID,
            )
            request.DataSet = io.BytesIO(encoded(sent))
            message = C_STORE_RQ()
            message.primitive_to_message(request)
            for primitive in message.encode_msg(context, 16_384):
                for context_id, fragment in primitive.presentation_data_value_list:
                    peer.sendall(data_pdu(context_id, fragment[0], bytes(fragment[1:])))
        go_on.set()
        assert closed(peer)
    go_on.set()
    eventually(lambda: not served.gateway._server.active_associations)
    assert len(served.keys()) <= 5


def test_connections_are_bounded_too(folder: Path) -> None:
    s3 = bucket_of(InMemoryCloud(ManualClock()))
    with serving(s3, folder, max_associations=1) as served:
        peers = [socket.create_connection(("127.0.0.1", served.port), 10) for _ in range(8)]
        eventually(lambda: served.counts("GatewayRejections", "Reason").get("TOO_MANY_CONNECTIONS", 0) >= 3)
        for peer in peers:
            peer.close()

        def taken_again() -> bool:
            # A place is free a little after its association has gone.
            with association(served) as good:
                return good.is_established

        eventually(taken_again)


def test_no_log_line_names_a_patient_or_an_unknown_peer(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    with captured_logs() as lines:
        with association(served) as peer:
            peer.send_c_store(image())
            send_bytes(peer, encoded(image())[:-7])
        with association(served, calling=SENTINEL[:16]) as other:
            assert other.is_rejected
        with socket.create_connection(("127.0.0.1", served.port), 10) as garbage:
            garbage.sendall(SENTINEL.encode() * 20)
            closed(garbage)
    told = "".join(lines) + capfd.readouterr().err
    assert "association_accepted" in told
    assert SENTINEL[:10] not in told
    assert "Traceback" not in told


# -- draining ------------------------------------------------------------------------------------------------------


def test_what_is_under_way_is_finished_when_it_is_told_to_stop(folder: Path) -> None:
    s3 = bucket_of(InMemoryCloud(ManualClock()))
    served = Served(s3, folder, drain_seconds=20)
    with served.gateway.serving(), association(served) as peer:
        draining = threading.Thread(target=served.gateway.drain)
        draining.start()
        eventually(lambda: not served.gateway.alive)
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", served.port), 10)
        assert peer.send_c_store(image()).Status == 0x0000
        peer.release()
        draining.join(20)
        assert not draining.is_alive()
    assert len(served.keys()) == 1


def test_what_goes_on_for_ever_is_ended(folder: Path) -> None:
    s3 = bucket_of(InMemoryCloud(ManualClock()))
    served = Served(s3, folder, drain_seconds=0.2)
    with served.gateway.serving():
        ae = AE(ae_title="CT1")
        ae.requested_contexts = [build_context(Verification)]
        peer = ae.associate("127.0.0.1", served.port, ae_title="RAYLINE")
        served.gateway.drain()
        eventually(lambda: not served.gateway._server.active_associations)
        eventually(lambda: not peer.is_established)
        served.gateway.drain = lambda: None  # type: ignore[method-assign]


# -- TLS -----------------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    cert_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_file, key_file


def test_only_a_peer_whose_certificate_is_known_gets_through_tls(folder: Path, tmp_path: Path) -> None:
    server, client, stranger = (certificate(tmp_path, name) for name in ("gateway", "ct1", "stranger"))
    s3 = bucket_of(InMemoryCloud(ManualClock()))
    tls = {
        "tls_certificate_file": server[0],
        "tls_key_file": server[1],
        "tls_client_ca_file": client[0],
        "association_seconds": 2.0,
    }

    def context(own: tuple[Path, Path] | None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(server[0]))
        made.check_hostname = False
        if own is not None:
            made.load_cert_chain(*own)
        return made

    with serving(s3, folder, **tls) as served:
        silent = socket.create_connection(("127.0.0.1", served.port), 10)
        # One that connects and says nothing keeps nobody waiting.
        with silent, association(served, tls_args=(context(client), "gateway")) as peer:
            assert peer.send_c_store(image()).Status == 0x0000
        for own in (None, stranger):
            with association(served, tls_args=(context(own), "gateway")) as peer:
                assert not peer.is_established
        with association(served) as peer:
            assert not peer.is_established
        eventually(lambda: served.counts("GatewayRejections", "Reason").get("TLS", 0) >= 3)
    assert len(served.keys()) == 1


# -- settings ------------------------------------------------------------------------------------------------------


def test_settings_come_from_the_environment_as_lists_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYLINE_DIMSE_CALLING_AE_TITLES", "CT1, MR 2")
    monkeypatch.setenv("RAYLINE_DIMSE_PEER_NETWORKS", "10.1.0.0/16")
    settings = load_dimse_settings()
    assert settings.calling_ae_titles == ("CT1", "MR 2")
    assert settings.peer_networks == ("10.1.0.0/16",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AE_TITLE", "A TITLE THAT IS TOO LONG"),
        ("CALLING_AE_TITLES", "CT1,BACK\\SLASH"),
        ("PEER_NETWORKS", "10.1.0.0/33"),
        ("MAX_ASSOCIATIONS", "0"),
        ("TLS_CERTIFICATE_FILE", "only-one.pem"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"RAYLINE_DIMSE_{name}", value)
    with pytest.raises(ConfigurationError, match="RAYLINE_DIMSE_" + name.partition("_")[0]):
        load_dimse_settings()


def test_a_port_that_is_taken_is_a_setting_to_change(served: Served) -> None:
    with pytest.raises(ConfigurationError, match="RAYLINE_DIMSE_PORT"):
        Served(served.s3, served.spool_folder, port=served.port)


@pytest.mark.parametrize("field", sorted(DimseSettings.model_fields))
def test_every_setting_is_documented_with_its_default(field: str, repository: Path) -> None:
    setting = DimseSettings.model_fields[field]
    default = setting.default if not isinstance(setting.default, tuple) else ",".join(setting.default)
    default = "–" if default in (None, "") else default
    row = f"| `{DimseSettings.environment_name(field)}` | {setting.description} | {default} |"
    assert row in (repository / "docs/reference.md").read_text()
