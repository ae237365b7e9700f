"""One SQS message: what it says, what is done about it, and what becomes of it."""

from dataclasses import dataclass
from typing import Literal

import structlog

from rayline.aws import is_service_trouble
from rayline.dispatcher import Outcome, backoff_seconds
from rayline.effects import event_identity
from rayline.envelopes import parse_message
from rayline.errors import RejectedEvent, RetryableError
from rayline.observability.logs import failure_fields
from rayline.reminders import BatchDue, Reminder
from rayline.runtime import Runtime

_TROUBLE_SECONDS = 15.0

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
            try:
                return self._handle(body, receive_count)
            except RejectedEvent as rejected:
                self._quarantine(body, rejected)
                return DELETE
        except Exception as error:
            _log.error("message_failed", **failure_fields(error))
            if isinstance(error, RetryableError) or is_service_trouble(error):
                # While AWS is in trouble, no message is to blame: it must not end in the dead-letter queue.
                return Disposition("postpone", _TROUBLE_SECONDS)
            return Disposition("return", backoff_seconds(receive_count))

    def _handle(self, body: str, receive_count: int) -> Disposition:
        message = parse_message(body, self._site)
        if isinstance(message, Reminder):
            again = self._look_after(message)
            return DELETE if again is None else Disposition("postpone", again)
        identity = event_identity(message, self._runtime.services.keyed_hash)
        with structlog.contextvars.bound_contextvars(kind=message.kind, identity=identity):
            outcome = self._runtime.dispatcher.observe(message, identity)
        return _disposition(outcome, receive_count)

    def _look_after(self, reminder: Reminder) -> float | None:
        """Do what is due. Returns seconds until the reminder must come again, None once it has done its work."""
        match reminder:
            case BatchDue():
                return self._runtime.services.batches.look_after(reminder.batch_id)
            case _:
                return None

    def _quarantine(self, body: str, rejected: RejectedEvent) -> None:
        entry_id = f"message-{self._runtime.services.keyed_hash.of('message', body)}"
        self._runtime.services.quarantine.keep(
            entry_id,
            body.encode("utf-8", "surrogatepass"),
            stage="message",
            reason=rejected.reason,
            explanation=rejected.explanation,
        )
        _log.warning("message_quarantined", reason=rejected.reason, entry_id=entry_id)


def _disposition(outcome: Outcome, receive_count: int) -> Disposition:
    # Waiting comes first: a failing plugin must not take a waiting sibling along into the dead-letter queue.
    if outcome.waiting_seconds is not None:
        return Disposition("postpone", outcome.waiting_seconds)
    if outcome.failed:
        return Disposition("return", backoff_seconds(receive_count))
    if outcome.busy_seconds is not None:
        return Disposition("postpone", outcome.busy_seconds)
    return DELETE
