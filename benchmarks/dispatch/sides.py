"""The sides: how each is started, and what its record says of every event afterwards."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.dispatch import lean, powertools
from benchmarks.dispatch.estate import Estate

Kind = Literal["lean", "rayline", "powertools"]
KINDS: tuple[Kind, ...] = ("lean", "rayline", "powertools")
_EFFECTS = ("on_trained:rayline.trained", "on_trained:bench-recorder")


@dataclass(frozen=True)
class Side:
    """One way to handle the queue.

    Attributes:
        additions: how long the plugin computes (only Rayline's side has one).
        workers: how many processes handle events.
    """

    kind: Kind
    workers: int
    additions: int = 0

    def commands(self, estate: Estate, trail: Path) -> list[list[str]]:
        """Arguments for Python, for each process to start."""
        if self.kind == "rayline":
            return [["-m", "rayline.cli", "process", "--workers", str(self.workers)]]
        module = {"lean": lean, "powertools": powertools}[self.kind].__name__
        given = ["--queue-url", estate.queue_url, "--table", estate.effects_table, "--trail", str(trail)]
        return [["-m", module, *given] for _ in range(self.workers)]

    def environment(self, estate: Estate, trail: Path) -> Mapping[str, str]:
        """What the environment says beyond the task definition."""
        if self.kind == "rayline":
            return {"RAYLINE_SITE_PROFILE": str(estate.profile(trail, self.additions))}
        return {}


def recorded(estate: Estate) -> Counter[Kind]:
    """Events that each side's own record in the table says are done; Rayline's with both effects, at once."""
    counts: Counter[Kind] = Counter()
    for item in estate.items(estate.effects_table):
        if item["pk"].startswith(lean.KEY_PREFIX):
            counts["lean"] += item["state"] == "done"
        elif item["pk"].startswith(powertools.FUNCTION_NAME + "#"):
            counts["powertools"] += item["status"] == "COMPLETED"
        elif "#trained#" in item["pk"]:
            counts["rayline"] += all(_done_at_once(item.get(effect)) for effect in _EFFECTS)
    return counts


def _done_at_once(effect: Any) -> bool:
    return bool(effect) and effect["state"] == "done" and effect["attempts"] == 1
