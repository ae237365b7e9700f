"""Security groups, one per kind of workload, whose rules name their peers."""

from collections.abc import Mapping, Sequence
from typing import TypedDict, get_args

import pulumi
import pulumi_aws as aws

from rayline.errors import ConfigurationError
from rayline.names import EstateNames, SecurityGroupKind
from rayline_infra.components.network.access_lists import ANYWHERE, HTTPS
from rayline_infra.policies.endpoints import GatewayService
from rayline_infra.scanning.exemptions import ScannerExemption
from rayline_infra.settings import NetworkSettings


class Where(TypedDict, total=False):
    """Whom a rule names: exactly one of these."""

    referenced_security_group_id: pulumi.Input[str]
    prefix_list_id: pulumi.Input[str]
    cidr_ipv4: str


KINDS: tuple[SecurityGroupKind, ...] = get_args(SecurityGroupKind)
PURPOSES: Mapping[SecurityGroupKind, str] = {
    "processor": "event processor tasks",
    "api": "API tasks",
    "gateway": "DIMSE gateway tasks",
    "training": "processing and training jobs",
    "inference": "model containers of the SageMaker endpoint",
    "load-balancer": "load balancer of the API",
    "gateway-balancer": "load balancer of the DIMSE gateway",
    "endpoints": "interface endpoints of AWS services",
}
# A model container is isolated: SageMaker only fetches the model for it.
CALLERS: tuple[SecurityGroupKind, ...] = ("processor", "api", "gateway", "training")
READERS: Mapping[SecurityGroupKind, Sequence[GatewayService]] = {
    "processor": ("s3", "dynamodb"),
    "api": ("s3", "dynamodb"),
    # Fargate fetches image layers from S3 through the task's own address.
    "gateway": ("s3",),
    "training": ("s3",),
    "inference": ("s3",),
}
# The prefix list com.amazonaws.global.cloudfront.origin-facing, which AWS made once in each region.
CLOUDFRONT_PREFIX_LISTS: Mapping[str, str] = {
    "ap-southeast-2": "pl-b8a742d1",
    "eu-central-1": "pl-a3a144ca",
    "eu-west-1": "pl-4fa04526",
    "eu-west-2": "pl-93a247fa",
    "us-east-1": "pl-3b927c52",
    "us-east-2": "pl-b6a144df",
    "us-west-2": "pl-82a045eb",
}

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV2_AWS_5",
        "training-security-group",
        "SageMaker attaches it to jobs, which the pipeline's definition names",
    ),
    ScannerExemption(
        "CKV2_AWS_5",
        "inference-security-group",
        "SageMaker attaches it to the endpoint's instances, which the model names",
    ),
)


class SecurityGroups:
    """The groups and their rules; a connection is a rule at both ends."""

    def __init__(self, names: EstateNames, vpc: aws.ec2.Vpc, opts: pulumi.ResourceOptions) -> None:
        self._opts = opts
        self._groups = {
            kind: aws.ec2.SecurityGroup(
                f"{kind}-security-group",
                name=names.security_group(kind),
                description=f"rayline {names.stack}: {PURPOSES[kind]}",
                vpc_id=vpc.id,
                tags={"Name": names.security_group(kind)},
                opts=opts,
            )
            for kind in KINDS
        }

    def __getitem__(self, kind: SecurityGroupKind) -> aws.ec2.SecurityGroup:
        return self._groups[kind]

    def connect(
        self,
        names: EstateNames,
        network: NetworkSettings,
        gateways: Mapping[GatewayService, aws.ec2.VpcEndpoint],
        *,
        api_port: int,
        dimse_port: int,
    ) -> None:
        """Declare every rule that the estate needs."""
        for caller in CALLERS:
            self._between(caller, "endpoints", HTTPS)
        for reader, services in READERS.items():
            for service in services:
                self._out(reader, service, HTTPS, {"prefix_list_id": gateways[service].prefix_list_id})
        self._between("load-balancer", "api", api_port)
        self._between("gateway-balancer", "gateway", dimse_port)
        # It weighs 55 of the 60 rules that a group may have (VPC guide, "AWS-managed prefix lists").
        cloudfront: Where = {"prefix_list_id": _cloudfront_prefix_list(names.region)}
        self._in("load-balancer", "cloudfront", HTTPS, cloudfront)
        if network.nat_gateways:
            # Signing in makes the load balancer call the identity provider, which has no endpoint.
            self._out("load-balancer", "identity-provider", HTTPS, {"cidr_ipv4": ANYWHERE})
        for cidr in network.hospital_cidrs if network.hospital_attachment != "none" else ():
            where = f"hospital-{cidr.replace('.', '-').replace('/', '-')}"
            self._in("load-balancer", where, HTTPS, {"cidr_ipv4": cidr})
            self._in("gateway-balancer", where, dimse_port, {"cidr_ipv4": cidr})
            for port in network.pacs_ports:
                self._out("processor", f"{where}-pacs-{port}", port, {"cidr_ipv4": cidr})

    def _between(self, caller: SecurityGroupKind, peer: SecurityGroupKind, port: int) -> None:
        self._out(caller, peer, port, {"referenced_security_group_id": self._groups[peer].id})
        self._in(peer, caller, port, {"referenced_security_group_id": self._groups[caller].id})

    def _out(self, kind: SecurityGroupKind, peer: str, port: int, where: Where) -> None:
        aws.vpc.SecurityGroupEgressRule(
            f"{kind}-to-{peer}-egress",
            security_group_id=self._groups[kind].id,
            description=f"{kind} to {peer}",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            **where,
            tags={"Name": f"{kind}-to-{peer}"},
            opts=self._opts,
        )

    def _in(self, kind: SecurityGroupKind, peer: str, port: int, where: Where) -> None:
        aws.vpc.SecurityGroupIngressRule(
            f"{kind}-from-{peer}-ingress",
            security_group_id=self._groups[kind].id,
            description=f"{kind} from {peer}",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            **where,
            tags={"Name": f"{kind}-from-{peer}"},
            opts=self._opts,
        )


def _cloudfront_prefix_list(region: str) -> str:
    if region not in CLOUDFRONT_PREFIX_LISTS:
        raise ConfigurationError(
            f"aws:region is wrong: CloudFront could not reach the API in {region}; take one of "
            f"{', '.join(CLOUDFRONT_PREFIX_LISTS)}, or add that region's prefix list to security_groups.py"
        )
    return CLOUDFRONT_PREFIX_LISTS[region]
