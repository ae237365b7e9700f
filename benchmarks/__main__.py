"""``python -m benchmarks``: run benchmarks, print what was measured, write it as JSON."""

import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.dispatch import report, run


class Benchmark(StrEnum):
    """What can be measured."""

    DISPATCH = "dispatch"


app = typer.Typer(add_completion=False)


@app.command()
def bench(
    only: Annotated[Benchmark | None, typer.Option(help="Measure only this.")] = None,
    events: Annotated[int, typer.Option(min=200, help="Events of each side in each round.")] = 2_000,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds; medians are reported.")] = 5,
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("build/bench"),
) -> None:
    """Measure Rayline on this machine, against a local cloud of its own.

    *dispatch* compares `rayline process` with the leanest boto3 loop of the same guarantee and with Powertools
    for AWS Lambda: events a second, time from put to hook, scaling over two workers, and DynamoDB writes for
    each uploaded instance. Nothing else should run meanwhile: both cores count. Takes about seven minutes.
    """
    # However it is stopped, its local cloud and the processes under measurement go with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output.mkdir(parents=True, exist_ok=True)
    if only in (None, Benchmark.DISPATCH):
        figures = run.measure(events=events, rounds=rounds, folder=output)
        path = output / "dispatch.json"
        report.write(figures, path)
        report.show(figures, path)


if __name__ == "__main__":
    app()
