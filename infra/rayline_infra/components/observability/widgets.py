"""Widgets of a CloudWatch dashboard, and the grid that they lie on.

Source: CloudWatch API reference, "Dashboard body structure and syntax".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rayline.names import EstateNames
from rayline_infra.components.observability.places import KnownPlaces, Place
from rayline_infra.components.observability.series import Math, Plotted, Search, Series

GRID_COLUMNS = 24
ROW_HEIGHT = 6
Json = dict[str, object]
View = Literal["timeSeries", "singleValue"]


@dataclass(frozen=True)
class Line:
    """A threshold that is drawn across a graph.

    Attributes:
        side: the axis that it belongs to.
        above: whether what lies above it is bad; otherwise what lies below it is.
    """

    value: float
    label: str
    above: bool = True
    side: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Graph:
    """One graph.

    Attributes:
        title: what is drawn, with its unit.
        left: what belongs to the left axis, whose unit is ``unit``.
        right: what belongs to the right axis, whose unit is ``right_unit``.
        highest: the end of the left axis, where values have one.
    """

    title: str
    unit: str
    left: Sequence[Plotted]
    right: Sequence[Plotted] = ()
    right_unit: str = ""
    lines: Sequence[Line] = ()
    period_seconds: int = 300
    width: int = 8
    view: View = "timeSeries"
    stacked: bool = False
    highest: float | None = None


@dataclass(frozen=True)
class Text:
    """A text in Markdown.

    Attributes:
        height: rows of the grid that it needs.
    """

    markdown: str
    height: int = 3
    width: int = GRID_COLUMNS


@dataclass(frozen=True)
class AlarmStates:
    """Whether alarms ring, as one coloured tile each.

    Attributes:
        alarms: what follows the stack's prefix in their names.
    """

    title: str
    alarms: Sequence[str]
    height: int = 2
    width: int = GRID_COLUMNS


Widget = Graph | Text | AlarmStates


@dataclass(frozen=True)
class Surroundings:
    """What the widgets of one stack have in common.

    Attributes:
        alarms: names of the alarms that the stack has, after its prefix.
    """

    names: EstateNames
    places: KnownPlaces
    alarms: frozenset[str]


def within(row: Sequence[Widget], places: frozenset[Place]) -> list[Widget]:
    """A row without what plots a resource that the stack does not have."""
    kept: list[Widget] = []
    for widget in row:
        if isinstance(widget, Graph):
            left = [each for each in widget.left if each.places <= places]
            right = [each for each in widget.right if each.places <= places]
            if left:
                kept.append(replace(widget, left=left, right=right))
        else:
            kept.append(widget)
    return kept


def dashboard_body(rows: Sequence[Sequence[Widget]], surroundings: Surroundings) -> str:
    """The dashboard as CloudWatch takes it: each row under the one before, its widgets side by side.

    Raises:
        ValueError: a row is wider than the grid.
    """
    widgets = list(_placed(rows, surroundings))
    return json.dumps({"start": "-P1D", "periodOverride": "inherit", "widgets": widgets}, sort_keys=True)


def _placed(rows: Sequence[Sequence[Widget]], surroundings: Surroundings) -> Iterator[Json]:
    top = 0
    for row in rows:
        left, height = 0, max(_height(widget) for widget in row)
        for widget in row:
            if left + widget.width > GRID_COLUMNS:
                raise ValueError(f"a row of widgets is wider than {GRID_COLUMNS} columns")
            position = {"x": left, "y": top, "width": widget.width, "height": _height(widget)}
            yield {**position, **_drawn(widget, surroundings)}
            left += widget.width
        top += height


def _height(widget: Widget) -> int:
    return ROW_HEIGHT if isinstance(widget, Graph) else widget.height


def _drawn(widget: Widget, surroundings: Surroundings) -> Json:
    if isinstance(widget, Text):
        return {"type": "text", "properties": {"markdown": widget.markdown}}
    if isinstance(widget, AlarmStates):
        names = surroundings.names
        arns = [names.alarm_arn(each) for each in widget.alarms if each in surroundings.alarms]
        return {"type": "alarm", "properties": {"title": widget.title, "alarms": arns}}
    properties: Json = {
        "title": widget.title,
        "region": surroundings.names.region,
        "view": widget.view,
        "period": widget.period_seconds,
        "metrics": list(_metrics(widget, surroundings.places)),
    }
    if widget.view == "timeSeries":
        properties["stacked"] = widget.stacked
        properties["legend"] = {"position": "bottom"}
        properties["yAxis"] = _axes(widget)
    if widget.lines:
        properties["annotations"] = {"horizontal": [_annotation(line) for line in widget.lines]}
    return {"type": "metric", "properties": properties}


def _axes(graph: Graph) -> Json:
    left: Json = {"label": graph.unit, "showUnits": False, "min": 0}
    if graph.highest is not None:
        left["max"] = graph.highest
    if not graph.right:
        return {"left": left}
    return {"left": left, "right": {"label": graph.right_unit, "showUnits": False, "min": 0}}


def _annotation(line: Line) -> Json:
    fill = "above" if line.above else "below"
    return {"label": line.label, "value": line.value, "fill": fill, "yAxis": line.side, "color": "#d13212"}


def _metrics(graph: Graph, places: KnownPlaces) -> Iterator[list[object]]:
    for side, plotted in (("left", graph.left), ("right", graph.right)):
        for position, each in enumerate(plotted):
            yield from _entries(each, side, f"{side[0]}{position}", graph.period_seconds, places)


def _entries(
    each: Plotted, side: str, identity: str, period_seconds: int, places: KnownPlaces
) -> Iterator[list[object]]:
    if isinstance(each, Series):
        yield _metric(each, places, {"stat": each.statistic, "yAxis": side, "label": each.label})
        return
    if isinstance(each, Search):
        expression = each.expression(places, period_seconds)
        label = f"{each.label} ${{PROP('Dim.{each.across}')}}".lstrip()
        yield [{"expression": expression, "id": identity, "yAxis": side, "label": label}]
        return
    yield [{"expression": _renamed(each, identity), "id": identity, "yAxis": side, "label": each.label}]
    for name, series in each.series.items():
        options: Json = {"id": f"{identity}_{name}", "stat": series.statistic, "visible": False}
        yield _metric(series, places, options)


def _metric(series: Series, places: KnownPlaces, options: Json) -> list[object]:
    named = (part for pair in series.known(places).items() for part in pair)
    return [series.namespace, series.metric.name, *named, options]


def _renamed(math: Math, identity: str) -> str:
    # Ids must be unique within a widget, and two expressions may both have a series called "errors".
    expression = math.expression
    for name in sorted(math.series, key=len, reverse=True):
        expression = _replace_word(expression, name, f"{identity}_{name}")
    return expression


def _replace_word(text: str, word: str, by: str) -> str:
    return re.sub(rf"(?<![A-Za-z0-9_]){word}(?![A-Za-z0-9_])", by, text)
