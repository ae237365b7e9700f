"""``rayline check``: whether a stack keeps every control, without an account."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rayline_infra.planning import parse_overrides, plan
from rayline_infra.policies.controls import CONTROLS, Finding, check

PIPED_WIDTH = 240
LOGS_NOTHING = True  # Planning runs in a process of its own: structlog need not be imported.
VERDICTS = {"fail": "[bold red]fail[/]", "exempt": "[yellow]exempt[/]", "pass": "[green]pass[/]"}


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("check")
    def check_stack(
        stack: Annotated[str, typer.Option(help="Stack whose Pulumi.<stack>.yaml is read.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
        failures: Annotated[bool, typer.Option("--failures", help="Leave out what passes.")] = False,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", help="KEY=VALUE that replaces what the stack's file says."),
        ] = None,
    ) -> None:
        """Hold a stack against every control; exit status 1 when one of them fails."""
        graph = plan(stack, overrides=parse_overrides(settings or ()))
        findings = sorted(check(graph), key=lambda each: (each.accepted, each.passed))
        shown = [each for each in findings if not (failures and each.passed)]
        if as_json:
            typer.echo(json.dumps([{**asdict(each), "accepted": each.accepted} for each in shown], indent=1))
        else:
            width = None if sys.stdout.isatty() else PIPED_WIDTH
            console = Console(highlight=False, width=width)
            console.print(table(shown))
            console.print(summary(findings, stack), markup=False)
        raise typer.Exit(0 if all(each.accepted for each in findings) else 1)


def table(findings: Sequence[Finding]) -> Table:
    """A row per finding, failures first."""
    rows = Table("control", "45 CFR", "resource", "result", "what decides", show_edge=False)
    controls = {control.id: control for control in CONTROLS}
    told = ""
    for finding in findings:
        # Title and rule stand once for each run of rows: the settings need the width.
        control = controls[finding.control]
        title, rule = (f" {control.title}", control.rules[0]) if finding.control != told else ("", "")
        told = finding.control
        setting = f"{finding.setting}; {finding.exemption}" if finding.exemption else finding.setting
        rows.add_row(
            f"[bold]{finding.control}[/]{title}",
            rule,
            finding.resource,
            VERDICTS[verdict(finding)],
            _plain(setting),
        )
    return rows


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def verdict(finding: Finding) -> str:
    """``pass``, ``fail`` or ``exempt``."""
    if finding.passed:
        return "pass"
    return "exempt" if finding.exemption else "fail"


def summary(findings: Sequence[Finding], stack: str) -> str:
    """How many controls and findings there are of each kind."""
    verdicts = Counter(verdict(finding) for finding in findings)
    broken = {finding.control for finding in findings if not finding.accepted}
    looked = {finding.control for finding in findings}
    return (
        f"stack {stack}: {len(looked) - len(broken)} of {len(CONTROLS)} controls kept, {len(broken)} broken, "
        f"{len(CONTROLS) - len(looked)} with nothing to look at; "
        f"{verdicts['pass']} findings pass, {verdicts['exempt']} are exempt, {verdicts['fail']} fail"
    )
