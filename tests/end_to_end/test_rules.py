"""Each of the five events drives its stage: without its rule, the demo stops there and says so."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.own_estate import rayline

# As little of each stage as there can be. Patience is for a busy machine, where a stage may begin late: it must not
# be taken for one that stopped.
LITTLE = (
    "--made-up=8",
    "--patience=30",
    "--set=rayline:batchQuietSeconds=1",
    "--set=rayline:imageSize=32",
    "--set=rayline:epochs=1",
)
# The stage that waits for each rule's events, and the stages that are done by then.
STOPS: Mapping[str, tuple[str, list[str]]] = {
    "evaluated": ("evaluated", ["uploaded", "screened", "imported", "verified", "trained"]),
    "trained": ("trained", ["uploaded", "screened", "imported", "verified"]),
    "verified": ("verified", ["uploaded", "screened", "imported"]),
    "ingested": ("imported", ["uploaded", "screened"]),
    # The file that is to collide with another is sent once that one was screened, so not even sending ends.
    "uploaded": ("screened", []),
}


@dataclass(frozen=True)
class StoppedDemo:
    """How a demo ended that could not go on."""

    returncode: int
    stages_done: list[str]
    error: str
    build_dir: Path


def run_without(rule: str, folder: Path) -> StoppedDemo:
    """Run a small demo with one rule disabled."""
    build_dir = folder / rule
    finished = rayline("demo", "--build-dir", build_dir, "--disable-rule", rule, *LITTLE, check=False)
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, finished.stdout + finished.stderr
    done = [
        line.partition(":")[0]
        for line in finished.stdout.splitlines()
        if line.partition(":")[2].strip().isdigit()
    ]
    return StoppedDemo(finished.returncode, done, errors[0], build_dir)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StoppedDemo]:
    """A demo for each rule; side by side, since each of them mostly waits, the longest first."""
    folder = tmp_path_factory.mktemp("rules")
    with ThreadPoolExecutor(3) as executor:
        return dict(zip(STOPS, executor.map(lambda rule: run_without(rule, folder), STOPS), strict=True))


@pytest.mark.parametrize("rule", STOPS)
def test_the_demo_stops_where_an_event_does_not_come(rule: str, stopped: dict[str, StoppedDemo]) -> None:
    demo, (stage, done) = stopped[rule], STOPS[rule]
    assert demo.stages_done == done
    assert f"stage '{stage}' saw no progress" in demo.error
    assert f"rayline-local-{rule}, which is DISABLED" in demo.error
    assert demo.returncode == 1


@pytest.mark.parametrize("rule", STOPS)
def test_a_demo_that_stopped_claims_nothing_and_leaves_nothing_running(
    rule: str, stopped: dict[str, StoppedDemo]
) -> None:
    assert not (stopped[rule].build_dir / "summary.json").exists()
    # The front removes this file as its last act; the processor said that it drained.
    assert not (stopped[rule].build_dir / "cloud" / "server.json").exists()
    assert '"processor_stopped"' in (stopped[rule].build_dir / "processor.log").read_text()
