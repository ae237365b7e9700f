"""Any bytes in a message end as an event or as a rejection with a reason."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayline.envelopes import Message, parse_message
from rayline.errors import RejectedEvent
from rayline.events import EVENT_TYPES, Event
from rayline.reminders import (
    BatchDue,
    ImportAgain,
    ReconcileDue,
    Reminder,
    RetriesDue,
    StudyDue,
    reminder_body,
)
from rayline.testing.strategies import SITE, envelope_of, envelopes, events

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(events)
def test_an_announced_event_is_read_back_as_it_was(event: Event) -> None:
    assert parse_message(json.dumps(envelope_of(event)), SITE) == event


@given(st.text() | JSON.map(json.dumps))
def test_any_text_is_an_event_or_a_rejection(body: str) -> None:
    try:
        message: Message = parse_message(body, SITE)
    except RejectedEvent as rejected:
        assert rejected.reason
    else:
        assert isinstance(message, (*EVENT_TYPES, Reminder))


@given(envelopes(), st.data())
def test_a_damaged_envelope_never_raises_anything_but_a_rejection(body: str, data: st.DataObject) -> None:
    document: dict[str, Any] = json.loads(body)
    target = data.draw(st.sampled_from([document, document["detail"]]))
    name = data.draw(st.sampled_from(sorted(target)))
    if data.draw(st.booleans()):
        del target[name]
    else:
        target[name] = data.draw(JSON)
    try:
        parse_message(json.dumps(document), SITE)
    except RejectedEvent as rejected:
        assert rejected.reason in {"UNPARSABLE_MESSAGE", "INVALID_EVENT", "UNKNOWN_EVENT", "OTHER_SITE"}


def test_deep_nesting_is_a_rejection() -> None:
    with pytest.raises(RejectedEvent, match="UNPARSABLE_MESSAGE"):
        parse_message("[" * 200_000, SITE)


def test_an_upload_without_a_version_is_rejected_since_a_read_must_name_it() -> None:
    detail = {"bucket": {"name": "uploads"}, "object": {"key": "upload/a", "size": 1}}
    envelope = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": "2026-01-01T00:00:00Z",
        "detail": detail,
    }
    with pytest.raises(RejectedEvent, match="INVALID_EVENT"):
        parse_message(json.dumps(envelope), SITE)


def test_a_rejection_does_not_quote_the_message() -> None:
    with pytest.raises(RejectedEvent) as caught:
        parse_message('{"source": "aws.s3", "PatientName": "Doe^Jane"}', SITE)
    assert "Doe" not in str(caught.value)


def test_a_verification_of_another_site_is_rejected() -> None:
    detail = {
        "schemaVersion": 1, "site": "elsewhere", "verificationId": "v", "datastoreId": "d", "imageSetId": "i",
        "imageSetVersion": "1", "label": "NORMAL", "verifier": "r",
    }  # fmt: skip
    envelope = {"source": "rayline.api", "detail-type": "Image Verified", "time": "2026-01-01T00:00:00Z"}
    with pytest.raises(RejectedEvent, match="OTHER_SITE"):
        parse_message(json.dumps({**envelope, "detail": detail}), SITE)


def test_the_processors_own_reminders_are_read_back() -> None:
    for due in (
        BatchDue(site=SITE, batch_id="b" * 32),
        StudyDue(site=SITE, study_instance_uid="1.2.3"),
        ImportAgain(site=SITE, entry_id="e" * 32, quarantined_at="2026-01-01T00:00:00.000000Z"),
        RetriesDue(site=SITE),
        ReconcileDue(site=SITE),
    ):
        assert parse_message(reminder_body(due), SITE) == due


def test_a_reminder_for_another_site_is_refused() -> None:
    with pytest.raises(RejectedEvent) as refused:
        parse_message(reminder_body(RetriesDue(site="elsewhere")), SITE)
    assert refused.value.reason == "OTHER_SITE"
