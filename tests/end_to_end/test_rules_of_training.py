"""Trained and evaluated events drive their stages; a file of its own, so that another process may run it."""

from pathlib import Path

import pytest
from support.stopped_demo import assert_stopped, run_without

BEFORE = ["uploaded", "screened", "imported", "verified"]


@pytest.mark.parametrize(
    ("rule", "done"), [("trained", BEFORE), ("evaluated", [*BEFORE, "trained"])], ids=["trained", "evaluated"]
)
def test_the_demo_stops_where_an_event_does_not_come(rule: str, done: list[str], tmp_path: Path) -> None:
    assert_stopped(run_without(rule, tmp_path), rule=rule, stage=rule, done=done)
