"""The whole measurement, in rounds that take turns, so that a disturbance meets every side."""

import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from benchmarks.dispatch import bare_loop, chain
from benchmarks.dispatch.chain import ChainFigures
from benchmarks.dispatch.estate import Estate, own_estate
from benchmarks.dispatch.machine import Machine
from benchmarks.dispatch.rounds import Latency, NotExactlyOnce, Progress, Round, Throughput
from benchmarks.dispatch.sides import KINDS, Kind, Side, recorded

OFFERED_SHARE = 0.4  # of what the lean loop can do, so that both sides keep up and neither queues
CPU_ADDITIONS = 1_000_000  # some 30 ms of plain Python for each event


@dataclass
class Figures:
    """Everything measured, round by round."""

    machine: Machine
    events: int
    rounds: int
    workers: int
    throughput: dict[Kind, list[Throughput]] = field(default_factory=dict)
    latency: dict[Kind, list[Latency]] = field(default_factory=dict)
    cpu_bound: dict[int, list[Throughput]] = field(default_factory=dict)
    bare_two_over_one: list[float] = field(default_factory=list)
    chain: ChainFigures | None = None
    handled_once: dict[Kind, int] = field(default_factory=dict)

    def per_second(self, kind: Kind) -> float:
        """Median events a second of a side."""
        return statistics.median(each.per_second for each in self.throughput[kind])

    def p99(self, kind: Kind) -> float:
        """Median of the rounds' 99th percentiles, in seconds."""
        return statistics.median(each.p99 for each in self.latency[kind])

    def cpu_per_second(self, workers: int) -> float:
        """Median events a second of a CPU-bound plugin in so many workers."""
        return statistics.median(each.per_second for each in self.cpu_bound[workers])


def measure(*, events: int, rounds: int, folder: Path) -> Figures:
    """Measure all, showing progress on standard error."""
    with (
        Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            refresh_per_second=2,  # drawing takes time from what is measured
        ) as bars,
        _task(bars, "local cloud and estate", 1) as starting,
        own_estate(folder) as estate,
    ):
        starting(1)
        figures = Figures(Machine.look(), events, rounds, estate.workers)
        estate.keep_schedules(on=False)
        _events_and_waits(estate, figures, bars)
        _cpu_bound(estate, figures, bars)
        estate.keep_schedules(on=True)
        with _task(bars, "uploaded chain", max(80, events // 10)) as progress:
            figures.chain = chain.measure(estate, max(80, events // 10), progress)
        return figures


@contextmanager
def _task(bars: Bars, description: str, total: int) -> Iterator[Progress]:
    task = bars.add_task(description, total=total)
    yield lambda advance: bars.advance(task, advance)


def _events_and_waits(estate: Estate, figures: Figures, bars: Bars) -> None:
    """Lean, Rayline and Powertools in turn, each round beginning with another."""
    trickle = figures.events // 2
    sent: Counter[Kind] = Counter()
    offered = 0.0
    for number in range(figures.rounds):
        turn = number % len(KINDS)
        # The first round begins with the lean loop, whose speed says what can be offered.
        for kind in (*KINDS[turn:], *KINDS[:turn]):
            waits = 0 if kind == "powertools" else trickle
            name = f"{kind}-{number + 1}"
            with _task(bars, f"{kind}, round {number + 1}", figures.events + waits) as progress:
                measured = Round(estate, Side(kind, figures.workers), name, progress)
                throughput, latency = measured.run(
                    events=figures.events,
                    trickle=waits,
                    offer=lambda seen: offered or seen.per_second * OFFERED_SHARE,  # noqa: B023 - called at once
                )
            if latency is not None:
                offered = latency.offered_per_second
            figures.throughput.setdefault(kind, []).append(throughput)
            if latency is not None:
                figures.latency.setdefault(kind, []).append(latency)
            sent[kind] += measured.handled
    done = recorded(estate)
    if done != sent:
        raise NotExactlyOnce(f"sent {dict(sent)}, recorded as done {dict(done)}")
    figures.handled_once = dict(done)


def _cpu_bound(estate: Estate, figures: Figures, bars: Bars) -> None:
    """One worker and two, in turn."""
    events = max(200, figures.events // 5)  # so many that the last receive's uneven end does not matter
    for number in range(figures.rounds):
        figures.bare_two_over_one.append(bare_loop.two_over_one())
        for workers in ((1, 2), (2, 1))[number % 2]:
            name = f"cpu-bound-{workers}-{number + 1}"
            with _task(bars, f"CPU-bound, workers: {workers}, round {number + 1}", events) as progress:
                throughput, _ = Round(estate, Side("rayline", workers, CPU_ADDITIONS), name, progress).run(
                    events=events
                )
            figures.cpu_bound.setdefault(workers, []).append(throughput)
