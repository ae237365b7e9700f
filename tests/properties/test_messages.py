"""Any message body ends: handled, postponed, returned, or in quarantine; nothing is ever raised or lost."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.local_cloud import LocalCloud
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate

from rayline.envelopes import parse_message
from rayline.errors import RejectedEvent
from rayline.handler import MessageHandler
from rayline.reminders import BatchDue, reminder_body
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
