"""Service level objectives, and the alarms that ring when their error budgets burn too fast.

A burn rate is how many times faster than allowed a 30-day budget is spent. The pairs of a long and a short window are
those of Google's SRE workbook, chapter 5, "Multiwindow, multi-burn-rate alerts", but for the window of three days: one
period of a CloudWatch alarm is a day at most. They are alarms on metric math and composite alarms; the
objectives of CloudWatch Application Signals need its agent in every task, and pulumi-aws cannot declare them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rayline.names import ObjectiveKind, TopicKind
from rayline.observability.metrics import RETRIEVAL_LATENCY, VERIFIED_TO_MODEL_SECONDS
from rayline_infra.components.observability.alarm import Alarm, Composite
from rayline_infra.components.observability.alarms import failed_requests
from rayline_infra.components.observability.aws_metrics import (
    DAY_SECONDS,
    EXECUTIONS_FAILED,
    EXECUTIONS_SUCCEEDED,
    HOUR_SECONDS,
    MINUTE_SECONDS,
)
from rayline_infra.components.observability.places import Place
from rayline_infra.components.observability.series import Math, ours, theirs


@dataclass(frozen=True)
class Pace:
    """A burn rate and its windows: the long one says that it matters, the short one that it goes on."""

    name: str
    burn_rate: float
    long_seconds: int
    short_seconds: int
    topic: TopicKind


PACES = (
    Pace("fast", 14.4, HOUR_SECONDS, 5 * MINUTE_SECONDS, "alarms"),
    Pace("medium", 6, 6 * HOUR_SECONDS, 30 * MINUTE_SECONDS, "alarms"),
    Pace("slow", 3, DAY_SECONDS, 2 * HOUR_SECONDS, "notices"),
)
# Where there are a few events in a week, one bad one burns any budget of an hour: what counts is that bad days repeat.
WEEK_DAYS = 7
BAD_DAYS = 2


@dataclass(frozen=True)
class Objective:
    """What share of events shall be good.

    Attributes:
        target: the share, 0 to 1.
        bad: the share of events of a period that were not good, 0 to 1.
        rare: whether there are only a few events in a week.
    """

    kind: ObjectiveKind
    promise: str
    target: float
    bad: Math
    rare: bool

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.target, 9)


_OBJECTIVES = (
    Objective(
        "retrieval-speed",
        "99 % of reads from HealthImaging take 500 ms at most",
        0.99,
        Math("(100 - good) / 100", {"good": ours(RETRIEVAL_LATENCY, "PR(0:500)")}, "slow reads"),
        rare=False,
    ),
    Objective(
        "api-availability",
        "99.9 % of requests to the API are answered",
        0.999,
        failed_requests(1),
        rare=False,
    ),
    Objective(
        "pipeline-success",
        "95 % of executions of the training pipeline succeed",
        0.95,
        Math(
            "FILL(failed, 0) / (FILL(failed, 0) + FILL(succeeded, 0))",
            {
                "failed": theirs(EXECUTIONS_FAILED, Place.PIPELINE),
                "succeeded": theirs(EXECUTIONS_SUCCEEDED, Place.PIPELINE),
            },
            "failed executions",
        ),
        rare=True,
    ),
    Objective(
        "verified-to-model",
        "95 % of models are registered within an hour of the newest label that they were made with",
        0.95,
        Math("(100 - good) / 100", {"good": ours(VERIFIED_TO_MODEL_SECONDS, "PR(0:3600)")}, "late models"),
        rare=True,
    ),
)
OBJECTIVES: Mapping[ObjectiveKind, Objective] = {each.kind: each for each in _OBJECTIVES}


def burn_alarms() -> Iterator[Alarm]:
    """The objectives' alarms; those with a short and a long window tell nobody, their composites do."""
    for objective in OBJECTIVES.values():
        if objective.rare:
            yield Alarm(
                f"{objective.kind}-week",
                f"on {BAD_DAYS} of {WEEK_DAYS} days it did not hold that {objective.promise}",
                objective.bad,
                objective.budget,
                period_seconds=DAY_SECONDS,
                periods=WEEK_DAYS,
                breaching=BAD_DAYS,
                topic="notices",
                runbook=objective.kind,
            )
            continue
        for pace in PACES:
            for window, seconds in (("long", pace.long_seconds), ("short", pace.short_seconds)):
                yield Alarm(
                    f"{objective.kind}-{pace.name}-{window}",
                    f"over {_duration(seconds)} the budget of '{objective.promise}' burns {pace.burn_rate:g} times "
                    "too fast",
                    objective.bad,
                    round(pace.burn_rate * objective.budget, 9),
                    period_seconds=seconds,
                    runbook=objective.kind,
                )


def burn_composites() -> Iterator[Composite]:
    """One alarm for each pace of each objective: both windows burn."""
    for objective in OBJECTIVES.values():
        if objective.rare:
            continue
        for pace in PACES:
            name = f"{objective.kind}-{pace.name}"
            yield Composite(
                name,
                f"the error budget of '{objective.promise}' burns {pace.burn_rate:g} times too fast: at this pace "
                f"the budget of 30 days is spent in {_duration(round(30 * DAY_SECONDS / pace.burn_rate))}",
                pace.topic,
                together=(f"{name}-long", f"{name}-short"),
                runbook=objective.kind,
            )


def _duration(seconds: int) -> str:
    for unit, length in (("days", DAY_SECONDS), ("hours", HOUR_SECONDS)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / MINUTE_SECONDS:.0f} minutes"
