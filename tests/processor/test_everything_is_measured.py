"""A day at a site, from uploads to a model: what happens is what the metrics say, and each of them is published."""

import ast
import importlib.util
import io
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from support.machine_world import MachineWorld, deterministic
from support.processor_estate import SECRETS, SITE
from support.simulated_processor import Faults, SupervisorProcess, WorkerProcess
from support.simulated_site import SENTINEL, SENTINELS, Site, image_of, profile_text

from rayline.errors import PeerUnreachable
from rayline.hashing import KeyedHash
from rayline.instances import InstanceLedger
from rayline.observability import metrics
from rayline.observability.metrics import METRICS, Dimension
from rayline.outbox import Outbox
from rayline.reminders import ReconcileDue, reminder_body
from rayline.stages.execution_metrics import EndedExecution, measure_execution
from rayline.verification import Verification, Verifier

REFUSED_PIXEL = 13
# Measured elsewhere: requests and frames take real clients, a drift an endpoint, the gateway peers, the API people.
OF_OTHER_TESTS = {
    "rayline.cli.api": "tests/http_api/test_measured_api.py",
    "rayline.dimse": "tests/processor/test_dimse_gateway.py",
    "rayline.drift": "tests/processor/test_drift.py",
    "rayline.healthimaging.reader": "tests/processor/test_measured_calls.py",
    "rayline.observability.audit": "tests/http_api/test_measured_api.py",
    "rayline.observability.calls": "tests/processor/test_measured_calls.py",
    "rayline.observability.calls, rayline.dispatcher": "tests/processor/test_measured_calls.py",
}


class Day:
    """A site, its worker, and what the worker published."""

    def __init__(self, folder: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = site
        self.world = MachineWorld(folder, self.site, profile_text(deid_on_failure="retry"))
        self.world.health_imaging.refuses = lambda content: (
            pydicom.dcmread(BytesIO(content)).PixelData[:2] == bytes([REFUSED_PIXEL, 0])
        )
        self.worker = WorkerProcess("worker", self.world.processor)
        self._patch = monkeypatch
        self._lines: list[dict[str, Any]] = []

    def turn(self, turns: int = 1) -> None:
        """Deliver what happened, and let the worker handle it."""
        for _ in range(turns):
            for body in self.world.wire:
                self.world.send(body)
            self.world.wire.clear()
            self.worker.turn()
            self.world.route()

    def import_all(self) -> None:
        """The batch falls quiet, and its job ends."""
        self.world.clock.pass_time(11)
        self.turn()
        for job in self.world.running_jobs():
            self.world.end_job(job, fails=False)
        self.turn(2)

    def verify(self, *, verifier: str = "dr", revoke: bool = False) -> None:
        """A radiologist verifies every image set."""
        clients, settings = self.world.processor.clients(Faults()), self.world.settings
        clock, table = self.world.clock, self.world.settings.image_tracking_table
        ledger = InstanceLedger(
            clients.dynamodb, table, site=SITE, keyed_hash=KeyedHash.from_secrets(SECRETS), clock=clock
        )
        outbox = Outbox(
            clients.dynamodb, clients.events, table=table, event_bus=settings.event_bus, clock=clock
        )
        radiologist = Verifier(
            clients.dynamodb, ledger, outbox, site=SITE, datastore_id=settings.datastore_id, clock=clock
        )
        clock.pass_time(1)
        radiologist.verify(
            [
                Verification(each, radiologist.current_version(each), "PNEUMONIA", f"findings of {SENTINEL}")
                for each in sorted(self.world.health_imaging.image_sets)
            ],
            verifier,
            revoke=revoke,
        )
        self.world.route()
        self.turn(2)

    def train(self, minutes: int, accuracy: float) -> None:
        """The execution under way ends after so long, with a report."""
        (execution,) = self.world.running_executions()
        self.world.clock.pass_time(minutes * 60)
        scores = {"accuracy": accuracy, "precision": 0.8, "recall": 0.95, "f1": 0.87, "roc_auc": 0.97}
        report = {
            "metrics": scores,
            "threshold": 0.85,
            "images": {"train": 8, "test": 2},
            "epoch_seconds": [4.5, 4.25],
        }
        self.world.estate.s3.put_object(
            Bucket=self.world.settings.reports_bucket,
            Key=f"evaluations/{execution.arn.rsplit('/', 1)[-1]}/evaluation.json",
            Body=json.dumps(report).encode(),
        )
        self.world.end_execution(execution, "Succeeded")
        self.turn()

    def published(self) -> list[dict[str, Any]]:
        """Every line that left so far."""
        log = io.StringIO()
        with self._patch.context() as patch:
            patch.setattr(sys, "stderr", log)
            self.worker.runtime.services.meter.flush()
        assert not any(sentinel.decode() in log.getvalue() for sentinel in SENTINELS)
        self._lines += map(json.loads, log.getvalue().splitlines())
        return self._lines

    def total(self, name: str, by: Dimension | None = None) -> dict[str, float] | float:
        """A count, in all or by a dimension."""
        counts: Counter[str] = Counter()
        for line in self.published():
            if name in line:
                counts[line[by] if by else ""] += line[name]
        return dict(counts) if by else counts[""]

    def samples(self, name: str) -> list[float]:
        """Every value of a measurement."""
        return [value for line in self.published() if name in line for value in line[name]]


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    site = Site()
    with deterministic(monkeypatch, site):
        yield Day(tmp_path, site, monkeypatch)


def upload(day: Day) -> None:
    """Two images, one of them twice, one that HealthImaging refuses, and what is none."""
    for key, content in (
        ("a", image_of(1)),
        ("b", image_of(2, series=2)),
        ("a again", image_of(1)),
        ("refused", image_of(3, pixel=REFUSED_PIXEL)),
        ("no image", b"this is no image"),
    ):
        day.world.upload(f"upload/{key} of {SENTINEL}", content)
    day.turn()


def test_what_is_received_is_counted_once_and_by_what_became_of_it(day: Day) -> None:
    upload(day)
    sent = 2 * len(image_of(1)) + len(image_of(2, series=2)) + len(image_of(3, pixel=REFUSED_PIXEL)) + 16
    assert day.total("InstancesReceived") == 5
    assert day.total("BytesReceived") == sent
    assert day.total("InstancesQuarantined", Dimension.REASON) == {"NOT_DICOM": 1}
    assert day.total("EventsHandled", Dimension.EVENT) == {"uploaded": 5}
    assert day.total("EventsHandled", Dimension.OUTCOME) == {"done": 4, "rejected": 1}
    assert (day.total("ConsumedMessages"), day.total("ConsumerErrors")) == (5, 0)
    day.import_all()
    assert day.total("InstancesImported") == 2
    assert day.total("InstancesQuarantined", Dimension.REASON) == {"NOT_DICOM": 1, "IMPORT_FAILED": 1}
    # Once more, and nothing of it counts again.
    before = day.total("InstancesImported"), day.total("InstancesReceived")
    for body in list(day.world.queued()):
        day.world.send(body)
    day.turn()
    assert (day.total("InstancesImported"), day.total("InstancesReceived")) == before


def test_a_message_waits_from_its_sending_and_a_second_delivery_hides_nothing(day: Day) -> None:
    day.world.upload("upload/a", image_of(1))
    day.site.modes["auditor"] = "busy"
    (body,) = day.world.wire
    day.world.send(body)
    day.world.wire.clear()
    day.world.clock.pass_time(7)
    day.worker.turn()
    assert day.samples("QueueWait") == [7.0]
    assert day.total("EventsHandled", Dimension.OUTCOME) == {"retried": 1}
    day.world.clock.pass_time(600)
    day.worker.turn()
    assert day.samples("QueueWait") == [7.0]
    assert len(day.samples("EventSeconds")) == 2


def test_failures_are_errors_of_the_consumer_and_waiting_is_none(day: Day) -> None:
    day.world.upload("upload/a", image_of(1))
    day.site.modes["auditor"] = "fail"
    for _ in range(5):
        day.turn()
        day.world.clock.pass_time(600)
    outcomes = day.total("EventsHandled", Dimension.OUTCOME)
    assert outcomes == {"failed": 4, "dead_lettered": 1}
    assert day.total("ConsumerErrors") == 5
    day.site.modes["auditor"] = "busy"
    day.world.upload("upload/b", image_of(2))
    for _ in range(4):
        day.turn()
        day.world.clock.pass_time(600)
    assert day.total("ConsumerErrors") == 5
    outcomes = day.total("EventsHandled", Dimension.OUTCOME)
    assert isinstance(outcomes, dict)
    assert outcomes["parked"] >= 1


def test_what_is_no_event_is_counted_as_unreadable(day: Day) -> None:
    day.world.send("no envelope")
    day.turn()
    assert day.total("EventsHandled", Dimension.EVENT) == {"unreadable": 1}
    assert day.total("EventsHandled", Dimension.OUTCOME) == {"rejected": 1}


def test_a_worker_that_dies_at_work_is_counted_by_its_supervisor(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = SupervisorProcess(day.world.processor)
    day.world.upload("upload/a", image_of(1))
    day.site.modes["auditor"] = "hang"
    day.turn()
    assert day.worker.dead
    supervisor.bury(day.worker)
    log = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", log)
        supervisor._supervisor._meter.flush()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["ConsumerErrors"] for line in lines if "ConsumerErrors" in line] == [1]
    assert [(line["Event"], line["Outcome"]) for line in lines if "EventsHandled" in line] == [
        ("uploaded", "failed")
    ]


def test_a_model_is_measured_from_its_newest_label_to_its_registration(day: Day) -> None:
    upload(day)
    day.import_all()
    day.verify()
    assert day.total("Verifications", Dimension.OUTCOME) == {"recorded": 2}
    assert day.total("TrainingsStarted") == 1
    day.train(minutes=25, accuracy=0.91)
    assert day.total("ExecutionsEnded", Dimension.OUTCOME) == {"Succeeded": 1}
    assert day.samples("ExecutionSeconds") == [25 * 60]
    assert day.samples("VerifiedToModelSeconds") == [25 * 60]
    assert day.samples("Accuracy") == [0.91]
    assert day.samples("F1") == [0.87]
    assert day.samples("EpochSeconds") == [4.5, 4.25]
    assert day.samples("ImagesTrainedOn") == [8]
    assert day.total("ModelsApproved", Dimension.MODEL) == {"pneumonia": 1}
    assert {line["Step"] for line in day.published() if "StepSeconds" in line} == {"Train", "Register"}
    day.verify(revoke=True)
    day.verify(verifier="nobody")
    assert day.total("Verifications", Dimension.OUTCOME) == {"recorded": 2, "revoked": 2, "refused": 2}


def test_every_metric_of_the_worker_is_published_in_a_day(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(day)
    day.import_all()
    day.verify()
    day.train(minutes=25, accuracy=0.91)
    day.world.clock.pass_time(3600)
    day.world.send(reminder_body(ReconcileDue(site=SITE)))
    day.turn()
    for status in ("Rejected", "PendingManualApproval"):
        now = day.world.clock()
        other = EndedExecution("Succeeded", now - timedelta(minutes=1), now, [], status, None, None)
        measure_execution(day.worker.runtime.services.meter, "pneumonia", other)
    published = {name for line in day.published() for name in line}
    wanted = {metric.name for metric in METRICS if metric.emitted_by not in OF_OTHER_TESTS}
    assert wanted - published == set()


def test_the_store_is_as_large_as_what_was_imported(day: Day) -> None:
    upload(day)
    day.import_all()
    s3, bucket = day.world.estate.s3, day.world.settings.imports_bucket
    imported = {each["instance_id"] for each in instances(day) if each["stage"] == "imported"}
    sizes = [
        entry["Size"]
        for entry in s3.list_objects_v2(Bucket=bucket, Prefix="imports/")["Contents"]
        if entry["Key"].rsplit("/", 1)[-1].removesuffix(".dcm") in imported
    ]
    assert len(sizes) == 2
    day.world.clock.pass_time(3600)
    day.world.send(reminder_body(ReconcileDue(site=SITE)))
    day.turn()
    (stored,) = (line for line in day.published() if "StoredInstances" in line)
    assert (stored["StoredInstances"], stored["StoredBytes"]) == (2, sum(sizes))


def instances(day: Day) -> list[dict[str, Any]]:
    """Every instance of the ledger, with its id."""
    return [
        {**row, "instance_id": row["pk"].rsplit("#", 1)[-1]}
        for row in day.world.rows(day.world.settings.image_tracking_table)
        if row.get("type") == "instance"
    ]


@pytest.mark.parametrize(
    "metric", [each for each in METRICS if each.emitted_by in OF_OTHER_TESTS], ids=lambda metric: metric.name
)
def test_every_other_metric_is_looked_at_in_its_own_tests(metric: metrics.Metric, repository: Path) -> None:
    assert metric.name in (repository / OF_OTHER_TESTS[metric.emitted_by]).read_text()


def test_a_pacs_that_cannot_be_reached_is_a_connection_error(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any) -> None:
        raise PeerUnreachable("the PACS broke off")

    monkeypatch.setattr(day.site.pacs, "store", unreachable)
    upload(day)
    day.import_all()
    errors = day.total("ConnectionErrors", Dimension.SERVICE)
    assert isinstance(errors, dict)
    assert errors["peers"] >= 1
    assert day.total("ConsumerErrors") == 0, "it is waited for"


def test_every_metric_is_named_where_it_is_said_to_be_measured() -> None:
    constants = {
        id(value): name for name, value in vars(metrics).items() if isinstance(value, metrics.Metric)
    }
    used: dict[str, set[str]] = defaultdict(set)
    for module in {part for metric in METRICS for part in metric.emitted_by.split(", ")}:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None, module
        origin = Path(spec.origin)
        sources = sorted(origin.parent.glob("*.py")) if origin.name == "__init__.py" else [origin]
        for source in sources:
            tree = ast.parse(source.read_text())
            used[module] |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    missing = [
        (constants[id(metric)], module)
        for metric in METRICS
        for module in metric.emitted_by.split(", ")
        if constants[id(metric)] not in used[module]
    ]
    assert missing == []
