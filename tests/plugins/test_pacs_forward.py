"""Instances reach a real SCP whole, and a peer that does not store them is never reported as one that did."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydantic import ValidationError
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]
from support.dcmtk import free_port, storescp
from support.shared_data import part10_files

import rayline_pacs_forward
from rayline.dicom.validation import screen
from rayline.plugin import ConfigurationError, Destination, Ingested, Instance, RetryableError
from rayline.testing import InMemoryContext
from rayline.testing.probe import offline
from rayline_local import samples
from rayline_pacs_forward import ForwardSettings
from rayline_pacs_forward.scu import Outgoing, StoreClient, Timeouts

EVENT = Ingested(
    site="north",
    occurred_at=datetime(2025, 1, 2, tzinfo=UTC),
    subject="import_job",
    datastore_id="d" * 32,
    job_id="j" * 32,
    job_status="COMPLETED",
)
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture(scope="module")
def ct() -> list[samples.Sample]:
    return list(samples.ct_series(3, 6))


@pytest.fixture
def dcmtk(dcmtk_storescp: str, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A running storescp, its port and the folder that it writes to."""
    port, folder = free_port(), tmp_path / "received"
    with storescp(dcmtk_storescp, port, folder):
        yield port, folder


def context_for(ports: list[int], contents: list[bytes], **settings: Any) -> InMemoryContext:
    model = ForwardSettings.model_validate(
        {
            "destinations": [
                {"name": f"pacs-{number}", "ae_title": "RESEARCH", "host": "127.0.0.1", "port": port}
                | settings.pop("destination", {})
                for number, port in enumerate(ports)
            ],
            "connect_seconds": 5,
            "association_seconds": 5,
            "response_seconds": 5,
            **settings,
        }
    )
    context = InMemoryContext(
        settings=model, contents={str(number): content for number, content in enumerate(contents)}
    )
    context.answers = rayline_pacs_forward.destinations(EVENT, context)
    return context


def test_dcmtk_receives_every_instance_as_it_is_stored(
    dcmtk: tuple[int, Path], ct: list[samples.Sample]
) -> None:
    port, folder = dcmtk
    contents = [sample.content for sample in ct]
    contents += [samples.wrap(samples.chest_xray(_generator(), "NORMAL"), samples.made_up_patient("x"))[0]]
    context = context_for([port], contents)
    rayline_pacs_forward.on_ingested(EVENT, context)
    received = {str(each.SOPInstanceUID): each for each in map(pydicom.dcmread, folder.iterdir())}
    sent = [pydicom.dcmread(BytesIO(content)) for content in contents]
    assert set(received) == {str(each.SOPInstanceUID) for each in sent}
    for original in sent:
        copy = received[str(original.SOPInstanceUID)]
        assert copy.PixelData == original.PixelData
        assert copy.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
        assert copy.PatientName == original.PatientName
    assert ("info", "instances_forwarded") in [(record.level, record.event) for record in context.logged]


def test_connections_do_not_delay_small_writes(ct: list[samples.Sample]) -> None:
    with scp(0) as (port, _):
        client = StoreClient(Destination("a", "RESEARCH", "127.0.0.1", port), "RAYLINE", Timeouts(5, 5, 5))
        association = client._associate([Outgoing.read(ct[0].content).context])
        connection = association.dul.socket.socket
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        association.release()


def _generator() -> Any:
    import numpy as np

    return np.random.default_rng(1)


@pytest.mark.shared_data
def test_compressed_instances_keep_their_transfer_syntax(dcmtk: tuple[int, Path]) -> None:
    port, folder = dcmtk
    contents = [
        content
        for content in (path.read_bytes() for path in part10_files("transfer_syntax"))
        if screen(Instance(content)) is None
        and b"1.2.840.10008.1.2.4.20" not in content[:600]  # dcmtk 3.6.7 has no HTJ2K
    ]
    by_uid = {str(_meta(content).MediaStorageSOPInstanceUID): content for content in contents}
    context = context_for([port], list(by_uid.values()))
    rayline_pacs_forward.on_ingested(EVENT, context)
    received = [pydicom.dcmread(path) for path in folder.iterdir()]
    assert {str(each.SOPInstanceUID): str(each.file_meta.TransferSyntaxUID) for each in received} == {
        uid: str(_meta(content).TransferSyntaxUID) for uid, content in by_uid.items()
    }


def _meta(content: bytes) -> Any:
    return pydicom.dcmread(BytesIO(content), specific_tags=["SOPInstanceUID"]).file_meta


@contextmanager
def scp(
    answer: int | None,
    *,
    syntaxes: tuple[str, ...] = (IMPLICIT, EXPLICIT),
    title: str = "RESEARCH",
    reject: bool = False,
) -> Iterator[tuple[int, list[str]]]:
    """A pynetdicom SCP that answers each C-STORE with a status, or breaks off where it is None."""
    received: list[str] = []

    def on_store(event: evt.Event) -> int:
        if answer is None:
            event.assoc.abort()
            return 0
        received.append(str(event.request.AffectedSOPInstanceUID))
        return answer

    ae = AE(ae_title=title)
    ae.require_called_aet = reject
    ae.add_supported_context(CTImageStorage, list(syntaxes))
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
    try:
        yield server.socket.getsockname()[1], received
    finally:
        server.shutdown()


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC000, 0x0110, 0x0122])
def test_a_refused_instance_is_never_success(status: int, ct: list[samples.Sample]) -> None:
    with scp(status) as (port, received):
        context = context_for([port], [sample.content for sample in ct])
        with pytest.raises(RetryableError, match=f"0x{status:04X}"):
            rayline_pacs_forward.on_ingested(EVENT, context)
    assert len(received) == 1
    assert [record.event for record in context.logged] == ["forwarding_failed"]


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_counts_as_stored(status: int, ct: list[samples.Sample]) -> None:
    with scp(status) as (port, received):
        context = context_for([port], [sample.content for sample in ct])
        rayline_pacs_forward.on_ingested(EVENT, context)
    assert received == [sample.sop_instance_uid for sample in ct]
    assert context.logged[-1].fields == {"destination": "pacs-0", "stored": len(ct), "with_warning": len(ct)}


def test_a_peer_that_breaks_off_is_tried_again(ct: list[samples.Sample]) -> None:
    with scp(None) as (port, _), pytest.raises(RetryableError, match="pacs-0"):
        rayline_pacs_forward.on_ingested(EVENT, context_for([port], [ct[0].content]))


def test_an_unreachable_peer_is_tried_again(ct: list[samples.Sample]) -> None:
    with pytest.raises(RetryableError, match="could not be reached"):
        rayline_pacs_forward.on_ingested(EVENT, context_for([free_port()], [ct[0].content]))


def test_a_rejected_association_names_the_ae_titles(ct: list[samples.Sample]) -> None:
    with scp(0, title="OTHER", reject=True) as (port, _), pytest.raises(RetryableError, match="AE titles"):
        rayline_pacs_forward.on_ingested(EVENT, context_for([port], [ct[0].content]))


def test_a_refused_presentation_context_is_named(ct: list[samples.Sample]) -> None:
    xray, _ = samples.wrap(samples.chest_xray(_generator(), "NORMAL"), samples.made_up_patient("x"))
    with scp(0, syntaxes=(IMPLICIT,)) as (port, received):
        context = context_for([port], [ct[0].content, xray])
        with pytest.raises(RetryableError, match=r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.1 in transfer syntax"):
            rayline_pacs_forward.on_ingested(EVENT, context)
    assert received == [ct[0].sop_instance_uid]


def test_one_failing_destination_does_not_starve_the_others(ct: list[samples.Sample]) -> None:
    with scp(0) as (port, received):
        context = context_for([free_port(), port], [sample.content for sample in ct])
        with pytest.raises(RetryableError, match="pacs-0"):
            rayline_pacs_forward.on_ingested(EVENT, context)
    assert received == [sample.sop_instance_uid for sample in ct]


@pytest.mark.parametrize("host", ["pacs.example.org", "two..dots"])
def test_a_name_that_cannot_be_resolved_is_waited_for_and_starves_no_sibling(
    host: str, ct: list[samples.Sample]
) -> None:
    context = context_for([free_port(), free_port()], [ct[0].content], destination={"host": host})
    with offline(), pytest.raises(RetryableError) as caught:
        rayline_pacs_forward.on_ingested(EVENT, context)
    assert [record.event for record in context.logged] == ["forwarding_failed", "forwarding_failed"]
    assert "destination pacs-0 cannot be resolved" in str(caught.value)


def test_rules_by_modality_hold(ct: list[samples.Sample]) -> None:
    xray, _ = samples.wrap(samples.chest_xray(_generator(), "NORMAL"), samples.made_up_patient("x"))
    with scp(0) as (port, received):
        contents = [xray, ct[0].content]
        context = context_for([port], contents, destination={"modalities": ["CT"]})
        rayline_pacs_forward.on_ingested(EVENT, context)
    assert received == [ct[0].sop_instance_uid]


@pytest.mark.parametrize(
    "event",
    [
        EVENT.model_copy(update={"job_status": "FAILED"}),
        EVENT.model_copy(update={"subject": "image_set", "image_set_id": "i" * 32, "job_status": None}),
    ],
)
def test_only_finished_jobs_are_forwarded(event: Ingested, ct: list[samples.Sample]) -> None:
    context = context_for([free_port()], [ct[0].content])
    assert rayline_pacs_forward.destinations(event, context) == []
    rayline_pacs_forward.on_ingested(event, context)
    assert context.logged == []


def test_original_identity_is_refused() -> None:
    destination = {"name": "a", "ae_title": "A", "host": "h", "port": 104, "identity": "original"}
    with pytest.raises(ValidationError, match="identity: original is not supported"):
        ForwardSettings.model_validate({"destinations": [destination]})
    context = context_for([], [])
    context.answers = [Destination("other", "A", "127.0.0.1", 104, "original")]
    with pytest.raises(ConfigurationError, match="identity: deidentified"):
        rayline_pacs_forward.on_ingested(EVENT, context)


@pytest.mark.parametrize(
    "change", [{"ae_title": "SEVENTEEN_LETTERS"}, {"ae_title": "  "}, {"ae_title": "A\\B"}, {"port": 0}]
)
def test_impossible_destinations_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ForwardSettings.model_validate(
            {"destinations": [{"name": "a", "ae_title": "A", "host": "h", "port": 104} | change]}
        )
