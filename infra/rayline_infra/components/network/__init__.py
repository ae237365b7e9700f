"""The VPC and every way in and out of it."""

from dataclasses import dataclass

import pulumi

from rayline.names import API_PORT, EstateNames, SecurityGroupKind
from rayline_infra.components.network.endpoints import (
    declare_gateway_endpoints,
    declare_interface_endpoints,
)
from rayline_infra.components.network.flow_logs import declare_flow_logs
from rayline_infra.components.network.hospital import declare_hospital_link
from rayline_infra.components.network.security_groups import SecurityGroups
from rayline_infra.components.network.vpc import Addresses
from rayline_infra.policies.endpoints import GatewayService
from rayline_infra.policies.roles import Granted
from rayline_infra.settings import NetworkSettings

__all__ = ["Network", "NetworkArgs"]


@dataclass(frozen=True)
class NetworkArgs:
    """Addresses, ports of the services, and what the endpoints' policies must name."""

    names: EstateNames
    network: NetworkSettings
    dimse_port: int
    granted: pulumi.Output[Granted]
    flow_logs_role_arn: pulumi.Input[str]
    logs_key_arn: pulumi.Input[str]


class Network(pulumi.ComponentResource):
    """A VPC in which everything runs in private subnets, and from which nothing but AWS and the hospital is reached.

    Load balancers are internal and stand in the private subnets too; CloudFront reaches the API's as a VPC origin.
    A service that starts in the VPC depends on this component: without the endpoints its tasks find no image.
    """

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:network:Network", name, None, opts)
        names, network, child = args.names, args.network, pulumi.ResourceOptions(parent=self)
        addresses = Addresses(names, network, child)
        self.vpc_id: pulumi.Output[str] = addresses.vpc.id
        self.private_subnet_ids: list[pulumi.Output[str]] = [zone.subnet.id for zone in addresses.zones]
        self._groups = SecurityGroups(names, addresses.vpc, child)
        self._gateways = declare_gateway_endpoints(names, addresses.vpc, addresses.zones, args.granted, child)
        declare_interface_endpoints(
            names,
            addresses.vpc,
            addresses.zones[: network.endpoint_zones],
            self._groups["endpoints"],
            args.granted,
            child,
        )
        self._groups.connect(names, network, self._gateways, api_port=API_PORT, dimse_port=args.dimse_port)
        declare_flow_logs(
            names,
            addresses.vpc,
            args.flow_logs_role_arn,
            args.logs_key_arn,
            network.flow_log_days,
            child,
        )
        declare_hospital_link(names, network, addresses.vpc, addresses.zones, child)
        self.register_outputs({})

    def security_group_id(self, kind: SecurityGroupKind) -> pulumi.Output[str]:
        """Id of the security group of a kind of workload."""
        return self._groups[kind].id

    def gateway_endpoint_id(self, service: GatewayService) -> pulumi.Output[str]:
        """Id of the endpoint through which S3 or DynamoDB is reached, e.g. for ``aws:SourceVpce``."""
        return self._gateways[service].id
