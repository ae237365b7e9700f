"""The DIMSE gateway: modalities and the PACS send to it through a network load balancer, which passes TCP on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.dimse.settings import DimseSettings
from rayline.names import EstateNames
from rayline_infra.components.services import Behind, Placement, ServiceArgs, declare_service
from rayline_infra.components.tasks import TaskArgs, TaskRoles, TaskSize, declare_task
from rayline_infra.scanning.exemptions import ScannerExemption
from rayline_infra.settings import GatewaySettings

# An association that sends a study outlasts a deployment's patience, but not by much.
DRAIN_SECONDS = 120

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_91",
        "gateway-balancer",
        "a network load balancer logs TLS listeners only, and TCP is passed through; flow logs have it",
    ),
    ScannerExemption(
        "CKV_AWS_150", "gateway-balancer", "is destroyed and made again", stacks=("dev", "local")
    ),
)


@dataclass(frozen=True)
class GatewayArgs:
    """The tasks' size, roles, image and environment, and the load balancer's place.

    Attributes:
        peer_networks: where modalities connect from, and the VPC's own addresses, which the load balancer asks from.
    """

    names: EstateNames
    gateway: GatewaySettings
    placement: Placement
    vpc_id: pulumi.Input[str]
    balancer_security_group_id: pulumi.Input[str]
    roles: TaskRoles
    image: pulumi.Input[str]
    collector_image: pulumi.Input[str] | None
    logs_key_arn: pulumi.Input[str]
    log_days: int
    environment: Mapping[str, pulumi.Input[str]]
    secrets: Mapping[str, pulumi.Input[str]]
    peer_networks: Sequence[str]
    health_port: int
    deletion_protection: bool


class Gateway(pulumi.ComponentResource):
    """`rayline dimse serve` as a service that the hospital's addresses alone reach, and that can only upload.

    TLS goes through to the tasks: a network load balancer's own TLS listener cannot ask for client certificates.
    """

    def __init__(
        self,
        name: str,
        args: GatewayArgs,
        opts: pulumi.ResourceOptions | None = None,
        depends_on: Sequence[pulumi.Resource] = (),
    ) -> None:
        super().__init__("rayline:services:Gateway", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self.balancer = aws.lb.LoadBalancer(
            "gateway-balancer",
            name=args.names.service("gateway"),
            internal=True,
            load_balancer_type="network",
            subnets=list(args.placement.subnet_ids),
            security_groups=[args.balancer_security_group_id],
            enable_cross_zone_load_balancing=True,
            enable_deletion_protection=args.deletion_protection,
            opts=self._child,
        )
        self.target_group = self._declare_target_group()
        listener = aws.lb.Listener(
            "gateway-listener",
            load_balancer_arn=self.balancer.arn,
            port=args.gateway.port,
            protocol="TCP",
            default_actions=[
                aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=self.target_group.arn)
            ],
            opts=self._child,
        )
        self.task_definition = self._declare_task()
        self.service = declare_service(
            ServiceArgs(
                names=args.names,
                kind="gateway",
                placement=args.placement,
                task_definition_arn=self.task_definition.arn,
                tasks=args.gateway.tasks,
                behind=Behind(self.target_group.arn, args.gateway.port),
            ),
            self,
            # ECS refuses a target group that no listener sends to.
            [*depends_on, listener],
        )
        self.register_outputs({})

    def _declare_target_group(self) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            "gateway-targets",
            name=self._args.names.service("gateway"),
            target_type="ip",
            vpc_id=self._args.vpc_id,
            port=self._args.gateway.port,
            protocol="TCP",
            # The gateway's log names the modality's address, not the load balancer's.
            preserve_client_ip="true",
            deregistration_delay=DRAIN_SECONDS,
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                enabled=True, protocol="TCP", interval=10, healthy_threshold=2, unhealthy_threshold=3
            ),
            opts=self._child,
        )

    def _declare_task(self) -> aws.ecs.TaskDefinition:
        args = self._args
        return declare_task(
            TaskArgs(
                names=args.names,
                kind="gateway",
                size=TaskSize(args.gateway.cpu_units, args.gateway.memory_mib),
                roles=args.roles,
                image=args.image,
                command=["rayline", "dimse", "serve"],
                logs_key_arn=args.logs_key_arn,
                log_days=args.log_days,
                environment={**args.environment, **self._dimse()},
                secrets=args.secrets,
                ports=[args.gateway.port],
                health_command=["rayline", "dimse", "health"] if args.health_port else (),
                collector_image=args.collector_image,
            ),
            self,
        )

    def _dimse(self) -> dict[str, str]:
        """What the gateway is told beside the estate's settings."""
        gateway = self._args.gateway
        fields = {
            "ae_title": gateway.ae_title,
            "port": str(gateway.port),
            "calling_ae_titles": ",".join(gateway.calling_ae_titles),
            "peer_networks": ",".join(self._args.peer_networks),
        }
        return {DimseSettings.environment_name(field): value for field, value in fields.items()}
