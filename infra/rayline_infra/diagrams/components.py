"""The components in the order in which they are built, and which needs which."""

from collections import Counter

from rayline_infra.diagrams.mermaid import Flowchart
from rayline_infra.policies.graph import Graph, Resource

ESTATE = "rayline:estate:Estate"


def components(graph: Graph) -> str:
    """An arrow leads from a component to each that it needs and nothing in between needs for it."""
    by_urn = {each.urn: each for each in graph.resources}
    owner = {each.urn: _top(each, by_urn) for each in graph.resources if each.custom}
    counts = Counter(each.name for each in owner.values() if each is not None)
    needs: dict[str, set[str]] = {name: set() for name in counts}
    for resource in graph.resources:
        mine = owner.get(resource.urn)
        for urn in resource.dependencies:
            theirs = owner.get(urn)
            if mine is not None and theirs is not None and mine.name != theirs.name:
                needs[mine.name].add(theirs.name)
    chart = Flowchart("LR")
    for name, count in counts.items():
        chart.node(name, f"{name}<br>{count} resources")
    for name, needed in needs.items():
        for other in sorted(needed - _indirect(needed, needs)):
            chart.edge(name, other)
    return chart.text()


def _top(resource: Resource, by_urn: dict[str, Resource]) -> Resource | None:
    """The component right below the estate that a resource belongs to."""
    current = by_urn.get(resource.parent)
    while current is not None:
        above = by_urn.get(current.parent)
        if above is not None and above.type == ESTATE:
            return current
        current = above
    return None


def _indirect(needed: set[str], needs: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    open_names = [other for name in needed for other in needs[name]]
    while open_names:
        name = open_names.pop()
        if name not in found:
            found.add(name)
            open_names += needs[name]
    return found
