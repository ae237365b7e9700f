"""``python -m benchmarks``: run benchmarks, print what was measured, write it as JSON."""

import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Benchmark(StrEnum):
    """What can be measured."""

    DISPATCH = "dispatch"
    INTAKE = "intake"


app = typer.Typer(add_completion=False)


@app.command()
def bench(
    only: Annotated[Benchmark | None, typer.Option(help="Measure only this.")] = None,
    events: Annotated[int, typer.Option(min=200, help="Events of each side in each round.")] = 2_000,
    files: Annotated[int, typer.Option(min=1_000, help="Files that each side of intake gets.")] = 4_000,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds; medians are reported.")] = 5,
    temporary: Annotated[
        Path | None, typer.Option(help="Folder for intake's files; default /dev/shm where there is room.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("build/bench"),
) -> None:
    """Measure Rayline on this machine, against a local cloud of its own.

    *dispatch* compares `rayline process` with the leanest boto3 loop of the same guarantee and with Powertools
    for AWS Lambda: events a second, time from put to hook, scaling over two workers, and DynamoDB writes for
    each uploaded instance. Takes about seven minutes.

    *intake* compares `rayline deid run` with a file copy, with pydicom's read and save and with other
    de-identifiers, over the same CT files; its memory for objects from 1 MB to 1 GB; and the intake of 1 GB in S3
    with a bare UploadPartCopy. Takes about five minutes.

    Nothing else should run meanwhile: both cores count.
    """
    # However it is stopped, its local cloud and the processes under measurement go with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output.mkdir(parents=True, exist_ok=True)
    if only in (None, Benchmark.DISPATCH):
        from benchmarks.dispatch import report, run

        figures = run.measure(events=events, rounds=rounds, folder=output)
        path = output / "dispatch.json"
        report.write(figures, path)
        report.show(figures, path)
    if only in (None, Benchmark.INTAKE):
        from benchmarks.intake import report as intake_report
        from benchmarks.intake import run as intake

        measured = intake.measure(files=files, rounds=rounds, folder=output, temporary=temporary)
        path = output / "intake.json"
        intake_report.write(measured, path)
        intake_report.show(measured, path)


if __name__ == "__main__":
    app()
