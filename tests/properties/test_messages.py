"""Any message body ends: handled, postponed, returned, or in quarantine; nothing is ever raised or lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from support.local_cloud import LocalCloud
from support.machine_world import MachineWorld
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate
from support.simulated_processor import WorkerProcess
from support.simulated_site import Site

from rayline.effects import event_identity
from rayline.envelopes import parse_message
from rayline.errors import RejectedEvent
from rayline.handler import MessageHandler
from rayline.reminders import BatchDue, ReconcileDue, Reminder, RetriesDue, StudyDue, reminder_body
from rayline.testing.strategies import envelopes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
# SQS refuses what XML 1.0 cannot carry (API reference, SendMessage), so no body has those characters.
XML_TEXT = st.characters(exclude_categories=["Cs"]).filter(
    lambda character: character in "\t\n\r" or (character >= " " and character not in "\ufffe\uffff")
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """An envelope with one field gone or replaced."""
    document = json.loads(draw(envelopes()))
    target = draw(st.sampled_from([document, document["detail"]]))
    name = draw(st.sampled_from(sorted(target)))
    if draw(st.booleans()):
        del target[name]
    else:
        target[name] = draw(JSON)
    return json.dumps(document)


BODIES = st.one_of(
    st.text(XML_TEXT, min_size=1),
    JSON.map(json.dumps),
    envelopes(),
    damaged(),
    st.text("0123456789abcdef", min_size=1, max_size=32).map(
        lambda batch: reminder_body(BatchDue(site=SITE, batch_id=batch))
    ),
)


@pytest.fixture(scope="module")
def handler(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MessageHandler, Callable[[], set[str]]]:
    folder: Path = tmp_path_factory.mktemp("messages")
    estate = ProcessorEstate(local_cloud, folder)

    def quarantined() -> set[str]:
        return {record["reason"] for record in estate.quarantine_records()}

    return MessageHandler(estate.runtime(ManualClock())), quarantined


@settings(max_examples=150)
@given(body=BODIES, receive_count=st.integers(1, 1_000))
def test_any_message_ends(
    handler: tuple[MessageHandler, Callable[[], set[str]]], body: str, receive_count: int
) -> None:
    disposition = handler[0].handle(body, receive_count)
    assert disposition.action in ("delete", "return", "postpone", "dead_letter")
    assert 0 <= disposition.seconds <= 43_200
    try:
        parse_message(body, SITE)
    except RejectedEvent as rejected:
        assert disposition.action == "delete"
        assert rejected.reason in handler[1]()


# -- through a whole worker, to the end ------------------------------------------------------------------------

LONG = st.sampled_from(["k" * 1024, "ü" * 512, "x" * 3_000, "1" * 5_000])
ODD_TEXT = st.one_of(
    st.text(max_size=40),
    LONG,
    st.sampled_from(
        ["%2e%2e/%00", "../../x", "s3://", "s3://other/x", "\ud800", "\x00", "1e400", "#", "a#b", " "]
    ),
)


@st.composite
def odd_values(draw: st.DrawFn) -> str:
    """An envelope whose every text may be anything, percent-encoded, too long or no Unicode at all."""
    document = json.loads(draw(envelopes()))

    def change(value: object) -> object:
        if isinstance(value, dict):
            return {name: change(each) for name, each in value.items()}
        if isinstance(value, str) and draw(st.integers(0, 3)) == 0:
            return draw(ODD_TEXT)
        return value

    document["detail"] = change(document["detail"])
    return json.dumps(document)


ODD_REMINDERS = st.one_of(
    ODD_TEXT.map(lambda text: reminder_body(BatchDue(site=SITE, batch_id=clean(text)))),
    ODD_TEXT.map(lambda text: reminder_body(StudyDue(site=SITE, study_instance_uid=clean(text)))),
    st.sampled_from([RetriesDue, ReconcileDue]).map(lambda kind: reminder_body(kind(site=SITE))),
)
LARGE = st.sampled_from(
    [
        "[" * 100_000,
        '{"detail":' * 20_000,
        "x" * 1_048_576,
        json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": {"x": "y" * 1_000_000}}),
        "9" * 10_000,
        '{"a":' + "9" * 5_000 + "}",
        '{"source": "aws.s3", "source": "aws.s3"}',
        "NaN",
    ]
)


def clean(text: str) -> str:
    """Text that a pydantic model takes."""
    return text.encode("utf-8", "ignore").decode()


class OneWorker:
    """A worker on an account in memory, which takes one message after the other to its end."""

    def __init__(self, folder: Path) -> None:
        self.world = MachineWorld(folder, Site(), "identity: original\n")
        self.worker = WorkerProcess("worker", self.world.processor)

    def take(self, body: str) -> tuple[int, list[dict[str, Any]]]:
        """Deliver a message and let time pass until nothing is left. Returns receipts and dead letters."""
        queue = self.world.cloud.sqs.queue(self.world.settings.queue_url)
        dead = self.world.cloud.sqs.queue(self.world.settings.dead_letter_queue_url)
        dead.messages.clear()
        self.world.send(body)
        for turns in range(200):
            self.worker.turn()
            assert not self.worker.dead
            parked = [item for item in self.world.rows(self.world.settings.effects_table) if "due_at" in item]
            if not queue.messages and not parked:
                return turns, [message.attributes for message in dead.messages]
            if parked and not queue.messages:
                # A verification may wait days for its image set.
                self.world.clock.pass_time(36_000)
                self.world.send(reminder_body(RetriesDue(site=SITE)))
            self.world.clock.pass_time(301)
        raise AssertionError(f"it never ends: {[message.body[:500] for message in queue.messages]}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> OneWorker:
    return OneWorker(tmp_path_factory.mktemp("site"))


@settings(max_examples=200)
@given(body=st.one_of(BODIES, odd_values(), ODD_REMINDERS, LARGE))
def test_a_worker_brings_any_message_to_an_end(site: OneWorker, body: str) -> None:
    before = {record["entry_id"] for record in site.world.estate.quarantine_records()}
    try:
        turns, dead = site.take(body)
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("InvalidMessageContents", "InvalidParameterValue")
        return
    assert turns <= 60
    assert all(attributes["reason"]["StringValue"] for attributes in dead)
    try:
        message = parse_message(body, SITE)
    except RejectedEvent:
        entry = f"message-{site.worker.runtime.services.keyed_hash.of('message', body)}"
        assert entry in before | {record["entry_id"] for record in site.world.estate.quarantine_records()}
        return
    if not isinstance(message, Reminder):
        states = site.worker.runtime.effects.states(
            event_identity(message, site.worker.runtime.services.keyed_hash)
        )
        assert {state.state for state in states.values()} <= {"done", "ignored", "rejected", "dead"}
        assert ("dead" in {state.state for state in states.values()}) == bool(dead)
