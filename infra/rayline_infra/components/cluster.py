"""The ECS cluster that all services run in."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames


@dataclass(frozen=True)
class ClusterArgs:
    """Names of the cluster."""

    names: EstateNames


class Cluster(pulumi.ComponentResource):
    """A Fargate cluster, on demand and Spot, with Container Insights: scaling reads the number of tasks from it."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:cluster:Cluster", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._cluster = aws.ecs.Cluster(
            "cluster",
            name=args.names.cluster,
            settings=[aws.ecs.ClusterSettingArgs(name="containerInsights", value="enabled")],
            opts=child,
        )
        self.capacity = aws.ecs.ClusterCapacityProviders(
            "capacity",
            cluster_name=self._cluster.name,
            capacity_providers=["FARGATE", "FARGATE_SPOT"],
            # What names no strategy of its own is not to be interrupted.
            default_capacity_provider_strategies=[
                aws.ecs.ClusterCapacityProvidersDefaultCapacityProviderStrategyArgs(
                    capacity_provider="FARGATE", weight=1
                )
            ],
            opts=child,
        )
        self.register_outputs({})

    @property
    def arn(self) -> pulumi.Output[str]:
        """ARN of the cluster."""
        return self._cluster.arn

    @property
    def name(self) -> pulumi.Output[str]:
        """Name of the cluster."""
        return self._cluster.name
