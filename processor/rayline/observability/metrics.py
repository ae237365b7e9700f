"""Every metric that Rayline publishes: its name, unit and meaning in one list.

They leave as log lines in CloudWatch's embedded metric format, so publishing needs no permission and no call.
Source: Amazon CloudWatch user guide, "Specification: embedded metric format".
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TextIO

NAMESPACE = "Rayline"
SITE_DIMENSION = "Site"


@dataclass(frozen=True)
class Metric:
    """One metric of a site.

    Attributes:
        unit: as CloudWatch spells it.
        meaning: what one value says.
    """

    name: str
    unit: Literal["Count", "Seconds"]
    meaning: str


RECONCILER_GAPS = Metric(
    "ReconcilerGaps", "Count", "gaps that one run of the reconciler found, repaired or not"
)
RECONCILER_GAPS_LEFT = Metric(
    "ReconcilerGapsLeft", "Count", "gaps of one run of the reconciler that need a person"
)

METRICS: tuple[Metric, ...] = (RECONCILER_GAPS, RECONCILER_GAPS_LEFT)


def publish(values: Mapping[Metric, float], *, site: str, at: datetime, stream: TextIO | None = None) -> None:
    """Publish values of one moment as one line.

    Args:
        stream: where the task's log is read; default standard error.
    """
    line = {
        "_aws": {
            "Timestamp": round(at.timestamp() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [[SITE_DIMENSION]],
                    "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in values],
                }
            ],
        },
        SITE_DIMENSION: site,
        **{metric.name: value for metric, value in values.items()},
    }
    # One write: several workers share the stream, and a line that is torn is no metric.
    (stream or sys.stderr).write(json.dumps(line) + "\n")
