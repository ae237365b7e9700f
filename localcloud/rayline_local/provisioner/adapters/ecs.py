"""ECS clusters, task definitions and services."""

import json
from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tag_list, tolerate
from rayline_local.provisioner.adapters.recipe import Found, Recipe, call, first
from rayline_local.provisioner.adapters.requests import request_for
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


def _service(ecs: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = ecs.describe_services(cluster=inputs["cluster"], services=[inputs["name"]])["services"]
    return next((dict(each) for each in found if each["status"] == "ACTIVE"), None)


def _put_service(operation: str) -> Any:
    def put(ecs: Any, inputs: Inputs) -> Any:
        request = request_for(ecs, operation, inputs)
        request["service" if operation == "UpdateService" else "serviceName"] = inputs["name"]
        if network := inputs.get("networkConfiguration"):
            # Pulumi leaves out that there is one kind of network, and says by a flag what AWS says by a word.
            public = "ENABLED" if network.get("assignPublicIp") else "DISABLED"
            request.update(
                request_for(
                    ecs,
                    operation,
                    {"networkConfiguration": {"awsvpcConfiguration": {**network, "assignPublicIp": public}}},
                )
            )
        deployment = {
            "maximumPercent": inputs.get("deploymentMaximumPercent"),
            "minimumHealthyPercent": inputs.get("deploymentMinimumHealthyPercent"),
            "deploymentCircuitBreaker": inputs.get("deploymentCircuitBreaker"),
        }
        request.update(
            request_for(ecs, operation, {"deploymentConfiguration": deployment}),
            # The local cloud runs no containers: its processes are started by people, tests and the demo.
            desiredCount=0,
        )
        return call(ecs, operation, request)

    return put


SERVICE = Recipe(
    service="ecs",
    find=_service,
    identity="serviceArn",
    create=_put_service("CreateService"),
    delete=lambda ecs, arn, inputs: ecs.delete_service(
        cluster=inputs["cluster"], service=inputs["name"], force=True
    ),
    update=lambda ecs, found, inputs: _put_service("UpdateService")(ecs, inputs),
    outputs={"arn": "{id}"},
    replaced_by=frozenset({"name", "cluster", "launchType", "schedulingStrategy"}),
)


def _providers(ecs: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    cluster = first(ecs.describe_clusters(clusters=[inputs["clusterName"]])["clusters"])
    return cluster if cluster and cluster.get("capacityProviders") else None


CLUSTER_CAPACITY_PROVIDERS = Recipe(
    service="ecs",
    find=_providers,
    identity="clusterName",
    create="PutClusterCapacityProviders",
    update="PutClusterCapacityProviders",
    renamed={
        "cluster": "clusterName",
        "defaultCapacityProviderStrategy": "defaultCapacityProviderStrategies",
    },
    delete=lambda ecs, name, inputs: ecs.put_cluster_capacity_providers(
        cluster=name, capacityProviders=[], defaultCapacityProviderStrategy=[]
    ),
    replaced_by=frozenset({"clusterName"}),
)
