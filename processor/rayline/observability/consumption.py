"""Measures what becomes of the queue's messages: how many, of which kind, how long they waited and took."""

from dataclasses import dataclass
from enum import StrEnum

from rayline.observability.meter import Meter
from rayline.observability.metrics import (
    CONSUMED_MESSAGES,
    CONSUMER_ERRORS,
    EVENT_SECONDS,
    EVENTS_HANDLED,
    QUEUE_WAIT,
)

UNREADABLE = "unreadable"
"""The kind of a message that says no event of ours."""


class EventOutcome(StrEnum):
    """What became of an event, this time that it was handled."""

    DONE = "done"
    REJECTED = "rejected"
    RETRIED = "retried"
    PARKED = "parked"
    FAILED = "failed"
    DEAD_LETTERED = "dead_lettered"


@dataclass(frozen=True)
class HandledEvent:
    """One handling of one event.

    Attributes:
        kind: as :mod:`rayline.events` names it, or ``UNREADABLE``.
        first: nothing of it was on record before.
    """

    kind: str
    outcome: EventOutcome
    first: bool = False


@dataclass(frozen=True)
class Timing:
    """How long a message took.

    Attributes:
        waited_seconds: from its sending to its receipt; None where SQS does not say.
        seconds: of its handling.
    """

    waited_seconds: float | None
    seconds: float


class Consumption:
    """Takes in every message that a worker is done with."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def ended(self, event: HandledEvent | None, timing: Timing, *, failed: bool) -> None:
        """A message was handled.

        Args:
            event: None of a reminder.
        """
        self._meter.record(CONSUMED_MESSAGES)
        # Its zeros too: a rate needs both numbers.
        self._meter.record(CONSUMER_ERRORS, float(failed))
        if event is None:
            return
        self._meter.record(EVENTS_HANDLED, 1, event.kind, event.outcome.value)
        self._meter.record(EVENT_SECONDS, timing.seconds, event.kind)
        # What comes again has waited for its turn, and would hide how long new events wait.
        if event.first and timing.waited_seconds is not None:
            self._meter.record(QUEUE_WAIT, timing.waited_seconds)

    def worker_died(self, kind: str, outcome: EventOutcome) -> None:
        """A message's handling ended with its worker."""
        self._meter.record(CONSUMED_MESSAGES)
        self._meter.record(CONSUMER_ERRORS)
        self._meter.record(EVENTS_HANDLED, 1, kind, outcome.value)
