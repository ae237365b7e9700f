"""Structured logs that cannot carry PHI: a field that is not known to be safe is replaced, and so is free text.

JSON where standard output is no terminal, readable lines where it is.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

from rayline.errors import RaylineError

REDACTED = "[redacted]"

# Every field that may be logged as it is. Anything else is redacted: a new field is a decision, not an accident.
SAFE_FIELDS = frozenset(
    {
        "action",
        "attempts",
        "batch_id",
        "by",
        "dead",
        "decision",
        "destination",
        "detail_type",
        "effect",
        "entries",
        "entry_id",
        "error_code",
        "error_type",
        "error_where",
        "event",
        "execution_arn",
        "explanation",
        "failed",
        "files",
        "found",
        "generation",
        "hook",
        "identity",
        "image_set_id",
        "image_sets",
        "instance_id",
        "instances",
        "job_id",
        "job_status",
        "kind",
        "left",
        "level",
        "message_id",
        "method",
        "model_package_arn",
        "pid",
        "plugin",
        "plugins",
        "reason",
        "reopened",
        "repaired",
        "replayed_from",
        "route",
        "seconds",
        "sent",
        "site",
        "stage",
        "status",
        "step_name",
        "stored",
        "study_key",
        "timestamp",
        "with_warning",
        "worker",
        "workers",
    }
)


# Event names are constants; text with values filled in is not one.
_EVENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def redact(_logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace every field that is not on the safe list, and an event that is no name; a processor of structlog."""
    for name in event_dict:
        if name not in SAFE_FIELDS:
            event_dict[name] = REDACTED
    if not (isinstance(event_dict.get("event"), str) and _EVENT_NAME.fullmatch(event_dict["event"])):
        event_dict["event"] = REDACTED
    return event_dict


def failure_fields(error: BaseException) -> dict[str, str]:
    """What may be logged of an exception: its type and place, and the message only of errors we wrote ourselves.

    Messages of other libraries quote the values they failed on.
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    fields = {"error_type": type(error).__name__, "error_where": where}
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        fields["error_code"] = str(response.get("Error", {}).get("Code", ""))
    if isinstance(error, RaylineError):
        fields["explanation"] = str(error)
    return fields


def configure_logs(*, verbose: bool = False) -> None:
    """Set structlog up for this process; logs go to standard error."""
    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
