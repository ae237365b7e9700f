"""For each alarm of the estate measurements that ring it, and measurements that come near and do not.

An entry is one period of the alarm, newest last; a list in it are several values of one period. Metrics go by the ids
of the alarm's metric math, and by ``m`` where it has none. For a composite alarm: the alarms that ring.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from support.alarm_evaluation import Measured

Values = Mapping[str, Sequence[Measured]]
GIB = 2**30


@dataclass(frozen=True)
class Samples:
    """Measurements of a metric alarm."""

    firing: Sequence[Values]
    quiet: Sequence[Values]


SAMPLES: Mapping[str, Samples] = {
    "retrieval-latency": Samples(
        # Two of three periods are slow on average; a few slow reads among quick ones are no trouble.
        [{"m": [[100, 120], [900, 1500], [1100, 1200]]}],
        [{"m": [100, [90, 1500, 120], 130]}, {"m": [100, 1200, 130]}, {"m": [None, None, None]}],
    ),
    "storage-budget": Samples([{"m": [5001 * GIB]}], [{"m": [4999 * GIB]}, {"m": [None]}]),
    "queue-age": Samples([{"m": [910, 1200]}], [{"m": [1200, 890]}, {"m": [None, None, None, None]}]),
    "dead-letter-queue": Samples(
        [
            {"events": [0, 0, 1], "notices": [0, 0, 0], "schedules": [0, 0, 0]},
            {"events": [None, None, None], "notices": [0, 2, None], "schedules": [None, None, None]},
        ],
        [{"events": [0, 0, 0], "notices": [0, 0, 0], "schedules": [None, None, None]}],
    ),
    "delivery-failed": Samples(
        [{"uploaded": [None, None, 1]}, {"verified": [2, None, None]}],
        [{"uploaded": [None, None, None]}],
    ),
    "outbox-lag": Samples([{"m": [301, 600]}], [{"m": [600, 299]}, {"m": [0, 0]}]),
    "consumer-errors": Samples(
        [{"handled": [100, 100, 100], "errors": [None, 2, 2]}],
        [
            {"handled": [100, 100, 100], "errors": [1, 1, 1]},
            {"handled": [100, 100, 100], "errors": [None, None, 5]},
            {"handled": [None, None, None], "errors": [None, None, None]},
        ],
    ),
    "connection-errors": Samples([{"m": [6, 0, 7]}], [{"m": [5, 5, 5]}, {"m": [0, 0, 50]}, {"m": [None]}]),
    "throttling": Samples([{"m": [21, 30, 25, 40, 22]}], [{"m": [500, 500, 0, 500, 500]}, {"m": [None]}]),
    "reconciler-gaps": Samples(
        [{"gaps": [[0, 3]]}, {"gaps": [0, None]}],
        [{"gaps": [[0, 0]]}, {"gaps": [[2, 1], [0, 0]]}],
    ),
    "processor-tasks": Samples(
        [
            {"desired": [2, 2, 2], "running": [1, 1, 1]},
            {"desired": [2, 2, 2], "running": [None, None, None]},
            {"desired": [None] * 5, "running": [None] * 5},
        ],
        [{"desired": [2, 4, 4], "running": [2, 3, 4]}, {"desired": [2, 2, 2], "running": [2, 3, 2]}],
    ),
    "api-tasks": Samples(
        [{"desired": [2, 2, 2], "running": [1, 0, 1]}], [{"desired": [2, 2, 2], "running": [1, 1, 2]}]
    ),
    "gateway-tasks": Samples(
        [{"desired": [2, 2, 2], "running": [1, 1, 1]}], [{"desired": [2, 2, 2], "running": [2, 2, 2]}]
    ),
    "api-errors": Samples(
        [
            {"requests": [100, 100, 100], "target": [6, 0, 6], "balancer": [None, None, None]},
            # No target is left: the load balancer counts no request, only its own errors.
            {"requests": [None] * 3, "target": [None] * 3, "balancer": [50, 60, 70]},
        ],
        [
            {"requests": [100, 100, 100], "target": [5, 5, 5], "balancer": [None, None, None]},
            # At night four of eight are no outage.
            {"requests": [8, 8, 8], "target": [4, 4, 4], "balancer": [0, 0, 0]},
            {"requests": [None] * 3, "target": [None] * 3, "balancer": [None] * 3},
        ],
    ),
    "training-failed": Samples([{"m": [1]}], [{"m": [0]}, {"m": [None]}]),
    "accuracy": Samples([{"m": [[0.91, 0.84]]}], [{"m": [0.85]}, {"m": [None]}]),
    "prediction-drift": Samples([{"m": [0.25]}], [{"m": [0.1]}, {"m": [None]}]),
    "endpoint-errors": Samples(
        [{"invocations": [50, 50, 50], "errors": [3, 0, 3]}],
        [
            {"invocations": [50, 50, 50], "errors": [2, 2, 2]},
            {"invocations": [None] * 3, "errors": [None] * 3},
        ],
    ),
    "audit-lag": Samples(
        [{"entries": [40, None, None, None]}, {"entries": [0, 0, 0]}],
        [{"entries": [None, None, 3]}, {"entries": [40, 30, 50]}],
    ),
    "audit-errors": Samples([{"m": [1]}], [{"m": [0]}, {"m": [None]}]),
    "certificate-expiry": Samples([{"m": [29]}], [{"m": [30]}, {"m": [395]}, {"m": [None]}]),
    # 14.4 times the budget of 1 %, of 0.1 %: more than 14.4 % and 1.44 %; then 6 times, then 3 times.
    **{
        f"retrieval-speed-{pace}-{window}": Samples(
            [{"good": [[100] * (100 - slow) + [600] * slow]}],
            [
                {"good": [[100] * (101 - slow) + [600] * (slow - 1)]},
                {"good": [[500] * 100]},
                {"good": [None]},
            ],
        )
        for pace, slow in (("fast", 15), ("medium", 7), ("slow", 4))
        for window in ("long", "short")
    },
    **{
        f"api-availability-{pace}-{window}": Samples(
            [{"requests": [10_000], "target": [failed], "balancer": [None]}],
            [{"requests": [10_000], "target": [failed - 2], "balancer": [None]}],
        )
        for pace, failed in (("fast", 145), ("medium", 61), ("slow", 31))
        for window in ("long", "short")
    },
    "pipeline-success-week": Samples(
        [{"succeeded": [1, None, 1, 1, None, 1, None], "failed": [1, None, None, None, None, 1, None]}],
        [
            {"succeeded": [1, None, 1, 1, None, 1, 1], "failed": [None, None, None, None, None, None, 1]},
            {"succeeded": [None] * 9, "failed": [None] * 9},
        ],
    ),
    "verified-to-model-week": Samples(
        [{"good": [3000, None, 4000, None, None, [3000, 3700], None]}],
        [{"good": [3000, None, 4000, None, None, 3600, None]}, {"good": [None] * 9}],
    ),
}
RINGING: Mapping[str, tuple[Sequence[set[str]], Sequence[set[str]]]] = {
    "processing-down": (
        [{"processor-tasks"}, {"queue-age", "reconciler-gaps"}],
        [{"queue-age"}, {"reconciler-gaps"}, {"dead-letter-queue"}],
    ),
    "processing-degraded": (
        [
            {"queue-age"},
            {"reconciler-gaps"},
            {"outbox-lag"},
            {"consumer-errors"},
            {"connection-errors"},
            {"throttling"},
        ],
        [
            {"queue-age", "reconciler-gaps", "processing-down"},
            {"consumer-errors", "processing-down"},
            {"accuracy"},
        ],
    ),
    "dead-letters": ([{"dead-letter-queue"}], [{"dead-letter-queue", "processing-down"}, {"queue-age"}]),
    "api-down": ([{"api-tasks"}, {"api-errors"}], [{"gateway-tasks"}]),
    **{
        f"{objective}-{pace}": (
            [{f"{objective}-{pace}-long", f"{objective}-{pace}-short"}],
            [{f"{objective}-{pace}-long"}, {f"{objective}-{pace}-short"}],
        )
        for objective in ("retrieval-speed", "api-availability")
        for pace in ("fast", "medium", "slow")
    },
}
"""For each composite alarm: sets of ringing alarms that ring it, and sets that do not."""
