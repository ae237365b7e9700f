"""Through stalls, crashes, late commits and failing jobs, each recorded instance is imported in exactly one batch."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from support.in_memory_cloud.cloud import InMemoryCloud
from support.manual_clock import ManualClock
from support.processor_estate import FakeHealthImaging, ProcessorEstate, aws_error

from rayline.dicom.content import InMemory
from rayline.dynamodb import CONDITION_FAILED, cancellation_codes
from rayline.fingerprints import SHA_256, Fingerprint
from rayline.hashing import KeyedHash
from rayline.imports import ImportBatches, batch_prefix, instance_id_of
from rayline.instances import InstanceLedger, Received, Stored
from rayline.watch import Unwatched

LEASE_SECONDS = 60
SKEW_SECONDS = 20
QUIET_SECONDS = 10
MACHINE = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
Draw = Callable[[st.SearchStrategy[Any]], Any]


class WatchedHealthImaging(FakeHealthImaging):
    """Reads a job's files when the job starts, as HealthImaging does."""

    def __init__(self, list_files: Callable[[str], set[str]]) -> None:
        super().__init__()
        self._list_files = list_files
        self.imported: dict[str, set[str]] = {}

    def start_dicom_import_job(self, **request: Any) -> dict[str, Any]:
        """Start; a repeated start is the same job and reads nothing again."""
        answer = super().start_dicom_import_job(**request)
        batch_id = request["clientToken"]
        assert request["inputS3Uri"].endswith(f"/{batch_prefix(batch_id)}")
        if batch_id not in self.imported:
            self.imported[batch_id] = self._list_files(batch_id)
        return answer


class BatchMachine(RuleBasedStateMachine):
    """Workers that store, commit late, stall, crash, seal and rescue each other's batches."""

    estate: ClassVar[ProcessorEstate]

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.health_imaging = WatchedHealthImaging(self.files_of)
        self.estate.clients.__dict__["medical_imaging"] = self.health_imaging
        self.ledger = InstanceLedger(
            self.estate.clients.dynamodb,
            self.estate.settings.image_tracking_table,
            site="test-site",
            keyed_hash=KeyedHash(b"0123456789abcdef"),
            clock=self.clock,
        )
        self.workers: list[ImportBatches] = []
        self.names: dict[int, str] = {}
        self.owners: dict[str, ImportBatches] = {}
        self.opened: set[str] = set()
        self.waiting: list[tuple[str, str]] = []
        self.batch_of: dict[str, str] = {}
        self.recorded_at_start: dict[str, set[str]] = {}
        for _ in range(2):
            self.add_worker()

    def add_worker(self) -> ImportBatches:
        """A worker under a name of its own."""
        name = f"worker-{uuid.uuid4().hex}"
        worker = ImportBatches(
            self.estate.clients,
            self.estate.settings,
            self.ledger,
            clock=self.clock,
            owner=name,
            watch=Unwatched(),
        )
        self.workers.append(worker)
        self.names[id(worker)] = name
        return worker

    def files_of(self, batch_id: str) -> set[str]:
        """Instances whose files lie in a batch."""
        keys = self.estate.keys(self.estate.settings.imports_bucket, batch_prefix(batch_id))
        return {instance_id_of(key) for key in keys}

    def recorded_in(self, batch_id: str) -> set[str]:
        """Instances that the ledger has in a batch."""
        return {instance for instance, batch in self.batch_of.items() if batch == batch_id}

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """One of the steps: in one rule, so that no run is left without stores by swarm testing."""
        steps = [self.store, self.store, self.time_passes, self.beat, self.seal_if_due, self.remind]
        steps += [self.crash, self.health_imaging_fails]
        steps += [self.commit, self.commit, self.stall] if self.waiting else []
        data.draw(st.sampled_from(steps))(data.draw)

    def some_worker(self, draw: Draw) -> ImportBatches:
        return self.workers[draw(st.integers(0, len(self.workers) - 1))]

    def store(self, draw: Draw) -> None:
        """A file is stored; its instance is recorded at once, or only after a stall, or never."""
        worker = self.some_worker(draw)
        instance = uuid.uuid4().hex
        try:
            batch_id = worker.store(instance, InMemory(b"content"))
        except ClientError:
            return  # the full batch before it could not be started; the instance comes again
        self.opened.add(batch_id)
        self.waiting.append((batch_id, instance))
        self.owners[batch_id] = worker
        if draw(st.booleans()):
            self.commit_one(len(self.waiting) - 1)

    def commit(self, draw: Draw) -> None:
        """A worker goes on after a stall."""
        self.commit_one(draw(st.integers(0, len(self.waiting) - 1)))

    def stall(self, draw: Draw) -> None:
        """A worker stalls between storing and recording for so long that its batch is rescued."""
        self.clock.pass_time(LEASE_SECONDS + SKEW_SECONDS + draw(st.sampled_from([-1, 1, 100])))
        self.deliver_reminder(self.waiting[-1][0], self.some_worker(draw))

    def commit_one(self, index: int) -> None:
        """Record an instance, which only an open batch of the same worker accepts."""
        batch_id, instance = self.waiting.pop(index)
        writes = [*self.ledger.batched_writes(received(instance), stored(batch_id))]
        writes.append(self.owners[batch_id].still_open(batch_id))
        try:
            self.estate.clients.dynamodb.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
        except ClientError as error:
            assert cancellation_codes(error) == ["None", "None", CONDITION_FAILED]
            return
        assert batch_id not in self.health_imaging.imported, (
            "an instance was recorded in a batch whose job runs"
        )
        self.batch_of[instance] = batch_id

    def beat(self, draw: Draw) -> None:
        """A heartbeat."""
        self.some_worker(draw).renew()

    def seal_if_due(self, draw: Draw) -> None:
        """A worker looks whether its batch is due."""
        try:
            self.some_worker(draw).seal_if_due()
        except ClientError:
            assert self.health_imaging.fail_with is not None

    def remind(self, draw: Draw) -> None:
        """A reminder arrives, perhaps a second time or long after its batch was started."""
        if not self.opened:
            return
        self.deliver_reminder(draw(st.sampled_from(sorted(self.opened))), self.some_worker(draw))

    def deliver_reminder(self, batch_id: str, worker: ImportBatches) -> None:
        """A worker answers a reminder."""
        try:
            worker.look_after(batch_id)
        except ClientError:
            assert self.health_imaging.fail_with is not None

    def crash(self, draw: Draw) -> None:
        """A worker dies: what it had stored but not recorded is never recorded. Its supervisor may say so."""
        worker = self.some_worker(draw)
        self.workers.remove(worker)
        if draw(st.booleans()):
            for batch_id in [each for each, owner in self.owners.items() if owner is worker]:
                self.workers[0].abandon(batch_id, self.names[id(worker)])
        self.waiting = [each for each in self.waiting if self.owners[each[0]] is not worker]
        self.add_worker()

    def time_passes(self, draw: Draw) -> None:
        """Time passes, often to just before or after the end of a lease."""
        self.clock.pass_time(draw(st.sampled_from([1, QUIET_SECONDS, 59, 61, 79, 81, 400])))

    def health_imaging_fails(self, draw: Draw) -> None:
        """HealthImaging has trouble, or has it no more."""
        failing = draw(st.booleans())
        self.health_imaging.fail_with = aws_error("ThrottlingException") if failing else None

    @invariant()
    def a_job_holds_what_was_recorded_in_its_batch_and_nothing_else(self) -> None:
        for batch_id, files in self.health_imaging.imported.items():
            assert files == self.recorded_in(batch_id)

    @invariant()
    def a_batch_has_one_job(self) -> None:
        assert set(self.health_imaging.jobs) == set(self.health_imaging.imported)

    def teardown(self) -> None:
        """Once all workers but one are gone and HealthImaging is well, every recorded instance gets imported."""
        self.health_imaging.fail_with = None
        survivor = self.add_worker()
        for batch_id in sorted(self.opened):
            for _ in range(5):
                if survivor.look_after(batch_id) is None:
                    break
                self.clock.pass_time(LEASE_SECONDS + SKEW_SECONDS + 2)
            else:
                raise AssertionError("a batch was never started, however long its reminder came")
        self.a_job_holds_what_was_recorded_in_its_batch_and_nothing_else()
        imported = [each for files in self.health_imaging.imported.values() for each in sorted(files)]
        assert sorted(imported) == sorted(self.batch_of)
        states = {batch_id: self.ledger.item(f"BATCH#{batch_id}") for batch_id in self.opened}
        assert {item["state"] for item in states.values() if item} <= {"started", "accounted"}


def received(instance_id: str) -> Received:
    """A received object with a UID of its own."""
    return Received(
        instance_id, f"uid-of-{instance_id}", Fingerprint(SHA_256, "sha", 7), datetime(2026, 1, 1, tzinfo=UTC)
    )


def stored(batch_id: str) -> Stored:
    """Its identity after de-identification."""
    return Stored(batch_id, "1.2.3", "1.2", "1", "1.2.840.10008.5.1.4.1.1.2", "CT", ())


@pytest.mark.parametrize("where", ["in-memory", "local"])
def test_each_recorded_instance_is_imported_in_exactly_one_batch(
    request: pytest.FixtureRequest, tmp_path: Path, where: str
) -> None:
    cloud = InMemoryCloud(ManualClock()) if where == "in-memory" else request.getfixturevalue("local_cloud")
    estate = ProcessorEstate(
        cloud,
        tmp_path,
        lease_seconds=LEASE_SECONDS,
        clock_skew_seconds=SKEW_SECONDS,
        batch_quiet_seconds=QUIET_SECONDS,
    )
    machine = type("Machine", (BatchMachine,), {"estate": estate})
    run_state_machine_as_test(machine, settings=MACHINE)  # type: ignore[no-untyped-call]
