"""How long events are kept for replay, and how often the processor is reminded of what is due."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rayline_infra.settings.section import Section, setting

# Where the number is 1 the unit is in the singular (EventBridge user guide, "Rate expressions").
RATE = r"^rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)$"


class EventsSettings(Section):
    """Archives and schedules."""

    archive_days: Annotated[int, Field(ge=1, le=3650)] = setting(
        "archiveDays",
        "Days that events stay in the archives, from which they can be replayed.",
        30,
        default=30,
    )
    retries_rate: str = setting(
        "retriesRate",
        "How often the processor brings back events that wait for something outside.",
        "rate(1 minute)",
        default="rate(1 minute)",
        pattern=RATE,
    )
    reconcile_rate: str = setting(
        "reconcileRate",
        "How often the processor holds its ledgers against S3, HealthImaging and SageMaker.",
        "rate(15 minutes)",
        default="rate(15 minutes)",
        pattern=RATE,
    )
    drift_rate: str = setting(
        "driftRate",
        "How often the endpoint's answers are compared with the test images', where there is an endpoint.",
        "rate(1 day)",
        default="rate(1 day)",
        pattern=RATE,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if seconds_of(self.reconcile_rate) > 30 * 60:
            yield "reconcileRate", "the alarm of a silent reconciler waits for half an hour at most"


def seconds_of(rate: str) -> int:
    """The period of a rate expression in seconds."""
    number, unit = rate.removeprefix("rate(").removesuffix(")").split()
    return int(number) * {"minute": 60, "hour": 3600, "day": 86_400}[unit.removesuffix("s")]
