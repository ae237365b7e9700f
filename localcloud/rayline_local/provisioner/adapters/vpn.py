"""The VPN to the hospital's network."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.network import ARN, set_tags
from rayline_local.provisioner.adapters.recipe import Found, Recipe, listed

CUSTOMER_GATEWAY = Recipe(
    service="ec2",
    find=listed(
        "DescribeCustomerGateways",
        "CustomerGateways",
        "CustomerGatewayId",
        lambda inputs: {"IpAddress": inputs["ipAddress"], "BgpAsn": str(inputs["bgpAsn"])},
    ),
    identity="CustomerGatewayId",
    create="CreateCustomerGateway",
    delete=("DeleteCustomerGateway", "CustomerGatewayId"),
    settle=set_tags("CustomerGatewayId"),
    outputs={"arn": ARN + "customer-gateway/{id}"},
    replaced_by=frozenset({"ipAddress", "bgpAsn", "type"}),
)


def _gateway(ec2: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    for each in ec2.describe_vpn_gateways()["VpnGateways"]:
        attached = [one["VpcId"] for one in each["VpcAttachments"] if one.get("State") != "detached"]
        ours = each["VpnGatewayId"] == resource_id or (
            resource_id is None and inputs.get("vpcId") in attached
        )
        if ours and each.get("State") != "deleted":
            return {**each, "attached": attached}
    return None


def _settle_gateway(ec2: Any, gateway: Found, inputs: Inputs) -> None:
    set_tags("VpnGatewayId")(ec2, gateway, inputs)
    if inputs["vpcId"] not in gateway["attached"]:
        ec2.attach_vpn_gateway(VpnGatewayId=gateway["VpnGatewayId"], VpcId=inputs["vpcId"])


def _delete_gateway(ec2: Any, gateway_id: str, inputs: Inputs) -> None:
    ec2.detach_vpn_gateway(VpnGatewayId=gateway_id, VpcId=inputs["vpcId"])
    ec2.delete_vpn_gateway(VpnGatewayId=gateway_id)


VPN_GATEWAY = Recipe(
    service="ec2",
    find=_gateway,
    identity="VpnGatewayId",
    create=lambda ec2, inputs: ec2.create_vpn_gateway(Type="ipsec.1"),
    delete=_delete_gateway,
    settle=_settle_gateway,
    outputs={"arn": ARN + "vpn-gateway/{id}"},
    replaced_by=frozenset({"vpcId", "amazonSideAsn"}),
)

VPN_CONNECTION = Recipe(
    service="ec2",
    find=listed(
        "DescribeVpnConnections",
        "VpnConnections",
        "VpnConnectionId",
        lambda inputs: {
            "CustomerGatewayId": inputs["customerGatewayId"],
            "VpnGatewayId": inputs["vpnGatewayId"],
        },
    ),
    identity="VpnConnectionId",
    create=lambda ec2, inputs: ec2.create_vpn_connection(
        CustomerGatewayId=inputs["customerGatewayId"],
        VpnGatewayId=inputs["vpnGatewayId"],
        Type=inputs["type"],
        Options={"StaticRoutesOnly": bool(inputs.get("staticRoutesOnly"))},
    ),
    delete=("DeleteVpnConnection", "VpnConnectionId"),
    settle=set_tags("VpnConnectionId"),
    outputs={"arn": ARN + "vpn-connection/{id}"},
    replaced_by=frozenset({"customerGatewayId", "vpnGatewayId", "type", "staticRoutesOnly"}),
)


def _vpn_route(ec2: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = ec2.describe_vpn_connections(VpnConnectionIds=[inputs["vpnConnectionId"]])["VpnConnections"]
    for each in (route for connection in found for route in connection.get("Routes", ())):
        if each["DestinationCidrBlock"] == inputs["destinationCidrBlock"] and each.get("State") != "deleted":
            return dict(each)
    return None


VPN_CONNECTION_ROUTE = Recipe(
    service="ec2",
    find=_vpn_route,
    identity="{destinationCidrBlock}:{vpnConnectionId}",
    create="CreateVpnConnectionRoute",
    delete=lambda ec2, resource_id, inputs: ec2.delete_vpn_connection_route(
        VpnConnectionId=inputs["vpnConnectionId"], DestinationCidrBlock=inputs["destinationCidrBlock"]
    ),
    replaced_by=frozenset({"destinationCidrBlock", "vpnConnectionId"}),
)
