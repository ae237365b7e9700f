"""A small chaos run: kills, faults and disorder take nothing, double nothing, and leave nothing unexplained."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.own_estate import rayline

INSTANCES, KILLS, SEED = 60, 6, 4
KEYS = {
    "instances",
    "kills",
    "lost",
    "duplicated_effects",
    "resent",
    "quarantined",
    "imported",
    "forwarded",
    "unexplained",
    "seconds",
    "seed",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Summary, details and output of one run."""
    folder: Path = tmp_path_factory.mktemp("chaos") / "run"
    options = {
        "instances": INSTANCES,
        "kills": KILLS,
        "seed": SEED,
        "workers": 1,
        "build-dir": folder,
        "patience": 60,
    }
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    # It takes a minute or two; the rest is for machines that have more to do.
    finished = rayline("chaos", *arguments, check=False, seconds=1_200)
    summary, details = (json.loads((folder / name).read_text()) for name in ("summary.json", "details.json"))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return summary, details, finished.stdout


def test_nothing_is_lost_doubled_or_unexplained(run: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    summary, details, _ = run
    assert set(summary) == KEYS
    troubles = {name: summary[name] for name in ("lost", "duplicated_effects", "unexplained")}
    assert troubles == {"lost": 0, "duplicated_effects": 0, "unexplained": 0}, details["findings"]
    assert summary["instances"] == INSTANCES == summary["imported"] + summary["quarantined"]
    assert summary["forwarded"] == summary["imported"]
    assert summary["quarantined"] >= 3


def test_every_kill_broke_something_off(run: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    summary, details, _ = run
    assert summary["kills"] == len(details["kills"]) == KILLS
    assert all(kill["unfinished"] > 0 for kill in details["kills"])
    assert details["messages_moved"] > 0
    assert details["messages_copied"] > 0


def test_a_training_was_started_once(run: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    assert len(run[1]["executions"]) == 1


def test_it_tells_people_what_came_out(run: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    summary, _, output = run
    assert f"what came out of chaos, seed {SEED}" in output
    assert f"│ {summary['imported']}" in output
