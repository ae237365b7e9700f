"""``rayline chaos``: prove that nothing is lost and nothing happens twice."""

import random
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rayline_local.chaos.plan import KILLS_LEAST, make_plan
from rayline_local.chaos.run import Chaos


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def chaos(
        instances: Annotated[
            int, typer.Option(help="Different files to send; copies come on top.", min=20)
        ] = 500,
        seed: Annotated[
            int | None, typer.Option(help="Repeats a plan; without one, a seed is drawn and printed.", min=0)
        ] = None,
        kills: Annotated[
            int, typer.Option(help="SIGKILLs, each while effects are unfinished.", min=1)
        ] = KILLS_LEAST,
        tasks: Annotated[int, typer.Option(help="Tasks of the processor, as ECS runs them.", min=1)] = 2,
        workers: Annotated[int, typer.Option(help="Worker processes of each task.", min=1)] = 2,
        build_dir: Annotated[Path, typer.Option(help="Folder for everything that the run writes.")] = Path(
            "build/chaos"
        ),
        patience: Annotated[
            float, typer.Option(help="Seconds without progress that end the wait for the end.", min=1)
        ] = 120,
    ) -> None:
        """Prove under fire that nothing is lost and nothing happens twice.

        Starts a local cloud and several tasks of the processor, sends made-up files, and meanwhile kills workers,
        supervisors and whole tasks, moves and doubles messages, throttles HealthImaging and SageMaker, loses their
        answers and events, fails files, and lets the PACS be down, refuse and break off. Then it ends all faults, lets
        the reconciler find what is missing, and counts what HealthImaging, the PACS, SageMaker and the quarantine
        bucket hold.

        Writes summary.json and details.json, and logs/ beside them. Exits with 1 unless nothing was lost, nothing
        happened twice and the ledgers explain everything. The same seed sends the same files, sets the same faults and
        picks the same victims; when the machine gets where, differs from run to run.
        """
        drawn = random.SystemRandom().randrange(1_000_000) if seed is None else seed
        console = Console()
        console.print(
            f"seed {drawn}: {instances} instances, {kills} kills, {tasks} tasks of {workers} workers"
        )
        plan = make_plan(drawn, instances, kills=kills, tasks=tasks, workers=workers)
        if not Chaos(build_dir, plan, console, patience_seconds=patience).run().good:
            console.print(
                f"[bold red]chaos won[/]: repeat it with --seed {drawn}; see {build_dir}/details.json"
            )
            sys.exit(1)
