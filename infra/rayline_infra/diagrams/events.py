"""What starts work: rules and schedules, where each leads, and where goes what could not be delivered."""

import json
from collections.abc import Mapping
from typing import Any

from rayline_infra.diagrams.mermaid import Flowchart
from rayline_infra.policies.graph import Graph

RULE = "aws:cloudwatch/eventRule:EventRule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
QUEUE = "aws:sqs/queue:Queue"
TOPIC = "aws:sns/topic:Topic"


def events(graph: Graph) -> str:
    """Source → rule → queue or topic; a dotted arrow is the way of what fails."""
    prefix = f"rayline-{graph.stack}-"
    chart = Flowchart("LR")
    places = {
        str(each.outputs["arn"]): str(each.inputs["name"]).removeprefix(prefix)
        for kind in (QUEUE, TOPIC)
        for each in graph.of_type(kind)
    }
    rules = {(each.inputs["eventBusName"], each.inputs["name"]): each.inputs for each in graph.of_type(RULE)}
    sources: dict[str, list[str]] = {}
    for (bus, name), inputs in rules.items():
        source = _source(inputs) if bus == "default" else f"{_source(inputs)}<br>bus {bus}"
        sources.setdefault(source, []).append(str(name).removeprefix(prefix))
    for source in sources:
        chart.node(f"source {source}", source, "round")
    for kind, shape in ((QUEUE, "queue"), (TOPIC, "round")):
        for each in graph.of_type(kind):
            chart.node(places[str(each.outputs["arn"])], places[str(each.outputs["arn"])], shape)
    for source, names in sources.items():
        for name in names:
            chart.node(f"rule {name}", name)
            chart.edge(f"source {source}", f"rule {name}")
    for target in graph.of_type(TARGET):
        rule = f"rule {str(target.inputs['rule']).removeprefix(prefix)}"
        chart.edge(rule, places[target.inputs["arn"]])
        letters = places[target.inputs["deadLetterConfig"]["arn"]]
        chart.edge(places[target.inputs["arn"]], letters, "undeliverable", dotted=True)
    return chart.text()


def _source(inputs: Mapping[str, Any]) -> str:
    if "scheduleExpression" in inputs:
        return str(inputs["scheduleExpression"])
    pattern = json.loads(str(inputs["eventPattern"]))
    return ", ".join(pattern["source"])
