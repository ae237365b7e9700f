"""The table of alarms: what is watched, when it rings, and who is told."""

from rayline.observability.metrics import (
    ACCURACY,
    AUDIT_ERRORS,
    PREDICTION_DRIFT,
    RETRIEVAL_LATENCY,
    STORED_BYTES,
)
from rayline_infra.components.observability.alarm import Alarm
from rayline_infra.components.observability.aws_metrics import (
    API_BALANCER_ERRORS,
    API_REQUESTS,
    API_TARGET_ERRORS,
    DAY_SECONDS,
    DAYS_TO_EXPIRY,
    DESIRED_TASKS,
    ENDPOINT_ERRORS,
    ENDPOINT_INVOCATIONS,
    EXECUTIONS_FAILED,
    HOUR_SECONDS,
    LOG_EVENTS,
    MINUTE_SECONDS,
    RUNNING_TASKS,
)
from rayline_infra.components.observability.event_alarms import event_alarms, reconciler_alarm
from rayline_infra.components.observability.places import Place
from rayline_infra.components.observability.series import Math, ours, theirs
from rayline_infra.settings import ObservabilitySettings

GIBIBYTE = 2**30
FAILED_REQUESTS_PERCENT = 5.0
# A population stability index above this is called a shift by those who use it for credit scores.
SHIFTED = 0.2
# At night one failed request of a few would look like an outage.
LEAST_FAILED_REQUESTS = 5
AUDIT_SILENCE_PERIODS = 3


def alarms(settings: ObservabilitySettings, reconcile_seconds: int) -> tuple[Alarm, ...]:
    """Every alarm on one measurement; the objectives' alarms are in ``objectives``.

    Args:
        reconcile_seconds: how often the reconciler runs.
    """
    return (
        *_imaging(settings),
        *event_alarms(settings),
        reconciler_alarm(reconcile_seconds),
        *_services(),
        *_training(settings),
        *_audit(settings),
    )


def _imaging(settings: ObservabilitySettings) -> tuple[Alarm, ...]:
    return (
        Alarm(
            "retrieval-latency",
            f"reading from HealthImaging takes longer than {settings.retrieval_latency_ms:g} ms on average",
            ours(RETRIEVAL_LATENCY, "Average"),
            settings.retrieval_latency_ms,
            period_seconds=5 * MINUTE_SECONDS,
            periods=3,
            breaching=2,
            topic="alarms",
        ),
        Alarm(
            "storage-budget",
            f"HealthImaging holds more than the {settings.storage_budget_gib:g} GiB that were planned",
            ours(STORED_BYTES),
            settings.storage_budget_gib * GIBIBYTE,
            period_seconds=HOUR_SECONDS,
            topic="notices",
        ),
    )


def missing_tasks(what: str, place: Place) -> Math:
    """How many tasks of a service should run and do not."""
    return Math(
        "desired - FILL(running, 0)",
        {
            "desired": theirs(DESIRED_TASKS, Place.CLUSTER, place),
            "running": theirs(RUNNING_TASKS, Place.CLUSTER, place),
        },
        f"missing tasks of {what}",
    )


def _missing_tasks(name: str, what: str, place: Place, *, told: bool) -> Alarm:
    return Alarm(
        name,
        f"fewer tasks of {what} run than should, for a quarter of an hour",
        missing_tasks(what, place),
        0,
        period_seconds=5 * MINUTE_SECONDS,
        periods=3,
        breaching=3,
        # Container Insights always has a count for a service that exists.
        missing="breaching",
        topic="alarms" if told else None,
    )


def _services() -> tuple[Alarm, ...]:
    return (
        _missing_tasks("processor-tasks", "the processor", Place.PROCESSOR_SERVICE, told=False),
        _missing_tasks("api-tasks", "the API", Place.API_SERVICE, told=False),
        _missing_tasks("gateway-tasks", "the DIMSE gateway", Place.GATEWAY_SERVICE, told=True),
        Alarm(
            "api-errors",
            f"more than {FAILED_REQUESTS_PERCENT:g} % of requests to the API failed",
            failed_requests(100),
            FAILED_REQUESTS_PERCENT,
            period_seconds=5 * MINUTE_SECONDS,
            periods=3,
            breaching=2,
        ),
    )


def failed_requests(scale: float) -> Math:
    """The share of requests that the API or its load balancer failed, times ``scale``.

    The load balancer counts a request only once it has chosen a target, so its own errors come on top.
    """
    failed = "(FILL(target, 0) + FILL(balancer, 0))"
    return Math(
        f"IF({failed} >= {LEAST_FAILED_REQUESTS}, {scale:g} * {failed} / (FILL(requests, 0) + FILL(balancer, 0)), 0)",
        {
            "requests": theirs(API_REQUESTS, Place.API_BALANCER),
            "target": theirs(API_TARGET_ERRORS, Place.API_BALANCER),
            "balancer": theirs(API_BALANCER_ERRORS, Place.API_BALANCER),
        },
        "failed requests",
    )


def _training(settings: ObservabilitySettings) -> tuple[Alarm, ...]:
    return (
        Alarm(
            "training-failed",
            "an execution of the training pipeline failed",
            theirs(EXECUTIONS_FAILED, Place.PIPELINE),
            0,
            period_seconds=5 * MINUTE_SECONDS,
            topic="notices",
        ),
        Alarm(
            "accuracy",
            f"a new model has an accuracy below {settings.least_accuracy:g}",
            ours(ACCURACY, "Minimum"),
            settings.least_accuracy,
            period_seconds=HOUR_SECONDS,
            comparison="LessThanThreshold",
            topic="notices",
        ),
        Alarm(
            "prediction-drift",
            f"the endpoint's answers have moved from those of the test images by more than {SHIFTED:g}",
            ours(PREDICTION_DRIFT),
            SHIFTED,
            period_seconds=DAY_SECONDS,
            topic="notices",
        ),
        Alarm(
            "endpoint-errors",
            f"more than {FAILED_REQUESTS_PERCENT:g} % of the endpoint's invocations failed",
            Math(
                "IF(invocations > 0, 100 * FILL(errors, 0) / invocations, 0)",
                {
                    "errors": theirs(ENDPOINT_ERRORS, Place.ENDPOINT, Place.ENDPOINT_VARIANT),
                    "invocations": theirs(ENDPOINT_INVOCATIONS, Place.ENDPOINT, Place.ENDPOINT_VARIANT),
                },
                "failed, %",
            ),
            FAILED_REQUESTS_PERCENT,
            period_seconds=5 * MINUTE_SECONDS,
            periods=3,
            breaching=2,
            topic="alarms",
        ),
    )


def _audit(settings: ObservabilitySettings) -> tuple[Alarm, ...]:
    return (
        Alarm(
            "audit-lag",
            f"nothing reached the audit trail for {settings.audit_lag_minutes} minutes",
            # Queue and tables ask for their keys every few minutes, and each such call leaves an entry.
            Math("FILL(entries, 0)", {"entries": theirs(LOG_EVENTS, Place.TRAIL_LOG_GROUP)}, "entries"),
            1,
            period_seconds=settings.audit_lag_minutes * MINUTE_SECONDS // AUDIT_SILENCE_PERIODS,
            periods=AUDIT_SILENCE_PERIODS,
            breaching=AUDIT_SILENCE_PERIODS,
            comparison="LessThanThreshold",
            missing="breaching",
            topic="alarms",
        ),
        Alarm(
            "audit-errors",
            "an act could not be recorded in the audit trail, and was not done therefore",
            ours(AUDIT_ERRORS),
            0,
            period_seconds=5 * MINUTE_SECONDS,
            topic="alarms",
        ),
        Alarm(
            "certificate-expiry",
            f"the certificate of the API expires in less than {settings.certificate_days} days",
            theirs(DAYS_TO_EXPIRY, Place.CERTIFICATE),
            settings.certificate_days,
            period_seconds=DAY_SECONDS,
            comparison="LessThanThreshold",
            # ACM counts days only between issue and expiry; an expired certificate goes on ringing.
            missing="ignore",
            topic="notices",
        ),
    )
