"""Logs carry what is known to be safe and nothing else."""

import io
import json
import re
import sys

import pytest
import structlog
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from support.processor_estate import aws_error

from rayline.errors import ConfigurationError, PluginFailed, RejectedEvent, RetryableError
from rayline.observability.logs import REDACTED, SAFE_FIELDS, configure_logs, failure_fields, redact

SECRET = "Doe^Jane"


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.none() | st.just(SECRET)))
def test_no_unknown_field_gets_through(fields: dict[str, object]) -> None:
    shown = redact(None, "info", {"event": "hook_failed", **fields})
    assert set(shown) == {"event", *fields}
    for name, value in shown.items():
        assert name in SAFE_FIELDS or value == REDACTED


@pytest.mark.parametrize(
    "name", ["patient", "PatientName", "key", "body", "exc_info", "stack", "error", "Event", ""]
)
def test_fields_that_tend_to_carry_phi_are_redacted(name: str) -> None:
    assert redact(None, "info", {"event": "received", name: SECRET})[name] == REDACTED


@given(st.text() | st.integers() | st.none())
def test_text_with_values_filled_in_is_no_event_name(event: object) -> None:
    shown = redact(None, "info", {"event": event})["event"]
    plain = (
        isinstance(event, str)
        and event.isascii()
        and event.replace("_", "a").isalnum()
        and event == event.lower()
    )
    assert shown == REDACTED or (plain and shown == event)


def test_an_event_name_stays() -> None:
    assert redact(None, "info", {"event": "instance_quarantined"})["event"] == "instance_quarantined"
    assert redact(None, "info", {"event": f"received {SECRET}"})["event"] == REDACTED
    assert redact(None, "info", {"level": "info"})["event"] == REDACTED


class Model(BaseModel):
    """Quotes what it refuses."""

    number: int


def wrong_number() -> ValidationError:
    try:
        Model.model_validate({"number": SECRET})
    except ValidationError as error:
        return error
    raise AssertionError("accepted")


FOREIGN = [
    ValueError(SECRET),
    KeyError(SECRET),
    OSError(2, SECRET),
    UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
    wrong_number(),
    ClientError({"Error": {"Code": "NoSuchKey", "Message": SECRET}}, SECRET),
    ExceptionGroup(SECRET, [ValueError(SECRET)]),
    type("PatientDoeError", (Exception,), {"response": {"Error": {"Message": SECRET}}})(SECRET),
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_the_message_of_a_foreign_error_is_never_logged(error: Exception) -> None:
    try:
        raise error from ValueError(SECRET)
    except Exception as caught:
        fields = failure_fields(caught)
    assert SECRET not in repr(fields)
    assert set(fields) <= SAFE_FIELDS
    assert fields["error_type"] == type(error).__name__
    assert re.fullmatch(r"\w+\.py:\d+", fields["error_where"])


def test_an_aws_errors_code_is_logged() -> None:
    assert failure_fields(aws_error("NoSuchKey"))["error_code"] == "NoSuchKey"


@pytest.mark.parametrize(
    "error",
    [
        RejectedEvent("NOT_DICOM", "no image"),
        RetryableError("no image"),
        ConfigurationError("no image"),
        PluginFailed("no image"),
    ],
)
def test_the_message_of_our_own_errors_is_logged(error: Exception) -> None:
    assert "no image" in failure_fields(error)["explanation"]


def test_a_configured_logger_writes_json_lines_that_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    before = structlog.get_config()
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        configure_logs()
        log = structlog.get_logger().bind(plugin="deid", patient=SECRET)
        log.info("hook_called", hook="transform_instance", dataset=SECRET)
        log.debug("too_detailed")
        log.info("positional %s", SECRET)
        try:
            raise ValueError(SECRET)
        except ValueError:
            log.exception("hook_failed")
    finally:
        structlog.configure(**before)
    assert SECRET not in stream.getvalue()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["hook_called", REDACTED, "hook_failed"]
    assert lines[0]["plugin"] == "deid"
    assert lines[0]["patient"] == lines[0]["dataset"] == REDACTED
