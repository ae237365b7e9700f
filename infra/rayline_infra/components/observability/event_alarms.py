"""Alarms on events: whether they arrive, are handled, and none is missing."""

from rayline.observability.metrics import (
    CONNECTION_ERRORS,
    CONSUMED_MESSAGES,
    CONSUMER_ERRORS,
    OUTBOX_LAG,
    RECONCILER_GAPS,
    THROTTLES,
)
from rayline_infra.components.observability.alarm import Alarm
from rayline_infra.components.observability.aws_metrics import (
    LOST_INVOCATIONS,
    MESSAGES_WAITING,
    MINUTE_SECONDS,
    OLDEST_MESSAGE,
)
from rayline_infra.components.observability.places import Place
from rayline_infra.components.observability.series import Math, ours, theirs
from rayline_infra.settings import ObservabilitySettings

# Beyond what retries swallow: botocore's own backoff starts over with each call.
THROTTLES_A_MINUTE = 20
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


def event_alarms(settings: ObservabilitySettings) -> tuple[Alarm, ...]:
    """Alarms on the way of events to the processor and through it."""
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


def reconciler_alarm(reconcile_seconds: int) -> Alarm:
    """The alarm on what should have happened and did not."""
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
