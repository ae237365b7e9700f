"""Addresses, availability zones, and the ways in and out."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from rayline_infra.settings.section import Section, Texts, setting


class NetworkSettings(Section):
    """The VPC and its routes."""

    vpc_cidr: str = setting(
        "vpcCidr", "Addresses of the VPC.", "10.0.0.0/16", default="10.0.0.0/16", pattern=r"^[\d./]+$"
    )
    availability_zones: Texts = setting(
        "availabilityZones",
        "Availability zones, two or three; each gets a private subnet.",
        ["us-east-1a", "us-east-1b"],
        min_length=2,
        max_length=3,
    )
    public_cidrs: Texts = setting(
        "publicCidrs",
        "Addresses of the public subnets, which hold nothing but NAT gateways; made only where there are some.",
        ["10.0.1.0/24", "10.0.2.0/24"],
        default=("10.0.1.0/24", "10.0.2.0/24"),
    )
    private_cidrs: Texts = setting(
        "privateCidrs",
        "Addresses of the private subnets, at least one for each availability zone.",
        ["10.0.10.0/24", "10.0.20.0/24", "10.0.30.0/24"],
        default=("10.0.10.0/24", "10.0.20.0/24", "10.0.30.0/24"),
    )
    nat_gateways: Annotated[int, Field(ge=0, le=2)] = setting(
        "natGateways",
        "NAT gateways: 0 leaves the private subnets without any route to the internet.",
        0,
        default=0,
    )
    flow_log_days: Annotated[int, Field(ge=1, le=3653)] = setting(
        "flowLogDays", "Days that VPC flow logs stay.", 365, default=365
    )
    hospital_attachment: Literal["none", "transit-gateway", "vpn"] = setting(
        "hospitalAttachment",
        "How the hospital's network is reached, for its PACS and modalities.",
        "transit-gateway",
        default="none",
    )
    hospital_cidrs: Texts = setting(
        "hospitalCidrs",
        "Addresses of the hospital's network that may be reached and may call in.",
        ["10.200.0.0/16"],
        default=(),
    )
    transit_gateway_id: str = setting(
        "transitGatewayId",
        "The transit gateway to attach to, where hospitalAttachment is transit-gateway.",
        "tgw-0123456789abcdef0",
        default="",
        pattern=r"^(tgw-[0-9a-f]{17})?$",
    )
    customer_gateway_ip: str = setting(
        "customerGatewayIp",
        "Public address of the hospital's VPN device, where hospitalAttachment is vpn.",
        "203.0.113.10",
        default="",
        pattern=r"^(\d+\.\d+\.\d+\.\d+)?$",
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if len(self.private_cidrs) < len(self.availability_zones):
            yield "privateCidrs", "it must have an entry for each of availabilityZones"
        if self.nat_gateways > len(self.public_cidrs):
            yield "natGateways", "each NAT gateway needs an entry of publicCidrs"
        if self.hospital_attachment == "transit-gateway" and not self.transit_gateway_id:
            yield "transitGatewayId", "hospitalAttachment is transit-gateway"
        if self.hospital_attachment == "vpn" and not self.customer_gateway_ip:
            yield "customerGatewayIp", "hospitalAttachment is vpn"
        if self.hospital_attachment != "none" and not self.hospital_cidrs:
            yield "hospitalCidrs", "hospitalAttachment leads nowhere without them"
