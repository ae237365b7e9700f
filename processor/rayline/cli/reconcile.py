"""``rayline reconcile``: what should have happened by now and did not."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rayline.aws import Clients
from rayline.errors import ConfigurationError
from rayline.reconciler import Reconciler
from rayline.reconciling.report import Report
from rayline.runtime import build_runtime, utc_now
from rayline.settings import load_secrets, load_settings
from rayline.watch import Unwatched

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment_since(text: str, now: datetime, option: str = "--since") -> datetime:
    """``90m``, ``12h`` or ``7d`` before now, or a date or time as ISO 8601 writes it (UTC where it says no more).

    Raises:
        ConfigurationError: it is neither.
    """
    if span := re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text):
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option} {text!r} is no time; write 90m, 12h, 7d or 2026-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def reconcile(
        dry_run: Annotated[bool, typer.Option(help="Only tell; send and write nothing.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
        since: Annotated[
            str, typer.Option(help="Look at what happened since: 90m, 12h, 7d, or a date.")
        ] = "7d",
        older_than: Annotated[
            int | None,
            typer.Option(
                help="Leave alone what is younger than so many seconds; default what the settings allow.",
                min=0,
            ),
        ] = None,
    ) -> None:
        """Compare the ledgers with S3, HealthImaging and SageMaker, and repair what is missing.

        A repair sends an event again or a reminder; run it again to see that it helped. It needs the task's settings,
        secrets and role, which `rayline local exec --role processor -- rayline reconcile` gives it on this machine.
        """
        runtime = build_runtime(
            load_settings(), load_secrets(), clients=Clients(), watch=Unwatched(), owner="reconcile"
        )
        console = Console(stderr=True)
        with console.status("looking at the sources …") as status:
            pages = 0

            def tick() -> None:
                nonlocal pages
                pages += 1
                status.update(f"looking at the sources: page {pages} …")

            report = Reconciler(
                runtime,
                since=moment_since(since, utc_now()),
                grace=None if older_than is None else timedelta(seconds=older_than),
                tick=tick,
            ).run(repair=not dry_run)
        if as_json:
            typer.echo(json.dumps(report.as_json(), sort_keys=True))
        else:
            show(report)
        if report.left:
            raise typer.Exit(1)


def show(report: Report) -> None:
    """Print a report as tables."""
    console = Console()
    counts = Table("stage", title=f"site {report.site}, since {report.since:%Y-%m-%d %H:%M} UTC")
    for column in ("looked at", "gaps", "repaired"):
        counts.add_column(column, justify="right")
    for stage, each in report.stages.items():
        counts.add_row(stage.value, str(each.looked_at), str(each.gaps), str(each.repaired))
    console.print(counts)
    if not report.gaps:
        return
    gaps = Table()
    # Codes and ids are what one searches for, so they are never cut.
    for column in ("what", "subject"):
        gaps.add_column(column, no_wrap=True)
    for column in ("explanation", "done"):
        gaps.add_column(column, overflow="fold")
    for gap in report.gaps:
        gaps.add_row(gap.what.value, gap.subject_hash, gap.explanation, gap.done)
    console.print(gaps)
    if report.found > len(report.gaps):
        console.print(f"and {report.found - len(report.gaps)} more")
