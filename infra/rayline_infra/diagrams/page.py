"""The page with every picture, which the documentation keeps and a test holds against the program."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from rayline_infra.diagrams.components import components
from rayline_infra.diagrams.events import events
from rayline_infra.diagrams.network import network
from rayline_infra.diagrams.zones import zones
from rayline_infra.policies.graph import Graph

KINDS: Mapping[str, tuple[str, str, Callable[[Graph], str]]] = {
    "components": (
        "Components",
        "What the program builds; an arrow leads from a component to one that must be there first.",
        components,
    ),
    "zones": (
        "Zones",
        "Stores by the key that encrypts them. An arrow into a store is a role that writes it, one out of it a role "
        "that reads it.",
        zones,
    ),
    "events": (
        "Events",
        "Rules and schedules, and where each leads. Dotted: where goes what could not be delivered.",
        events,
    ),
    "network": (
        "Network",
        "Every arrow is a rule of a security group, with its port.",
        network,
    ),
}


def page(graph: Graph) -> str:
    """The whole page as Markdown; the same for the same resources, in whatever order they were registered."""
    graph = replace(graph, resources=tuple(sorted(graph.resources, key=lambda each: each.urn)))
    lines = [
        f"# The estate of stack {graph.stack}, drawn",
        "",
        f"Made by `rayline diagram --stack {graph.stack} --output docs/estate.md` from the resource graph; "
        "`rayline estate` lists every resource.",
    ]
    for title, meaning, draw in KINDS.values():
        lines += ["", f"## {title}", "", meaning, "", "```mermaid", draw(graph), "```"]
    return "\n".join(lines) + "\n"
