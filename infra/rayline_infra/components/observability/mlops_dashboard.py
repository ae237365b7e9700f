"""The MLOps dashboard: what goes in, what comes out, what it costs, and whether events flow."""

from collections.abc import Sequence

from rayline.observability.metrics import (
    ANSWERS_COMPARED,
    AUDIT_ENTRIES,
    AUDIT_ERRORS,
    BYTES_RECEIVED,
    CONSUMED_MESSAGES,
    CONSUMER_ERRORS,
    EVENT_SECONDS,
    EVENTS_HANDLED,
    INSTANCES_QUARANTINED,
    INSTANCES_RECEIVED,
    MODELS_APPROVED,
    MODELS_REJECTED,
    MODELS_WAITING,
    OUTBOX_LAG,
    PREDICTION_DRIFT,
    QUEUE_WAIT,
    RECONCILER_GAPS,
    RECONCILER_GAPS_LEFT,
    STEP_SECONDS,
    THROTTLES,
    VERIFICATIONS,
    VERIFIED_TO_MODEL_SECONDS,
    Dimension,
)
from rayline_infra.components.observability.alarms import SHIFTED, missing_tasks
from rayline_infra.components.observability.aws_metrics import (
    DAY_SECONDS,
    ENDPOINT_ERRORS,
    ENDPOINT_INVOCATIONS,
    ENDPOINT_LATENCY,
    FAILED_INVOCATIONS,
    HOUR_SECONDS,
    LOG_EVENTS,
    MESSAGES_WAITING,
    OLDEST_MESSAGE,
    READ_THROTTLES,
    RULE_INVOCATIONS,
    SERVICE_CPU,
    SERVICE_MEMORY,
    WRITE_THROTTLES,
)
from rayline_infra.components.observability.dashboards import Guide, HourlyPrices
from rayline_infra.components.observability.event_alarms import AWS_RULES, THROTTLES_A_MINUTE
from rayline_infra.components.observability.places import Place
from rayline_infra.components.observability.series import Math, Search, ours, theirs
from rayline_infra.components.observability.widgets import AlarmStates, Graph, Line, Widget
from rayline_infra.settings import ObservabilitySettings

ALARMS = (
    "processing-down",
    "processing-degraded",
    "dead-letters",
    "delivery-failed",
    "prediction-drift",
    "endpoint-errors",
    "audit-lag",
    "audit-errors",
)
MODEL_DEADLINE_SECONDS = 3600


def rows(
    settings: ObservabilitySettings, guide: Guide, prices: HourlyPrices | None
) -> Sequence[Sequence[Widget]]:
    """The widgets, row by row."""
    return (
        [
            guide.text(
                "MLOps",
                "What goes in, what comes out, and do events flow? A queue that grows with no errors needs tasks; "
                "errors with no queue are a plugin's. The reconciler finds what no event told of.",
                ALARMS,
                ("errors", "rejections", "one-instance", "slowest-hooks", "throttles", "audit"),
            )
        ],
        [AlarmStates("Alarms of MLOps", ALARMS)],
        [
            Graph(
                "Data quality: instances quarantined (% of those received)",
                "Percent",
                [
                    Math(
                        "100 * FILL(refused, 0) / received",
                        {"refused": ours(INSTANCES_QUARANTINED), "received": ours(INSTANCES_RECEIVED)},
                        "quarantined",
                    )
                ],
                period_seconds=HOUR_SECONDS,
            ),
            Graph(
                "Instances quarantined by reason",
                "Instances",
                [Search(INSTANCES_QUARANTINED, Dimension.REASON, "Sum")],
                stacked=True,
                period_seconds=HOUR_SECONDS,
            ),
            Graph(
                "Data volume: instances received, and their bytes at the right",
                "Instances",
                [ours(INSTANCES_RECEIVED, label="instances")],
                right=[ours(BYTES_RECEIVED, label="bytes")],
                right_unit="Bytes",
                period_seconds=HOUR_SECONDS,
            ),
        ],
        [
            Graph(
                "Models approved, rejected, waiting; approval rate at the right (%)",
                "Models",
                [
                    ours(MODELS_APPROVED, label="approved"),
                    ours(MODELS_REJECTED, label="rejected"),
                    ours(MODELS_WAITING, label="waiting"),
                ],
                right=[
                    Math(
                        "100 * FILL(yes, 0) / (FILL(yes, 0) + FILL(no, 0))",
                        {"yes": ours(MODELS_APPROVED), "no": ours(MODELS_REJECTED)},
                        "approved, %",
                    )
                ],
                right_unit="Percent",
                period_seconds=DAY_SECONDS,
            ),
            Graph(
                "Time to deployment: from the newest label to the model (s)",
                "Seconds",
                [
                    ours(VERIFIED_TO_MODEL_SECONDS, "Average", label="average"),
                    ours(VERIFIED_TO_MODEL_SECONDS, "Maximum", label="longest"),
                ],
                lines=[Line(MODEL_DEADLINE_SECONDS, "objective")],
                period_seconds=DAY_SECONDS,
            ),
            Graph(
                "Verifications by outcome",
                "Verifications",
                [Search(VERIFICATIONS, Dimension.OUTCOME, "Sum")],
                stacked=True,
                period_seconds=HOUR_SECONDS,
            ),
        ],
        [
            Graph(
                "Drift of the endpoint's answers, and answers compared at the right",
                "Index",
                [ours(PREDICTION_DRIFT, label="drift")],
                right=[ours(ANSWERS_COMPARED, label="answers")],
                right_unit="Answers",
                lines=[Line(SHIFTED, "alarm")],
                period_seconds=DAY_SECONDS,
            ),
            *_costs(prices),
            Graph(
                "Endpoint: invocations, failed ones, and its time at the right (µs)",
                "Invocations",
                [
                    theirs(ENDPOINT_INVOCATIONS, Place.ENDPOINT, Place.ENDPOINT_VARIANT, label="invocations"),
                    theirs(ENDPOINT_ERRORS, Place.ENDPOINT, Place.ENDPOINT_VARIANT, label="failed"),
                ],
                right=[
                    theirs(ENDPOINT_LATENCY, Place.ENDPOINT, Place.ENDPOINT_VARIANT, label="average time")
                ],
                right_unit="Microseconds",
            ),
        ],
        *_events(settings),
    )


def _costs(prices: HourlyPrices | None) -> list[Graph]:
    if prices is None:
        return []
    seconds = {
        identity: ours(STEP_SECONDS, "Average", by=(Dimension.STEP, step))
        for identity, step in (("prepare", "Preprocess"), ("train", "Train"), ("judge", "Evaluate"))
    }
    cost = Math(
        f"(FILL(prepare, 0) * {prices.processing:g} + train * {prices.training:g} + "
        f"FILL(judge, 0) * {prices.evaluation:g}) / {HOUR_SECONDS}",
        seconds,
        "a training",
    )
    return [
        Graph(
            "Cost of a training's machines (US$, on demand in us-east-1)",
            "US$",
            [cost],
            period_seconds=DAY_SECONDS,
        )
    ]


def _events(settings: ObservabilitySettings) -> Sequence[Sequence[Widget]]:
    return (
        [
            Graph(
                "Events by kind",
                "Events",
                [Search(EVENTS_HANDLED, Dimension.EVENT, "Sum")],
                stacked=True,
            ),
            Graph(
                "Events by outcome",
                "Events",
                [Search(EVENTS_HANDLED, Dimension.OUTCOME, "Sum")],
                stacked=True,
            ),
            Graph(
                "Handling of an event by kind (s)",
                "Seconds",
                [Search(EVENT_SECONDS, Dimension.EVENT, "Average")],
            ),
        ],
        [
            Graph(
                "Messages waiting, and dead letters at the right",
                "Messages",
                [theirs(MESSAGES_WAITING, Place.QUEUE, label="waiting")],
                right=[
                    theirs(MESSAGES_WAITING, Place.DEAD_LETTER_QUEUE, label="dead letters"),
                    theirs(MESSAGES_WAITING, Place.NOTICES_DEAD_LETTER_QUEUE, label="of notices"),
                    theirs(MESSAGES_WAITING, Place.SCHEDULES_DEAD_LETTER_QUEUE, label="of schedules"),
                ],
                right_unit="Messages",
            ),
            Graph(
                "Oldest message, and the wait of handled ones (s)",
                "Seconds",
                [
                    theirs(OLDEST_MESSAGE, Place.QUEUE, label="oldest waiting"),
                    ours(QUEUE_WAIT, "p99", label="p99 of handled"),
                    ours(OUTBOX_LAG, label="oldest not sent"),
                ],
                lines=[Line(settings.oldest_message_seconds, "alarm")],
            ),
            Graph(
                "Messages handled, and failed ones at the right (%)",
                "Messages",
                [ours(CONSUMED_MESSAGES, label="handled")],
                right=[
                    Math(
                        "100 * FILL(errors, 0) / handled",
                        {"errors": ours(CONSUMER_ERRORS), "handled": ours(CONSUMED_MESSAGES)},
                        "failed, %",
                    )
                ],
                right_unit="Percent",
                lines=[Line(settings.consumer_error_percent, "alarm", side="right")],
            ),
        ],
        [
            Graph(
                "Events that rules handed on, and could not hand on at the right",
                "Events",
                [theirs(RULE_INVOCATIONS, place, label=name) for name, place in AWS_RULES.items()],
                right=[
                    *(
                        theirs(FAILED_INVOCATIONS, place, label=f"{name}, failed")
                        for name, place in AWS_RULES.items()
                    ),
                    theirs(
                        FAILED_INVOCATIONS, Place.EVENT_BUS, Place.VERIFIED_RULE, label="verified, failed"
                    ),
                ],
                right_unit="Events",
            ),
            Graph(
                "Gaps that the reconciler found, and those that need a person",
                "Gaps",
                [
                    ours(RECONCILER_GAPS, "Maximum", label="found"),
                    ours(RECONCILER_GAPS_LEFT, "Maximum", label="left"),
                ],
                period_seconds=HOUR_SECONDS // 2,
            ),
            Graph(
                "Throttled attempts a minute; DynamoDB's own count at the right",
                "Attempts",
                [Search(THROTTLES, Dimension.SERVICE, "Sum")],
                right=[
                    theirs(WRITE_THROTTLES, Place.TRACKING_TABLE, label="writes, tracking"),
                    theirs(READ_THROTTLES, Place.TRACKING_TABLE, label="reads, tracking"),
                    theirs(WRITE_THROTTLES, Place.EFFECTS_TABLE, label="writes, effects"),
                    theirs(READ_THROTTLES, Place.EFFECTS_TABLE, label="reads, effects"),
                ],
                right_unit="Events",
                lines=[Line(THROTTLES_A_MINUTE, "alarm")],
                period_seconds=60,
            ),
        ],
        [
            Graph(
                "Processor: CPU and memory (%), and missing tasks at the right",
                "Percent",
                [
                    theirs(SERVICE_CPU, Place.CLUSTER, Place.PROCESSOR_SERVICE, label="CPU"),
                    theirs(SERVICE_MEMORY, Place.CLUSTER, Place.PROCESSOR_SERVICE, label="memory"),
                ],
                right=[missing_tasks("the processor", Place.PROCESSOR_SERVICE)],
                right_unit="Tasks",
                highest=100,
            ),
            Graph(
                "Acts in our audit trail, and acts that could not be recorded",
                "Acts",
                [ours(AUDIT_ENTRIES, label="recorded"), ours(AUDIT_ERRORS, label="not recorded")],
                period_seconds=HOUR_SECONDS,
            ),
            Graph(
                "Entries of the account's audit trail",
                "Entries",
                [theirs(LOG_EVENTS, Place.TRAIL_LOG_GROUP, label="entries")],
            ),
        ],
    )
