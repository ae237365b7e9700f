"""Limits that AWS enforces and MiniStack does not, checked in the front where that is cheap.

Source: Amazon SQS quotas and API reference (delay 0 to 900 s, visibility 0 to 43,200 s, message 1 MiB, batch
of
1 to 10, long poll 20 s).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rayline_local.front.rest import HttpRequest

DELAY_SECONDS_MAX = 900
VISIBILITY_SECONDS_MAX = 43_200
WAIT_SECONDS_MAX = 20
MESSAGE_BYTES_MAX = 1_048_576
BATCH_ENTRIES_MAX = 10


@dataclass(frozen=True)
class Refusal:
    """An SQS error of the AWS JSON 1.0 protocol."""

    code: str
    message: str

    def body(self) -> bytes:
        """The error document."""
        return json.dumps({"__type": f"com.amazonaws.sqs#{self.code}", "message": self.message}).encode()


def sqs_refusal(request: HttpRequest) -> Refusal | None:
    """Why SQS would refuse this request for a limit, or None; only the JSON protocol, which boto3 speaks."""
    target = request.headers.get("x-amz-target", "")
    if not target.startswith("AmazonSQS."):
        return None
    try:
        members = json.loads(request.body or b"{}")
    except ValueError:
        return None
    if not isinstance(members, dict):
        return None
    return next(_failures(target.removeprefix("AmazonSQS."), members), None)


def _failures(operation: str, members: dict[str, Any]) -> Iterator[Refusal]:
    entries = members.get("Entries")
    if isinstance(entries, list):
        if not entries:
            yield Refusal("EmptyBatchRequest", "There should be at least one entry in the request.")
        if len(entries) > BATCH_ENTRIES_MAX:
            yield Refusal(
                "TooManyEntriesInBatchRequest",
                f"Maximum number of entries per request are {BATCH_ENTRIES_MAX}; got {len(entries)}.",
            )
    for entry in [members, *(entries if isinstance(entries, list) else [])]:
        yield from _range(entry, "DelaySeconds", DELAY_SECONDS_MAX)
        yield from _range(entry, "VisibilityTimeout", VISIBILITY_SECONDS_MAX)
    yield from _range(members, "WaitTimeSeconds", WAIT_SECONDS_MAX)
    if operation in ("SendMessage", "SendMessageBatch"):
        bodies = [entry.get("MessageBody", "") for entry in (entries or [members]) if isinstance(entry, dict)]
        if any(body == "" for body in bodies):
            yield Refusal("MissingParameter", "The request must contain the parameter MessageBody.")
        if sum(len(str(body).encode()) for body in bodies) > MESSAGE_BYTES_MAX:
            code = "BatchRequestTooLong" if entries else "InvalidParameterValue"
            yield Refusal(code, f"The message must be shorter than {MESSAGE_BYTES_MAX} bytes.")


def _range(members: Any, name: str, maximum: int) -> Iterator[Refusal]:
    value = members.get(name) if isinstance(members, dict) else None
    if isinstance(value, int) and not 0 <= value <= maximum:
        yield Refusal(
            "InvalidParameterValue",
            f"Value {value} for parameter {name} is invalid. Reason: must be between 0 and {maximum}.",
        )
