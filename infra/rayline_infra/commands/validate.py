"""``rayline validate``: whether a deployed stack is what its program declares, and lets an image through."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from rayline_infra.deploying.images import tagged
from rayline_infra.planning import parse_overrides, plan
from rayline_infra.validation.account import Account
from rayline_infra.validation.probe import Probe
from rayline_infra.validation.report import Report
from rayline_infra.validation.resources import check
from rayline_infra.validation.settling import settle

LOGS_NOTHING = True
PROBE_SECONDS = 600.0
SETTLE_SECONDS = 900.0


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def validate(
        stack: Annotated[str, typer.Option(help="Stack whose Pulumi.<stack>.yaml is read.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
        probe: Annotated[
            bool,
            typer.Option("--probe/--no-probe", help="Send a made-up study through, and remove it again."),
        ] = True,
        deadline: Annotated[
            float, typer.Option(help="Seconds that the study may take from its upload to its pixels.", min=1)
        ] = PROBE_SECONDS,
        settle_seconds: Annotated[
            float,
            typer.Option("--settle", help="Seconds to wait for services that are being deployed.", min=0),
        ] = SETTLE_SECONDS,
        image_tag: Annotated[
            str | None, typer.Option(help="The tag that `rayline deploy` was given, if it was.")
        ] = None,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", help="KEY=VALUE that replaces what the stack's file says."),
        ] = None,
    ) -> None:
        """Compare a deployed stack with its program, and send a made-up study through it."""
        from dataclasses import replace

        console = Console(stderr=True, highlight=False)
        overrides = {**tagged(image_tag), **parse_overrides(settings or ())}
        account = Account(plan(stack, overrides=overrides))
        account.require_own()
        tell = _nothing if as_json else console.print
        settle(account, settle_seconds, tell=tell)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=console,
            disable=as_json or not console.is_terminal,
        ) as progress:
            reading = progress.add_task("resources", total=None)
            report = check(account, lambda done, total: progress.update(reading, completed=done, total=total))
        if probe:
            report = replace(report, probe=Probe(account, deadline_seconds=deadline, tell=tell).run())
        if as_json:
            typer.echo(json.dumps(report.to_json(), indent=1))
        else:
            show(report, Console(highlight=False, soft_wrap=True))
        raise typer.Exit(0 if report.ok else 1)


def _nothing(_: str) -> None:
    return


def show(report: Report, console: Console) -> None:
    """Print a report for people."""
    for problem in report.problems:
        kind = problem.type.rpartition(":")[2]
        console.print(f"[red]✗[/] {kind} {problem.name} ({problem.physical_name}): {problem.what}")
    console.print(
        f"{report.checked} resources of stack {report.stack} were read, {len(report.problems)} are not as declared"
    )
    if report.unread:
        listed = ", ".join(f"{count} {each}" for each, count in report.unread.items())
        console.print(f"[yellow]not read[/], since no reader knows them: {listed}")
    for each, reason in report.left_out.items():
        console.print(f"[dim]left out: {each}: {reason}[/]")
    if report.probe is None:
        return
    probe = report.probe
    if probe.ok:
        console.print(f"[green]✓[/] a made-up study came through in {max(probe.reached.values()):.1f} s")
    else:
        console.print(f"[red]✗[/] a made-up study stopped before: {probe.stopped_at}; {probe.hint}")
    removed = ", ".join(f"{count} {kind}" for kind, count in probe.removed.items()) or "nothing"
    console.print(f"removed again: {removed}")
    for each in probe.stays:
        console.print(f"[dim]stays: {each}[/]")
