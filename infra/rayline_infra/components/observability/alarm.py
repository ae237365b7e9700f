"""What an alarm is: what it watches, when it rings, whom it tells, and the page that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rayline.names import AlarmKind, CompositeKind, TopicKind
from rayline_infra.components.observability.places import Place
from rayline_infra.components.observability.series import Math, Series

Missing = Literal["missing", "ignore", "breaching", "notBreaching"]
Comparison = Literal["GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold"]
AlarmName = AlarmKind | CompositeKind


@dataclass(frozen=True)
class Alarm:
    """A metric alarm.

    Attributes:
        name: what follows the stack's prefix in its name.
        meaning: one sentence that says what is wrong.
        periods: how many of the latest periods are looked at.
        breaching: how many of them must be beyond the threshold.
        missing: what a period without a value counts as.
        topic: who is told; nobody where a composite alarm tells.
        runbook: the page, where it is not the alarm's own.
    """

    name: str
    meaning: str
    watch: Series | Math
    threshold: float
    period_seconds: int
    periods: int = 1
    breaching: int = 1
    comparison: Comparison = "GreaterThanThreshold"
    missing: Missing = "notBreaching"
    topic: TopicKind | None = None
    runbook: str = ""

    @property
    def page(self) -> str:
        """Its runbook."""
        return f"{self.runbook or self.name}.md"

    @property
    def places(self) -> frozenset[Place]:
        """The resources that it needs to exist."""
        return self.watch.places


@dataclass(frozen=True)
class Composite:
    """An alarm over other alarms, so that one trouble tells once.

    Attributes:
        either: names of alarms of which one is enough.
        together: names of alarms that must all ring, beside ``either`` as another way to ring.
        unless: alarms that tell the same already.
    """

    name: str
    meaning: str
    topic: TopicKind
    either: Sequence[str] = ()
    together: Sequence[str] = ()
    unless: Sequence[str] = ()
    runbook: str = ""

    @property
    def page(self) -> str:
        """Its runbook."""
        return f"{self.runbook or self.name}.md"

    def rule(self, prefix: str, declared: frozenset[str]) -> str:
        """The alarm rule over those of its alarms that the stack has; empty where there is none.

        Source: CloudWatch API reference, PutCompositeAlarm.
        """

        def ringing(names: Sequence[str]) -> list[str]:
            return [f'ALARM("{prefix}-{each}")' for each in names if each in declared]

        ways = ringing(self.either)
        if self.together and declared.issuperset(self.together):
            ways.append(f"({' AND '.join(ringing(self.together))})")
        if not ways:
            return ""
        unless = "".join(f" AND NOT {each}" for each in ringing(self.unless))
        return f"({' OR '.join(ways)}){unless}" if unless else " OR ".join(ways)


def description(meaning: str, page: str, runbooks: str) -> str:
    """What the message of an alarm says: the meaning, and where the runbook is."""
    return f"{meaning}. Runbook: {runbooks.rstrip('/')}/{page}"
