"""A message is one trace, which tells what was done and nothing of a patient, and costs nothing where nobody asks."""

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pynetdicom import AE
from support.aws_answers import answer, answering_session
from support.machine_world import MachineWorld, deterministic
from support.processor_estate import SITE
from support.simulated_processor import WorkerProcess
from support.simulated_site import SENTINEL, SENTINELS, Site, image_of, profile_text

from rayline.aws import Clients
from rayline.dimse.gateway import Gateway
from rayline.dimse.settings import DimseSettings
from rayline.http_api.traced_requests import TracedRequests
from rayline.observability.meter import Meter
from rayline.observability.traces import (
    SAFE_ATTRIBUTES,
    Traced,
    Untraced,
    open_traces,
    trace_header,
    traceparent_of,
)

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traceable:
    """Traces that a test looks at."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.traces = Traced("processor", SITE, self.exporter, at_once=True)

    def spans(self) -> dict[str, ReadableSpan]:
        """Every span that ended, by its name; of several, the last."""
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def text(self) -> str:
        """All that leaves."""
        return "".join(span.to_json() for span in self.exporter.get_finished_spans())


@pytest.fixture
def traceable() -> Traceable:
    return Traceable()


class TracedDay:
    """A site whose worker is traced."""

    def __init__(self, folder: Path, site: Site, traceable: Traceable) -> None:
        self.world = MachineWorld(folder, site, profile_text(deid_on_failure="retry"))
        self.world.processor.traces = traceable.traces
        self.worker = WorkerProcess("worker", self.world.processor)

    def upload(self, content: bytes) -> None:
        """An image arrives and is handled."""
        self.world.upload(f"upload/{SENTINEL}.dcm", content)
        for body in self.world.wire:
            self.world.send(body)
        self.world.wire.clear()
        self.worker.turn()


def test_one_event_is_one_connected_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traceable: Traceable
) -> None:
    site = Site()
    with deterministic(monkeypatch, site):
        TracedDay(tmp_path, site, traceable).upload(image_of(1))
    spans = traceable.exporter.get_finished_spans()
    assert len({span.context.trace_id for span in spans}) == 1
    by_id = {span.context.span_id: span for span in spans}

    def way(name: str) -> list[str]:
        span, found = traceable.spans()[name], []
        while span is not None:
            found.append(span.name)
            span = by_id[span.parent.span_id] if span.parent else None
        return found

    intake = "on_uploaded rayline.intake"
    assert way(intake) == [intake, "dispatch", "consume"]
    # De-identification is called by the intake, and so lies below it.
    assert way("transform_instance deid") == ["transform_instance deid", intake, "dispatch", "consume"]
    assert way("on_uploaded auditor") == ["on_uploaded auditor", "dispatch", "consume"]
    consume = traceable.spans()["consume"].attributes
    assert consume is not None
    assert dict(consume) == {
        "messaging.system": "aws_sqs",
        "rayline.receive_count": 1,
        "rayline.event": "uploaded",
        "rayline.outcome": "done",
    }
    assert traceable.spans()["consume"].resource.attributes["service.name"] == "rayline-processor"


@pytest.mark.parametrize("mode", ["ok", "fail", "reject"])
def test_no_span_tells_of_a_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traceable: Traceable, mode: str
) -> None:
    site = Site(modes={"deid": mode, "auditor": mode})
    with deterministic(monkeypatch, site):
        day = TracedDay(tmp_path, site, traceable)
        day.upload(image_of(1))
        day.world.send(f"no envelope of {SENTINEL}")
        day.worker.turn()
    text = traceable.text()
    assert len(traceable.exporter.get_finished_spans()) > 4
    assert [each for each in SENTINELS if each.decode() in text] == []
    named = {name for span in traceable.exporter.get_finished_spans() for name in span.attributes or ()}
    assert named <= SAFE_ATTRIBUTES
    assert all(not span.events for span in traceable.exporter.get_finished_spans()), "exceptions quote values"
    if mode == "fail":
        attributes = traceable.spans()["on_uploaded auditor"].attributes
        assert attributes is not None
        assert attributes["error.type"] == "Trouble"


def test_an_event_of_ours_carries_its_trace_and_a_retry_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traceable: Traceable
) -> None:
    site = Site(modes={"auditor": "busy"})
    with deterministic(monkeypatch, site):
        day = TracedDay(tmp_path, site, traceable)
        day.upload(b"this is no image")
        (told,) = day.world.taken()
        (first,) = {span.context.trace_id for span in traceable.exporter.get_finished_spans()}
        # EventBridge hands the header on to its targets, SQS as AWSTraceHeader.
        assert traceparent_of(told["TraceHeader"])[3:35] == f"{first:032x}"
        day.world.clock.pass_time(600)
        day.worker.turn()
    traces = {
        span.context.trace_id for span in traceable.exporter.get_finished_spans() if span.name == "consume"
    }
    assert traces == {first}
    assert len([1 for span in traceable.exporter.get_finished_spans() if span.name == "consume"]) == 2


def test_a_crash_between_writing_and_sending_loses_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traceable: Traceable
) -> None:
    site = Site()
    with deterministic(monkeypatch, site):
        day = TracedDay(tmp_path, site, traceable)
        day.worker.faults.plan("events.put_events", "crash before")
        day.upload(b"this is no image")
        assert day.worker.dead
        other = WorkerProcess("other", day.world.processor)
        day.world.clock.pass_time(60)
        other.turn()
        (told,) = day.world.taken()
    begun = {span.context.trace_id for span in traceable.exporter.get_finished_spans()}
    assert int(traceparent_of(told["TraceHeader"])[3:35], 16) in begun


def test_a_request_to_aws_is_a_span_only_as_part_of_a_trace(traceable: Traceable) -> None:
    listing = answer(200, b"<ListBucketResult><Name>b</Name></ListBucketResult>")
    clients = Clients(answering_session(listing), traces=traceable.traces)
    clients.s3.list_objects_v2(Bucket="bucket", Prefix=SENTINEL)
    assert traceable.spans() == {}
    with traceable.traces.span("consume", {}):
        clients.s3.list_objects_v2(Bucket="bucket", Prefix=SENTINEL)
    request, consume = traceable.spans()["s3.ListObjectsV2"], traceable.spans()["consume"]
    assert request.parent is not None
    assert request.parent.span_id == consume.context.span_id
    assert dict(request.attributes or {}) == {
        "rpc.system": "aws-api",
        "rpc.service": "s3",
        "rpc.method": "ListObjectsV2",
        "http.response.status_code": 200,
    }
    assert SENTINEL not in traceable.text()


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (
            answer(404, b"<Error><Code>NoSuchKey</Code><Message>Doe</Message></Error>"),
            ClientError,
            "NoSuchKey",
        ),
        (
            EndpointConnectionError(endpoint_url="https://aws"),
            EndpointConnectionError,
            "EndpointConnectionError",
        ),
    ],
)
def test_a_request_that_fails_says_how(
    monkeypatch: pytest.MonkeyPatch, traceable: Traceable, given: Any, error: type[Exception], told: str
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    clients = Clients(answering_session(given), traces=traceable.traces)
    with traceable.traces.span("consume", {}), pytest.raises(error):
        clients.s3.get_object(Bucket="bucket", Key=SENTINEL)
    request = traceable.spans()["s3.GetObject"]
    assert not request.status.is_ok
    assert (request.attributes or {})["error.type"] == told
    assert "Doe" not in traceable.text()


# -- context -------------------------------------------------------------------------------------------------------


def test_a_trace_that_came_from_elsewhere_is_gone_on_with(traceable: Traceable) -> None:
    with traceable.traces.span("consume", {}, parent=TRACEPARENT):
        assert traceable.traces.traceparent()[:36] == TRACEPARENT[:36]
    span = traceable.spans()["consume"]
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == TRACEPARENT[36:52]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        TRACEPARENT.upper(),
        TRACEPARENT + "-00",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
    ],
)
def test_what_is_no_trace_begins_a_new_one(traceable: Traceable, text: str) -> None:
    with traceable.traces.span("consume", {}, parent=text):
        pass
    assert traceable.spans()["consume"].parent is None


def test_a_header_of_x_ray_is_the_same_trace() -> None:
    # AWS X-Ray developer guide, "Tracing header": Root=1-time-number;Parent=segment;Sampled=decision.
    header = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
    assert trace_header(TRACEPARENT) == header
    assert traceparent_of(header) == TRACEPARENT
    assert traceparent_of("Root=1-5759e988-bd862e3fe1be46a994272793") == ""
    assert trace_header("") == ""


def test_attributes_that_are_not_known_to_be_safe_are_left_out(traceable: Traceable) -> None:
    with traceable.traces.span("consume", {"rayline.event": "uploaded", "s3.key": SENTINEL}) as span:
        span.note({"patient": SENTINEL})
    assert dict(traceable.spans()["consume"].attributes or {}) == {"rayline.event": "uploaded"}


# -- where nobody collects -----------------------------------------------------------------------------------------


def test_nothing_is_traced_without_an_endpoint() -> None:
    traces = open_traces("processor", SITE, None)
    assert isinstance(traces, Untraced)
    started = time.thread_time()
    for _ in range(10_000):
        with traces.span("consume", {}) as span:
            span.note({})
    assert (time.thread_time() - started) / 10_000 < 5e-6
    assert traces.traceparent() == ""


def test_nothing_of_opentelemetry_is_imported_without_an_endpoint() -> None:
    code = (
        "import sys, rayline.worker, rayline.observability.traces as t; t.open_traces('p', 's', None);"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Stuck(SpanExporter):
    """A collector that does not answer."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def export(self, spans: Any) -> SpanExportResult:
        """Wait."""
        self.released.wait(30)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to end."""


def test_a_collector_that_does_not_answer_holds_up_no_work_and_no_end() -> None:
    exporter = Stuck()
    traces = Traced("processor", SITE, exporter)
    started = time.monotonic()
    with traces.exporting():
        for _ in range(5_000):  # more than are kept
            with traces.span("consume", {}):
                pass
    assert time.monotonic() - started < 15
    exporter.released.set()


def test_what_ended_is_exported_at_the_end() -> None:
    exporter = InMemorySpanExporter()
    traces = Traced("processor", SITE, exporter)
    with traces.exporting(), traces.span("consume", {}):
        pass
    assert [span.name for span in exporter.get_finished_spans()] == ["consume"]


def test_spans_leave_by_otlp_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{collector.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        traces = open_traces("processor", SITE, endpoint)
        with traces.exporting(), traces.span("consume", {"rayline.event": "uploaded"}):
            pass
        collector.shutdown()
    ((path, body),) = taken
    assert path == "/v1/traces"
    assert b"consume" in body
    assert b"rayline-processor" in body


def test_what_the_tests_search_for_patients_holds_the_attributes(traceable: Traceable) -> None:
    with traceable.traces.span("consume", {"rayline.event": "uploaded"}):
        pass
    assert json.loads(traceable.text())["attributes"] == {"rayline.event": "uploaded"}


def test_an_instance_that_a_modality_sends_is_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traceable: Traceable
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    kept = answer(200, x_amz_version_id="1")
    clients = Clients(answering_session(kept), traces=traceable.traces)
    settings = DimseSettings(host="127.0.0.1", port=0, calling_ae_titles=("CT1",))
    gateway = Gateway(settings, clients.s3, "uploads", site=SITE, meter=Meter(SITE), traces=traceable.traces)
    image = pydicom.dcmread(BytesIO(image_of(1)))
    with gateway.serving():
        ae = AE(ae_title="CT1")
        ae.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
        peer = ae.associate("127.0.0.1", gateway.port, ae_title="RAYLINE")
        assert peer.send_c_store(image).Status == 0x0000
        peer.release()
    put, store = traceable.spans()["s3.PutObject"], traceable.spans()["store"]
    assert put.parent is not None
    assert put.parent.span_id == store.context.span_id
    assert [each for each in SENTINELS if each.decode() in traceable.text()] == []


def test_a_request_of_the_api_is_a_trace_with_what_it_asked_of_aws(traceable: Traceable) -> None:
    listing = answer(200, b"<ListBucketResult><Name>b</Name></ListBucketResult>")
    clients = Clients(answering_session(listing), traces=traceable.traces)
    app = FastAPI()

    @app.get("/{anything}")
    def look(anything: str) -> None:
        clients.s3.list_objects_v2(Bucket="bucket")

    app.add_middleware(TracedRequests, traces=traceable.traces)
    header = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
    TestClient(app).get(f"/{SENTINEL}?name={SENTINEL}", headers={"X-Amzn-Trace-Id": header})
    asked, request = traceable.spans()["s3.ListObjectsV2"], traceable.spans()["request"]
    assert asked.parent is not None
    assert asked.parent.span_id == request.context.span_id
    assert dict(request.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
    }
    assert f"{request.context.trace_id:032x}" == TRACEPARENT[3:35]
    assert SENTINEL not in traceable.text()
