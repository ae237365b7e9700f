"""Alarms over alarms: one message for one trouble."""

from rayline_infra.components.observability.alarm import Composite


def composites() -> tuple[Composite, ...]:
    """Alarms over alarms, for troubles of which each has many symptoms.

    A composite that another one is silent for stands behind it.
    """
    return (
        Composite(
            "processing-down",
            # The alarm of the reconciler rings for gaps and for silence, and does not say which.
            "events are not processed, or far too late: tasks are missing, or messages wait while the reconciler "
            "finds gaps or is silent",
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
