"""``rayline scan``: what an independent scanner says of a stack, without an account."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rayline_infra.planning import plan
from rayline_infra.scanning.checkov import SCANNER, Complaint, Scan, scan
from rayline_infra.scanning.exemptions import declared

PIPED_WIDTH = 240
LOGS_NOTHING = True  # Planning runs in a process of its own: structlog need not be imported.


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("scan")
    def scan_stack(
        stack: Annotated[str, typer.Option(help="Stack whose Pulumi.<stack>.yaml is read.")],
        output: Annotated[Path, typer.Option(help="Folder for the rendered plan.")] = Path("build/scan"),
        scanner: Annotated[
            Path, typer.Option(help="The checkov command; `make scan` installs it.")
        ] = SCANNER,
    ) -> None:
        """Have checkov judge a stack; exit status 1 when a check fails that no component gives a reason for."""
        found = scan(plan(stack), declared(stack), output / stack, scanner)
        width = None if sys.stdout.isatty() else PIPED_WIDTH
        console = Console(highlight=False, width=width, markup=False)
        if found.skipped:
            console.print(_table("skipped, with the reason", found.skipped))
        if found.failed:
            console.print(_table("failed", found.failed))
        for exemption in found.unused:
            console.print(f"nothing needs the exemption of {exemption.resource} from {exemption.check}")
        console.print(summary(found))
        raise typer.Exit(0 if found.clean else 1)


def _table(title: str, complaints: Iterable[Complaint]) -> Table:
    rows = Table("check", "resource", "what it says", "why it stays", title=title, show_edge=False)
    for each in complaints:
        rows.add_row(each.check, f"{each.type}.{each.resource}", each.title, each.reason)
    return rows


def summary(found: Scan) -> str:
    """The counts."""
    unknown = {name: count for name, count in found.types.items() if name not in found.checked}
    checked = sum(found.types.values()) - sum(unknown.values())
    named = ", ".join(f"{count} {name}" for name, count in sorted(unknown.items()))
    return (
        f"stack {found.stack}: {found.passed} checks passed, {len(found.failed)} failed, "
        f"{len(found.skipped)} skipped with a reason; {checked} of {sum(found.types.values())} resources, of "
        f"{len(found.types) - len(unknown)} of {len(found.types)} types, were judged; no check for: {named}"
    )
