"""The pictures of the estate: drawn from what it declares, and the documentation's are the program's."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rayline_infra.diagrams import KINDS, components, events, network, page, zones
from rayline_infra.diagrams.mermaid import Flowchart
from rayline_infra.policies.graph import Graph

ROOT = Path(__file__).parents[2]
NODE = re.compile(r"^\s*(n_\w+)[\[({]", re.M)
EDGE = re.compile(r"^\s*(n_\w+) -\.?->(?:\|\"[^\"]*\"\|)? (n_\w+)$", re.M)


def edges(chart: str) -> set[tuple[str, str]]:
    return set(EDGE.findall(chart))


def test_the_page_of_the_documentation_is_the_programs(graph_of: Callable[[str], Graph]) -> None:
    kept = (ROOT / "docs/estate.md").read_text()
    assert kept == page(graph_of("prod")), "run: rayline diagram --stack prod --output docs/estate.md"


@pytest.mark.parametrize("kind", KINDS)
def test_every_edge_joins_nodes_that_are_drawn(graph: Graph, kind: str) -> None:
    chart = KINDS[kind][2](graph)
    found = edges(chart)
    assert found
    assert {end for edge in found for end in edge} <= set(NODE.findall(chart))


def test_no_role_of_the_deidentified_zone_is_joined_to_an_identified_store(graph: Graph) -> None:
    joined = edges(zones(graph))
    for store in ("n_store_uploads", "n_store_quarantine", "n_store_archive"):
        for role in ("n_role_training", "n_role_import", "n_role_endpoint"):
            assert not {(store, role), (role, store)} & joined
    assert ("n_role_uploader", "n_store_uploads") in joined
    assert ("n_store_uploads", "n_role_uploader") not in joined


def test_every_rule_and_schedule_leads_somewhere(graph: Graph) -> None:
    joined = edges(events(graph))
    for rule in graph.of_type("aws:cloudwatch/eventRule:EventRule"):
        name = str(rule.inputs["name"]).removeprefix(f"rayline-{graph.stack}-")
        node = "n_rule_" + re.sub(r"\W", "_", name)
        assert any(start == node for start, _ in joined), name


def test_what_is_taken_out_of_the_graph_goes_out_of_the_picture(graph_of: Callable[[str], Graph]) -> None:
    graph = graph_of("prod")
    before = edges(network(graph))
    fewer = replace(
        graph,
        resources=tuple(each for each in graph.resources if each.name != "endpoints-from-processor-ingress"),
    )
    assert ("n_group_processor", "n_group_endpoints") in before
    after = edges(network(fewer))
    # The processor's own egress rule draws the same arrow; without both it is gone.
    fewest = replace(
        fewer,
        resources=tuple(
            each for each in fewer.resources if "processor" not in each.name or "gress" not in each.name
        ),
    )
    assert ("n_group_processor", "n_group_endpoints") not in edges(network(fewest))
    assert after <= before


def test_an_arrow_between_components_is_a_need_that_no_other_arrow_tells(graph: Graph) -> None:
    joined = edges(components(graph))
    assert ("n_buckets", "n_keys") in joined
    # Keys need roles: what needs keys needs roles by way of them.
    assert ("n_buckets", "n_roles") not in joined


def test_names_that_mermaid_takes_for_its_own_are_no_names_of_nodes() -> None:
    chart = Flowchart()
    chart.node("end", "the end")
    chart.edge("end", "end")
    chart.edge("end", "end")
    assert chart.text().splitlines()[1:] == ['    n_end["the end"]', "    n_end --> n_end"]
