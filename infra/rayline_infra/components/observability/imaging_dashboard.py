"""The imaging dashboard: can people see images, how fast, and how much is there to see."""

from collections.abc import Sequence

from rayline.names import ObjectiveKind
from rayline.observability.metrics import (
    ASSOCIATIONS,
    COMPRESSION_RATIO,
    CONCURRENT_VIEWERS,
    CONNECTION_ERRORS,
    GATEWAY_BYTES,
    GATEWAY_INSTANCES,
    GATEWAY_REJECTIONS,
    HEALTH_IMAGING_CALLS,
    INSTANCES_IMPORTED,
    INSTANCES_QUARANTINED,
    RETRIEVAL_ERRORS,
    RETRIEVAL_LATENCY,
    RETRIEVED_BYTES,
    STORE_SECONDS,
    STORED_BYTES,
    STORED_INSTANCES,
    Dimension,
)
from rayline_infra.components.observability.alarms import (
    FAILED_REQUESTS_PERCENT,
    GIBIBYTE,
    failed_requests,
    missing_tasks,
)
from rayline_infra.components.observability.aws_metrics import (
    API_LATENCY,
    API_REQUESTS,
    BUCKET_BYTES,
    DAY_SECONDS,
    DAYS_TO_EXPIRY,
    GATEWAY_CONNECTIONS,
    HOUR_SECONDS,
)
from rayline_infra.components.observability.dashboards import Guide
from rayline_infra.components.observability.objectives import OBJECTIVES, PACES
from rayline_infra.components.observability.places import Place
from rayline_infra.components.observability.series import Search, ours, theirs
from rayline_infra.components.observability.widgets import AlarmStates, Graph, Line, Widget
from rayline_infra.settings import ObservabilitySettings

OBJECTIVE_MS = 500
ALARMS = (
    "api-down",
    "retrieval-latency",
    "retrieval-speed-fast",
    "retrieval-speed-medium",
    "api-availability-fast",
    "api-availability-medium",
    "gateway-tasks",
    "storage-budget",
    "certificate-expiry",
)


def _budget(kind: ObjectiveKind, title: str) -> Graph:
    objective = OBJECTIVES[kind]
    fast = PACES[0]
    return Graph(
        title,
        "Share",
        [objective.bad],
        lines=[
            Line(objective.budget, "budget"),
            Line(objective.budget * fast.burn_rate, f"burns {fast.burn_rate:g} times too fast"),
        ],
        period_seconds=fast.long_seconds,
        width=12,
    )


def rows(settings: ObservabilitySettings, guide: Guide) -> Sequence[Sequence[Widget]]:
    """The widgets, row by row."""
    return (
        [
            guide.text(
                "Imaging",
                "Can people see images, and how fast? Slow reads with few errors are HealthImaging or the network; "
                "errors with few connections are ours. Start where a tile is red.",
                ALARMS,
                ("slowest-hooks", "errors", "throttles"),
            )
        ],
        [AlarmStates("Alarms of imaging", ALARMS)],
        [
            _budget("retrieval-speed", "Objective: reads slower than 500 ms (share of an hour's)"),
            _budget("api-availability", "Objective: requests that failed (share of an hour's)"),
        ],
        [
            Graph(
                "Reading from HealthImaging (ms)",
                "Milliseconds",
                [
                    ours(RETRIEVAL_LATENCY, "Average", label="average"),
                    ours(RETRIEVAL_LATENCY, "p99", label="p99"),
                ],
                lines=[
                    Line(OBJECTIVE_MS, "objective of p99"),
                    Line(settings.retrieval_latency_ms, "alarm of the average"),
                ],
            ),
            Graph(
                "Bytes read from HealthImaging",
                "Bytes",
                [Search(RETRIEVED_BYTES, Dimension.OPERATION, "Sum")],
                stacked=True,
            ),
            Graph(
                "Calls of HealthImaging by operation",
                "Calls",
                [Search(HEALTH_IMAGING_CALLS, Dimension.OPERATION, "Sum")],
                stacked=True,
            ),
        ],
        [
            Graph(
                "Images stored (bytes, and instances at the right)",
                "Bytes",
                [ours(STORED_BYTES, label="bytes imported")],
                right=[ours(STORED_INSTANCES, label="instances")],
                right_unit="Instances",
                lines=[Line(settings.storage_budget_gib * GIBIBYTE, "storage budget")],
                period_seconds=HOUR_SECONDS,
            ),
            Graph("People viewing", "People", [ours(CONCURRENT_VIEWERS, label="viewers")]),
            Graph(
                "Compression (bytes of a decoded frame for each byte stored)",
                "Ratio",
                [
                    ours(COMPRESSION_RATIO, "Average", label="average"),
                    ours(COMPRESSION_RATIO, "p10", label="p10"),
                ],
            ),
        ],
        [
            Graph(
                "Requests to the API, and failed ones at the right (%)",
                "Requests",
                [theirs(API_REQUESTS, Place.API_BALANCER, label="requests")],
                right=[failed_requests(100)],
                right_unit="Percent",
                lines=[Line(FAILED_REQUESTS_PERCENT, "alarm", side="right")],
            ),
            Graph(
                "Answers of the API (s)",
                "Seconds",
                [
                    theirs(API_LATENCY, Place.API_BALANCER, label="average"),
                    theirs(API_LATENCY, Place.API_BALANCER, statistic="p99", label="p99"),
                ],
            ),
            Graph(
                "Failed reads by operation; attempts unanswered at the right",
                "Reads",
                [Search(RETRIEVAL_ERRORS, Dimension.OPERATION, "Sum")],
                right=[Search(CONNECTION_ERRORS, Dimension.SERVICE, "Sum")],
                right_unit="Attempts a minute",
                lines=[Line(settings.connection_errors_a_minute, "alarm of connections", side="right")],
                period_seconds=60,
            ),
        ],
        [
            Graph(
                "Instances imported and quarantined",
                "Instances",
                [
                    ours(INSTANCES_IMPORTED, label="imported"),
                    ours(INSTANCES_QUARANTINED, label="quarantined"),
                ],
            ),
            Graph(
                "DICOM gateway: instances stored, and their bytes at the right",
                "Instances",
                [ours(GATEWAY_INSTANCES, label="instances")],
                right=[ours(GATEWAY_BYTES, label="bytes")],
                right_unit="Bytes",
            ),
            Graph(
                "DICOM gateway: C-STORE (s)",
                "Seconds",
                [
                    ours(STORE_SECONDS, "Average", label="average"),
                    ours(STORE_SECONDS, "p99", label="p99"),
                ],
            ),
        ],
        [
            Graph(
                "DICOM gateway: associations; open connections at the right",
                "Associations",
                [Search(ASSOCIATIONS, Dimension.OUTCOME, "Sum")],
                right=[theirs(GATEWAY_CONNECTIONS, Place.GATEWAY_BALANCER, label="connections")],
                right_unit="Connections",
            ),
            Graph(
                "DICOM gateway: refusals by reason",
                "Refusals",
                [Search(GATEWAY_REJECTIONS, Dimension.REASON, "Sum")],
                stacked=True,
            ),
            Graph(
                "Missing tasks of API and gateway",
                "Tasks",
                [
                    missing_tasks("the API", Place.API_SERVICE),
                    missing_tasks("the DIMSE gateway", Place.GATEWAY_SERVICE),
                ],
            ),
        ],
        [
            Graph(
                "Buckets (bytes, once a day)",
                "Bytes",
                [
                    theirs(BUCKET_BYTES, Place.UPLOADS_BUCKET, "StandardStorage", label="uploads"),
                    theirs(BUCKET_BYTES, Place.MODELS_BUCKET, "StandardStorage", label="models"),
                ],
                period_seconds=DAY_SECONDS,
                width=16,
            ),
            Graph(
                "Certificate of the API (days left)",
                "Days",
                [theirs(DAYS_TO_EXPIRY, Place.CERTIFICATE, label="days")],
                lines=[Line(settings.certificate_days, "alarm", above=False)],
                period_seconds=DAY_SECONDS,
            ),
        ],
    )
