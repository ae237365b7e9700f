"""What becomes of a message, whatever it says and whatever goes wrong."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate, aws_error

from rayline.dispatcher import Outcome
from rayline.effects import event_identity
from rayline.envelopes import parse_message
from rayline.errors import RetryableError
from rayline.events import Uploaded
from rayline.handler import DELETE, Disposition, MessageHandler
from rayline.message_queue import DeadLetter
from rayline.plugin import Rejection
from rayline.reminders import BatchDue, reminder_body
from rayline.runtime import Runtime
from rayline.testing import image_content
from rayline.testing.strategies import envelope_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Handling:
    """One worker's handler."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock, owner: str = "worker") -> None:
        self.estate = estate
        self.runtime: Runtime = estate.runtime(clock, owner=owner)
        self.handler = MessageHandler(self.runtime, jitter=lambda: 1.0)

    def upload(self, content: bytes) -> str:
        """Upload. Returns the body of the message that tells of it."""
        version = self.estate.upload("upload/a", content)
        event = Uploaded(
            site=SITE, occurred_at=NOW, bucket=self.estate.settings.uploads_bucket, key="upload/a",
            version_id=version, size_bytes=len(content),
        )  # fmt: skip
        return json.dumps(envelope_of(event))


@pytest.fixture
def handling(estate: ProcessorEstate, clock: ManualClock) -> Handling:
    return Handling(estate, clock)


def test_a_message_whose_effects_have_ended_is_deleted(handling: Handling) -> None:
    body = handling.upload(image_content())
    assert handling.handler.handle(body, 1) == DELETE
    assert handling.handler.handle(body, 1) == DELETE
    assert len(handling.estate.tracked("instance")) == 1


@pytest.mark.parametrize(
    ("outcome", "disposition"),
    [
        (Outcome(), DELETE),
        (Outcome(rejection=Rejection("NO", "no")), DELETE),
        (Outcome(failure="CODE: why"), Disposition("return", 8.0, DeadLetter("CODE", "why"))),
        (Outcome(waiting_seconds=4.0), Disposition("postpone", 4.0)),
        (Outcome(busy_seconds=80.0), Disposition("postpone", 80.0)),
        (Outcome(waiting_seconds=4.0, failure="CODE: why", busy_seconds=80.0), Disposition("postpone", 4.0)),
        (
            Outcome(failure="CODE: why", busy_seconds=80.0),
            Disposition("return", 8.0, DeadLetter("CODE", "why")),
        ),
    ],
)
def test_only_failing_counts_towards_the_dead_letter_queue_and_waiting_comes_first(
    handling: Handling, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, disposition: Disposition
) -> None:
    monkeypatch.setattr(handling.runtime.dispatcher, "observe", lambda *_: outcome)
    assert handling.handler.handle(handling.upload(b""), 3) == disposition


def test_the_last_receipt_of_a_message_that_fails_dead_letters_it_with_its_reason(
    estate: ProcessorEstate, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    handling = Handling(estate, clock)
    body = handling.upload(image_content())
    monkeypatch.setattr(handling.runtime.services.batches, "store", failing(KeyError("Doe^Jane")))
    last = estate.settings.max_receive_count
    dispositions = [handling.handler.handle(body, receipt) for receipt in range(1, last + 1)]
    assert [each.action for each in dispositions] == ["return"] * (last - 1) + ["dead_letter"]
    event = parse_message(body, SITE)
    assert isinstance(event, Uploaded)
    identity = event_identity(event, handling.runtime.services.keyed_hash)
    assert dispositions[-1].failure == DeadLetter(
        "PLUGIN_FAILED", "rayline.intake: the plugin failed with KeyError", identity
    )
    assert effect_states(handling) == {"on_uploaded:rayline.intake": "dead"}
    # Brought back, e.g. by a replay once the fault is mended, it is not too late.
    monkeypatch.undo()
    assert handling.handler.handle(body, 1) == DELETE
    assert effect_states(handling) == {"on_uploaded:rayline.intake": "done"}


def failing(error: Exception) -> Any:
    """Something that fails whatever it is called with."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def effect_states(handling: Handling) -> dict[str, str]:
    """State by effect, over all events."""
    items = handling.estate.dynamodb.scan(TableName=handling.estate.settings.effects_table)["Items"]
    return {name: value["M"]["state"]["S"] for item in items for name, value in item.items() if "M" in value}


def test_what_cannot_be_read_is_kept_in_quarantine_whole(handling: Handling) -> None:
    body = '{"PatientName": "Doe^Jane"} \ud800 \u0000'
    assert handling.handler.handle(body, 1) == DELETE
    assert handling.handler.handle(body, 4) == DELETE
    (record,) = handling.estate.quarantine_records()
    assert (record["stage"], record["reason"]) == ("message", "UNPARSABLE_MESSAGE")
    assert "Doe" not in json.dumps(record)
    kept = handling.estate.s3.get_object(
        Bucket=handling.estate.settings.quarantine_bucket, Key=f"{SITE}/{record['entry_id']}/object"
    )
    assert kept["Body"].read().decode("utf-8", "surrogatepass") == body


@pytest.mark.parametrize(
    ("error", "disposition"),
    [
        (aws_error("ServiceUnavailable", 503), Disposition("postpone", 15.0, trouble=True)),
        (
            aws_error("AccessDeniedException"),
            Disposition("return", 4.0, DeadLetter("HANDLER_FAILED", "ClientError")),
        ),
        (RetryableError("not yet"), Disposition("postpone", 15.0)),
        (KeyError("Doe^Jane"), Disposition("return", 4.0, DeadLetter("HANDLER_FAILED", "KeyError"))),
    ],
)
def test_trouble_of_aws_brings_no_message_to_the_dead_letter_queue(
    handling: Handling, monkeypatch: pytest.MonkeyPatch, error: Exception, disposition: Disposition
) -> None:
    fail = failing(error)
    with monkeypatch.context() as patch:
        patch.setattr(handling.runtime.effects, "claim", fail)
        assert handling.handler.handle(handling.upload(image_content()), 2) == disposition
    with monkeypatch.context() as patch:
        patch.setattr(handling.runtime.services.quarantine, "keep", fail)
        assert handling.handler.handle("no envelope", 2) == disposition
    assert handling.handler.handle("no envelope", 2) == DELETE


def test_a_reminder_comes_again_until_its_batch_is_started(handling: Handling, clock: ManualClock) -> None:
    handling.handler.handle(handling.upload(image_content()), 1)
    (item,) = handling.estate.tracked("batch")
    body = reminder_body(BatchDue(site=SITE, batch_id=item["batch_id"]))
    other = Handling(handling.estate, clock, "other")
    clock.pass_time(20)
    assert other.handler.handle(body, 1) == Disposition("postpone", 61.0)
    clock.pass_time(61)
    health_imaging = handling.estate.health_imaging
    health_imaging.fail_with = aws_error("ThrottlingException")
    before = waiting_messages(handling.estate)
    for receipt in range(1, 7):
        assert other.handler.handle(body, receipt) == Disposition("postpone", 15.0, trouble=True)
    # A reminder that comes again is the same one: trouble does not multiply it.
    assert waiting_messages(handling.estate) == before
    health_imaging.fail_with = None
    assert other.handler.handle(body, 1) == DELETE
    assert health_imaging.starts == [item["batch_id"]]
    assert other.handler.handle(body, 1) == DELETE
    assert health_imaging.starts == [item["batch_id"]]


def waiting_messages(estate: ProcessorEstate) -> int:
    """Messages in the queue, visible or delayed."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    answer = estate.sqs.get_queue_attributes(QueueUrl=estate.settings.queue_url, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)
