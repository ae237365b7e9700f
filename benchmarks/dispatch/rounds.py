"""One round of one side: a full queue for events a second, then a steady trickle for the time to the hook."""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.dispatch import training_events
from benchmarks.dispatch.estate import Estate, Processes
from benchmarks.dispatch.hook_trail import HookTrail
from benchmarks.dispatch.sides import Side

WARM_UP_CALLS = 50  # of each process, before anything is measured
_WARM_UP_LOTS = 40
_ROUND_SECONDS = 300.0
_SETTLE_SECONDS = 60.0

Progress = Callable[[int], None]


class NotExactlyOnce(RuntimeError):
    """An event's hook did not run, or ran twice: the round measured something else than was meant."""


@dataclass(frozen=True)
class Throughput:
    """Events a second from a full queue to an empty one."""

    events: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds


@dataclass(frozen=True)
class Latency:
    """Seconds from just before an event is put into the queue until its hook is called."""

    events: int
    offered_per_second: float
    median: float
    p99: float


class Round:
    """One side at work, from its start to its stop."""

    def __init__(self, estate: Estate, side: Side, name: str, progress: Progress) -> None:
        self._estate = estate
        self._side = side
        self._name = name
        self._progress = progress
        self._trail = HookTrail((estate.folder / "trails" / name).resolve())
        self._sent: list[str] = []
        self._seen = 0

    def run(
        self, *, events: int, trickle: int = 0, offer: Callable[[Throughput], float] = lambda _: 1.0
    ) -> tuple[Throughput, Latency | None]:
        """Start the side and warm it up, fill the queue while it pauses, measure; then put ``trickle`` events steadily.

        Args:
            offer: events a second of the trickle, which may depend on what was measured before it.

        Raises:
            NotExactlyOnce: the hook did not run once for each event.
        """
        estate, trail = self._estate, self._trail
        with estate.running(
            self._name,
            self._side.commands(estate, trail.folder),
            self._side.environment(estate, trail.folder),
        ) as processes:
            self._warm_up(processes)
            with processes.paused():
                self._send("full", events)
            started = time.monotonic()
            throughput = Throughput(events, self._settled(processes) - started)
            latency = self._trickle(processes, trickle, offer(throughput)) if trickle else None
        self._once_each()
        return throughput, latency

    @property
    def handled(self) -> int:
        """How many events this round has sent, and seen handled, warm-up included."""
        return len(self._sent)

    def _send(self, what: str, count: int) -> None:
        names = training_events.names(f"{self._name}-{what}", count)
        self._sent += names
        self._estate.send_all([training_events.body(name) for name in names])

    def _warm_up(self, processes: Processes) -> None:
        """Send events in lots until every process has its connections, caches and credentials."""
        for lot in range(_WARM_UP_LOTS):
            self._send(f"warm-up-{lot}", WARM_UP_CALLS * self._side.workers)
            self._settled(processes)
            calls = self._trail.by_process()
            if len(calls) == self._side.workers and all(
                len(each) >= WARM_UP_CALLS for each in calls.values()
            ):
                return
        raise RuntimeError(f"{self._name}: not every process takes part: {len(calls)} do")

    def _settled(self, processes: Processes) -> float:
        """Wait until every hook ran and the queue is empty. Returns that moment."""
        deadline = time.monotonic() + _ROUND_SECONDS
        while (count := self._trail.count()) < len(self._sent):
            self._tell(count)
            processes.check()
            if time.monotonic() > deadline:
                raise NotExactlyOnce(f"{self._name}: {count} of {len(self._sent)} hooks ran in time")
            time.sleep(0.05)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not self._estate.queue_is_empty():
            processes.check()
            if time.monotonic() > deadline:
                raise NotExactlyOnce(f"{self._name}: messages stay in the queue")
            time.sleep(0.005)
        ended = time.monotonic()
        self._tell(self._trail.count())
        return ended

    def _tell(self, count: int) -> None:
        self._progress(count - self._seen)
        self._seen = count

    def _trickle(self, processes: Processes, count: int, per_second: float) -> Latency:
        names = training_events.names(f"{self._name}-trickle", count)
        self._sent += names
        put_at: dict[str, float] = {}
        started = time.monotonic()
        for number, name in enumerate(names):
            time.sleep(max(0.0, started + number / per_second - time.monotonic()))
            put_at[name] = time.monotonic()
            self._estate.send(training_events.body(name))
        self._settled(processes)
        waits = sorted(call.at - put_at[call.name] for call in self._trail.calls() if call.name in put_at)
        return Latency(len(waits), per_second, quantile(waits, 0.5), quantile(waits, 0.99))

    def _once_each(self) -> None:
        calls = Counter(call.name for call in self._trail.calls())
        if calls != Counter(self._sent):
            twice = sum(1 for count in calls.values() if count > 1)
            raise NotExactlyOnce(
                f"{self._name}: {twice} hooks ran twice, {len(calls)} of {len(self._sent)} ran"
            )


def quantile(ordered: list[float], share: float) -> float:
    """The smallest value that at least this share of the ordered values does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
