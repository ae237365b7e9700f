"""The verbs of the processor itself."""

import typer

from rayline.cli import events, health, plugins, process, quarantine, status, upload, verify


def register(app: typer.Typer) -> None:
    """Add the processor's verbs."""
    for module in (process, health, upload, status, verify, quarantine, plugins, events):
        module.register(app)
