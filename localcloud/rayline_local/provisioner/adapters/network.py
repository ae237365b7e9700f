"""The VPC, its subnets, routes, gateways and endpoints."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, tag_list
from rayline_local.provisioner.adapters.recipe import Found, Recipe, first, listed

ARN = "arn:aws:ec2:{region}:{account}:"


def set_tags(identity: str) -> Any:
    """Brings the tags of what has the id ``identity`` about."""

    def settle(ec2: Any, found: Found, inputs: Inputs) -> None:
        if tags := tag_list(inputs):
            ec2.create_tags(Resources=[found[identity]], Tags=tags)

    return settle


def named(inputs: Inputs, *names: str) -> dict[str, Any]:
    """The inputs that tell a resource apart, in EC2's spelling, and its Name where it has one."""
    key = {name[0].upper() + name[1:]: inputs[name] for name in names}
    if name := (inputs.get("tags") or {}).get("Name"):
        key["Tags"] = {"Name": name}
    return key


def _settle_vpc(ec2: Any, vpc: Found, inputs: Inputs) -> None:
    set_tags("VpcId")(ec2, vpc, inputs)
    for name, attribute in (
        ("enableDnsSupport", "EnableDnsSupport"),
        ("enableDnsHostnames", "EnableDnsHostnames"),
    ):
        if name in inputs:
            ec2.modify_vpc_attribute(VpcId=vpc["VpcId"], **{attribute: {"Value": bool(inputs[name])}})


def _vpc_defaults(ec2: Any, vpc: Found) -> dict[str, Any]:
    """What EC2 makes with a VPC."""
    here = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    groups = ec2.describe_security_groups(Filters=here)["SecurityGroups"]
    tables = ec2.describe_route_tables(Filters=here)["RouteTables"]
    lists = ec2.describe_network_acls(Filters=here)["NetworkAcls"]
    main = next(
        each["RouteTableId"] for each in tables if any(known.get("Main") for known in each["Associations"])
    )
    return {
        "defaultSecurityGroupId": next(each["GroupId"] for each in groups if each["GroupName"] == "default"),
        "defaultRouteTableId": main,
        "mainRouteTableId": main,
        "defaultNetworkAclId": next(each["NetworkAclId"] for each in lists if each["IsDefault"]),
    }


VPC = Recipe(
    service="ec2",
    find=listed("DescribeVpcs", "Vpcs", "VpcId", lambda inputs: named(inputs, "cidrBlock")),
    identity="VpcId",
    create="CreateVpc",
    delete=("DeleteVpc", "VpcId"),
    settle=_settle_vpc,
    outputs={"arn": ARN + "vpc/{id}"},
    more_outputs=_vpc_defaults,
    replaced_by=frozenset({"cidrBlock"}),
)


def _settle_subnet(ec2: Any, subnet: Found, inputs: Inputs) -> None:
    set_tags("SubnetId")(ec2, subnet, inputs)
    public = bool(inputs.get("mapPublicIpOnLaunch"))
    ec2.modify_subnet_attribute(SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch={"Value": public})


SUBNET = Recipe(
    service="ec2",
    find=listed("DescribeSubnets", "Subnets", "SubnetId", lambda inputs: named(inputs, "vpcId", "cidrBlock")),
    identity="SubnetId",
    create="CreateSubnet",
    delete=("DeleteSubnet", "SubnetId"),
    settle=_settle_subnet,
    outputs={"arn": ARN + "subnet/{id}"},
    replaced_by=frozenset({"vpcId", "cidrBlock", "availabilityZone"}),
)

ROUTE_TABLE = Recipe(
    service="ec2",
    find=listed("DescribeRouteTables", "RouteTables", "RouteTableId", lambda inputs: named(inputs, "vpcId")),
    identity="RouteTableId",
    create="CreateRouteTable",
    delete=("DeleteRouteTable", "RouteTableId"),
    settle=set_tags("RouteTableId"),
    outputs={"arn": ARN + "route-table/{id}"},
    replaced_by=frozenset({"vpcId"}),
)


def _association(ec2: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    for table in ec2.describe_route_tables()["RouteTables"]:
        for each in table["Associations"]:
            if each.get("SubnetId") == inputs["subnetId"] and each["RouteTableId"] == inputs["routeTableId"]:
                return dict(each)
    return None


ROUTE_TABLE_ASSOCIATION = Recipe(
    service="ec2",
    find=_association,
    identity="RouteTableAssociationId",
    create="AssociateRouteTable",
    delete=("DisassociateRouteTable", "AssociationId"),
    replaced_by=frozenset({"subnetId", "routeTableId"}),
)


def _route(ec2: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    table = first(ec2.describe_route_tables(RouteTableIds=[inputs["routeTableId"]])["RouteTables"])
    wanted = inputs["destinationCidrBlock"]
    routes = table["Routes"] if table else ()
    return first(each for each in routes if each.get("DestinationCidrBlock") == wanted)


ROUTE = Recipe(
    service="ec2",
    find=_route,
    identity="r-{routeTableId}-{destinationCidrBlock}",
    create="CreateRoute",
    update="ReplaceRoute",
    delete=lambda ec2, resource_id, inputs: ec2.delete_route(
        RouteTableId=inputs["routeTableId"], DestinationCidrBlock=inputs["destinationCidrBlock"]
    ),
    replaced_by=frozenset({"routeTableId", "destinationCidrBlock"}),
)


def _internet_gateway(ec2: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    for each in ec2.describe_internet_gateways()["InternetGateways"]:
        attached = [one["VpcId"] for one in each["Attachments"]]
        # One that a broken run left unattached is taken up by its name.
        name = {tag["Key"]: tag["Value"] for tag in each.get("Tags", ())}.get("Name")
        ours = not attached and name is not None and name == (inputs.get("tags") or {}).get("Name")
        if each["InternetGatewayId"] == resource_id or inputs.get("vpcId") in attached or ours:
            return dict(each)
    return None


def _settle_internet_gateway(ec2: Any, gateway: Found, inputs: Inputs) -> None:
    set_tags("InternetGatewayId")(ec2, gateway, inputs)
    if inputs["vpcId"] not in [one["VpcId"] for one in gateway["Attachments"]]:
        ec2.attach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=inputs["vpcId"])


def _delete_internet_gateway(ec2: Any, gateway_id: str, inputs: Inputs) -> None:
    ec2.detach_internet_gateway(InternetGatewayId=gateway_id, VpcId=inputs["vpcId"])
    ec2.delete_internet_gateway(InternetGatewayId=gateway_id)


INTERNET_GATEWAY = Recipe(
    service="ec2",
    find=_internet_gateway,
    identity="InternetGatewayId",
    create="CreateInternetGateway",
    delete=_delete_internet_gateway,
    settle=_settle_internet_gateway,
    outputs={"arn": ARN + "internet-gateway/{id}"},
    replaced_by=frozenset({"vpcId"}),
)

ADDRESS = Recipe(
    service="ec2",
    find=listed("DescribeAddresses", "Addresses", "AllocationId", lambda inputs: named(inputs)),
    identity="AllocationId",
    create="AllocateAddress",
    delete=("ReleaseAddress", "AllocationId"),
    settle=set_tags("AllocationId"),
    outputs={"arn": ARN + "elastic-ip/{id}", "allocationId": "{id}", "publicIp": "{PublicIp}"},
    replaced_by=frozenset({"domain"}),
)

NAT_GATEWAY = Recipe(
    service="ec2",
    find=listed(
        "DescribeNatGateways", "NatGateways", "NatGatewayId", lambda inputs: named(inputs, "subnetId")
    ),
    identity="NatGatewayId",
    create="CreateNatGateway",
    delete=("DeleteNatGateway", "NatGatewayId"),
    settle=set_tags("NatGatewayId"),
    replaced_by=frozenset({"subnetId", "allocationId", "connectivityType"}),
)


def _settle_endpoint(ec2: Any, endpoint: Found, inputs: Inputs) -> None:
    set_tags("VpcEndpointId")(ec2, endpoint, inputs)
    if policy := inputs.get("policy"):
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint["VpcEndpointId"], PolicyDocument=policy)


def _endpoint_outputs(ec2: Any, endpoint: Found) -> dict[str, Any]:
    outputs: dict[str, Any] = {
        "networkInterfaceIds": list(endpoint.get("NetworkInterfaceIds", ())),
        "dnsEntries": [
            {"dnsName": each["DnsName"], "hostedZoneId": each.get("HostedZoneId", "")}
            for each in endpoint.get("DnsEntries", ())
        ],
    }
    for known in ec2.describe_prefix_lists()["PrefixLists"]:
        if known["PrefixListName"] == endpoint["ServiceName"]:
            outputs["prefixListId"] = known["PrefixListId"]
    return outputs


VPC_ENDPOINT = Recipe(
    service="ec2",
    find=listed(
        "DescribeVpcEndpoints",
        "VpcEndpoints",
        "VpcEndpointId",
        lambda inputs: named(inputs, "vpcId", "serviceName"),
    ),
    identity="VpcEndpointId",
    create="CreateVpcEndpoint",
    delete=("DeleteVpcEndpoints", "VpcEndpointIds"),
    renamed={"PolicyDocument": "policy"},
    settle=_settle_endpoint,
    outputs={"arn": ARN + "vpc-endpoint/{id}"},
    more_outputs=_endpoint_outputs,
    replaced_by=frozenset(
        {
            "vpcId",
            "serviceName",
            "vpcEndpointType",
            "subnetIds",
            "securityGroupIds",
            "routeTableIds",
            "privateDnsEnabled",
        }
    ),
)


def _flow_log(ec2: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    def ours(log: Found) -> bool:
        if resource_id is not None:
            return bool(log["FlowLogId"] == resource_id)
        return (log["ResourceId"], log["LogDestination"]) == (inputs["vpcId"], inputs["logDestination"])

    return first(each for each in ec2.describe_flow_logs()["FlowLogs"] if ours(each))


FLOW_LOG = Recipe(
    service="ec2",
    find=_flow_log,
    identity="FlowLogId",
    create="CreateFlowLogs",
    delete=("DeleteFlowLogs", "FlowLogIds"),
    renamed={"ResourceIds": "vpcId", "DeliverLogsPermissionArn": "iamRoleArn"},
    fixed={"ResourceType": "VPC"},
    settle=set_tags("FlowLogId"),
    outputs={"arn": ARN + "vpc-flow-log/{id}"},
    # EC2 cannot change a flow log (API_CreateFlowLogs).
    replaced_by=frozenset(
        {
            "vpcId",
            "trafficType",
            "logDestination",
            "logDestinationType",
            "iamRoleArn",
            "maxAggregationInterval",
            "logFormat",
        }
    ),
)


def keep(ec2: Any, resource_id: str, inputs: Inputs) -> None:
    """Leave it: EC2 made it with the VPC, and deletes it with that."""


DEFAULT_ROUTE_TABLE = Recipe(
    service="ec2",
    find=listed(
        "DescribeRouteTables",
        "RouteTables",
        "RouteTableId",
        lambda inputs: {"RouteTableId": inputs["defaultRouteTableId"]},
    ),
    identity="RouteTableId",
    create="",
    delete=keep,
    settle=set_tags("RouteTableId"),
    outputs={"arn": ARN + "route-table/{id}"},
    replaced_by=frozenset({"defaultRouteTableId"}),
)
