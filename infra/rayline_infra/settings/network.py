"""Addresses, availability zones, and the ways in and out."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import Annotated, Literal

from pydantic import Field

from rayline_infra.settings.section import Integers, Section, Texts, setting
from rayline_infra.settings.storage import LOG_DAYS, TAKES_DAYS

# A subnet of AWS has 16 to 65,536 addresses (VPC guide, "Subnet sizing").
SUBNET_PREFIXES = range(16, 29)
# A security group has 60 rules each way (VPC guide, "Amazon VPC quotas"). CloudFront's prefix list weighs 55 of the
# load balancer's; the processor has three to endpoints, and one to each port of each network.
MOST_HOSPITAL_CIDRS = 5
MOST_PACS_RULES = 57


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
    endpoint_zones: Annotated[int, Field(ge=1, le=3)] = setting(
        "endpointZones",
        "Availability zones in which interface endpoints have an address, each paid by the hour; 1 outlives no zone.",
        3,
        default=3,
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
    pacs_ports: Integers = setting(
        "pacsPorts",
        "TCP ports of the hospital's PACS that the processor may connect to.",
        [104, 11112],
        default=(104, 11_112),
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
        yield from self._address_problems()
        if self.flow_log_days not in LOG_DAYS:
            yield "flowLogDays", TAKES_DAYS
        if len(self.private_cidrs) < len(self.availability_zones):
            yield "privateCidrs", "it must have an entry for each of availabilityZones"
        if len(set(self.availability_zones)) < len(self.availability_zones):
            yield "availabilityZones", "it names a zone twice"
        if self.nat_gateways > len(self.public_cidrs):
            yield "natGateways", "each NAT gateway needs an entry of publicCidrs"
        if not all(1 <= port <= 65_535 for port in self.pacs_ports):
            yield "pacsPorts", "a TCP port is between 1 and 65535"
        yield from self._quota_problems()
        if self.hospital_attachment == "transit-gateway" and not self.transit_gateway_id:
            yield "transitGatewayId", "hospitalAttachment is transit-gateway"
        if self.hospital_attachment == "vpn" and not self.customer_gateway_ip:
            yield "customerGatewayIp", "hospitalAttachment is vpn"
        if self.hospital_attachment != "none" and not self.hospital_cidrs:
            yield "hospitalCidrs", "hospitalAttachment leads nowhere without them"

    def _quota_problems(self) -> Iterator[tuple[str, str]]:
        if len(self.hospital_cidrs) > MOST_HOSPITAL_CIDRS:
            yield (
                "hospitalCidrs",
                f"{len(self.hospital_cidrs)} are more than the {MOST_HOSPITAL_CIDRS} rules that CloudFront leaves "
                "in the load balancer's security group; write larger networks",
            )
        elif len(self.hospital_cidrs) * len(self.pacs_ports) > MOST_PACS_RULES:
            yield (
                "pacsPorts",
                f"the processor's security group has room for at most {MOST_PACS_RULES} rules, one for each port of "
                "each of hospitalCidrs",
            )

    def _address_problems(self) -> Iterator[tuple[str, str]]:
        lists = {
            "publicCidrs": self.public_cidrs,
            "privateCidrs": self.private_cidrs,
            "hospitalCidrs": self.hospital_cidrs,
        }
        wrong = [
            (name, f"{text} is no network: write it as 10.0.10.0/24, its host bits zero")
            for name, texts in {"vpcCidr": (self.vpc_cidr,), **lists}.items()
            for text in texts
            if _network(text) is None
        ]
        if self.customer_gateway_ip and not _is_address(self.customer_gateway_ip):
            wrong.append(("customerGatewayIp", f"{self.customer_gateway_ip} is no address"))
        yield from wrong
        if not wrong:
            yield from self._overlaps()

    def _overlaps(self) -> Iterator[tuple[str, str]]:
        vpc = IPv4Network(self.vpc_cidr)
        subnets = [
            *(("publicCidrs", IPv4Network(text)) for text in self.public_cidrs),
            *(("privateCidrs", IPv4Network(text)) for text in self.private_cidrs),
        ]
        if vpc.prefixlen not in SUBNET_PREFIXES:
            yield "vpcCidr", "AWS has VPCs of /16 to /28"
        for name, subnet in subnets:
            if not subnet.subnet_of(vpc):
                yield name, f"{subnet} does not lie in vpcCidr"
            elif subnet.prefixlen not in SUBNET_PREFIXES:
                yield name, f"{subnet} is not of /16 to /28, as AWS has subnets"
        for (_, one), (name, other) in combinations(subnets, 2):
            if one.overlaps(other):
                yield name, f"{other} overlaps {one}"
        yield from self._hospital_overlaps(vpc, [IPv4Network(text) for text in self.hospital_cidrs])

    def _hospital_overlaps(
        self, vpc: IPv4Network, hospital: Sequence[IPv4Network]
    ) -> Iterator[tuple[str, str]]:
        for cidr in hospital:
            if cidr.prefixlen == 0:
                yield "hospitalCidrs", "0.0.0.0/0 is the internet, not the hospital"
            elif cidr.overlaps(vpc):
                yield "hospitalCidrs", f"{cidr} overlaps vpcCidr, whose route always wins"


def _network(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text)
    except ValueError:
        return None


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
