"""What a hook leaves behind when it runs: its event's name and the moment, one line of the process's own file.

Every side writes and is judged by the same lines. ``time.monotonic_ns`` is one clock for all processes of a
machine (clock_gettime(2), CLOCK_MONOTONIC).
"""

import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path


class TrailWriter:
    """Writes the lines of one process; a line is written at once, so that a kill loses none."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook_runs(self, name: str) -> None:
        """Note that the hook of an event is called now."""
        os.write(self._descriptor, f"{name} {time.monotonic_ns()}\n".encode())


@dataclass(frozen=True)
class Call:
    """One call of the hook; ``at`` is in seconds of the monotonic clock."""

    name: str
    at: float
    process: str


class HookTrail:
    """Reads what all processes of a run have written."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder

    def count(self) -> int:
        """How many calls there were so far."""
        return sum(path.read_bytes().count(b"\n") for path in self.folder.iterdir())

    def calls(self) -> list[Call]:
        """Every call, oldest first."""
        found = []
        for path in self.folder.iterdir():
            for line in path.read_text().splitlines():
                name, _, nanoseconds = line.partition(" ")
                found.append(Call(name, int(nanoseconds) / 1e9, path.name))
        return sorted(found, key=lambda call: call.at)

    def by_process(self) -> dict[str, list[Call]]:
        """Calls of each process, oldest first."""
        grouped: dict[str, list[Call]] = defaultdict(list)
        for call in self.calls():
            grouped[call.process].append(call)
        return dict(grouped)
