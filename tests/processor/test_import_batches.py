"""When a batch is sealed, and what a job is asked for."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate, aws_error

from rayline import imports
from rayline.dicom.content import InMemory
from rayline.dynamodb import Item
from rayline.envelopes import parse_message
from rayline.errors import RetryableError
from rayline.fingerprints import SHA_256, Fingerprint
from rayline.imports import MAX_OPEN_QUIETS, ImportBatches, batch_key, file_key
from rayline.instances import Received, Stored
from rayline.reminders import BatchDue
from rayline.runtime import Runtime

QUIET = 10


class Filling:
    """One worker's batches, and what the ledger records in them."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock, owner: str = "worker") -> None:
        self.estate = estate
        self.runtime: Runtime = estate.runtime(clock, owner=owner)
        self.batches: ImportBatches = self.runtime.services.batches

    def store(self, instance_id: str, content: bytes = b"content") -> str:
        """Store a file and record its instance."""
        batch_id = self.batches.store(instance_id, InMemory(content))
        received = Received(
            instance_id,
            f"uid-{instance_id}",
            Fingerprint(SHA_256, "sha", 1),
            datetime(2026, 1, 1, tzinfo=UTC),
        )
        stored = Stored(batch_id, "1.2.3", "1.2", "1", "1.2.840.10008.5.1.4.1.1.2", "CT", ())
        writes = self.runtime.services.ledger.batched_writes(received, stored)
        self.estate.dynamodb.transact_write_items(TransactItems=[*writes, self.batches.still_open(batch_id)])
        return batch_id

    def batch(self, batch_id: str) -> Item:
        """The ledger's item."""
        item = self.runtime.services.ledger.item(batch_key(batch_id))
        assert item is not None
        return item

    def started(self) -> list[str]:
        """Batches whose job was asked for, in order."""
        return self.estate.health_imaging.starts


@pytest.fixture
def filling(estate: ProcessorEstate, clock: ManualClock) -> Filling:
    return Filling(estate, clock)


def test_a_batch_is_sealed_once_it_fell_quiet(filling: Filling, clock: ManualClock) -> None:
    assert filling.batches.seconds_until_due() is None
    batch_id = filling.store("a")
    clock.pass_time(QUIET - 1)
    filling.store("b")
    clock.pass_time(QUIET - 1)
    assert filling.batches.seconds_until_due() == 1.0
    filling.batches.seal_if_due()
    assert filling.started() == []
    clock.pass_time(1)
    filling.batches.seal_if_due()
    assert filling.started() == [batch_id]
    assert filling.store("c") != batch_id


def test_a_batch_that_never_falls_quiet_is_sealed_by_its_age(filling: Filling, clock: ManualClock) -> None:
    batch_id = filling.store("0")
    for number in range(1, MAX_OPEN_QUIETS + 1):
        clock.pass_time(QUIET / 2)
        filling.batches.renew()
        assert filling.store(str(number)) == batch_id
    clock.pass_time(MAX_OPEN_QUIETS * QUIET / 2)
    filling.batches.seal_if_due()
    assert filling.started() == [batch_id]


def test_a_full_batch_is_sealed_before_the_next_file(
    filling: Filling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MAX_FILES", 2)
    first, second = filling.store("a"), filling.store("b")
    third = filling.store("c")
    assert first == second != third
    assert filling.started() == [first]
    assert filling.started()[-1] != third


def test_a_batch_holds_no_more_bytes_than_a_job_takes(
    filling: Filling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MAX_BYTES", 20)
    first = filling.store("a", bytes(12))
    second = filling.store("b", bytes(12))
    assert first != second
    assert filling.started() == [first]


def test_a_job_names_the_batch_as_its_client_token_and_reads_only_its_prefix(filling: Filling) -> None:
    batch_id = filling.store("a")
    filling.batches.seal_current()
    settings = filling.estate.settings
    job = filling.estate.health_imaging.jobs[batch_id]
    assert job == {
        "jobName": batch_id,
        "clientToken": batch_id,
        "dataAccessRoleArn": settings.import_role_arn,
        "datastoreId": settings.datastore_id,
        "inputS3Uri": f"s3://{settings.imports_bucket}/imports/{batch_id}/",
        "outputS3Uri": f"s3://{settings.imports_bucket}/import-results/",
        "jobId": job["jobId"],
    }
    item = filling.batch(batch_id)
    assert (item["state"], item["job_id"], item["file_count"]) == ("started", job["jobId"], 1)


def test_an_opened_batch_leaves_one_reminder_that_outlasts_its_lease(
    filling: Filling, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(filling.estate.clients.sqs, "send_message", lambda **request: sent.append(request))
    batch_id = filling.store("a")
    filling.store("b")
    (reminder,) = sent
    assert reminder["DelaySeconds"] == 60 + 20 + 1
    assert parse_message(reminder["MessageBody"], SITE) == BatchDue(site=SITE, batch_id=batch_id)


def test_a_reminder_comes_again_while_the_owner_lives(filling: Filling, clock: ManualClock) -> None:
    batch_id = filling.store("a")
    other = Filling(filling.estate, clock, "other")
    for _ in range(5):
        clock.pass_time(59)
        filling.batches.renew()
        assert other.batches.look_after(batch_id) == 60 + 20 + 1
    assert filling.started() == []


def test_an_abandoned_batch_is_rescued_once_lease_and_skew_have_passed(
    filling: Filling, clock: ManualClock
) -> None:
    batch_id = filling.store("a")
    other = Filling(filling.estate, clock, "other")
    clock.pass_time(80)
    assert other.batches.look_after(batch_id) is None
    assert filling.started() == [batch_id]
    assert filling.batch(batch_id)["owner"] == "other"
    # The first owner, back from its stall, neither fills nor seals nor starts it again.
    filling.batches.renew()
    filling.batches.seal_current()
    assert filling.started() == [batch_id]
    assert filling.store("b") != batch_id
    assert other.batches.look_after(batch_id) is None


def test_a_batch_whose_owner_is_known_to_be_dead_is_rescued_at_once(
    filling: Filling, clock: ManualClock
) -> None:
    batch_id = filling.store("a")
    supervisor = Filling(filling.estate, clock, "supervisor")
    supervisor.batches.abandon(batch_id, "somebody else")
    assert supervisor.batches.look_after(batch_id) is not None
    supervisor.batches.abandon(batch_id, "worker")
    reminders = [parse_message(body, SITE) for body in filling.estate.messages()]
    assert reminders == [BatchDue(site=SITE, batch_id=batch_id)] * 2
    assert supervisor.batches.look_after(batch_id) is None
    assert filling.started() == [batch_id]


def test_a_file_that_no_instance_claims_is_not_imported(filling: Filling) -> None:
    batch_id = filling.store("claimed")
    filling.batches.store("unclaimed", InMemory(b"a worker died before it recorded this"))
    filling.batches.seal_current()
    bucket = filling.estate.settings.imports_bucket
    assert filling.estate.keys(bucket, "imports/") == [file_key(batch_id, "claimed")]
    assert filling.batch(batch_id)["file_count"] == 1


def test_a_batch_whose_files_were_all_refused_after_all_needs_no_job(
    filling: Filling, clock: ManualClock
) -> None:
    batch_id = filling.batches.store("unclaimed", InMemory(b"content"))
    clock.pass_time(QUIET)
    filling.batches.seal_if_due()
    assert filling.started() == []
    assert filling.batch(batch_id)["state"] == "accounted"
    assert filling.batches.look_after(batch_id) is None


def test_a_file_that_cannot_be_deleted_keeps_its_batch_from_starting(
    filling: Filling, monkeypatch: pytest.MonkeyPatch
) -> None:
    filling.store("claimed")
    filling.batches.store("unclaimed", InMemory(b"content"))
    s3 = filling.estate.clients.s3
    monkeypatch.setattr(s3, "delete_objects", lambda **_: {"Errors": [{"Code": "InternalError"}]})
    with pytest.raises(RetryableError):
        filling.batches.seal_current()
    assert filling.started() == []


def test_a_job_that_could_not_be_started_is_started_by_the_reminder(filling: Filling) -> None:
    batch_id = filling.store("a")
    filling.estate.health_imaging.fail_with = aws_error("ThrottlingException")
    with pytest.raises(Exception, match="ThrottlingException"):
        filling.batches.seal_current()
    assert filling.batch(batch_id)["state"] == "sealed"
    filling.estate.health_imaging.fail_with = None
    assert filling.batches.look_after(batch_id) is None
    assert filling.started() == [batch_id]


def test_a_reminder_of_a_batch_that_does_not_exist_is_over(filling: Filling) -> None:
    assert filling.batches.look_after("0" * 32) is None
