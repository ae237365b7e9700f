"""Uploaded, ingested and verified events drive their stages: without its rule, the demo stops at each of them."""

from pathlib import Path

import pytest
from support.stopped_demo import assert_stopped, run_without


@pytest.mark.parametrize(
    ("rule", "stage", "done"),
    [
        # The file that is to collide with another is sent once that one was screened, so not even sending ends.
        ("uploaded", "screened", []),
        ("ingested", "imported", ["uploaded", "screened"]),
        ("verified", "verified", ["uploaded", "screened", "imported"]),
    ],
)
def test_the_demo_stops_where_an_event_does_not_come(
    rule: str, stage: str, done: list[str], tmp_path: Path
) -> None:
    assert_stopped(run_without(rule, tmp_path), rule=rule, stage=stage, done=done)
