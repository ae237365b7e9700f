"""Dashboards are what CloudWatch takes, readable, and hold what was asked for."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rayline_infra.policies.graph import Graph

DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
ROOT = Path(__file__).parents[2]
COLUMNS = 24
# CloudWatch API reference, "Dashboard body structure and syntax": properties of a metric widget, and of one metric.
GRAPH_PROPERTIES = {
    "title", "region", "view", "period", "metrics", "stacked", "legend", "yAxis", "annotations", "stat",
}  # fmt: skip
METRIC_OPTIONS = {"id", "label", "stat", "period", "yAxis", "visible", "expression", "color", "region"}
IDENTITY = re.compile(r"[a-z][A-Za-z0-9_]{0,254}")


def bodies(graph: Graph) -> dict[str, Mapping[str, Any]]:
    """The dashboards of a stack by kind."""
    return {
        each.inputs["dashboardName"].removeprefix(f"rayline-{graph.stack}-"): json.loads(
            each.inputs["dashboardBody"]
        )
        for each in graph.of_type(DASHBOARD)
    }


def widgets(graph: Graph, kind: str | None = None) -> Iterator[Mapping[str, Any]]:
    for widget in bodies(graph).values():
        for each in widget["widgets"]:
            if kind in (None, each["type"]):
                yield each


def test_there_are_three(graph: Graph) -> None:
    assert set(bodies(graph)) == {"imaging", "pipeline", "mlops"}


@pytest.mark.parametrize(
    ("dashboard", "subject"),
    [
        # The subjects that the issue lists.
        ("imaging", "Reading from HealthImaging"), ("imaging", "Bytes read"), ("imaging", "by operation"),
        ("imaging", "Images stored"), ("imaging", "People viewing"), ("imaging", "Compression"),
        ("pipeline", "Executions started, succeeded and failed"), ("pipeline", "Duration"),
        ("pipeline", "per epoch"), ("pipeline", "Preprocessing"), ("pipeline", "Accuracy"),
        ("pipeline", "Precision and recall by model"), ("pipeline", "F1"), ("pipeline", "CPU"), ("pipeline", "GPU"),
        ("mlops", "Data quality"), ("mlops", "approval rate"), ("mlops", "Time to deployment"), ("mlops", "Drift"),
        ("mlops", "Cost of a training"), ("mlops", "Data volume"), ("mlops", "Endpoint: invocations"),
        ("mlops", "Events by kind"), ("mlops", "Events by outcome"),
    ],
)  # fmt: skip
def test_every_subject_has_a_graph(dashboard: str, subject: str, graph_of: Callable[[str], Graph]) -> None:
    # dev has an endpoint, and prod none.
    titles = [each["properties"].get("title", "") for each in bodies(graph_of("dev"))[dashboard]["widgets"]]
    assert any(subject in title for title in titles), titles


def test_widgets_lie_on_the_grid_and_on_no_other_widget(graph: Graph) -> None:
    for kind, body in bodies(graph).items():
        taken: dict[tuple[int, int], str] = {}
        for widget in body["widgets"]:
            title = widget["properties"].get("title", "text")
            assert 1 <= widget["width"] <= COLUMNS
            assert 1 <= widget["height"] <= 1000
            assert 0 <= widget["x"] <= COLUMNS - widget["width"], f"{kind}: {title} leaves the grid"
            for x in range(widget["x"], widget["x"] + widget["width"]):
                for y in range(widget["y"], widget["y"] + widget["height"]):
                    assert (x, y) not in taken, f"{kind}: {title} lies on {taken.get((x, y))}"
                    taken[x, y] = title


def test_graphs_are_what_cloudwatch_takes(graph: Graph) -> None:
    found = list(widgets(graph, "metric"))
    assert len(found) > 30
    for widget in found:
        properties = widget["properties"]
        title = properties["title"]
        assert set(properties) <= GRAPH_PROPERTIES, title
        assert properties["view"] in ("timeSeries", "singleValue", "bar", "pie", "table", "gauge"), title
        assert properties["period"] % 60 == 0, title
        assert 0 < len(properties["metrics"]) <= 500, title
        identities = [each[-1]["id"] for each in properties["metrics"] if "id" in each[-1]]
        assert len(identities) == len(set(identities)), f"{title}: {identities}"
        for each in properties["metrics"]:
            options = each[-1]
            assert set(options) <= METRIC_OPTIONS, title
            if "expression" in options:
                assert len(each) == 1, title
            else:
                # Namespace, name, then pairs of a dimension's name and value.
                assert len(each[:-1]) % 2 == 0, title
                assert all(isinstance(part, str) and part for part in each[:-1]), title
            if "id" in options:
                assert IDENTITY.fullmatch(options["id"]), options["id"]


def test_an_expression_names_series_of_its_own_widget(graph: Graph) -> None:
    for widget in widgets(graph, "metric"):
        metrics = widget["properties"]["metrics"]
        known = {each[-1].get("id") for each in metrics}
        for each in metrics:
            expression = each[-1].get("expression", "")
            if expression.startswith("SEARCH("):
                continue
            named = set(re.findall(r"\b[a-z][A-Za-z0-9_]*\b", expression))
            assert named <= known, f"{widget['properties']['title']}: {expression}"


def test_graphs_can_be_read(graph: Graph) -> None:
    titles = [each["properties"]["title"] for each in widgets(graph, "metric")]
    assert len(titles) == len(set(titles))
    # What is longer is cut off in a third of the width of a laptop's screen.
    assert [title for title in titles if len(title) > 70] == []
    for widget in widgets(graph, "metric"):
        properties = widget["properties"]
        sides = {each[-1]["yAxis"] for each in properties["metrics"] if "yAxis" in each[-1]}
        # Every axis that something belongs to says its unit, and no other is there.
        assert set(properties["yAxis"]) == sides, properties["title"]
        assert all(axis["label"] for axis in properties["yAxis"].values()), properties["title"]
        for line in properties.get("annotations", {}).get("horizontal", ()):
            assert line["label"], properties["title"]
            assert line["yAxis"] in sides, properties["title"]
            assert line["fill"] in ("above", "below"), properties["title"]
        legend = [each[-1]["label"] for each in properties["metrics"] if each[-1].get("visible", True)]
        assert all(legend), properties["title"]
        assert len(legend) == len(set(legend)), f"{properties['title']}: {legend}"


def test_every_dashboard_says_what_to_do_and_where_to_read_on(graph: Graph) -> None:
    queries = {
        each.inputs["name"] for each in graph.of_type("aws:cloudwatch/queryDefinition:QueryDefinition")
    }
    for kind, body in bodies(graph).items():
        first = body["widgets"][0]
        assert (first["type"], first["x"], first["y"], first["width"]) == ("text", 0, 0, COLUMNS)
        text = first["properties"]["markdown"]
        pages = re.findall(r"docs/runbooks/[a-z-]+\.md", text)
        assert len(pages) >= 3, kind
        assert all((ROOT / page).is_file() for page in pages), pages
        named = re.findall(rf"`(rayline-{graph.stack}/[a-z-]+)`", text)
        assert named, kind
        assert set(named) <= queries


def test_alarm_tiles_name_alarms_that_exist(graph: Graph) -> None:
    arns = {
        each.outputs["arn"]
        for kind in ("metricAlarm:MetricAlarm", "compositeAlarm:CompositeAlarm")
        for each in graph.of_type(f"aws:cloudwatch/{kind}")
    }
    tiles = list(widgets(graph, "alarm"))
    assert len(tiles) == 3
    for tile in tiles:
        assert 0 < len(tile["properties"]["alarms"]) <= 100
        assert set(tile["properties"]["alarms"]) <= arns


def test_thresholds_of_alarms_are_drawn_where_their_metric_is(graph_of: Callable[[str], Graph]) -> None:
    graph = graph_of("prod")
    drawn = {
        (line["label"], line["value"])
        for widget in widgets(graph, "metric")
        for line in widget["properties"].get("annotations", {}).get("horizontal", ())
    }
    expected = {
        ("alarm of the average", 1000), ("objective of p99", 500), ("alarm", 0.85), ("objective", 95),
        ("objective", 3600), ("alarm of connections", 5), ("alarm", 1), ("alarm", 30), ("alarm", 900),
    }  # fmt: skip
    assert expected <= drawn
