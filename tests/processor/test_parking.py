"""Long waits: parked without a message, sent in time and in order, and never lost, wherever a worker dies."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.crashing_clients import Crash, Fuse, crashing
from support.local_cloud import LocalCloud
from support.manual_clock import ManualClock
from support.processor_estate import SECRETS, SITE, ProcessorEstate, aws_error

from rayline.aws import Clients
from rayline.dynamodb import Item, from_attributes
from rayline.effects import FINAL_STATES, event_identity
from rayline.events import EventIdentity, Uploaded
from rayline.handler import DELETE, MessageHandler
from rayline.message_queue import MessageQueue
from rayline.parking import SENDS_A_SWEEP, Parking, body_key, parked_identity
from rayline.reminders import RetriesDue, reminder_body
from rayline.runtime import build_runtime
from rayline.testing import ImageSpec, image_content
from rayline.testing.strategies import envelope_of
from rayline.watch import MessageInHand, Unwatched

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SWEEP = reminder_body(RetriesDue(site=SITE))
PATIENT = "Doe^Jane 1970-01-01"


@pytest.fixture
def estate(local_cloud: LocalCloud, tmp_path: Path) -> ProcessorEstate:
    """Every wait is a long one."""
    return ProcessorEstate(
        local_cloud, tmp_path, lease_seconds=60, clock_skew_seconds=20, park_after_seconds=0.5
    )


class Uploads:
    """Uploads that S3 will not give out at first, the queue that tells of them, and workers that may die."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock) -> None:
        self.estate = estate
        self.clock = clock
        self.refusals = 0
        self.number = 0
        self.parking = Parking(estate.clients, estate.settings, clock=clock)
        real = estate.clients.s3.get_object

        def get_object(**request: Any) -> Any:
            if request["Bucket"] == estate.settings.uploads_bucket and self.refusals > 0:
                self.refusals -= 1
                raise aws_error("SlowDown", 503)
            return real(**request)

        self.get_object: Callable[..., Any] = get_object
        self.start_worker()

    def start_worker(self, fuse: Fuse | None = None) -> None:
        """A worker, in place of the one before."""
        clients = Clients()
        clients.__dict__ |= {
            name: getattr(self.estate.clients, name) for name in ("dynamodb", "sqs", "events")
        }
        clients.__dict__["s3"] = _Reading(self.estate.clients.s3, self.get_object)
        clients.__dict__["medical_imaging"] = self.estate.health_imaging
        clients.__dict__["sagemaker"] = self.estate.sagemaker
        self.number += 1
        runtime = build_runtime(
            self.estate.settings,
            SECRETS,
            clients=crashing(clients, fuse or Fuse()),
            watch=Unwatched(),
            owner=f"worker-{self.number}",
            clock=self.clock,
        )
        self.handler = MessageHandler(runtime, jitter=lambda: 1.0)
        self.keyed_hash = runtime.services.keyed_hash
        settings = self.estate.settings
        self.queue = MessageQueue(clients.sqs, settings.queue_url, settings.dead_letter_queue_url)

    def upload(self, key: str) -> tuple[EventIdentity, str]:
        """An uploaded image. Returns its event's identity and message."""
        content = image_content(ImageSpec(patient=self.number, instance=abs(hash(key)) % 10_000))
        version = self.estate.upload(key, content)
        event = Uploaded(
            site=SITE, occurred_at=NOW, bucket=self.estate.settings.uploads_bucket, key=key,
            version_id=version, size_bytes=len(content),
        )  # fmt: skip
        return event_identity(event, self.keyed_hash), json.dumps(envelope_of(event))

    def effect_item(self, identity: EventIdentity) -> Item:
        """The effect ledger's item as it is."""
        answer = self.estate.dynamodb.get_item(
            TableName=self.estate.settings.effects_table, Key={"pk": {"S": identity}}, ConsistentRead=True
        )
        return from_attributes(answer.get("Item", {}))

    def parked_bodies(self) -> list[str]:
        """Keys of what is parked."""
        return self.estate.keys(self.estate.settings.quarantine_bucket, f"{SITE}/parked/")

    def ended(self, identity: EventIdentity) -> bool:
        """Whether every effect has ended."""
        states = [each["state"] for each in self.effect_item(identity).values() if isinstance(each, dict)]
        return bool(states) and set(states) <= FINAL_STATES

    def queued(self) -> int:
        """Messages in the queue, in hand or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.estate.sqs.get_queue_attributes(
            QueueUrl=self.estate.settings.queue_url, AttributeNames=names
        )
        return sum(int(answer["Attributes"][name]) for name in names)

    def receive(self) -> MessageInHand | None:
        """The next message."""
        for each in self.queue.receive(most=1, wait_seconds=0, visibility_seconds=600):
            return MessageInHand(each["MessageId"], each["ReceiptHandle"], 1, each["Body"])
        return None

    def work(self, fuse: Fuse) -> None:
        """One turn of a worker: a message, or the sweep where there is none. A crash lets the message return."""
        message = self.receive()
        try:
            if message is None:
                self.clock.pass_time(301)
                self.handler.handle(SWEEP, 1)
                return
            disposition = self.handler.handle(message.body, 1)
            if disposition == DELETE:
                fuse.burn()
                self.queue.delete(message)
            else:
                self.clock.pass_time(disposition.seconds)
                self.queue.hide(message, 0)
        except Crash:
            if message is not None:
                self.queue.hide(message, 0)
            self.start_worker()


class _Reading:
    def __init__(self, s3: Any, get_object: Callable[..., Any]) -> None:
        self._s3 = s3
        self.get_object = get_object

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)


@pytest.fixture
def uploads(estate: ProcessorEstate, clock: ManualClock) -> Uploads:
    return Uploads(estate, clock)


def test_a_long_wait_leaves_no_message_and_no_name_in_a_table(uploads: Uploads) -> None:
    uploads.refusals = 1
    identity, body = uploads.upload(f"upload/{PATIENT}.dcm")
    assert uploads.handler.handle(body, 1) == DELETE
    assert uploads.estate.messages() == []
    item = uploads.effect_item(identity)
    assert "2026-01-01T00:00:01" <= item["due_at"] <= "2026-01-01T00:00:02"
    assert {each["state"] for each in item.values() if isinstance(each, dict)} == {"waiting"}
    for table in (uploads.estate.settings.effects_table, uploads.estate.settings.image_tracking_table):
        assert "Doe" not in json.dumps(uploads.estate.dynamodb.scan(TableName=table)["Items"])
    assert uploads.parked_bodies() == [body_key(identity)]
    assert "Doe" not in body_key(identity)
    assert uploads.parking.body(identity) == body
    assert list(uploads.handler._runtime.services.quarantine.records()) == []


def test_a_short_wait_stays_in_the_queue(local_cloud: LocalCloud, tmp_path: Path, clock: ManualClock) -> None:
    uploads = Uploads(ProcessorEstate(local_cloud, tmp_path, park_after_seconds=8), clock)
    uploads.refusals = 4
    identity, body = uploads.upload("upload/a")
    first = [uploads.handler.handle(body, 1) for _ in range(3)]
    assert {each.action for each in first} == {"postpone"}
    assert all(each.seconds < 8 for each in first)
    assert uploads.parked_bodies() == []
    assert uploads.handler.handle(body, 1) == DELETE
    assert uploads.parked_bodies() == [body_key(identity)]


def test_what_is_due_is_sent_in_due_order_and_what_is_not_stays(
    uploads: Uploads, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked = []
    for number, wait in enumerate([40, 10, 30, 900, 20, 0.0]):
        uploads.refusals = 1
        identity, body = uploads.upload(f"upload/{number}")
        uploads.handler.handle(body, 1)
        uploads.parking.park(identity, body, wait)
        parked.append((wait, body, identity))
    sent: list[str] = []
    real = uploads.estate.clients.sqs.send_message
    monkeypatch.setattr(
        uploads.estate.clients.sqs,
        "send_message",
        lambda **request: sent.append(request["MessageBody"]) or real(**request),
    )
    clock.pass_time(40)
    assert uploads.handler.handle(SWEEP, 1) == DELETE
    assert sent == [body for wait, body, _ in sorted(parked) if wait <= 40]
    assert sorted(uploads.estate.messages()) == sorted(sent)
    assert [("due_at" in uploads.effect_item(identity)) for *_, identity in parked] == [
        wait > 40 for wait, *_ in parked
    ]
    # Sent once: a second sweep finds nothing due.
    assert uploads.handler.handle(SWEEP, 1) == DELETE
    assert uploads.estate.messages() == []


def test_an_event_that_ends_after_waiting_leaves_nothing_behind(uploads: Uploads, clock: ManualClock) -> None:
    uploads.refusals = 2
    identity, body = uploads.upload("upload/a")
    uploads.handler.handle(body, 1)
    for _ in range(2):
        clock.pass_time(301)
        uploads.handler.handle(SWEEP, 1)
        (sent,) = uploads.estate.messages()
        assert sent == body
        assert uploads.handler.handle(sent, 1) == DELETE
    assert uploads.ended(identity)
    assert uploads.parked_bodies() == []
    assert {"due_at", "due_shard", "parked_at"}.isdisjoint(uploads.effect_item(identity))
    versions = uploads.estate.s3.list_object_versions(Bucket=uploads.estate.settings.quarantine_bucket)
    # Parked twice, written once.
    assert len(versions.get("Versions", [])) <= 1


def test_a_duplicate_that_ends_the_event_early_takes_the_due_time_along(
    uploads: Uploads, clock: ManualClock
) -> None:
    uploads.refusals = 1
    identity, body = uploads.upload("upload/a")
    uploads.handler.handle(body, 1)
    assert uploads.handler.handle(body, 1) == DELETE
    assert uploads.ended(identity)
    clock.pass_time(301)
    uploads.handler.handle(SWEEP, 1)
    assert uploads.estate.messages() == []


def test_a_due_event_without_its_body_holds_no_other_up(uploads: Uploads, clock: ManualClock) -> None:
    bodies = {}
    for name in ("lost", "kept"):
        uploads.refusals = 1
        identity, body = uploads.upload(f"upload/{name}")
        uploads.handler.handle(body, 1)
        bodies[name] = (identity, body)
        clock.pass_time(1)
    lost, _ = bodies["lost"]
    uploads.estate.s3.delete_object(Bucket=uploads.estate.settings.quarantine_bucket, Key=body_key(lost))
    clock.pass_time(10)
    assert uploads.handler.handle(SWEEP, 1) == DELETE
    assert uploads.estate.messages() == [bodies["kept"][1]]
    assert "due_at" in uploads.effect_item(lost)


@pytest.mark.parametrize(
    "tail",
    ["\udce4", "ü/\U0001f9e0", "%E2%82%AC+&=\"'\\", "x" * 1000],
    ids=["surrogate", "unicode", "quoted", "long"],
)
def test_any_body_comes_back_as_it_was(uploads: Uploads, clock: ManualClock, tail: str) -> None:
    identity = EventIdentity(f"{SITE}#uploaded#{'0' * 32}")
    uploads.estate.dynamodb.put_item(
        TableName=uploads.estate.settings.effects_table, Item={"pk": {"S": identity}}
    )
    body = json.dumps({"key": tail}, ensure_ascii=False)
    uploads.parking.park(identity, body, 1)
    assert uploads.parking.body(identity) == body
    assert parked_identity(body_key(identity)) == identity


def test_a_body_that_sqs_refuses_stays_due_and_holds_no_other_up(
    uploads: Uploads, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("poison", "fine"):
        uploads.refusals = 1
        _, body = uploads.upload(f"upload/{name}")
        uploads.handler.handle(body, 1)
        clock.pass_time(1)
    real = uploads.estate.clients.sqs.send_message

    def refuse(**request: Any) -> Any:
        if "poison" in request["MessageBody"]:
            raise aws_error("InvalidMessageContents")
        return real(**request)

    with monkeypatch.context() as patch:
        patch.setattr(uploads.estate.clients.sqs, "send_message", refuse)
        clock.pass_time(10)
        assert uploads.handler.handle(SWEEP, 1) == DELETE
        assert uploads.estate.messages() == [body]
    assert uploads.handler.handle(SWEEP, 1) == DELETE
    (left,) = uploads.estate.messages()
    assert "poison" in left


def test_a_sweep_comes_again_where_more_is_due(
    uploads: Uploads, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SENDS_A_SWEEP >= 100
    monkeypatch.setattr("rayline.parking.SENDS_A_SWEEP", 2)
    for number in range(3):
        uploads.refusals = 1
        uploads.handler.handle(uploads.upload(f"upload/{number}")[1], 1)
    clock.pass_time(10)
    again = uploads.handler.handle(SWEEP, 1)
    assert (again.action, len(uploads.estate.messages())) == ("postpone", 2)
    assert uploads.handler.handle(SWEEP, 1) == DELETE
    assert len(uploads.estate.messages()) == 1


def test_trouble_of_aws_postpones_the_sweep(
    uploads: Uploads, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads.refusals = 1
    _, body = uploads.upload("upload/a")
    uploads.handler.handle(body, 1)
    clock.pass_time(10)

    def fail(**_: Any) -> Any:
        raise aws_error("ThrottlingException")

    with monkeypatch.context() as patch:
        patch.setattr(uploads.estate.clients.sqs, "send_message", fail)
        assert uploads.handler.handle(SWEEP, 1).action == "postpone"
    uploads.handler.handle(SWEEP, 1)
    assert uploads.estate.messages() == [body]


def test_a_crash_between_any_two_calls_loses_nothing_and_repeats_no_effect(uploads: Uploads) -> None:
    crashed = 0
    for call in range(1, 200):
        fuse = Fuse(call)
        uploads.refusals = 1
        uploads.start_worker(fuse)
        identity, body = uploads.upload(f"upload/{PATIENT} {call}")
        uploads.estate.sqs.send_message(QueueUrl=uploads.estate.settings.queue_url, MessageBody=body)
        for _ in range(60):
            uploads.work(fuse)
            if uploads.ended(identity) and not uploads.parked_bodies() and uploads.queued() == 0:
                break
        else:
            raise AssertionError(f"a crash at call {call} left the event unfinished")
        assert "parked_at" not in uploads.effect_item(identity), call
        assert len(uploads.estate.tracked("instance")) == call
        if not fuse.blown:
            break
        crashed += 1
    assert not fuse.blown
    # Claim, wait, park, sweep, claim again, store, end and forget: a wait costs more calls than the event itself.
    assert crashed > 15


def test_an_hour_of_waiting_is_tried_again_every_five_minutes(uploads: Uploads, clock: ManualClock) -> None:
    uploads.refusals = 10**6
    _, body = uploads.upload("upload/a")
    started, tries = clock.now, 0
    bodies = [body]
    while clock.now - started < timedelta(hours=1):
        for each in bodies:
            tries += 1
            assert uploads.handler.handle(each, 1) == DELETE
        clock.pass_time(60)
        uploads.handler.handle(SWEEP, 1)
        bodies = uploads.estate.messages()
    # At most 300 s each, until the next minute; at least half of 2, 4, 8 … 256 and then 300 s.
    assert 10 <= tries <= 27
