"""Every verb of the `rayline` command, as one application."""

import importlib.metadata
from typing import Any

import typer

from rayline.cli.app import COMMAND_GROUP


def every_verb() -> Any:
    """What all entry points together register; a click group, of which typer exports no type."""
    app = typer.Typer()
    app.callback()(lambda: None)
    for entry_point in importlib.metadata.entry_points(group=COMMAND_GROUP):
        entry_point.load()(app)
    return typer.main.get_command(app)
