"""What was measured, as JSON and as a table with its targets."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.intake.run import SIDES, Figures


@dataclass(frozen=True)
class Target:
    """A figure and what it is held against."""

    key: str
    what: str
    wanted: str
    met: Callable[[float], bool]


TARGETS: Final = (
    Target("deid_over_pydicom", "files/s, c / b", "≥ 4", lambda v: v >= 4),
    Target("two_over_one", "files/s, d / c", "≥ 1.8", lambda v: v >= 1.8),
    Target("deid_over_fastest_tool", "files/s, c / the fastest other tool", "> 1", lambda v: v > 1),
    Target("peak_rss_spread", "peak memory, 1 GB / 1 MB", "≤ 1.25", lambda v: v <= 1.25),
    Target(
        "gigabyte_over_part_copy", "1 GB in S3, seconds / bare UploadPartCopy", "≤ 1.3", lambda v: v <= 1.3
    ),
    Target("gigabyte_bytes_moved", "1 GB in S3, bytes moved", "< 64 MB", lambda v: v < 64e6),
    Target("gigabyte_peak_rss_mb", "1 GB in S3, peak memory in MB", "< 200", lambda v: v < 200),
)


def ratios(figures: Figures) -> dict[str, float]:
    """The figures that targets are set for, as far as they were measured."""
    found = {
        "deid_over_pydicom": figures.ratio("deid_one", "pydicom"),
        "two_over_one": figures.ratio("deid_two", "deid_one"),
    }
    if figures.tool_versions:
        fastest = max(map(figures.per_second, figures.tool_versions))
        found["deid_over_fastest_tool"] = figures.per_second("deid_one") / fastest
    if figures.peak_rss_mb:
        sizes = sorted(figures.peak_rss_mb)
        found["peak_rss_spread"] = figures.peak_rss_mb[sizes[-1]] / figures.peak_rss_mb[sizes[0]]
    names = ("gigabyte_over_part_copy", "gigabyte_bytes_moved", "gigabyte_peak_rss_mb")
    return found | {name: figures.gigabyte[name] for name in names if name in figures.gigabyte}


def document(figures: Figures) -> dict[str, Any]:
    """Ratios first, then every round."""
    found = ratios(figures)
    return {
        **{key: round(value, 3) for key, value in found.items()},
        "targets_met": {
            target.key: target.met(found[target.key]) for target in TARGETS if target.key in found
        },
        "files": figures.files,
        "file_bytes": figures.file_bytes,
        "source": figures.source,
        "working_folder": figures.working_folder,
        "rounds": figures.rounds,
        "copy_two_over_one": round(figures.ratio("copy_two", "copy"), 3),
        "files_per_second": {
            side: {
                "median": round(figures.per_second(side), 1),
                "rounds": [{**asdict(turn), "per_second": round(turn.per_second, 1)} for turn in turns],
            }
            for side, turns in figures.turns.items()
        },
        "other_tools": figures.tool_versions,
        "peak_rss_mb_by_size_mb": {str(size): peak for size, peak in figures.peak_rss_mb.items()},
        "gigabyte": figures.gigabyte.get("gigabyte", {}),
        "machine": asdict(figures.machine),
    }


def write(figures: Figures, path: Path) -> None:
    """Write the JSON document."""
    path.write_text(json.dumps(document(figures), indent=2) + "\n")


def show(figures: Figures, path: Path) -> None:
    """Print what was measured and which target is met."""
    found = ratios(figures)
    console = Console()
    console.print(
        f"{figures.files:,} files of {figures.file_bytes / 1e3:.0f} KB ({figures.source}) in {figures.working_folder}, "
        f"{figures.rounds} interleaved rounds, medians; {figures.machine.cores} cores of "
        f"{figures.machine.processor}, load {figures.machine.load_average} before the first round",
        highlight=False,
    )
    sides = Table("side", "files/s", "MB/s", "CPU, ms a file", "× pydicom")
    for side, what in (SIDES | {tool: f"e: {tool} {v}" for tool, v in figures.tool_versions.items()}).items():
        turns = figures.turns[side]
        cpu = sorted(turn.cpu_seconds / turn.files for turn in turns)[len(turns) // 2]
        rate = figures.per_second(side)
        sides.add_row(
            what,
            f"{rate:,.0f}",
            f"{rate * figures.file_bytes / 1e6:,.0f}",
            f"{cpu * 1e3:.2f}",
            f"{rate / figures.per_second('pydicom'):.2f}",
        )
    console.print(sides)
    memory = ", ".join(f"{peak:.0f} MB for {size:,} MB" for size, peak in figures.peak_rss_mb.items())
    console.print(f"peak memory of rayline deid run by the object's size: {memory}", highlight=False)
    targets = Table("measured", "figure", "target", "met")
    for target in TARGETS:
        if target.key in found:
            met = "[green]yes" if target.met(found[target.key]) else "[red]no"
            targets.add_row(target.what, f"{found[target.key]:,.2f}", target.wanted, met)
    console.print(targets)
    console.print(f"all figures: {path}")
