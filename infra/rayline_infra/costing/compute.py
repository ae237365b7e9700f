"""Fargate tasks, SageMaker jobs and endpoints, and container images."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rayline.errors import ConfigurationError
from rayline_infra.costing.lines import Line, Month, Pricers
from rayline_infra.costing.usage import HOURS_PER_MONTH
from rayline_infra.policies.graph import Graph, Resource

FARGATE = "Fargate"
SAGEMAKER = "SageMaker"
FREE_STORAGE_GIB = 20  # of a task's scratch space (AWS Fargate pricing)
MIB_PER_GIB = 1024
RUNS_OF = {"cron(0 * ? * * *)": 730.0, "NOW": 1.0}
# CloudWatch pricing, "Container Insights for Amazon ECS": metrics of a cluster, a service and a task family.
INSIGHTS_OF_CLUSTER, INSIGHTS_OF_SERVICE, INSIGHTS_OF_TASK = 8, 11, 6


def service(resource: Resource, month: Month) -> Iterator[Line]:
    """The tasks of an ECS service: those that always run, and what scaling adds when a study arrives."""
    task = _task_definition(month.graph, resource)
    count = float(resource.inputs.get("desiredCount") or 0)
    strategies = resource.inputs.get("capacityProviderStrategies") or ()
    spot = spot_tasks(strategies, count)
    for tasks, discount, kind in ((count - spot, None, ""), (spot, "fargate.spot", " on Spot")):
        if tasks:
            yield from _task_hours(resource, month, task, tasks * HOURS_PER_MONTH, kind, discount=discount)
    if _scales_with_scans(month.graph, resource):
        # A further task runs where the strategy puts the next one.
        further = spot_tasks(strategies, count + 1) > spot
        hours = month.usage.scans_per_month * month.usage.burst_task_hours_per_scan
        for line in _task_hours(
            resource, month, task, hours, " of a burst", discount="fargate.spot" if further else None
        ):
            yield Line(line.service, line.what, line.resource, line.quantity, line.unit, line.usd, "scan")


def spot_tasks(strategies: Sequence[Mapping[str, Any]], count: float) -> float:
    """How many of ``count`` tasks run on Spot: first each provider's base, then the rest by weight."""
    left, spot = count, 0.0
    for each in strategies:
        base = min(left, float(each.get("base") or 0))
        left -= base
        spot += base if each["capacityProvider"] == "FARGATE_SPOT" else 0
    weights = sum(float(each.get("weight") or 0) for each in strategies)
    on_spot = sum(
        float(each.get("weight") or 0) for each in strategies if each["capacityProvider"] == "FARGATE_SPOT"
    )
    return spot + (left * on_spot / weights if weights else 0)


def _task_hours(
    resource: Resource, month: Month, task: Resource, hours: float, kind: str, *, discount: str | None
) -> Iterator[Line]:
    vcpus = float(task.inputs["cpu"]) / 1024
    gib = float(task.inputs["memory"]) / MIB_PER_GIB
    yield month.line(FARGATE, f"vCPU{kind}", resource, "fargate.vcpu", vcpus * hours, discount=discount)
    yield month.line(FARGATE, f"memory{kind}", resource, "fargate.memory", gib * hours, discount=discount)
    storage = float((task.inputs.get("ephemeralStorage") or {}).get("sizeInGib", FREE_STORAGE_GIB))
    if storage > FREE_STORAGE_GIB:
        further = (storage - FREE_STORAGE_GIB) * hours
        yield month.line(FARGATE, f"scratch space{kind}", resource, "fargate.storage", further)


def _task_definition(graph: Graph, resource: Resource) -> Resource:
    wanted = str(resource.inputs["taskDefinition"])
    for task in graph.of_type("aws:ecs/taskDefinition:TaskDefinition"):
        if wanted in (task.outputs["arn"], task.inputs["family"]):
            return task
    raise ConfigurationError(f"{resource.name} runs {wanted}, which the graph does not declare")


def _scales_with_scans(graph: Graph, resource: Resource) -> bool:
    service_name = str(resource.inputs["name"])
    return service_name.endswith("-processor") and any(
        str(each.inputs["resourceId"]).endswith(f"/{service_name}")
        for each in graph.of_type("aws:appautoscaling/target:Target")
    )


def cluster(resource: Resource, month: Month) -> Iterator[Line]:
    """Container Insights, whose metrics are billed like one's own."""
    settings = resource.inputs.get("settings") or ()
    if not any(each["name"] == "containerInsights" and each["value"] != "disabled" for each in settings):
        return
    services = len(month.graph.of_type("aws:ecs/service:Service"))
    families = len(month.graph.of_type("aws:ecs/taskDefinition:TaskDefinition"))
    metrics = INSIGHTS_OF_CLUSTER + INSIGHTS_OF_SERVICE * services + INSIGHTS_OF_TASK * families
    yield month.line("CloudWatch", "Container Insights", resource, "cloudwatch.metric", metrics)


def pipeline(resource: Resource, month: Month) -> Iterator[Line]:
    """The jobs of the training pipeline, by the instances that its definition asks for."""
    definition = json.loads(resource.inputs["pipelineDefinition"])
    defaults = {each["Name"]: each.get("DefaultValue") for each in definition["Parameters"]}
    usage = month.usage
    for step in definition["Steps"]:
        minutes = {
            "Preprocess": usage.preprocessing_minutes,
            "Train": usage.training_minutes,
            "Evaluate": usage.evaluation_minutes,
        }.get(step["Name"])
        if minutes is None:
            continue
        arguments = step["Arguments"]
        resources = arguments.get("ResourceConfig") or arguments["ProcessingResources"]["ClusterConfig"]
        instance = _value(resources["InstanceType"], defaults)
        hours = usage.trainings_per_month * float(_value(resources["InstanceCount"], defaults)) * minutes / 60
        spot = step["Type"] == "Training" and _is_true(
            _value(arguments.get("EnableManagedSpotTraining", False), defaults)
        )
        kind = f"{step['Name'].lower()} on {instance}{' Spot' if spot else ''}"
        yield month.line(
            SAGEMAKER,
            kind,
            resource,
            f"sagemaker.{instance}",
            hours,
            "training",
            discount="sagemaker.spot" if spot else None,
        )
        gib_months = float(_value(resources["VolumeSizeInGB"], defaults)) * hours / HOURS_PER_MONTH
        yield month.line(
            SAGEMAKER,
            f"{step['Name'].lower()}'s volume",
            resource,
            "sagemaker.volume",
            gib_months,
            "training",
        )


def _value(found: Any, defaults: Mapping[str, Any]) -> Any:
    if isinstance(found, Mapping) and "Get" in found:
        return defaults[str(found["Get"]).removeprefix("Parameters.")]
    return found


def _is_true(found: object) -> bool:
    return found is True or str(found).lower() == "true"


def endpoint(resource: Resource, month: Month) -> Iterator[Line]:
    """The instances behind an endpoint, all month."""
    for variant in resource.inputs["productionVariants"]:
        instance = variant["instanceType"]
        count = float(variant.get("initialInstanceCount") or 1)
        yield month.line(
            SAGEMAKER, f"endpoint on {instance}", resource, f"sagemaker.{instance}", count * HOURS_PER_MONTH
        )


def monitor(resource: Resource, month: Month) -> Iterator[Line]:
    """The runs of a drift monitor."""
    configuration = resource.inputs["monitoringScheduleConfig"]
    wanted = configuration.get("monitoringJobDefinitionName")
    runs = _runs(str((configuration.get("scheduleConfig") or {}).get("scheduleExpression", "")))
    for job in month.graph.of_type("aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition"):
        if job.inputs.get("name") == wanted:
            instances = job.inputs["jobResources"]["clusterConfig"]
            hours = runs * float(instances["instanceCount"]) * month.usage.monitoring_minutes / 60
            instance = instances["instanceType"]
            yield month.line(
                SAGEMAKER, f"drift monitor on {instance}", resource, f"sagemaker.{instance}", hours
            )


def _runs(expression: str) -> float:
    # SageMaker schedules by the hour or by the day (API_ScheduleConfig).
    hour = expression.removeprefix("cron(").split()[1:2]
    return RUNS_OF.get(expression, 730.0 if hour == ["*"] else HOURS_PER_MONTH / 24)


def repository(resource: Resource, month: Month) -> Iterator[Line]:
    """The images that a repository keeps."""
    usage = month.usage
    kind = str(resource.inputs["name"]).removeprefix(month.stack_prefix)
    size = {"processor": usage.processor_image_gib, "training": usage.training_image_gib}.get(
        kind, usage.other_image_gib
    )
    yield month.line("ECR", "images", resource, "ecr.storage", size * usage.images_kept)


PRICERS: Pricers = {
    "aws:ecr/repository:Repository": repository,
    "aws:ecs/cluster:Cluster": cluster,
    "aws:ecs/service:Service": service,
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": endpoint,
    "aws:sagemaker/monitoringSchedule:MonitoringSchedule": monitor,
    "aws:sagemaker/pipeline:Pipeline": pipeline,
}
