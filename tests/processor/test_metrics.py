"""The one list of metrics, and the lines that they leave as."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.processor_estate import SITE

from rayline.observability.metrics import METRICS, Dimension, Metric, publish

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_documented(metric: Metric, repository: Path) -> None:
    by = ", ".join(metric.by) or "–"
    row = f"| `{metric.name}` | {metric.unit} | {by} | {metric.meaning} |"
    assert row in (repository / "docs/reference.md").read_text()


def test_names_are_unique() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_one_line_in_the_embedded_format(metric: Metric) -> None:
    stream = io.StringIO()
    publish(
        {metric: [3, 4]}, site=SITE, at=NOW, labels={each: f"a {each}" for each in metric.by}, stream=stream
    )
    (line,) = stream.getvalue().splitlines()
    document = json.loads(line)
    assert document["_aws"]["Timestamp"] == 1_767_225_600_000
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Rayline"
    assert directive["Metrics"] == [{"Name": metric.name, "Unit": metric.unit}]
    assert document[metric.name] == [3, 4]
    # Every dimension of a set must be a member of the line (the specification's section "Target members").
    assert directive["Dimensions"][0] == ["Site"]
    assert {name for names in directive["Dimensions"] for name in names} == {"Site", *metric.by}
    assert all(isinstance(document[name], str) for names in directive["Dimensions"] for name in names)
    assert document[Dimension.SITE] == SITE


def test_a_dimension_without_a_label_is_a_mistake() -> None:
    metric = next(each for each in METRICS if each.by)
    with pytest.raises(KeyError):
        publish({metric: 1}, site=SITE, at=NOW, stream=io.StringIO())
