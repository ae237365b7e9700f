"""The verbs of the processor itself."""

import typer

from rayline.cli import plugins, process, quarantine, status, upload, verify


def register(app: typer.Typer) -> None:
    """Add the processor's verbs."""
    for module in (process, upload, status, verify, quarantine, plugins):
        module.register(app)
