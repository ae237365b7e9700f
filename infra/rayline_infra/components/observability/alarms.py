"""The table of alarms: what is watched, when it rings, and who is told."""

from rayline.observability.metrics import (
    ACCURACY,
    AUDIT_ERRORS,
    CONNECTION_ERRORS,
    CONSUMED_MESSAGES,
    CONSUMER_ERRORS,
    OUTBOX_LAG,
    PREDICTION_DRIFT,
    RECONCILER_GAPS,
    RETRIEVAL_LATENCY,
    STORED_BYTES,
    THROTTLES,
)
from rayline_infra.components.observability.alarm import Alarm, Composite
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
    LOST_INVOCATIONS,
    MESSAGES_WAITING,
    OLDEST_MESSAGE,
    RUNNING_TASKS,
)
from rayline_infra.components.observability.places import Place
from rayline_infra.components.observability.series import Math, ours, theirs
from rayline_infra.settings import ObservabilitySettings

GIBIBYTE = 2**30
MINUTE_SECONDS = 60
# Beyond what retries swallow: botocore's own backoff starts over with each call.
THROTTLES_A_MINUTE = 20
FAILED_REQUESTS_PERCENT = 5.0
# A population stability index above this is called a shift by those who use it for credit scores.
SHIFTED = 0.2
# At night one failed request of a few would look like an outage.
LEAST_FAILED_REQUESTS = 5
AUDIT_SILENCE_PERIODS = 3
DEAD_LETTER_QUEUES = {
    "events": Place.DEAD_LETTER_QUEUE,
    "notices": Place.NOTICES_DEAD_LETTER_QUEUE,
    "schedules": Place.SCHEDULES_DEAD_LETTER_QUEUE,
}
AWS_RULES = {
    "uploaded": Place.UPLOADED_RULE,
    "ingested": Place.INGESTED_RULE,
    "trained": Place.TRAINED_RULE,
    "evaluated": Place.EVALUATED_RULE,
}


def alarms(settings: ObservabilitySettings, reconcile_seconds: int) -> tuple[Alarm, ...]:
    """Every alarm on one measurement; the objectives' alarms are in ``objectives``.

    Args:
        reconcile_seconds: how often the reconciler runs.
    """
    return (
        *_imaging(settings),
        *_events(settings),
        _reconciler(reconcile_seconds),
        *_services(),
        *_training(settings),
        *_audit(settings),
    )


def composites() -> tuple[Composite, ...]:
    """Alarms over alarms, for troubles of which each has many symptoms.

    A composite that another one is silent for stands behind it.
    """
    return (
        Composite(
            "processing-down",
            "no event is processed: tasks are missing, or messages wait while nobody hears of the reconciler",
            "alarms",
            either=("processor-tasks",),
            together=("queue-age", "reconciler-gaps"),
        ),
        Composite(
            "processing-degraded",
            "events are processed late or fail; the alarms below it say what is wrong",
            "alarms",
            either=(
                "queue-age",
                "reconciler-gaps",
                "outbox-lag",
                "consumer-errors",
                "connection-errors",
                "throttling",
            ),
            unless=("processing-down",),
        ),
        Composite(
            "dead-letters",
            "events were given up and wait for a person; a processor that is down is told of first",
            "alarms",
            either=("dead-letter-queue",),
            unless=("processing-down",),
        ),
        Composite(
            "api-down",
            "viewers see errors: tasks of the API are missing, or more than one request in twenty fails",
            "alarms",
            either=("api-tasks", "api-errors"),
        ),
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


def _events(settings: ObservabilitySettings) -> tuple[Alarm, ...]:
    return (
        Alarm(
            "queue-age",
            f"the oldest event waits longer than {settings.oldest_message_seconds} s",
            theirs(OLDEST_MESSAGE, Place.QUEUE),
            settings.oldest_message_seconds,
            period_seconds=5 * MINUTE_SECONDS,
            periods=2,
            breaching=2,
        ),
        Alarm(
            "dead-letter-queue",
            "a dead-letter queue is not empty",
            Math(
                " + ".join(f"FILL({each}, 0)" for each in DEAD_LETTER_QUEUES),
                {name: theirs(MESSAGES_WAITING, place) for name, place in DEAD_LETTER_QUEUES.items()},
                "dead letters",
            ),
            0,
            # The latest period may not have its value yet, and FILL would make an empty queue of it.
            period_seconds=5 * MINUTE_SECONDS,
            periods=3,
        ),
        Alarm(
            "delivery-failed",
            "EventBridge could hand an event neither to the queue nor to the dead-letter queue",
            Math(
                " + ".join(f"FILL({each}, 0)" for each in (*AWS_RULES, "verified")),
                {
                    **{name: theirs(LOST_INVOCATIONS, place) for name, place in AWS_RULES.items()},
                    "verified": theirs(LOST_INVOCATIONS, Place.EVENT_BUS, Place.VERIFIED_RULE),
                },
                "lost events",
            ),
            0,
            period_seconds=5 * MINUTE_SECONDS,
            periods=3,
            topic="alarms",
        ),
        Alarm(
            "outbox-lag",
            "an event of ours should have left five minutes ago",
            ours(OUTBOX_LAG),
            5 * MINUTE_SECONDS,
            period_seconds=5 * MINUTE_SECONDS,
            periods=2,
            breaching=2,
        ),
        Alarm(
            "consumer-errors",
            f"more than {settings.consumer_error_percent:g} % of messages failed",
            Math(
                "IF(handled > 0, 100 * FILL(errors, 0) / handled, 0)",
                {"errors": ours(CONSUMER_ERRORS), "handled": ours(CONSUMED_MESSAGES)},
                "failed, %",
            ),
            settings.consumer_error_percent,
            period_seconds=5 * MINUTE_SECONDS,
            periods=3,
            breaching=2,
        ),
        Alarm(
            "connection-errors",
            f"more than {settings.connection_errors_a_minute:g} attempts a minute got no answer",
            ours(CONNECTION_ERRORS),
            settings.connection_errors_a_minute,
            period_seconds=MINUTE_SECONDS,
            periods=3,
            breaching=2,
        ),
        Alarm(
            "throttling",
            f"AWS services refuse more than {THROTTLES_A_MINUTE} attempts a minute for five minutes",
            ours(THROTTLES),
            THROTTLES_A_MINUTE,
            period_seconds=MINUTE_SECONDS,
            periods=5,
            breaching=5,
        ),
    )


def _reconciler(reconcile_seconds: int) -> Alarm:
    return Alarm(
        "reconciler-gaps",
        "the reconciler found something that should have happened and did not, or did not run",
        # A reconciler that is silent finds no gaps either; a missing value becomes one at once, where CloudWatch
        # would look two periods further back first.
        Math("FILL(gaps, 1)", {"gaps": ours(RECONCILER_GAPS, "Maximum")}, "gaps"),
        0,
        # Two runs: one that is a little late leaves no hole.
        period_seconds=2 * reconcile_seconds,
        missing="breaching",
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
