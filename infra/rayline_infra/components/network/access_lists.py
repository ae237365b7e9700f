"""Network ACLs: a coarse second line behind the security groups, stateless, so each lists the answers too."""

from collections.abc import Sequence
from itertools import count

import pulumi_aws as aws

from rayline_infra.settings import NetworkSettings

ANYWHERE = "0.0.0.0/0"
HTTPS = 443
# Linux opens connections from 32768 up; load balancers and NAT gateways from 1024 (VPC guide, "Ephemeral ports").
LINUX_EPHEMERAL = 32_768
EPHEMERAL = 1024
HIGHEST = 65_535

Rules = tuple[Sequence[aws.ec2.NetworkAclIngressArgs], Sequence[aws.ec2.NetworkAclEgressArgs]]
Ports = tuple[str, int, int]


def private_rules(network: NetworkSettings) -> Rules:
    """TCP within the VPC and with the hospital; beyond these HTTPS only, which S3 and DynamoDB need.

    A network ACL cannot name the prefix lists of the gateway endpoints, nor CloudFront's.
    """
    peers: list[Ports] = [(cidr, 0, HIGHEST) for cidr in (network.vpc_cidr, *network.hospital_cidrs)]
    answers = EPHEMERAL if network.nat_gateways else LINUX_EPHEMERAL
    https: Ports = (ANYWHERE, HTTPS, HTTPS)
    return _ingress([*peers, https, (ANYWHERE, answers, HIGHEST)]), _egress(
        [*peers, https, (ANYWHERE, EPHEMERAL, HIGHEST)]
    )


def public_rules(network: NetworkSettings) -> Rules:
    """What a NAT gateway passes on: HTTPS from the VPC out, and the answers."""
    answers_out: Ports = (network.vpc_cidr, EPHEMERAL, HIGHEST)
    return _ingress([(network.vpc_cidr, HTTPS, HTTPS), (ANYWHERE, EPHEMERAL, HIGHEST)]), _egress(
        [(ANYWHERE, HTTPS, HTTPS), answers_out]
    )


def _ingress(allowed: Sequence[Ports]) -> Sequence[aws.ec2.NetworkAclIngressArgs]:
    return [
        aws.ec2.NetworkAclIngressArgs(
            rule_no=number, action="allow", protocol="tcp", cidr_block=cidr, from_port=lowest, to_port=highest
        )
        for number, (cidr, lowest, highest) in zip(count(100, 10), allowed, strict=False)
    ]


def _egress(allowed: Sequence[Ports]) -> Sequence[aws.ec2.NetworkAclEgressArgs]:
    return [
        aws.ec2.NetworkAclEgressArgs(
            rule_no=number, action="allow", protocol="tcp", cidr_block=cidr, from_port=lowest, to_port=highest
        )
        for number, (cidr, lowest, highest) in zip(count(100, 10), allowed, strict=False)
    ]
