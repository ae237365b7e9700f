"""``rayline cost``: what a stack costs in a month, without an account."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rayline_infra.costing import Estimate, Usage, estimate, load_prices
from rayline_infra.costing.report import as_json, plot, report
from rayline_infra.costing.savings import Saving, savings
from rayline_infra.costing.usage import assumptions
from rayline_infra.planning import parse_overrides, plan
from rayline_infra.planning.program import find_project, read_configuration
from rayline_infra.policies.graph import Graph

PIPED_WIDTH = 160
LOGS_NOTHING = True  # Planning runs in a process of its own: structlog need not be imported.


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def cost(
        stack: Annotated[str, typer.Option(help="Stack whose Pulumi.<stack>.yaml is read.")],
        scans: Annotated[float, typer.Option("--scans-per-month", min=0, help="Studies that arrive.")] = 10,
        trainings: Annotated[
            float, typer.Option("--trainings-per-month", min=0, help="Executions of the training pipeline.")
        ] = 4,
        assume: Annotated[
            list[str] | None,
            typer.Option(help="NAME=VALUE that replaces an assumption; --assumptions lists them."),
        ] = None,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", help="KEY=VALUE that replaces what the stack's file says."),
        ] = None,
        with_savings: Annotated[
            bool, typer.Option("--savings/--no-savings", help="Plan again with each cheaper setting.")
        ] = True,
        plot_to: Annotated[
            Path | None, typer.Option("--plot", help="Draw the services into a PNG file.")
        ] = None,
        as_document: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
        list_assumptions: Annotated[
            bool, typer.Option("--assumptions", help="List what is assumed of a month, and end.")
        ] = False,
    ) -> None:
        """Price every resource that a stack declares, from a dated price file and stated assumptions."""
        usage = Usage(scans_per_month=scans, trainings_per_month=trainings).changed(assume or ())
        if list_assumptions:
            for name, meaning in assumptions().items():
                typer.echo(f"{name}={getattr(usage, name):g}  # {meaning}")
            return
        overrides = parse_overrides(settings or ())
        graph = plan(stack, overrides=overrides)
        bill = estimate(graph, usage, load_prices(str(graph.outputs["region"])))
        configured = read_configuration(find_project(), stack, overrides)
        budget = float(configured["rayline:monthlyBudgetUsd"])
        if with_savings:
            typer.echo("planning it again with each cheaper setting; --no-savings leaves that out", err=True)
        saved = _savings(bill, graph, configured, overrides) if with_savings else []
        if plot_to is not None:
            plot(bill, plot_to)
        if as_document:
            typer.echo(json.dumps(as_json(bill, saved, budget), indent=1))
        else:
            width = None if sys.stdout.isatty() else PIPED_WIDTH
            Console(highlight=False, width=width).print(report(bill, saved, budget))


def _savings(
    bill: Estimate, graph: Graph, configured: Mapping[str, str], overrides: Mapping[str, str]
) -> list[Saving]:
    def replan(settings: Mapping[str, str]) -> Graph:
        return plan(bill.stack, overrides={**overrides, **settings})

    return savings(bill, graph, configured, replan)
