"""The ECS cluster that all services run in."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames


@dataclass(frozen=True)
class ClusterArgs:
    """Names, and the key of what tasks spool."""

    names: EstateNames
    identified_key_arn: pulumi.Input[str]


class Cluster(pulumi.ComponentResource):
    """A Fargate cluster, on demand and Spot, with Container Insights: scaling reads the number of tasks from it."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:cluster:Cluster", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._cluster = aws.ecs.Cluster(
            "cluster",
            name=args.names.cluster,
            settings=[aws.ecs.ClusterSettingArgs(name="containerInsights", value="enabled")],
            # A gateway's and a processor's scratch volume holds images that name patients.
            configuration=aws.ecs.ClusterConfigurationArgs(
                managed_storage_configuration=aws.ecs.ClusterConfigurationManagedStorageConfigurationArgs(
                    fargate_ephemeral_storage_kms_key_id=args.identified_key_arn
                )
            ),
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
