"""``rayline estate``: what a stack declares, without an account."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from rayline_infra.planning import parse_overrides, plan
from rayline_infra.planning.physical_names import physical_name
from rayline_infra.policies.graph import Graph, Resource

PIPED_WIDTH = 240
LOGS_NOTHING = True  # Planning runs in a process of its own: structlog need not be imported.


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def estate(
        stack: Annotated[str, typer.Option(help="Stack whose Pulumi.<stack>.yaml is read.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print the whole graph as JSON.")] = False,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", help="KEY=VALUE that replaces what the stack's file says."),
        ] = None,
    ) -> None:
        """Show every resource that a stack declares, without an account."""
        graph = plan(stack, overrides=parse_overrides(settings or ()))
        if as_json:
            # They are told of as their inputs come to be known, which differs from run to run.
            told = replace(graph, resources=tuple(sorted(graph.resources, key=lambda each: each.urn)))
            typer.echo(json.dumps(told.to_json(), indent=1))
        else:
            # What is piped is searched and compared: there a line per resource is worth more than a screen's width.
            width = None if sys.stdout.isatty() else PIPED_WIDTH
            Console(highlight=False, width=width).print(tree(graph))


def tree(graph: Graph) -> Tree:
    """The resources below their components, each with its type, names and protection, and how many there are."""
    custom = [each for each in graph.resources if each.custom]
    types = Counter(each.type for each in custom)
    held = sum(each.protect or each.retain_on_delete for each in custom)
    root = Tree(
        f"[bold]stack {graph.stack}[/]: {len(custom)} resources of {len(types)} types, {held} protected or retained"
    )
    children: dict[str, list[Resource]] = {}
    known = {each.urn for each in graph.resources}
    for each in graph.resources:
        children.setdefault(each.parent if each.parent in known else "", []).append(each)
    _grow(root, "", children)
    return root


def _grow(branch: Tree, parent: str, children: dict[str, list[Resource]]) -> None:
    below = children.get(parent, [])
    # A component stands after the resources beside it, in the order in which the program builds.
    for each in sorted(below, key=lambda each: (each.type, each.name) if each.custom else ("~",)):
        _grow(branch.add(_line(each, len(children.get(each.urn, [])))), each.urn, children)


def _kind(type_token: str) -> str:
    """``aws:s3/bucket:Bucket`` as ``s3 Bucket``."""
    package, _, name = type_token.rpartition(":")
    return f"{package.removeprefix('aws:').partition('/')[0]} {name}"


def _line(resource: Resource, count: int) -> Text:
    if not resource.custom:
        return Text.assemble((resource.name, "bold"), f" {resource.type}, {count}")
    protection = [
        word
        for word, holds in (("protected", resource.protect), ("retained", resource.retain_on_delete))
        if holds
    ]
    return Text.assemble(
        (_kind(resource.type), "cyan"),
        f" {resource.name} ",
        (physical_name(resource), "green"),
        (f" {', '.join(protection)}" if protection else "", "yellow"),
    )
