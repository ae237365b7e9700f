"""The verbs of the processor itself."""

import typer

from rayline.cli import (
    api,
    dimse,
    events,
    health,
    plugins,
    process,
    quarantine,
    reconcile,
    replay,
    status,
    upload,
    verify,
)


def register(app: typer.Typer) -> None:
    """Add the processor's verbs."""
    for module in (
        process,
        health,
        upload,
        status,
        verify,
        quarantine,
        reconcile,
        replay,
        plugins,
        events,
        api,
        dimse,
    ):
        module.register(app)
