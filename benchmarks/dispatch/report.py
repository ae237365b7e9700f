"""What was measured, as JSON and as a table with its targets."""

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.dispatch.run import Figures


@dataclass(frozen=True)
class Target:
    """A figure and what it is held against."""

    key: str
    what: str
    wanted: str
    met: Callable[[float], bool]


TARGETS = (
    Target("processor_over_lean", "events/s, rayline process / lean boto3 loop", "≥ 0.9", lambda v: v >= 0.9),
    Target("processor_over_powertools", "events/s, rayline process / Powertools", "≥ 2", lambda v: v >= 2),
    Target("p99_over_lean", "99th percentile from put to hook, rayline / lean", "≤ 2", lambda v: v <= 2),
    Target(
        "two_workers_over_one",
        "events/s of a CPU-bound plugin, two workers / one",
        "≥ 1.6",
        lambda v: v >= 1.6,
    ),
    Target("writes_per_instance", "DynamoDB item writes for each uploaded instance", "≤ 6", lambda v: v <= 6),
)


def document(figures: Figures) -> dict[str, Any]:
    """Ratios of the medians first, then every round."""
    assert figures.chain is not None
    ratios = {
        "processor_over_lean": figures.per_second("rayline") / figures.per_second("lean"),
        "processor_over_powertools": figures.per_second("rayline") / figures.per_second("powertools"),
        "p99_over_lean": figures.p99("rayline") / figures.p99("lean"),
        "two_workers_over_one": figures.cpu_per_second(2) / figures.cpu_per_second(1),
        "writes_per_instance": figures.chain.writes_per_instance,
    }
    return {
        **{key: round(value, 3) for key, value in ratios.items()},
        "targets_met": {target.key: target.met(ratios[target.key]) for target in TARGETS},
        "events": figures.events,
        "rounds": figures.rounds,
        "processes_of_each_side": figures.workers,
        "events_per_second": {
            kind: {
                "median": round(figures.per_second(kind), 1),
                "rounds": [{**asdict(each), "per_second": round(each.per_second, 1)} for each in rounds],
            }
            for kind, rounds in figures.throughput.items()
        },
        "put_to_hook_seconds": {
            kind: {"median_of_p99": figures.p99(kind), "rounds": [asdict(each) for each in rounds]}
            for kind, rounds in figures.latency.items()
        },
        "cpu_bound_events_per_second": {
            f"{workers}_workers": {
                "median": round(figures.cpu_per_second(workers), 2),
                "rounds": [{**asdict(each), "per_second": round(each.per_second, 2)} for each in rounds],
            }
            for workers, rounds in sorted(figures.cpu_bound.items())
        },
        "bare_loop_two_processes_over_one": {
            "median": round(statistics.median(figures.bare_two_over_one), 3),
            "rounds": [round(each, 3) for each in figures.bare_two_over_one],
        },
        "uploaded_chain": asdict(figures.chain),
        "handled_exactly_once": figures.handled_once,
        "machine": asdict(figures.machine),
    }


def write(figures: Figures, path: Path) -> None:
    """Write the JSON document."""
    path.write_text(json.dumps(document(figures), indent=2) + "\n")


def show(figures: Figures, path: Path) -> None:
    """Print what was measured and which target is met."""
    found = document(figures)
    console = Console()
    console.print(
        f"{figures.events:,} events a side and round, {figures.rounds} interleaved rounds, "
        f"{figures.workers} processes a side, medians; {figures.machine.cores} cores of "
        f"{figures.machine.processor}, load {figures.machine.load_average} before the first round"
    )
    sides = Table("side", "events/s", "put to hook, median", "put to hook, 99 %")
    for kind, name in (
        ("lean", "a: leanest boto3 loop"),
        ("rayline", "b: rayline process, no-op plugin"),
        ("powertools", "c: Powertools batch + idempotency"),
    ):
        waits = figures.latency.get(kind)  # type: ignore[call-overload]
        sides.add_row(
            name,
            f"{figures.per_second(kind):,.0f}",  # type: ignore[arg-type]
            f"{sorted(each.median for each in waits)[len(waits) // 2] * 1e3:.1f} ms" if waits else "-",
            f"{figures.p99(kind) * 1e3:.1f} ms" if waits else "-",  # type: ignore[arg-type]
        )
    console.print(sides)
    targets = Table("measured", "figure", "target", "met")
    for target in TARGETS:
        met = found["targets_met"][target.key]
        targets.add_row(
            target.what, f"{found[target.key]:.2f}", target.wanted, "[green]yes" if met else "[red]no"
        )
    console.print(targets)
    bare = found["bare_loop_two_processes_over_one"]["median"]
    console.print(
        f"two processes of plain Python beside each other did {bare:.2f} × the work of one in the same rounds"
    )
    console.print(f"all figures: {path}")
