"""VPC endpoints: the only way from the private subnets to AWS."""

from collections.abc import Callable, Sequence

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.components.network.vpc import Zone
from rayline_infra.policies.endpoints import (
    GATEWAY_SERVICES,
    INTERFACE_SERVICES,
    GatewayService,
    InterfaceService,
    endpoint_policy,
    service_name,
)
from rayline_infra.policies.roles import Granted


def declare_gateway_endpoints(
    names: EstateNames,
    vpc: aws.ec2.Vpc,
    zones: Sequence[Zone],
    granted: pulumi.Output[Granted],
    opts: pulumi.ResourceOptions,
) -> dict[GatewayService, aws.ec2.VpcEndpoint]:
    """Declare S3's and DynamoDB's endpoints, which are routes of the private subnets and cost nothing."""
    return {
        service: aws.ec2.VpcEndpoint(
            f"{service}-endpoint",
            vpc_id=vpc.id,
            service_name=service_name(service, names),
            vpc_endpoint_type="Gateway",
            route_table_ids=[zone.route_table.id for zone in zones],
            policy=granted.apply(_policy_of(service, names)),
            tags={"Name": f"{names.prefix}-{service}"},
            opts=opts,
        )
        for service in GATEWAY_SERVICES
    }


def declare_interface_endpoints(
    names: EstateNames,
    vpc: aws.ec2.Vpc,
    zones: Sequence[Zone],
    security_group: aws.ec2.SecurityGroup,
    granted: pulumi.Output[Granted],
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare an endpoint with an address in each of ``zones`` for every other service that the estate calls.

    Cognito is not among them: it refuses PrivateLink for a user pool that has a domain (Cognito guide, "Access
    Amazon Cognito using an interface endpoint"). GuardDuty's is declared also where the account has GuardDuty: it would
    make one of its own, behind a group that tasks cannot reach, and which keeps the VPC from being deleted.
    """
    for service in INTERFACE_SERVICES:
        aws.ec2.VpcEndpoint(
            f"{service.replace('.', '-')}-endpoint",
            vpc_id=vpc.id,
            service_name=service_name(service, names),
            vpc_endpoint_type="Interface",
            subnet_ids=[zone.subnet.id for zone in zones],
            security_group_ids=[security_group.id],
            private_dns_enabled=True,
            policy=granted.apply(_policy_of(service, names)),
            tags={"Name": f"{names.prefix}-{service}"},
            opts=opts,
        )


def _policy_of(service: GatewayService | InterfaceService, names: EstateNames) -> Callable[[Granted], str]:
    return lambda granted: endpoint_policy(service, names, granted)
