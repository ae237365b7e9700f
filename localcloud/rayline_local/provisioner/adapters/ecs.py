"""ECS clusters and task definitions."""

import json
from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tag_list, tolerate
from rayline_local.provisioner.clients import Clients

GONE = ("ClusterNotFoundException", "ClientException")


class ClusterAdapter:
    """``aws:ecs/cluster:Cluster``; its id is its ARN."""

    replaced_by = frozenset({"name"})

    def __init__(self, clients: Clients) -> None:
        self._ecs = clients.get("ecs")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        settings = [{"name": each["name"], "value": each["value"]} for each in inputs.get("settings", [])]
        made = self._ecs.create_cluster(
            clusterName=inputs["name"], settings=settings, tags=tag_list(inputs, "key", "value")
        )["cluster"]
        return Made(made["clusterArn"], {"arn": made["clusterArn"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        found = self._ecs.describe_clusters(clusters=[resource_id])["clusters"]
        return any(cluster["status"] == "ACTIVE" for cluster in found)

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._ecs.delete_cluster(cluster=resource_id))


class TaskDefinitionAdapter:
    """``aws:ecs/taskDefinition:TaskDefinition``; every change registers another revision."""

    replaced_by = frozenset({"family"})

    def __init__(self, clients: Clients) -> None:
        self._ecs = clients.get("ecs")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        request: dict[str, Any] = {
            "family": inputs["family"],
            "containerDefinitions": json.loads(inputs["containerDefinitions"]),
            "requiresCompatibilities": list(inputs.get("requiresCompatibilities", [])),
            "volumes": [{"name": volume["name"]} for volume in inputs.get("volumes", [])],
            "tags": tag_list(inputs, "key", "value"),
        }
        for name in ("cpu", "memory", "networkMode", "taskRoleArn", "executionRoleArn"):
            if name in inputs:
                request[name] = inputs[name]
        if platform := inputs.get("runtimePlatform"):
            request["runtimePlatform"] = dict(platform)
        made = self._ecs.register_task_definition(**request)["taskDefinition"]
        if existing_id is not None:
            self.delete(existing_id, inputs)
        return Made(
            made["taskDefinitionArn"],
            {"arn": made["taskDefinitionArn"], "revision": made["revision"]},
        )

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        found = tolerate(GONE, lambda: self._ecs.describe_task_definition(taskDefinition=resource_id))
        return found is not None and found["taskDefinition"]["status"] == "ACTIVE"

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._ecs.deregister_task_definition(taskDefinition=resource_id))
