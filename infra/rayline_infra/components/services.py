"""What all ECS services have in common: private, on Fargate, and rolled back when a deployment does not come up."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, ServiceKind


@dataclass(frozen=True)
class Placement:
    """Where a service's tasks run, and which security group they are in."""

    cluster_arn: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]


@dataclass(frozen=True)
class Behind:
    """The target group that sends to a service's tasks, and their port."""

    target_group_arn: pulumi.Input[str]
    port: int


@dataclass(frozen=True)
class ServiceArgs:
    """One service.

    Attributes:
        tasks: how many run before any scaling.
        on_demand: tasks that are never interrupted where ``spot`` runs the others on Fargate Spot.
        scaled: whether application auto scaling decides on the number of tasks.
    """

    names: EstateNames
    kind: ServiceKind
    placement: Placement
    task_definition_arn: pulumi.Input[str]
    tasks: int
    on_demand: int = 0
    spot: bool = False
    behind: Behind | None = None
    scaled: bool = False


def declare_service(
    args: ServiceArgs, parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()
) -> aws.ecs.Service:
    """Declare a service of one container, which is named like the service's kind."""
    return aws.ecs.Service(
        f"{args.kind}-service",
        name=args.names.service(args.kind),
        cluster=args.placement.cluster_arn,
        task_definition=args.task_definition_arn,
        desired_count=args.tasks,
        capacity_provider_strategies=_strategies(args),
        # The provider refuses to change the strategies, e.g. by processorSpot, of what it may not deploy again.
        force_new_deployment=True,
        platform_version="LATEST",
        network_configuration=aws.ecs.ServiceNetworkConfigurationArgs(
            subnets=list(args.placement.subnet_ids),
            security_groups=[args.placement.security_group_id],
            assign_public_ip=False,
        ),
        load_balancers=[
            aws.ecs.ServiceLoadBalancerArgs(
                target_group_arn=args.behind.target_group_arn,
                container_name=args.kind,
                container_port=args.behind.port,
            )
        ]
        if args.behind
        else None,
        health_check_grace_period_seconds=120 if args.behind else None,
        # New tasks must be well before old ones go; a deployment that never gets there is undone.
        deployment_minimum_healthy_percent=100,
        deployment_maximum_percent=200,
        deployment_circuit_breaker=aws.ecs.ServiceDeploymentCircuitBreakerArgs(enable=True, rollback=True),
        availability_zone_rebalancing="ENABLED",
        # A shell in a container would see patients, on nobody's record.
        enable_execute_command=False,
        enable_ecs_managed_tags=True,
        propagate_tags="SERVICE",
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=list(depends_on),
            # An update must not undo what auto scaling has decided.
            ignore_changes=["desiredCount"] if args.scaled else None,
        ),
    )


def _strategies(args: ServiceArgs) -> list[aws.ecs.ServiceCapacityProviderStrategyArgs]:
    strategy = aws.ecs.ServiceCapacityProviderStrategyArgs
    if not args.spot:
        return [strategy(capacity_provider="FARGATE", weight=1)]
    # The base is placed first; a provider without weight gets no task beyond it.
    return [
        strategy(capacity_provider="FARGATE", base=args.on_demand, weight=0),
        strategy(capacity_provider="FARGATE_SPOT", weight=1),
    ]


def declare_scaling(
    names: EstateNames,
    kind: ServiceKind,
    service: aws.ecs.Service,
    least: int,
    most: int,
    parent: pulumi.Resource,
) -> aws.appautoscaling.Target:
    """Let application auto scaling choose a service's number of tasks, within bounds."""
    return aws.appautoscaling.Target(
        f"{kind}-tasks",
        service_namespace="ecs",
        scalable_dimension="ecs:service:DesiredCount",
        resource_id=f"service/{names.cluster}/{names.service(kind)}",
        min_capacity=least,
        max_capacity=most,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[service]),
    )
