"""Nothing plots or watches a metric that nobody emits, and nothing that we emit is plotted nowhere."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from rayline.observability.metrics import METRICS, NAMESPACE, Dimension, Statistic, publish
from rayline_infra.components.observability.aws_metrics import AWS_METRICS
from rayline_infra.policies.graph import Graph

SEARCH = re.compile(
    r"""SEARCH\('\{"(?P<namespace>[^"]+)",(?P<names>"[^}]+")\} MetricName="(?P<name>\w+)"(?P<where>[^']*)'"""
    r""", '(?P<statistic>\w+)', \d+\)"""
)
# Values that AWS gives its dimensions, which are no names of ours.
AWS_VALUES = {"StorageType": {"StandardStorage"}}


@dataclass(frozen=True)
class Use:
    """A metric as a dashboard or an alarm reads it; a searched dimension has no value."""

    where: str
    namespace: str
    name: str
    statistic: str
    dimensions: tuple[tuple[str, str | None], ...]


def uses(graph: Graph) -> Iterator[Use]:
    yield from _alarms(graph)
    for dashboard in graph.of_type("aws:cloudwatch/dashboard:Dashboard"):
        for widget in json.loads(dashboard.inputs["dashboardBody"])["widgets"]:
            for metric in widget["properties"].get("metrics", ()):
                yield from _plotted(widget["properties"]["title"], metric)


def _alarms(graph: Graph) -> Iterator[Use]:
    for alarm in graph.of_type("aws:cloudwatch/metricAlarm:MetricAlarm"):
        inputs = alarm.inputs
        queries = [each["metric"] for each in inputs.get("metricQueries") or () if each.get("metric")]
        for metric in queries or [inputs]:
            statistic = metric.get("stat") or metric.get("extendedStatistic") or metric["statistic"]
            dimensions = tuple((metric.get("dimensions") or {}).items())
            yield Use(inputs["name"], metric["namespace"], metric["metricName"], statistic, dimensions)


def _plotted(title: str, metric: list[Any]) -> Iterator[Use]:
    *parts, options = metric
    if parts:
        dimensions = tuple(zip(parts[2::2], parts[3::2], strict=True))
        yield Use(title, parts[0], parts[1], options["stat"], dimensions)
    elif options["expression"].startswith("SEARCH"):
        found = SEARCH.fullmatch(options["expression"])
        assert found, options["expression"]
        values = dict(re.findall(r'(\w+)="([^"]*)"', found["where"]))
        names = re.findall(r'"([^"]+)"', found["names"])
        yield Use(
            title,
            found["namespace"],
            found["name"],
            found["statistic"],
            tuple((name, values.get(name)) for name in names),
        )


def test_every_metric_that_is_read_is_emitted_with_these_dimensions(graph: Graph) -> None:
    ours = {metric.name: {tuple(each) for each in metric.dimension_sets} for metric in METRICS}
    theirs = {
        (metric.namespace, metric.name): {frozenset(each) for each in metric.dimension_sets}
        for metric in AWS_METRICS
    }
    found = list(uses(graph))
    assert len(found) > 100
    for use in found:
        names = tuple(name for name, _ in use.dimensions)
        if use.namespace == NAMESPACE:
            assert use.name in ours, f"{use.where}: nobody emits {use.name}"
            assert names in ours[use.name], f"{use.where}: {use.name} is not emitted by {names}"
        else:
            key = (use.namespace, use.name)
            assert key in theirs, f"{use.where}: AWS documents no {key}"
            assert frozenset(names) in theirs[key], f"{use.where}: {key} is not published by {names}"


def test_what_alarms_read_is_what_a_published_line_holds(graph: Graph) -> None:
    # CloudWatch takes a metric with other dimensions for another metric.
    line = StringIO()
    labels = dict.fromkeys(Dimension, "x")
    publish(
        dict.fromkeys(METRICS, 1),
        site=graph.outputs["site"],
        at=datetime(2026, 1, 1, tzinfo=UTC),
        labels=labels,
        stream=line,
    )
    published = json.loads(line.getvalue())
    kept = {
        (directive["Namespace"], metric["Name"], frozenset((name, published[name]) for name in names))
        for directive in published["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
        for names in directive["Dimensions"]
    }
    read = [use for use in _alarms(graph) if use.namespace == NAMESPACE]
    assert len(read) > 10
    for use in read:
        assert (use.namespace, use.name, frozenset(use.dimensions)) in kept, use


def test_every_metric_that_is_read_is_about_the_stacks_own_resources(graph: Graph) -> None:
    resources = {
        "QueueName": _inputs(graph, "aws:sqs/queue:Queue", "name"),
        "RuleName": _inputs(graph, "aws:cloudwatch/eventRule:EventRule", "name"),
        "EventBusName": _inputs(graph, "aws:cloudwatch/eventBus:EventBus", "name"),
        "TableName": _inputs(graph, "aws:dynamodb/table:Table", "name"),
        "BucketName": _inputs(graph, "aws:s3/bucket:Bucket", "bucket"),
        "PipelineName": _inputs(graph, "aws:sagemaker/pipeline:Pipeline", "pipelineName"),
        "EndpointName": _inputs(graph, "aws:sagemaker/endpoint:Endpoint", "name"),
        "VariantName": {
            variant["variantName"]
            for each in graph.of_type("aws:sagemaker/endpointConfiguration:EndpointConfiguration")
            for variant in each.inputs["productionVariants"]
        },
        "ClusterName": _inputs(graph, "aws:ecs/cluster:Cluster", "name"),
        "ServiceName": _inputs(graph, "aws:ecs/service:Service", "name"),
        "LogGroupName": _inputs(graph, "aws:cloudwatch/logGroup:LogGroup", "name"),
        "LoadBalancer": {
            each.outputs["arnSuffix"] for each in graph.of_type("aws:lb/loadBalancer:LoadBalancer")
        },
        "CertificateArn": {each.outputs["arn"] for each in graph.of_type("aws:acm/certificate:Certificate")},
        "Site": {graph.outputs["site"]},
        "Step": {
            step["Name"]
            for each in graph.of_type("aws:sagemaker/pipeline:Pipeline")
            for step in json.loads(each.inputs["pipelineDefinition"])["Steps"]
        },
        **AWS_VALUES,
    }
    for use in uses(graph):
        for name, value in use.dimensions:
            if value is not None:
                assert value in resources[name], f"{use.where}: no {name} {value}"


def _inputs(graph: Graph, type_token: str, name: str) -> set[str]:
    return {str(each.inputs[name]) for each in graph.of_type(type_token)}


def test_a_rule_is_named_with_its_bus_where_that_is_not_the_default_one(graph: Graph) -> None:
    # EventBridge user guide, "Monitoring": the rule alone is one of the default bus.
    custom = {
        each.inputs["name"]
        for each in graph.of_type("aws:cloudwatch/eventRule:EventRule")
        if each.inputs.get("eventBusName", "default") != "default"
    }
    assert custom
    for use in uses(graph):
        dimensions = dict(use.dimensions)
        if "RuleName" in dimensions:
            assert ("EventBusName" in dimensions) == (dimensions["RuleName"] in custom), use


def test_everything_that_we_emit_is_plotted_or_watched(graph_of: Callable[[str], Graph]) -> None:
    used = {use.name for use in uses(graph_of("prod")) if use.namespace == NAMESPACE}
    assert {metric.name for metric in METRICS} == used


def test_every_metric_of_aws_that_is_listed_is_used(graph_of: Callable[[str], Graph]) -> None:
    # dev has an endpoint, and prod none.
    used = {(use.namespace, use.name) for use in uses(graph_of("dev")) if use.namespace != NAMESPACE}
    assert {(metric.namespace, metric.name) for metric in AWS_METRICS} == used


def test_measurements_and_levels_are_never_summed(graph: Graph) -> None:
    statistics = {metric.name: metric.statistic for metric in METRICS}
    for use in uses(graph):
        if use.namespace == NAMESPACE and use.statistic == "Sum":
            assert statistics[use.name] is Statistic.SUM, f"{use.where} sums {use.name}"


def test_metrics_of_aws_say_where_they_are_documented() -> None:
    for metric in AWS_METRICS:
        assert metric.page.startswith("https://docs.aws.amazon.com/"), metric
        assert metric.dimension_sets, metric
