"""Our own events leave once the state they announce is written, whatever happens in between."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from support.image_set_documents import image_set_document
from support.local_cloud import LocalCloud
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate, aws_error

from rayline.envelopes import parse_message
from rayline.events import Verified
from rayline.outbox import SHARDS, Outbox, OutboxEntry
from rayline.verification import UnknownImageSet, Verification, Verifier

IMAGE_SET = "a" * 32
AGE = timedelta(seconds=30)


class FakeEvents:
    """EventBridge that takes, refuses or cannot be reached."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.refuse: set[str] = set()
        self.down: Exception | None = None
        self.calls: list[int] = []

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Answer 200 with failed entries, as AWS does."""
        if self.down is not None:
            raise self.down
        self.calls.append(len(Entries))
        answers = []
        for entry in Entries:
            if entry["DetailType"] in self.refuse:
                answers.append({"ErrorCode": "InternalFailure", "ErrorMessage": "sorry"})
            else:
                self.taken.append(entry)
                answers.append({"EventId": str(len(self.taken))})
        failed = sum("ErrorCode" in answer for answer in answers)
        return {"FailedEntryCount": failed, "Entries": answers}


class Sender:
    """An outbox on a table of its own."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock) -> None:
        self.estate = estate
        self.events = FakeEvents()
        self.outbox = Outbox(
            estate.clients.dynamodb,
            self.events,  # type: ignore[arg-type]
            table=estate.settings.image_tracking_table,
            event_bus=estate.name,
            clock=clock,
        )

    def write(self, *detail_types: str) -> list[OutboxEntry]:
        """Entries as a stage's transaction writes them."""
        entries = [
            OutboxEntry.new("rayline.processor", each, {"findings": "Jane Doe"}) for each in detail_types
        ]
        for entry in entries:
            self.estate.dynamodb.transact_write_items(TransactItems=[self.outbox.write(entry)])
        return entries

    def waiting(self) -> set[str]:
        """Detail types of entries that have not left."""
        return {item["detail_type"] for item in self.estate.tracked("outbox") if "outbox_shard" in item}


@pytest.fixture
def sender(estate: ProcessorEstate, clock: ManualClock) -> Sender:
    return Sender(estate, clock)


def test_what_was_written_leaves_and_its_trail_keeps_no_detail(sender: Sender, clock: ManualClock) -> None:
    entries = sender.write("Model Registered")
    assert sender.outbox.publish(entries) == 1
    (taken,) = sender.events.taken
    assert (taken["EventBusName"], taken["Source"]) == (sender.estate.name, "rayline.processor")
    assert json.loads(taken["Detail"]) == {"findings": "Jane Doe"}
    (item,) = sender.estate.tracked("outbox")
    assert "Jane" not in repr(item)
    assert item["expires_at"] == int((clock.now + timedelta(days=30)).timestamp())
    clock.pass_time(60)
    assert sender.outbox.drain(AGE) == 0


def test_a_refused_entry_stays_and_is_drained_later(sender: Sender, clock: ManualClock) -> None:
    sender.events.refuse = {"B"}
    assert sender.outbox.publish(sender.write("A", "B", "C")) == 2
    assert sender.waiting() == {"B"}
    sender.events.refuse = set()
    clock.pass_time(31)
    assert sender.outbox.drain(AGE) == 1
    assert [entry["DetailType"] for entry in sender.events.taken] == ["A", "C", "B"]
    assert sender.waiting() == set()


@pytest.mark.parametrize(
    "error", [EndpointConnectionError(endpoint_url="x"), aws_error("ThrottlingException")]
)
def test_an_eventbridge_that_cannot_be_reached_loses_nothing_and_fails_nobody(
    sender: Sender, clock: ManualClock, error: Exception
) -> None:
    sender.events.down = error
    assert sender.outbox.publish(sender.write("A", "B")) == 0
    clock.pass_time(31)
    assert sender.outbox.drain(AGE) == 0
    sender.events.down = None
    assert sender.outbox.drain(AGE) == 2
    assert sender.waiting() == set()


def test_what_is_young_is_left_to_whoever_wrote_it(sender: Sender, clock: ManualClock) -> None:
    sender.write("A")
    clock.pass_time(29)
    assert sender.outbox.drain(AGE) == 0
    assert sender.waiting() == {"A"}


def test_many_entries_leave_ten_a_call_from_every_shard(sender: Sender, clock: ManualClock) -> None:
    sender.write(*(f"T{number}" for number in range(25)))
    assert {item["outbox_shard"] for item in sender.estate.tracked("outbox")} == {
        str(shard) for shard in range(SHARDS)
    }
    clock.pass_time(31)
    assert sender.outbox.drain(AGE) == 25
    assert sender.events.calls == [10, 10, 5]


# -- what a radiologist does


@pytest.fixture
def verifier(sender: Sender, clock: ManualClock) -> Verifier:
    ledger = sender.estate.runtime(clock).services.ledger
    ledger.record_image_sets(
        [
            {
                "datastore_id": sender.estate.settings.datastore_id,
                "image_set_id": IMAGE_SET,
                "version": 4,
                "viewable": True,
            }
        ]
    )
    return Verifier(
        sender.estate.clients.dynamodb, ledger, sender.outbox, site=SITE,
        datastore_id=sender.estate.settings.datastore_id, clock=clock,
    )  # fmt: skip


def test_a_verification_and_its_announcement_are_written_together(
    sender: Sender, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    transactions: list[list[str]] = []
    real = sender.estate.clients.dynamodb.transact_write_items

    def listening(**request: Any) -> Any:
        transactions.append(
            [next(iter(item.values()))["Item"]["type"]["S"] for item in request["TransactItems"]]
        )
        return real(**request)

    monkeypatch.setattr(sender.estate.clients.dynamodb, "transact_write_items", listening)
    sender.events.down = aws_error("ThrottlingException")
    (verification_id,) = verifier.verify([Verification(IMAGE_SET, "4", "NORMAL", "clear")], "dr-x")
    assert transactions == [["verification", "outbox"]]
    (item,) = sender.estate.tracked("verification")
    assert (item["verification_id"], item["state"]) == (verification_id, "announced")
    assert "clear" not in repr(item)
    assert sender.waiting() == {"Image Verified"}


def test_an_announcement_is_read_back_as_the_act_that_it_was(
    sender: Sender, verifier: Verifier, clock: ManualClock
) -> None:
    clock.pass_time(0.000123)
    (verification_id,) = verifier.verify(
        [Verification(IMAGE_SET, "4", "PNEUMONIA", "left")], "dr-x", revoke=True
    )
    (taken,) = sender.events.taken
    envelope = {
        "source": taken["Source"],
        "detail-type": taken["DetailType"],
        "time": "2026-01-01T00:00:07Z",
        "detail": json.loads(taken["Detail"]),
    }
    assert parse_message(json.dumps(envelope), SITE) == Verified(
        site=SITE, occurred_at=datetime(2026, 1, 1, 0, 0, 0, 123, tzinfo=UTC), action="revoked",
        verification_id=verification_id, datastore_id=sender.estate.settings.datastore_id, image_set_id=IMAGE_SET,
        image_set_version="4", label="PNEUMONIA", findings="left", verifier="dr-x",
    )  # fmt: skip


def test_only_what_a_radiologist_could_have_looked_at_has_a_version(verifier: Verifier) -> None:
    assert verifier.current_version(IMAGE_SET) == "4"
    with pytest.raises(UnknownImageSet):
        verifier.current_version("e" * 32)


@pytest.mark.parametrize("estate", ["local"], indirect=True)
def test_a_real_bus_delivers_what_the_outbox_sends(
    estate: ProcessorEstate, local_cloud: LocalCloud, clock: ManualClock
) -> None:
    events = local_cloud.client("events")
    queue_arn = estate.sqs.get_queue_attributes(
        QueueUrl=estate.settings.queue_url, AttributeNames=["QueueArn"]
    )["Attributes"]["QueueArn"]
    pattern = json.dumps({"source": ["rayline.api"]})
    events.put_rule(Name=f"{estate.name}-verified", EventBusName=estate.name, EventPattern=pattern)
    events.put_targets(
        Rule=f"{estate.name}-verified", EventBusName=estate.name, Targets=[{"Id": "queue", "Arn": queue_arn}]
    )
    services = estate.runtime(clock).services
    estate.health_imaging.metadata[IMAGE_SET, "1"] = image_set_document(IMAGE_SET)
    verifier = Verifier(
        estate.clients.dynamodb, services.ledger, services.outbox, site=SITE,
        datastore_id=estate.settings.datastore_id, clock=clock,
    )  # fmt: skip
    (verification_id,) = verifier.verify([Verification(IMAGE_SET, "1", "NORMAL")], "dr-x")
    (body,) = estate.sqs.receive_message(QueueUrl=estate.settings.queue_url, WaitTimeSeconds=10)["Messages"]
    message = parse_message(body["Body"], SITE)
    assert isinstance(message, Verified)
    assert message.verification_id == verification_id
