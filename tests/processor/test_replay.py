"""Replaying brings events back and runs what has not ended; what is done stays done, unless somebody asks for it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from support.manual_clock import ManualClock
from support.processor_estate import SECRETS, SITE, ProcessorEstate

from rayline.discovery import Implementation
from rayline.effects import event_identity
from rayline.envelopes import message_body, parse_message
from rayline.errors import RejectedEvent
from rayline.events import Event, Trained, Uploaded, Verified
from rayline.handler import MessageHandler
from rayline.hashing import KeyedHash
from rayline.message_queue import DeadLetter, MessageQueue
from rayline.quarantine import Quarantine
from rayline.release import Releaser
from rayline.reminders import ImportAgain, StudyDue, reminder_body
from rayline.replay import NothingToReopen, Replay
from rayline.replaying.candidates import Candidate
from rayline.replaying.dead_letters import DeadLetters
from rayline.replaying.quarantined import Quarantined
from rayline.testing import image_content
from rayline.watch import MessageInHand

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXECUTION = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/training/execution/abc"
CALL = Implementation.call
HASH = KeyedHash.from_secrets(dict(SECRETS))


def trained(number: int = 0) -> Trained:
    """An event whose stage only writes an item."""
    return Trained(
        site=SITE, occurred_at=NOW, pipeline_execution_arn=f"{EXECUTION}{number}", step_name="Train",
        step_status="Succeeded",
    )  # fmt: skip


class Site:
    """A processor, and an operator beside it."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock) -> None:
        self.estate = estate
        self.clock = clock
        self.runtime = estate.runtime(clock)
        self.handler = MessageHandler(self.runtime)
        settings, clients = estate.settings, estate.clients
        self.queue = MessageQueue(clients.sqs, settings.queue_url, settings.dead_letter_queue_url)
        self.quarantine = Quarantine(clients.s3, settings.quarantine_bucket, site=SITE, clock=clock)
        self.releaser = Releaser(clients, settings, self.runtime.services.ledger, self.quarantine)

    def dead_letters(self, keyed_hash: KeyedHash | None = None) -> DeadLetters:
        """The dead-letter queue as a source."""
        return DeadLetters(
            self.estate.clients.sqs,
            queue_url=self.estate.settings.queue_url,
            dead_letter_queue_url=self.estate.settings.dead_letter_queue_url,
            site=SITE,
            keyed_hash=keyed_hash,
            wait_seconds=0,
        )

    def quarantined(self, keyed_hash: KeyedHash | None = None) -> Quarantined:
        """Quarantine as a source."""
        return Quarantined(self.quarantine, self.releaser, self.estate.settings, keyed_hash)

    def replay(self, source: Any, *, event: str | None = None, plugin: str | None = None) -> Replay:
        """A run over a source."""
        return Replay(source, self.runtime.effects, event=event, plugin=plugin)

    def identity(self, event: Event) -> Any:
        """The effect ledger's key."""
        return event_identity(event, HASH)

    def states(self, event: Event) -> dict[str, str]:
        """Each effect's state."""
        return {name: each.state for name, each in self.runtime.effects.states(self.identity(event)).items()}

    def bury(self, event: Event, *, identity: bool = True) -> None:
        """Put an event's message into the dead-letter queue, as a worker does."""
        self.send_dead(
            message_body(event), DeadLetter("PLUGIN_FAILED", "x", self.identity(event) if identity else "")
        )

    def send_dead(self, body: str, why: DeadLetter | None) -> None:
        """Put a message into the dead-letter queue: with why, as a worker does, else as SQS's redrive does."""
        sqs, settings = self.estate.clients.sqs, self.estate.settings
        if why is None:
            sqs.send_message(QueueUrl=settings.dead_letter_queue_url, MessageBody=body)
            return
        sqs.send_message(QueueUrl=settings.queue_url, MessageBody=body)
        (message,) = sqs.receive_message(QueueUrl=settings.queue_url, MaxNumberOfMessages=10)["Messages"]
        self.queue.dead_letter(
            MessageInHand(message["MessageId"], message["ReceiptHandle"], 5, message["Body"]), why
        )

    def waiting_dead(self) -> int:
        """Messages that can be received from the dead-letter queue now; they stay there."""
        names = ["ApproximateNumberOfMessages"]
        answer = self.estate.clients.sqs.get_queue_attributes(
            QueueUrl=self.estate.settings.dead_letter_queue_url, AttributeNames=names
        )
        return int(answer["Attributes"][names[0]])

    def fail(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
        """Let the stage of the training step fail from now on, or work again."""

        def failing(implementation: Implementation, arguments: Any) -> Any:
            if error is not None and implementation.plugin == "rayline.trained":
                raise error
            return CALL(implementation, arguments)

        monkeypatch.setattr(Implementation, "call", failing)


@pytest.fixture
def site(estate: ProcessorEstate, clock: ManualClock) -> Site:
    return Site(estate, clock)


def rows(candidates: Sequence[Candidate]) -> list[tuple[str, str, str, bool]]:
    """What an operator reads: kind, plugin, state, would run."""
    return sorted(
        (row["event"], row["plugin"], row["state"], row["would_run"])
        for each in candidates
        for row in each.rows()
    )


# -- the dead-letter queue


def test_looking_into_the_dead_letter_queue_loses_nothing(site: Site) -> None:
    for number in range(23):
        site.bury(trained(number))
    assert site.waiting_dead() == 23
    run = site.replay(site.dead_letters())
    assert len(run.look()) == 23
    run.leave()
    assert site.waiting_dead() == 23
    assert len(site.replay(site.dead_letters()).look()) == 23
    assert site.estate.messages() == []


def test_a_dead_letter_is_sent_before_it_is_deleted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    event = trained()
    site.bury(event)
    run = site.replay(site.dead_letters())
    candidates = run.look()
    calls = []
    sqs = site.estate.clients.sqs
    for name in ("send_message", "delete_message"):
        real = getattr(sqs, name)

        def noting(_name: str = name, _real: Any = real, **request: Any) -> Any:
            calls.append(_name)
            return _real(**request)

        monkeypatch.setattr(sqs, name, noting)
    report = run.act(candidates, by="anna")
    assert calls == ["send_message", "delete_message"]
    assert (report.sent, report.left) == (1, 0)
    assert site.estate.messages() == [message_body(event)]
    assert site.waiting_dead() == 0


def test_a_crash_while_sending_leaves_the_rest_where_it_was(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        site.bury(trained(number))
    run = site.replay(site.dead_letters())
    candidates = run.look()
    sqs = site.estate.clients.sqs
    real, sent = sqs.send_message, []

    def failing(**request: Any) -> Any:
        if sent:
            raise ConnectionError
        sent.append(request)
        return real(**request)

    with monkeypatch.context() as patch:
        patch.setattr(sqs, "send_message", failing)
        with pytest.raises(ConnectionError):
            run.act(candidates, by="anna")
    assert site.waiting_dead() == 2
    assert len(site.estate.messages()) == 1


def test_a_dead_letter_that_failed_for_good_runs_again_and_shows_it_before(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = trained()
    body = message_body(event)
    site.fail(monkeypatch, KeyError("broken"))
    disposition = site.handler.handle(body, site.estate.settings.max_receive_count)
    assert disposition.action == "dead_letter"
    assert disposition.failure is not None
    site.send_dead(body, disposition.failure)
    site.fail(monkeypatch, None)
    run = site.replay(site.dead_letters())  # without a secret: the identity was written down with the reason
    (found,) = candidates = run.look()
    assert found.reason.startswith("PLUGIN_FAILED: ")
    assert found.identity == site.identity(event)
    assert rows(candidates) == [("trained", "rayline.trained", "dead", True)]
    run.act(candidates, by="anna")
    (again,) = site.estate.messages()
    assert site.handler.handle(again, 1).action == "delete"
    assert site.states(event) == {"on_trained:rayline.trained": "done"}


def test_what_is_done_is_shown_and_does_not_run_again(site: Site) -> None:
    event = trained()
    site.handler.handle(message_body(event), 1)
    site.bury(event)
    run = site.replay(site.dead_letters())
    candidates = run.look()
    assert rows(candidates) == [("trained", "rayline.trained", "done", False)]
    assert run.act(candidates, by="anna").reopened == 0


def test_a_message_that_sqs_moved_has_no_reason_and_needs_the_secret_for_its_states(site: Site) -> None:
    event = trained()
    site.handler.handle(message_body(event), 1)
    site.send_dead(message_body(event), None)
    run = site.replay(site.dead_letters())
    (found,) = run.look()
    run.leave()
    assert (found.reason, found.digest) == ("UNKNOWN: SQS moved it", "")
    assert rows([found]) == [("trained", "", "not known", True)]
    assert rows(site.replay(site.dead_letters(HASH)).look()) == [
        ("trained", "rayline.trained", "done", False)
    ]


def test_only_the_kind_that_was_asked_for_is_sent_and_all_else_stays(site: Site) -> None:
    site.bury(trained())
    site.send_dead("no event", DeadLetter("HANDLER_FAILED", "KeyError"))
    site.send_dead(reminder_body(StudyDue(site=SITE, study_instance_uid="1.2")), None)
    run = site.replay(site.dead_letters(), event="trained")
    candidates = run.look()
    assert [each.kind for each in candidates] == ["trained"]
    run.act(candidates, by="anna")
    assert site.waiting_dead() == 2
    run = site.replay(site.dead_letters())
    assert sorted(each.kind for each in run.look()) == ["reminder", "unreadable"]


# -- a plugin


def test_a_plugin_that_is_named_runs_again_and_the_trail_says_who_asked(site: Site) -> None:
    event = trained()
    site.handler.handle(message_body(event), 1)
    site.bury(event)
    run = site.replay(site.dead_letters(), plugin="rayline.trained")
    candidates = run.look()
    assert rows(candidates) == [("trained", "rayline.trained", "done", True)]
    report = run.act(candidates, by="anna")
    assert (report.sent, report.reopened) == (1, 1)
    assert site.states(event) == {"on_trained:rayline.trained": "reopened"}
    (body,) = site.estate.messages()
    site.estate.dynamodb.delete_item(
        TableName=site.estate.settings.image_tracking_table, Key={"pk": {"S": f"EXECUTION#{EXECUTION}0"}}
    )
    assert site.handler.handle(body, 1).action == "delete"
    assert len(site.estate.tracked("execution")) == 1
    assert site.states(event) == {"on_trained:rayline.trained": "done"}
    item = site.estate.dynamodb.get_item(
        TableName=site.estate.settings.effects_table, Key={"pk": {"S": site.identity(event)}}
    )["Item"]
    (trail,) = item["replays"]["L"]
    assert {name: value["S"] for name, value in trail["M"].items()} == {
        "effect": "on_trained:rayline.trained", "was": "done", "by": "anna", "at": "2026-01-01T00:00:00.000000Z",
    }  # fmt: skip


def test_other_events_and_plugins_stay_done(site: Site) -> None:
    events = [trained(number) for number in range(2)]
    for event in events:
        site.handler.handle(message_body(event), 1)
    site.bury(events[0])
    with pytest.raises(NothingToReopen, match="no ended effect of the plugin pacs"):
        site.replay(site.dead_letters(), plugin="pacs").look()
    assert site.waiting_dead() == 1
    run = site.replay(site.dead_letters(), plugin="rayline.trained")
    run.act(run.look(), by="anna")
    assert site.states(events[1]) == {"on_trained:rayline.trained": "done"}


def test_a_dry_run_reopens_nothing(site: Site) -> None:
    event = trained()
    site.handler.handle(message_body(event), 1)
    site.bury(event)
    run = site.replay(site.dead_letters(), plugin="rayline.trained")
    run.look()
    run.leave()
    assert site.states(event) == {"on_trained:rayline.trained": "done"}
    assert site.waiting_dead() == 1


def test_reopening_takes_nothing_from_whoever_holds_the_effect(site: Site) -> None:
    event = trained()
    identity, effect = site.identity(event), "on_trained:rayline.trained"
    claim = site.runtime.effects.claim(identity, [(effect, "1")])
    assert site.runtime.effects.reopen(identity, [effect, "on_trained:unknown"], by="anna") == 0
    site.runtime.effects.finish(identity, effect, claim.token, "ignored", reason="PLUGIN_TIMEOUT")
    assert site.runtime.effects.reopen(identity, [effect], by="anna") == 1
    assert site.runtime.effects.reopen(identity, [effect], by="ben") == 0
    state = site.runtime.effects.states(identity)[effect]
    # As if it had never run: a plugin that was stopped in it is not taken for poison.
    assert (state.state, state.reason, state.attempts, state.crashes) == ("reopened", "", 0, 0)
    assert site.runtime.effects.claim(identity, [(effect, "1")]).granted == {effect}


# -- quarantine


def test_an_object_is_uploaded_anew_and_marked_released(site: Site) -> None:
    bucket = site.estate.settings.uploads_bucket
    version = site.estate.upload("upload/DOE", b"no image")
    event = Uploaded(
        site=SITE, occurred_at=NOW, bucket=bucket, key="upload/DOE", version_id=version, size_bytes=8
    )
    site.handler.handle(message_body(event), 1)
    run = site.replay(site.quarantined())
    candidates = run.look()
    assert rows(candidates) == [("uploaded", "", "not known", True)]
    assert candidates[0].reason == "NOT_DICOM"
    assert run.act(candidates, by="anna").sent == 1
    (item,) = site.estate.tracked("instance")
    assert item["stage"] == "released"
    assert list(site.quarantine.records()) == []
    assert f"upload/{SITE}/released/{item['instance_id']}" in site.estate.keys(bucket)


def test_a_message_goes_to_the_queue_again_and_leaves_quarantine(site: Site) -> None:
    body = message_body(trained()).replace(SITE, "x")
    unknown = json.dumps({**json.loads(body), "source": "aws.ec2"})
    site.handler.handle(unknown, 1)
    run = site.replay(site.quarantined(HASH))
    candidates = run.look()
    assert [(each.kind, each.reason) for each in candidates] == [("unreadable", "UNKNOWN_EVENT")]
    run.act(candidates, by="anna")
    assert site.estate.messages() == [unknown]
    assert list(site.quarantine.records()) == []


def test_a_refused_event_is_tried_again_and_its_refusal_told_of_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    event = trained()
    site.fail(monkeypatch, RejectedEvent("NOT_TODAY", "the plugin was wrong"))
    site.handler.handle(message_body(event), 1)
    expected = {"on_trained:rayline.trained": "rejected", "on_rejected:rayline.rejected": "done"}
    assert site.states(event) == expected
    run = site.replay(site.quarantined())
    candidates = run.look()
    assert rows(candidates) == [
        ("trained", "rayline.rejected", "done", True), ("trained", "rayline.trained", "rejected", True)
    ]  # fmt: skip
    run.act(candidates, by="anna")
    assert list(site.quarantine.records()) == []
    (body,) = site.estate.messages()
    clock.pass_time(1)
    site.handler.handle(body, 1)  # it is refused once more
    assert site.states(event) == expected
    assert [record.reason for record in site.quarantine.records()] == ["NOT_TODAY"]
    run = site.replay(site.quarantined())
    run.act(run.look(), by="anna")
    site.fail(monkeypatch, None)
    (body,) = site.estate.messages()
    assert site.handler.handle(body, 1).action == "delete"
    assert site.states(event)["on_trained:rayline.trained"] == "done"
    assert list(site.quarantine.records()) == []


def test_an_event_that_is_refused_again_before_its_entry_is_taken_out_stays_visible(
    site: Site, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    site.fail(monkeypatch, RejectedEvent("NOT_TODAY", "the plugin was wrong"))
    site.handler.handle(message_body(trained()), 1)
    (first,) = site.quarantine.records()
    run = site.replay(site.quarantined())
    candidates = run.look()
    sqs = site.estate.clients.sqs
    real = sqs.send_message

    def handled_at_once(**request: Any) -> Any:
        answer = real(**request)
        clock.pass_time(1)
        site.handler.handle(request["MessageBody"], 1)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(sqs, "send_message", handled_at_once)
        run.act(candidates, by="anna")
    (second,) = site.quarantine.records()
    assert second.entry_id == first.entry_id
    assert second.quarantined_at > first.quarantined_at


def test_a_file_that_healthimaging_refused_is_asked_for_again_and_stays_until_the_processor_has_it(
    site: Site,
) -> None:
    site.quarantine.keep("0" * 32, image_content(), stage="ingested", reason="IMPORT_FAILED", explanation="x")
    (record,) = site.quarantine.records()
    run = site.replay(site.quarantined())
    (found,) = run.look()
    assert rows([found]) == [("ingested", "", "not known", True)]
    assert run.act([found], by="anna").sent == 1
    (body,) = site.estate.messages()
    again = ImportAgain(site=SITE, entry_id="0" * 32, quarantined_at=record.quarantined_at)
    assert parse_message(body, SITE) == again
    # The ledger knows of no such instance, so nothing is imported, whoever sends the message.
    assert site.handler.handle(body, 1).action == "delete"
    assert list(site.quarantine.records()) == [record]
    assert site.estate.keys(site.estate.settings.imports_bucket) == []


def test_a_message_that_sqs_does_not_take_stays_and_stops_no_other(site: Site) -> None:
    foul = "a \u0001 b"
    for body in (foul, "fine"):
        site.quarantine.keep(
            f"message-{HASH.of(body)}",
            body.encode(),
            stage="message",
            reason="UNPARSABLE_MESSAGE",
            explanation="x",
        )
    run = site.replay(site.quarantined())
    report = run.act(run.look(), by="anna")
    assert (report.sent, report.left) == (1, 1)
    assert site.estate.messages() == ["fine"]
    (record,) = site.quarantine.records()
    assert record.entry_id == f"message-{HASH.of(foul)}"


def test_a_verification_from_quarantine_is_announced_as_it_was(site: Site) -> None:
    event = Verified(
        site=SITE, occurred_at=datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC), action="revoked", verification_id="v",
        datastore_id="d" * 32, image_set_id="a" * 32, image_set_version="1", label="NORMAL", findings="clear",
        verifier="dr-x",
    )  # fmt: skip
    site.quarantine.keep(
        f"event-{HASH.of(*event.identity_parts())}", event.model_dump_json(by_alias=True).encode(),
        stage="verified", reason="STALE_VERIFICATION", explanation="x",
    )  # fmt: skip
    run = site.replay(site.quarantined())
    (found,) = run.look()
    assert found.identity == site.identity(event)
    run.act([found], by="anna")
    assert site.estate.messages() == [message_body(event)]


def test_a_report_says_what_was_found_and_done(site: Site) -> None:
    site.bury(trained())
    run = site.replay(site.dead_letters())
    candidates = run.look()
    document = json.loads(json.dumps(run.act(candidates, by="anna").as_json()))
    (effect,) = document.pop("effects")
    assert document == {"source": "dlq", "found": 1, "sent": 1, "reopened": 0, "left": 0}
    assert effect["identity"] == site.identity(trained()).rsplit("#", 1)[1]
    assert (effect["event"], effect["state"], effect["would_run"]) == ("trained", "nothing recorded", True)
