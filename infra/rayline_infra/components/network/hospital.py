"""The way to the hospital's network, for its PACS and modalities."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.components.network.vpc import Zone
from rayline_infra.settings import NetworkSettings

# A private ASN (RFC 6996), which AWS asks for even where routes are static.
HOSPITAL_ASN = "65000"


def declare_hospital_link(
    names: EstateNames,
    network: NetworkSettings,
    vpc: aws.ec2.Vpc,
    zones: Sequence[Zone],
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare the attachment that the stack asks for, and routes to the hospital's addresses and no other."""
    if network.hospital_attachment == "transit-gateway":
        _attach_to_transit_gateway(names, network, vpc, zones, opts)
    elif network.hospital_attachment == "vpn":
        _connect_by_vpn(names, network, vpc, zones, opts)


def _attach_to_transit_gateway(
    names: EstateNames,
    network: NetworkSettings,
    vpc: aws.ec2.Vpc,
    zones: Sequence[Zone],
    opts: pulumi.ResourceOptions,
) -> None:
    attachment = aws.ec2transitgateway.VpcAttachment(
        "hospital-attachment",
        transit_gateway_id=network.transit_gateway_id,
        vpc_id=vpc.id,
        subnet_ids=[zone.subnet.id for zone in zones],
        dns_support="enable",
        tags={"Name": f"{names.prefix}-hospital"},
        opts=opts,
    )
    for zone in zones:
        for cidr in network.hospital_cidrs:
            aws.ec2.Route(
                _route_name(zone, cidr),
                route_table_id=zone.route_table.id,
                destination_cidr_block=cidr,
                transit_gateway_id=network.transit_gateway_id,
                # AWS refuses a route to a transit gateway that the VPC is not attached to.
                opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[attachment])),
            )


def _connect_by_vpn(
    names: EstateNames,
    network: NetworkSettings,
    vpc: aws.ec2.Vpc,
    zones: Sequence[Zone],
    opts: pulumi.ResourceOptions,
) -> None:
    tags = {"Name": f"{names.prefix}-hospital"}
    device = aws.ec2.CustomerGateway(
        "hospital-device",
        type="ipsec.1",
        ip_address=network.customer_gateway_ip,
        bgp_asn=HOSPITAL_ASN,
        tags=tags,
        opts=opts,
    )
    gateway = aws.ec2.VpnGateway("hospital-gateway", vpc_id=vpc.id, tags=tags, opts=opts)
    connection = aws.ec2.VpnConnection(
        "hospital-connection",
        type="ipsec.1",
        customer_gateway_id=device.id,
        vpn_gateway_id=gateway.id,
        static_routes_only=True,
        # AWS draws the tunnels' keys; Secrets Manager keeps them, so that they are not in Pulumi's state.
        preshared_key_storage="SecretsManager",
        tunnel1_ike_versions=["ikev2"],
        tunnel2_ike_versions=["ikev2"],
        tunnel1_phase1_encryption_algorithms=["AES256-GCM-16"],
        tunnel2_phase1_encryption_algorithms=["AES256-GCM-16"],
        tunnel1_phase2_encryption_algorithms=["AES256-GCM-16"],
        tunnel2_phase2_encryption_algorithms=["AES256-GCM-16"],
        tunnel1_phase1_dh_group_numbers=[20],
        tunnel2_phase1_dh_group_numbers=[20],
        tunnel1_phase2_dh_group_numbers=[20],
        tunnel2_phase2_dh_group_numbers=[20],
        tunnel1_phase1_integrity_algorithms=["SHA2-384"],
        tunnel2_phase1_integrity_algorithms=["SHA2-384"],
        tunnel1_phase2_integrity_algorithms=["SHA2-384"],
        tunnel2_phase2_integrity_algorithms=["SHA2-384"],
        tags=tags,
        opts=opts,
    )
    for cidr in network.hospital_cidrs:
        aws.ec2.VpnConnectionRoute(
            f"hospital-vpn-route-{_slug(cidr)}",
            vpn_connection_id=connection.id,
            destination_cidr_block=cidr,
            opts=opts,
        )
        for zone in zones:
            aws.ec2.Route(
                _route_name(zone, cidr),
                route_table_id=zone.route_table.id,
                destination_cidr_block=cidr,
                gateway_id=gateway.id,
                opts=opts,
            )


def _route_name(zone: Zone, cidr: str) -> str:
    return f"private-{zone.name}-hospital-route-{_slug(cidr)}"


def _slug(cidr: str) -> str:
    return cidr.replace(".", "-").replace("/", "-")
