"""One SQS message: what it says, what is done about it, and what becomes of it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import structlog

from rayline.aws import is_service_trouble
from rayline.dispatcher import NOT_RECORDED, Outcome, backoff_seconds
from rayline.drift import DriftMonitor
from rayline.effects import LeaseLost, event_identity, kind_of
from rayline.envelopes import parse_message
from rayline.errors import RejectedEvent, RetryableError
from rayline.events import Event, EventIdentity
from rayline.instances import store_key
from rayline.message_queue import DeadLetter
from rayline.observability.consumption import UNREADABLE, EventOutcome, HandledEvent
from rayline.observability.logs import failure_fields
from rayline.observability.metrics import (
    RECONCILER_GAPS,
    RECONCILER_GAPS_LEFT,
    STORED_BYTES,
    STORED_INSTANCES,
)
from rayline.parking import Parking
from rayline.quarantining.import_again import ImportsAgain
from rayline.reconciler import Reconciler
from rayline.recorder import Recorder
from rayline.reminders import BatchDue, DriftDue, ImportAgain, ReconcileDue, Reminder, RetriesDue, StudyDue
from rayline.runtime import Runtime

HANDLER_FAILED = "HANDLER_FAILED"
_TROUBLE_SECONDS = 15.0
_SWEEP_AGAIN_SECONDS = 1.0

_log = structlog.get_logger()


@dataclass(frozen=True)
class Disposition:
    """What becomes of a message.

    Attributes:
        action: *delete* it; let it *return* after ``seconds``, which counts towards the dead-letter queue;
            *postpone* it as a delayed copy, which does not count; or *dead_letter* it.
        failure: why a message returns or is dead-lettered.
        trouble: a service that everything needs failed, so that other messages would fare no better.
        identity: the event's, where the message is one; its ends may still have to be recorded.
        event: what is measured of it, where the message is an event, or should have been.
    """

    action: Literal["delete", "return", "postpone", "dead_letter"]
    seconds: float = 0.0
    failure: DeadLetter | None = None
    trouble: bool = False
    identity: EventIdentity | None = field(default=None, compare=False)
    event: HandledEvent | None = field(default=None, compare=False)

    @property
    def failed(self) -> bool:
        """Whether the message failed, rather than ended or waits."""
        return self.failure is not None or self.trouble


DELETE = Disposition("delete")


class MessageHandler:
    """Handles the messages of one worker, one at a time."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        recorder: Recorder | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._read: dict[str, tuple[Event, EventIdentity]] = {}
        self._kind: str | None = None  # of the event at work
        self._jitter = jitter
        self._site = runtime.services.settings.site
        services = runtime.services
        self._parking = Parking(services.clients, services.settings, clock=services.clock)
        self._imports_again = ImportsAgain(services)

    def claim_ahead(self, bodies: Sequence[str]) -> None:
        """Claim the events of a receive together, before they are handled one by one."""
        events = []
        for position, body in enumerate(bodies):
            try:
                message = parse_message(body, self._site)
            except RejectedEvent:
                continue  # as it will be once more when it is handled
            if not isinstance(message, Reminder):
                identity = event_identity(message, self._runtime.services.keyed_hash)
                self._read[body] = (message, identity)
                events.append((position, message, identity))
        self._runtime.dispatcher.claim_ahead(events)

    def give_up(self) -> None:
        """Forget what was claimed ahead and will not be handled."""
        self._read.clear()
        self._runtime.dispatcher.withdraw_ahead()

    def handle(self, body: str, receive_count: int) -> Disposition:
        """Handle one message; whatever goes wrong, the answer says what to do with it."""
        try:
            try:
                return self._handle(body, receive_count)
            except RejectedEvent as rejected:
                self._quarantine(body, rejected)
                return replace(DELETE, event=HandledEvent(UNREADABLE, EventOutcome.REJECTED))
        except Exception as error:
            _log.error("message_failed", **failure_fields(error))
            if isinstance(error, RetryableError) or is_service_trouble(error):
                # While AWS is in trouble, no message is to blame: it must not end in the dead-letter queue.
                disposition = Disposition("postpone", _TROUBLE_SECONDS, trouble=is_service_trouble(error))
            else:
                disposition = self._failed(DeadLetter(HANDLER_FAILED, type(error).__name__), receive_count)
            return disposition if self._kind is None else _handled(disposition, self._kind)

    def _handle(self, body: str, receive_count: int) -> Disposition:
        self._kind = UNREADABLE
        known = self._read.pop(body, None)
        message = known[0] if known else parse_message(body, self._site)
        self._kind = None if isinstance(message, Reminder) else message.kind
        if isinstance(message, Reminder):
            again = self._look_after(message)
            return DELETE if again is None else Disposition("postpone", again)
        identity = known[1] if known else event_identity(message, self._runtime.services.keyed_hash)
        with structlog.contextvars.bound_contextvars(kind=message.kind, identity=identity):
            attributes = {"rayline.event": message.kind, "rayline.identity": identity}
            with self._runtime.services.traces.span("dispatch", attributes):
                outcome = self._runtime.dispatcher.observe(message, identity, self._recorder)
            disposition = self._disposition(outcome, receive_count)
            if disposition.action == "dead_letter":
                assert disposition.failure is not None
                disposition = replace(disposition, failure=replace(disposition.failure, identity=identity))
                self._runtime.effects.bury(identity)
            disposition = replace(self._parked(identity, body, outcome, disposition), identity=identity)
            return _handled(disposition, message.kind, outcome)

    def not_recorded(self, identity: EventIdentity, error: Exception, receive_count: int) -> Disposition:
        """What becomes of a message whose effects ran, but did not all go on record."""
        if isinstance(error, LeaseLost | RetryableError) or is_service_trouble(error):
            disposition = Disposition(
                "postpone", backoff_seconds(1, self._jitter), trouble=is_service_trouble(error)
            )
        else:
            disposition = self._failed(
                DeadLetter(NOT_RECORDED, type(error).__name__, identity), receive_count
            )
        return _handled(disposition, kind_of(identity))

    def _parked(
        self, identity: EventIdentity, body: str, outcome: Outcome, disposition: Disposition
    ) -> Disposition:
        """Let a long wait go on in the ledger, and forget what waiting left of an event that has ended."""
        waiting = outcome.waiting_seconds
        if waiting is not None and waiting >= self._runtime.services.settings.park_after_seconds:
            self._parking.park(identity, body, waiting)
            return DELETE
        if outcome.finished and outcome.seen_before:
            self._parking.forget(identity)
        return disposition

    def _look_after(self, reminder: Reminder) -> float | None:
        """Do what is due. Returns seconds until the reminder must come again, None once it has done its work."""
        match reminder:
            case BatchDue():
                return self._runtime.services.batches.look_after(reminder.batch_id)
            case StudyDue():
                return self._runtime.services.studies.look_after(reminder.study_instance_uid)
            case ImportAgain():
                self._imports_again.look_after(reminder)
                return None
            case RetriesDue():
                return _SWEEP_AGAIN_SECONDS if self._parking.send_due() else None
            case ReconcileDue():
                self._reconcile()
                return None
            case DriftDue():
                DriftMonitor(self._runtime.services).look()
                return None

    def _reconcile(self) -> None:
        services = self._runtime.services
        # The worker's own batch is sealed in time, however much there is to look at.
        reconciler = Reconciler(self._runtime, tick=services.batches.seal_if_due)
        if reconciler.begin():
            report = reconciler.run(repair=True)
            services.meter.record(RECONCILER_GAPS, report.found)
            services.meter.record(RECONCILER_GAPS_LEFT, report.left)
            stored = services.ledger.item(store_key(self._site)) or {}
            services.meter.record(STORED_INSTANCES, int(stored.get("instances", 0)))
            services.meter.record(STORED_BYTES, int(stored.get("bytes", 0)))

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

    def _disposition(self, outcome: Outcome, receive_count: int) -> Disposition:
        # Waiting comes first: a failing plugin must not take a waiting sibling along into the dead-letter queue.
        if outcome.waiting_seconds is not None:
            return Disposition("postpone", outcome.waiting_seconds)
        if outcome.failure:
            reason, _, explanation = outcome.failure.partition(": ")
            return self._failed(DeadLetter(reason, explanation), receive_count)
        if outcome.busy_seconds is not None:
            return Disposition("postpone", outcome.busy_seconds)
        return DELETE

    def _failed(self, why: DeadLetter, receive_count: int) -> Disposition:
        if receive_count >= self._runtime.services.settings.max_receive_count:
            return Disposition("dead_letter", failure=why)
        return Disposition("return", backoff_seconds(receive_count, self._jitter), why)


def _handled(disposition: Disposition, kind: str, outcome: Outcome | None = None) -> Disposition:
    """A disposition with what is measured of the event."""
    match disposition.action:
        case "delete":
            waits = outcome is not None and outcome.waiting_seconds is not None
            refused = outcome is not None and outcome.rejection is not None
            what = EventOutcome.PARKED if waits else EventOutcome.REJECTED if refused else EventOutcome.DONE
        case "postpone":
            what = EventOutcome.RETRIED
        case "return":
            what = EventOutcome.FAILED
        case "dead_letter":
            what = EventOutcome.DEAD_LETTERED
    first = outcome is not None and not outcome.seen_before
    return replace(disposition, event=HandledEvent(kind, what, first))
