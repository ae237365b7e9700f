"""One SQS message: what it says, what is done about it, and what becomes of it."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import structlog

from rayline.dispatcher import Outcome, backoff_seconds
from rayline.effects import event_identity
from rayline.envelopes import BatchDue, parse_message
from rayline.errors import RejectedEvent
from rayline.observability.logs import failure_fields
from rayline.runtime import Runtime

_log = structlog.get_logger()


@dataclass(frozen=True)
class Disposition:
    """What becomes of a message.

    Attributes:
        action: *delete* it; let it *return* after ``seconds``, which counts towards the dead-letter queue; or
            *postpone* it as a delayed copy, which does not count.
    """

    action: Literal["delete", "return", "postpone"]
    seconds: float = 0.0


DELETE = Disposition("delete")


class MessageHandler:
    """Handles the messages of one worker, one at a time."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._site = runtime.services.settings.site

    def handle(self, body: str, receive_count: int) -> Disposition:
        """Handle one message; whatever goes wrong, the answer says what to do with it."""
        try:
            return self._handle(body, receive_count)
        except RejectedEvent as rejected:
            self._quarantine(body, rejected)
            return DELETE
        except Exception as error:
            _log.error("message_failed", **failure_fields(error))
            return Disposition("return", backoff_seconds(receive_count))

    def _handle(self, body: str, receive_count: int) -> Disposition:
        message = parse_message(body, self._site)
        if isinstance(message, BatchDue):
            self._runtime.services.batches.look_after(message.batch_id)
            return DELETE
        identity = event_identity(message, self._runtime.services.keyed_hash)
        with structlog.contextvars.bound_contextvars(kind=message.kind, identity=identity):
            outcome = self._runtime.dispatcher.observe(message, identity)
        return _disposition(outcome, receive_count)

    def _quarantine(self, body: str, rejected: RejectedEvent) -> None:
        content = body.encode("utf-8", "surrogatepass")
        entry_id = f"message-{hashlib.sha256(content).hexdigest()[:32]}"
        self._runtime.services.quarantine.keep(
            entry_id, content, stage="message", reason=rejected.reason, explanation=rejected.explanation
        )
        _log.warning("message_quarantined", reason=rejected.reason, entry_id=entry_id)


def _disposition(outcome: Outcome, receive_count: int) -> Disposition:
    if outcome.failed:
        return Disposition("return", backoff_seconds(receive_count))
    if outcome.waiting_seconds is not None:
        return Disposition("postpone", outcome.waiting_seconds)
    if outcome.busy_seconds is not None:
        return Disposition("postpone", outcome.busy_seconds)
    return DELETE
