"""`rayline diagram`: pictures of a stack, drawn from its resource graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rayline.errors import ConfigurationError


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("diagram")
    def diagram(
        stack: Annotated[str, typer.Option(help="Stack whose Pulumi.<stack>.yaml is read.")] = "prod",
        kind: Annotated[
            str | None, typer.Option(help="One picture only: components, zones, events or network.")
        ] = None,
        output: Annotated[Path | None, typer.Option(help="File to write; default standard output.")] = None,
    ) -> None:
        """Draw a stack as Mermaid text: components, zones of data, events and network; needs no account."""
        from rayline_infra.diagrams import KINDS, page
        from rayline_infra.planning import plan

        if kind is not None and kind not in KINDS:
            raise ConfigurationError(f"no picture {kind!r}; one of {', '.join(KINDS)}")
        graph = plan(stack)
        text = page(graph) if kind is None else KINDS[kind][2](graph) + "\n"
        if output is None:
            typer.echo(text, nl=False)
        else:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(text)
