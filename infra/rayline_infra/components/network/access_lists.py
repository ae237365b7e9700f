"""Network ACLs: a coarse second line behind the security groups, stateless, so each lists the answers too."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import TypedDict

import pulumi_aws as aws

from rayline_infra.settings import NetworkSettings

ANYWHERE = "0.0.0.0/0"
HTTPS = 443
# Linux opens connections from 32768 up; load balancers and NAT gateways from 1024 (VPC guide, "Ephemeral ports").
LINUX_EPHEMERAL = 32_768
EPHEMERAL = 1024
HIGHEST = 65_535
# "Fragmentation needed" (RFC 792), sent by whichever router on the way takes no packet of that size.
UNREACHABLE = 3
TOO_BIG = 4

Rules = tuple[Sequence[aws.ec2.NetworkAclIngressArgs], Sequence[aws.ec2.NetworkAclEgressArgs]]
Ports = tuple[str, int, int]


class Entry(TypedDict, total=False):
    """One entry of a list, which ingress and egress spell alike."""

    rule_no: int
    action: str
    protocol: str
    cidr_block: str
    from_port: int
    to_port: int
    icmp_type: int
    icmp_code: int


def private_rules(network: NetworkSettings) -> Rules:
    """TCP within the VPC and with the hospital; beyond these HTTPS only, which S3 and DynamoDB need.

    A network ACL cannot name the prefix lists of the gateway endpoints, nor CloudFront's.
    """
    peers: list[Ports] = [(cidr, 0, HIGHEST) for cidr in (network.vpc_cidr, *network.hospital_cidrs)]
    answers = EPHEMERAL if network.nat_gateways else LINUX_EPHEMERAL
    https: Ports = (ANYWHERE, HTTPS, HTTPS)
    beyond = bool(network.hospital_cidrs or network.nat_gateways)
    return _rules(
        [*peers, https, (ANYWHERE, answers, HIGHEST)],
        [*peers, https, (ANYWHERE, EPHEMERAL, HIGHEST)],
        beyond=beyond,
    )


def public_rules(network: NetworkSettings) -> Rules:
    """What a NAT gateway passes on: HTTPS from the VPC out, and the answers."""
    answers_out: Ports = (network.vpc_cidr, EPHEMERAL, HIGHEST)
    return _rules(
        [(network.vpc_cidr, HTTPS, HTTPS), (ANYWHERE, EPHEMERAL, HIGHEST)],
        [(ANYWHERE, HTTPS, HTTPS), answers_out],
        beyond=True,
    )


def _rules(ingress: Sequence[Ports], egress: Sequence[Ports], *, beyond: bool) -> Rules:
    return (
        [aws.ec2.NetworkAclIngressArgs(**entry) for entry in _entries(ingress, beyond)],
        [aws.ec2.NetworkAclEgressArgs(**entry) for entry in _entries(egress, beyond)],
    )


def _entries(allowed: Sequence[Ports], beyond: bool) -> Iterator[Entry]:
    """Entries for TCP, and where packets leave the VPC also for what tells their sender that they are too large.

    Without it a tunnel, whose packets are smaller, swallows an image and nobody hears of it (VPC guide, "Path MTU
    Discovery").
    """
    numbers = count(100, 10)
    for cidr, lowest, highest in allowed:
        yield Entry(
            rule_no=next(numbers),
            action="allow",
            protocol="tcp",
            cidr_block=cidr,
            from_port=lowest,
            to_port=highest,
        )
    if beyond:
        yield Entry(
            rule_no=next(numbers),
            action="allow",
            protocol="icmp",
            cidr_block=ANYWHERE,
            from_port=0,
            to_port=0,
            icmp_type=UNREACHABLE,
            icmp_code=TOO_BIG,
        )
