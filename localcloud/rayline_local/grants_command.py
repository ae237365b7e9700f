"""`rayline local grants`: which grants of the estate's roles were used, and which were not and why they stay."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rayline.errors import ConfigurationError
from rayline_local.estate_environment import ESTATE_FILE

if TYPE_CHECKING:
    from rayline_local.grants import Cell, Review


def grants(
    state_dir: Annotated[
        Path, typer.Option("--state-dir", help="Folder that keeps the local cloud's state.")
    ] = Path(".rayline"),
    observed: Annotated[
        Path | None,
        typer.Option(help="Folder of many runs' state instead, e.g. what the end-to-end tests keep."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 when a grant is unused without a reason.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Hold what each role is granted against what its calls have used, by statement, action and resource."""
    from rayline_local.grants import Run, review

    folders = (
        [state_dir] if observed is None else sorted(path.parent for path in observed.glob(f"*/{ESTATE_FILE}"))
    )
    if not folders or not all((folder / ESTATE_FILE).exists() for folder in folders):
        raise ConfigurationError(
            f"no estate in {observed or state_dir}: run `rayline local up`, or the tests"
        )
    found = review([Run.load(folder) for folder in folders])
    if as_json:
        typer.echo(json.dumps(_document(found, len(folders)), indent=2, sort_keys=True))
    else:
        _print(found, len(folders))
    if check and (found.unexplained or found.stale):
        raise typer.Exit(1)


def _document(found: Review, runs: int) -> dict[str, Any]:
    return {
        "runs": runs,
        "granted": len(found.granted),
        "used": len(found.used),
        "explained": [{**_shown(cell, found), "reason": reason} for cell, reason in found.explained.items()],
        "unexplained": [_shown(cell, found) for cell in found.unexplained],
        "stale": [asdict(each) for each in found.stale],
    }


def _shown(cell: Cell, found: Review) -> dict[str, str]:
    return {
        "role": cell.role,
        "statement": cell.sid,
        "action": cell.action,
        "resource": found.granted[cell],
    }


def _print(found: Review, runs: int) -> None:
    console = Console()
    for title, rows in (
        ("unused, with the reason why it stays", list(found.explained.items())),
        ("unused, and no reason given: take it away", [(cell, "") for cell in found.unexplained]),
    ):
        if rows:
            console.print(_table(title, rows, found))
    for each in found.stale:
        where = " ".join((each.role, *each.sids, *each.actions))
        console.print(f"[bold]a reason for what is used, or not granted:[/] {where}: {each.reason}")
    console.print(
        f"{runs} runs: {len(found.granted)} grants, {len(found.used)} used, {len(found.explained)} unused with a "
        f"reason, [bold]{len(found.unexplained)} unused without[/]"
    )


def _table(title: str, rows: list[tuple[Cell, str]], found: Review) -> Table:
    table = Table("role", "statement", "action", "resource", "reason", title=title, title_justify="left")
    for cell, reason in rows:
        table.add_row(cell.role, cell.sid, cell.action, found.granted[cell], reason)
    return table
