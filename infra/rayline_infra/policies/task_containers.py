"""The containers of a graph's ECS task definitions."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rayline_infra.policies.graph import Graph, Resource

TASK_DEFINITION = "aws:ecs/taskDefinition:TaskDefinition"


def containers(graph: Graph) -> Iterator[tuple[Resource, Mapping[str, Any]]]:
    """Each container with the task definition that it is part of."""
    for task in graph.of_type(TASK_DEFINITION):
        found = task.inputs["containerDefinitions"]
        for container in json.loads(found) if isinstance(found, str) else found:
            yield task, container
