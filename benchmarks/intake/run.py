"""The whole measurement, in rounds that take turns, so that a disturbance meets every side."""

import os
import secrets
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.dispatch.machine import Machine
from benchmarks.intake import ct_files, gigabyte, other_tools
from benchmarks.intake.enhanced_ct import write_enhanced_ct

_SAMPLE: Final = 200  # for tools that take minutes for all
_ROUNDS_OF_OTHERS: Final = 3
_GIGABYTE_ROUNDS: Final = 3
SIZES_MB: Final = (1, 10, 100, 1000)

#: The sides that see every file, in the words of the table.
SIDES: Final = {
    "copy": "a: file copy",
    "copy_two": "   two processes beside each other",
    "pydicom": "b: pydicom read + save",
    "deid_one": "c: rayline deid run, one process",
    "deid_two": "d: rayline deid run, two processes",
}


class NotAllDone(RuntimeError):
    """A side left out files or failed: what was measured is not what was meant."""


@dataclass(frozen=True)
class Turn:
    """One side's turn: the whole command, from its start to its end."""

    files: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Files a second."""
        return self.files / self.seconds


@dataclass
class Figures:
    """Everything measured, round by round."""

    machine: Machine
    files: int
    file_bytes: int
    rounds: int
    source: str
    working_folder: str
    tool_versions: dict[str, str]
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    peak_rss_mb: dict[int, float] = field(default_factory=dict)
    gigabyte: dict[str, Any] = field(default_factory=dict)

    def per_second(self, side: str) -> float:
        """Median files a second of a side."""
        return statistics.median(turn.per_second for turn in self.turns[side])

    def ratio(self, side: str, other: str) -> float:
        """How much faster a side is than another one: the median of the rounds' own ratios."""
        pairs = zip(self.turns[side], self.turns[other], strict=True)
        return statistics.median(one.per_second / two.per_second for one, two in pairs)


def measure(
    *,
    files: int,
    rounds: int,
    folder: Path,
    temporary: Path | None = None,
    sizes_mb: Sequence[int] = SIZES_MB,
    others: bool = True,
    gigabyte_too: bool = True,
) -> Figures:
    """Measure all, showing progress on standard error.

    Args:
        files: slices that every side gets.
        folder: of the results; other tools are installed in it, and the gigabyte's cloud runs there.
        temporary: folder for inputs and outputs; default memory where there is room.
        sizes_mb: objects whose de-identification is watched for its memory.
        others: compare with other de-identifiers as well.
    """
    originals, source = ct_files.slices()
    file_bytes = sum(map(len, originals)) // len(originals)
    with (
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            refresh_per_second=2,  # drawing takes time from what is measured
        ) as bars,
        ct_files.working_folder(files * file_bytes, temporary) as working,
    ):
        tools = other_tools.install(folder / "venv") if others else other_tools.OtherTools(folder, {})
        figures = Figures(
            Machine.look(), files, file_bytes, rounds, source, str(working.parent), tools.versions
        )
        preparing = bars.add_task("inputs", total=1)
        ct_files.write_files(working / "in", files, originals)
        _sample(working / "in", working / "sample", min(files, _SAMPLE))
        (working / "secret").write_text(secrets.token_hex(32))
        for name in SIDES:  # so that each has its bytecode, as what is installed has
            _turn(_commands(name, working, working / "sample"), working / "sample", working)
        bars.advance(preparing)
        _turns(figures, tools, working, lambda name: bars.add_task(name, total=1), bars.advance)
        shutil.rmtree(working / "in")
        task = bars.add_task("memory by size", total=len(sizes_mb))
        for size_mb in sizes_mb:
            figures.peak_rss_mb[size_mb] = _peak_memory(working, size_mb)
            bars.advance(task)
        if gigabyte_too:
            task = bars.add_task("gigabyte in S3", total=1)
            figures.gigabyte = gigabyte.measure(_GIGABYTE_ROUNDS, folder)
            bars.advance(task)
        return figures


def _sample(source: Path, target: Path, count: int) -> None:
    target.mkdir()
    for path in sorted(source.iterdir())[:count]:
        (target / path.name).hardlink_to(path)


def _turns(
    figures: Figures,
    tools: other_tools.OtherTools,
    working: Path,
    begin: Callable[[str], Any],
    advance: Callable[[Any], None],
) -> None:
    """Every side in turn, each round beginning with another."""
    names = list(SIDES)
    for number in range(figures.rounds):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            task = begin(f"{name}, round {number + 1}")
            figures.turns.setdefault(name, []).append(
                _turn(_commands(name, working, working / "in"), working / "in", working)
            )
            advance(task)
        for package in tools.versions if number < _ROUNDS_OF_OTHERS else ():
            task = begin(f"{package}, round {number + 1}")
            command = tools.command(package, working / "sample", working / "out")
            figures.turns.setdefault(package, []).append(_turn([command], working / "sample", working))
            advance(task)


def _commands(side: str, working: Path, inputs: Path) -> list[list[str]]:
    source, target = str(inputs), str(working / "out")
    python = [sys.executable, "-m"]
    rayline = [str(Path(sys.executable).with_name("rayline")), "deid", "run", source, "--output", target]
    rayline += ["--secret-file", str(working / "secret"), "--quiet", "--processes"]
    match side:
        case "copy":
            return [[*python, "benchmarks.intake.copy_files", source, target, "0/1"]]
        case "copy_two":
            return [[*python, "benchmarks.intake.copy_files", source, target, f"{part}/2"] for part in (0, 1)]
        case "pydicom":
            return [[*python, "benchmarks.intake.read_and_save", source, target]]
        case "deid_one":
            return [[*rayline, "1"]]
        case "deid_two":
            return [[*rayline, "2"]]
    raise ValueError(side)


def _turn(commands: list[list[str]], source: Path, working: Path) -> Turn:
    """Run commands beside each other on an empty output folder.

    Raises:
        NotAllDone: one failed, or there are not as many outputs as inputs.
    """
    target = working / "out"
    target.mkdir()
    _bring_memory_in(working / "scratch", sum(path.stat().st_size for path in source.iterdir()))
    before = os.times()
    started = time.monotonic()
    processes = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment())
        for command in commands
    ]
    said = [process.communicate()[1] for process in processes]
    seconds = time.monotonic() - started
    after = os.times()
    for process, error in zip(processes, said, strict=True):
        if process.returncode:
            raise NotAllDone(f"{process.args!r} ended with {process.returncode}: {error.decode()[-2000:]}")
    count = sum(1 for _ in source.iterdir())
    made = sum(path.is_file() for path in target.rglob("*"))
    if made != count:
        raise NotAllDone(f"{commands[0]!r} made {made} files of {count}")
    shutil.rmtree(target)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Turn(count, seconds, used)


_SCRATCH_BYTES: Final = 8 * 1024 * 1024


def _bring_memory_in(scratch: Path, size: int) -> None:
    """Write and delete as much as a turn will write.

    A virtual machine gives memory that is free back to its host, and gets it again at seconds a gigabyte. Without
    this, whoever comes after a slow side pays for that, up to six times its own time.
    """
    block = bytes(_SCRATCH_BYTES)
    with scratch.open("wb") as file:
        for start in range(0, size, _SCRATCH_BYTES):
            file.write(block[: size - start])
    scratch.unlink()


def _environment() -> dict[str, str]:
    """That of the benchmark, but for what would make Python compile everything anew in every turn."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _peak_memory(working: Path, size_mb: int) -> float:
    """What `rayline deid run` needs at most for one object, in MB."""
    path, target = working / "object.dcm", working / "out"
    write_enhanced_ct(path, size_mb * 1_000_000)
    try:
        command = [sys.executable, "-m", "benchmarks.intake.peak_memory", "deid", "run", str(path)]
        command += ["--output", str(target), "--secret-file", str(working / "secret")]
        command += ["--quiet", "--processes", "1"]
        finished = subprocess.run(command, check=True, capture_output=True, text=True)
    finally:
        path.unlink()
        shutil.rmtree(target, ignore_errors=True)
    return float(finished.stdout)
