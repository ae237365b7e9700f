"""One metric of one resource, summed up by one statistic: what graphs draw and alarms watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pulumi

from rayline.observability.metrics import NAMESPACE, Dimension, Metric
from rayline_infra.components.observability.aws_metrics import AwsMetric
from rayline_infra.components.observability.places import KnownPlaces, Place, Places


@dataclass(frozen=True)
class Series:
    """A metric's values of one set of dimensions.

    Attributes:
        dimensions: in order; a value is a place, or text that is the same in every stack.
        statistic: ``Sum``, ``Average``, ``Maximum`` …, a percentile (``p99``), or a percentile rank (``PR(0:500)``: the
            percentage of values above 0 and up to 500).
        label: how a legend names it.
    """

    metric: Metric | AwsMetric
    dimensions: tuple[tuple[str, str], ...]
    statistic: str
    label: str

    @property
    def namespace(self) -> str:
        """The metric's namespace."""
        return self.metric.namespace if isinstance(self.metric, AwsMetric) else NAMESPACE

    @property
    def places(self) -> frozenset[Place]:
        """The resources that it is about."""
        return frozenset(value for _, value in self.dimensions if isinstance(value, Place))

    def as_(self, label: str) -> Series:
        """The same under another name."""
        return replace(self, label=label)

    def known(self, places: KnownPlaces) -> dict[str, str]:
        """Its dimensions in one stack."""
        return {name: places[value] if isinstance(value, Place) else value for name, value in self.dimensions}

    def planned(self, places: Places) -> dict[str, pulumi.Input[str]]:
        """Its dimensions in one stack, while not all of them are known."""
        return {name: places[value] if isinstance(value, Place) else value for name, value in self.dimensions}


def ours(
    metric: Metric, statistic: str | None = None, *, label: str = "", by: tuple[Dimension, str] | None = None
) -> Series:
    """A metric of our own at the stack's site.

    Args:
        by: one more dimension of the metric, and its value.
    """
    more = () if by is None else ((by[0].value, by[1]),)
    return Series(
        metric,
        ((Dimension.SITE.value, Place.SITE), *more),
        statistic or metric.statistic.value,
        label or (by[1] if by else metric.name),
    )


def theirs(metric: AwsMetric, *values: str, statistic: str | None = None, label: str = "") -> Series:
    """A metric of an AWS service.

    Args:
        values: of the dimensions of the first set of the metric that has as many.

    Raises:
        ValueError: the metric has no set of as many dimensions.
    """
    for names in metric.dimension_sets:
        if len(names) == len(values):
            return Series(
                metric,
                tuple(zip(names, values, strict=True)),
                statistic or metric.statistic,
                label or metric.name,
            )
    raise ValueError(f"{metric.namespace} publishes {metric.name} under no {len(values)} dimensions")


@dataclass(frozen=True)
class Math:
    """An expression over series.

    Attributes:
        expression: metric math in which each series goes by its id.
    """

    expression: str
    series: Mapping[str, Series] = field(hash=False)
    label: str = ""

    @property
    def places(self) -> frozenset[Place]:
        """The resources that it is about."""
        return frozenset().union(*(each.places for each in self.series.values()))


@dataclass(frozen=True)
class Search:
    """All series of a metric that differ in one dimension, for graphs; alarms cannot search.

    Attributes:
        across: the dimension whose values are the lines.
        label: what precedes the value in a legend, where a graph has several searches.
    """

    metric: Metric | AwsMetric
    across: str
    statistic: str
    label: str = ""

    @property
    def places(self) -> frozenset[Place]:
        """The resources that it is about."""
        return frozenset() if isinstance(self.metric, AwsMetric) else frozenset({Place.SITE})

    def expression(self, places: KnownPlaces, period_seconds: int) -> str:
        """The search in one stack.

        Names that are not plain letters stand in quotes (CloudWatch user guide, "search expression syntax").
        """
        if isinstance(self.metric, AwsMetric):
            schema, where = f'"{self.metric.namespace}","{self.across}"', ""
        else:
            schema = f'"{NAMESPACE}","{Dimension.SITE}","{self.across}"'
            where = f' {Dimension.SITE}="{places[Place.SITE]}"'
        query = f'{{{schema}}} MetricName="{self.metric.name}"{where}'
        return f"SEARCH('{query}', '{self.statistic}', {period_seconds})"


Plotted = Series | Math | Search
