"""The VPC, its subnets and its route tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.components.network.access_lists import private_rules, public_rules
from rayline_infra.scanning.exemptions import ScannerExemption
from rayline_infra.settings import NetworkSettings

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_231",
        "*-network-acl",
        "a network ACL keeps no state: answers from the internet come to any port above 1023; groups do the rest",
        when="natGateways",
    ),
)


@dataclass(frozen=True)
class Zone:
    """What the VPC has in one availability zone for whatever runs."""

    name: str
    subnet: aws.ec2.Subnet
    route_table: aws.ec2.RouteTable


class Addresses:
    """A VPC whose private subnets know no way out but what is added to their route tables."""

    def __init__(self, names: EstateNames, network: NetworkSettings, opts: pulumi.ResourceOptions) -> None:
        self._names = names
        self._network = network
        self._opts = opts
        self.vpc = aws.ec2.Vpc(
            "vpc",
            cidr_block=network.vpc_cidr,
            # Interface endpoints answer under the services' own names (PrivateLink guide, "Private DNS").
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": names.prefix},
            opts=opts,
        )
        self._empty_defaults()
        self.zones = [
            self._zone(name, cidr)
            for name, cidr in zip(network.availability_zones, network.private_cidrs, strict=False)
        ]
        self._restrict("private", [zone.subnet for zone in self.zones], *private_rules(network))
        self.internet_gateway = aws.ec2.InternetGateway(
            # CloudFront takes a load balancer for a VPC origin only where the VPC has an internet gateway, and
            # does not route through it (CloudFront guide, "Restrict access with VPC origins").
            "internet-gateway",
            vpc_id=self.vpc.id,
            tags={"Name": names.prefix},
            opts=opts,
        )
        if network.nat_gateways:
            self._translate()

    def _empty_defaults(self) -> None:
        """What AWS makes with a VPC allows everything; whatever names nothing else gets nothing."""
        tags = {"Name": f"{self._names.prefix}-default-unused"}
        aws.ec2.DefaultSecurityGroup(
            "default-security-group", vpc_id=self.vpc.id, ingress=[], egress=[], tags=tags, opts=self._opts
        )
        aws.ec2.DefaultRouteTable(
            "default-route-table",
            default_route_table_id=self.vpc.default_route_table_id,
            routes=[],
            tags=tags,
            opts=self._opts,
        )
        aws.ec2.DefaultNetworkAcl(
            "default-network-acl",
            default_network_acl_id=self.vpc.default_network_acl_id,
            ingress=[],
            egress=[],
            tags=tags,
            opts=self._opts,
        )

    def _zone(self, zone: str, cidr: str) -> Zone:
        subnet = self._subnet(f"private-{zone}", zone, cidr)
        return Zone(zone, subnet, self._route_table(f"private-{zone}", subnet))

    def _subnet(self, name: str, zone: str, cidr: str) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            f"{name}-subnet",
            vpc_id=self.vpc.id,
            availability_zone=zone,
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags={"Name": f"{self._names.prefix}-{name}"},
            opts=self._opts,
        )

    def _route_table(self, name: str, subnet: aws.ec2.Subnet) -> aws.ec2.RouteTable:
        table = aws.ec2.RouteTable(
            f"{name}-route-table",
            vpc_id=self.vpc.id,
            tags={"Name": f"{self._names.prefix}-{name}"},
            opts=self._opts,
        )
        aws.ec2.RouteTableAssociation(
            f"{name}-route-table-association",
            subnet_id=subnet.id,
            route_table_id=table.id,
            opts=self._opts,
        )
        return table

    def _restrict(
        self,
        kind: str,
        subnets: Sequence[aws.ec2.Subnet],
        ingress: Sequence[aws.ec2.NetworkAclIngressArgs],
        egress: Sequence[aws.ec2.NetworkAclEgressArgs],
    ) -> None:
        aws.ec2.NetworkAcl(
            f"{kind}-network-acl",
            vpc_id=self.vpc.id,
            subnet_ids=[subnet.id for subnet in subnets],
            ingress=ingress,
            egress=egress,
            tags={"Name": f"{self._names.prefix}-{kind}"},
            opts=self._opts,
        )

    def _translate(self) -> None:
        """NAT gateways, each in a public subnet that holds nothing else."""
        network = self._network
        gateways, subnets = [], []
        for zone, cidr in list(zip(network.availability_zones, network.public_cidrs, strict=False))[
            : network.nat_gateways
        ]:
            subnet = self._subnet(f"public-{zone}", zone, cidr)
            table = self._route_table(f"public-{zone}", subnet)
            aws.ec2.Route(
                f"public-{zone}-internet-route",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                gateway_id=self.internet_gateway.id,
                opts=self._opts,
            )
            gateways.append(self._nat_gateway(zone, subnet))
            subnets.append(subnet)
        self._restrict("public", subnets, *public_rules(network))
        for index, each in enumerate(self.zones):
            aws.ec2.Route(
                f"private-{each.name}-nat-route",
                route_table_id=each.route_table.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=gateways[index % len(gateways)].id,
                opts=self._opts,
            )

    def _nat_gateway(self, zone: str, subnet: aws.ec2.Subnet) -> aws.ec2.NatGateway:
        tags = {"Name": f"{self._names.prefix}-nat-{zone}"}
        address = aws.ec2.Eip(f"nat-{zone}-address", domain="vpc", tags=tags, opts=self._opts)
        return aws.ec2.NatGateway(
            f"nat-{zone}",
            subnet_id=subnet.id,
            allocation_id=address.allocation_id,
            connectivity_type="public",
            tags=tags,
            # A NAT gateway fails to start before its VPC has an internet gateway.
            opts=pulumi.ResourceOptions.merge(
                self._opts, pulumi.ResourceOptions(depends_on=[self.internet_gateway])
            ),
        )
