"""A demo whose event rule is switched off: where it stops, and what it says."""

from dataclasses import dataclass
from pathlib import Path

from support.own_estate import rayline

# As little of each stage as there can be. Patience is for a busy machine: a stage may start late, and must not be
# taken for stopped.
LITTLE = (
    "--made-up=8",
    "--patience=12",
    "--set=rayline:batchQuietSeconds=1",
    "--set=rayline:imageSize=32",
    "--set=rayline:epochs=1",
)


@dataclass(frozen=True)
class StoppedDemo:
    """How a demo ended that could not go on."""

    returncode: int
    stages_done: list[str]
    error: str
    summary_exists: bool
    state_dir: Path


def run_without(rule: str, folder: Path) -> StoppedDemo:
    """Run a small demo with one rule disabled."""
    build_dir = folder / "build"
    finished = rayline("demo", "--build-dir", build_dir, "--disable-rule", rule, *LITTLE, check=False)
    (error,) = [line for line in finished.stderr.splitlines() if line.startswith("error:")]
    done = [
        line.partition(":")[0]
        for line in finished.stdout.splitlines()
        if line.partition(":")[2].strip().isdigit()
    ]
    return StoppedDemo(
        finished.returncode, done, error, (build_dir / "summary.json").exists(), build_dir / "cloud"
    )


def assert_stopped(demo: StoppedDemo, *, rule: str, stage: str, done: list[str]) -> None:
    """It stopped at its stage, said so by name, ended with an error, and claimed no result."""
    assert demo.stages_done == done
    assert f"stage '{stage}'" in demo.error
    assert f"rayline-local-{rule}, which is DISABLED" in demo.error
    assert demo.returncode == 1
    assert not demo.summary_exists
    # Neither its cloud nor its processor runs on.
    assert not (demo.state_dir / "server.json").exists()
