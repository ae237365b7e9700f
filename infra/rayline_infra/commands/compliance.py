"""``rayline compliance``: the evidence of every control as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rayline_infra.planning import plan
from rayline_infra.policies.compliance import page

LOGS_NOTHING = True  # Planning runs in a process of its own: structlog need not be imported.


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def compliance(
        stack: Annotated[str, typer.Option(help="Stack whose Pulumi.<stack>.yaml is read.")],
        output: Annotated[
            Path | None,
            typer.Option(help="File that is written; what a person wrote above the mark in it is kept."),
        ] = None,
    ) -> None:
        """Show which control serves which rule of HIPAA, and the resources and settings that prove it."""
        written = output.read_text() if output and output.exists() else ""
        text = page(plan(stack), written)
        if output is None:
            typer.echo(text)
        else:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(text)
            typer.echo(f"wrote {output}")
