"""`rayline deploy` and `rayline destroy`: a stack to its account and back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from rayline_infra.deploying.preflight import Outcome

Stack = Annotated[str, typer.Option(help="Stack whose Pulumi.<stack>.yaml is read.")]
ImageTag = Annotated[
    str | None,
    typer.Option(help="Tag of the images that this repository makes, such as the commit; else the stack's."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changes.")]

console = Console(stderr=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("deploy")(deploy_stack)
    app.command("destroy")(destroy_stack)


def deploy_stack(
    stack: Stack,
    yes: Yes = False,
    image_tag: ImageTag = None,
    only_preflight: Annotated[
        bool, typer.Option("--preflight", help="Look whether everything is ready, and change nothing.")
    ] = False,
) -> None:
    """Deploy a stack: preflight, registries and secrets, images and keys, then the rest.

    A run that broke off is simply run again: what is done is not done twice. `rayline validate` looks at the
    result.
    """
    from rayline_infra.deploying.account import AwsAccount
    from rayline_infra.deploying.images import MADE_FROM, tagged
    from rayline_infra.deploying.preflight import preflight
    from rayline_infra.deploying.programs import MachinePrograms
    from rayline_infra.deploying.steps import deploy, update_options
    from rayline_infra.planning import plan
    from rayline_infra.planning.program import find_project

    project, overrides = find_project(), tagged(image_tag)
    with console.status("planning"):
        graph = plan(stack, overrides=overrides)
    account, programs = AwsAccount(str(graph.outputs["region"])), MachinePrograms(project)
    with console.status("preflight"):
        outcomes = preflight(graph, project, account, programs)
    console.print(_table(outcomes))
    if not all(each.passed for each in outcomes):
        console.print("[bold red]not ready[/]; nothing was changed")
        sys.exit(1)
    if not only_preflight:
        options = update_options(project, stack, overrides)
        deploy(graph, account, programs, MADE_FROM, _report, confirmed=yes, options=options)


def destroy_stack(stack: Stack, yes: Yes = False) -> None:
    """Take a stack down; what is protected stays, with all that it depends on."""
    from rayline_infra.deploying.account import AwsAccount
    from rayline_infra.deploying.programs import MachinePrograms
    from rayline_infra.deploying.steps import destroy
    from rayline_infra.planning import plan
    from rayline_infra.planning.program import find_project

    graph = plan(stack)
    if not yes:
        typer.confirm(f"destroy stack {stack} in account {graph.outputs['account_id']}?", abort=True)
    account = AwsAccount(str(graph.outputs["region"]))
    destroy(graph, account, MachinePrograms(find_project()), _report, confirmed=yes)


def _report(line: str) -> None:
    console.print(f"[bold]==[/] {line}")


def _table(outcomes: list[Outcome]) -> Table:
    table = Table("preflight", "found", "mend it", show_edge=False)
    for each in sorted(outcomes, key=lambda outcome: outcome.passed):
        mark = "[green]ok[/]" if each.passed else "[bold red]no[/]"
        table.add_row(f"{mark} {each.subject}", each.found, each.mending)
    return table
