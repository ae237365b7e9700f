"""The network: subnets, what runs in them, and who may speak to whom, from the security groups' own rules."""

from rayline_infra.diagrams.mermaid import Flowchart
from rayline_infra.policies.graph import Graph, Resource

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
CLOUDFRONT = "cloudfront"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"


def network(graph: Graph) -> str:
    """An arrow is a rule of a security group, with its port; addresses outside stand outside the frame."""
    (vpc,) = graph.of_type(VPC)
    groups = {_id_of(each): each.name.removesuffix("-security-group") for each in graph.of_type(GROUP)}
    chart = Flowchart("LR")
    if graph.of_type(DISTRIBUTION):
        chart.node("people", "browsers", "round")
        chart.node(CLOUDFRONT, "CloudFront, WAF")
        chart.edge("people", CLOUDFRONT, "443")
    with chart.frame("vpc", f"VPC {vpc.inputs['cidrBlock']}"):
        for subnet in graph.of_type(SUBNET):
            label = f"{subnet.name.removesuffix('-subnet')}<br>{subnet.inputs['cidrBlock']}"
            chart.node(f"subnet {subnet.name}", label)
        for name in groups.values():
            chart.node(f"group {name}", name, "work")
    gateways = {
        str(each.outputs["prefixListId"]): str(each.inputs["serviceName"]).rsplit(".", 1)[-1]
        for each in graph.of_type(ENDPOINT)
        if each.inputs.get("vpcEndpointType") == "Gateway"
    }
    interfaces = sorted(
        str(each.inputs["serviceName"]).split(".", 3)[-1]
        for each in graph.of_type(ENDPOINT)
        if each.inputs.get("vpcEndpointType") == "Interface"
    )
    chart.node("private link", "AWS by PrivateLink:<br>" + "<br>".join(interfaces), "store")
    chart.edge("group endpoints", "private link")
    for prefix_list, service in gateways.items():
        chart.node(f"gateway {prefix_list}", f"{service}, by gateway endpoint", "store")
    for rule in (*graph.of_type(INGRESS), *graph.of_type(EGRESS)):
        _rule(chart, rule, groups, gateways)
    return chart.text()


def _rule(chart: Flowchart, rule: Resource, groups: dict[str, str], gateways: dict[str, str]) -> None:
    inputs = rule.inputs
    mine = f"group {groups[inputs['securityGroupId']]}"
    port = _port(rule)
    if peer := inputs.get("referencedSecurityGroupId"):
        other = f"group {groups[peer]}"
    elif (peer := inputs.get("prefixListId")) in gateways:
        other = f"gateway {peer}"
    elif peer:
        # AWS's list of the addresses that CloudFront calls from.
        other = CLOUDFRONT
    else:
        address = str(inputs["cidrIpv4"])
        other = f"address {address}"
        chart.node(other, address, "round")
    chart.edge(*((other, mine) if rule.type == INGRESS else (mine, other)), port)


def _port(rule: Resource) -> str:
    first, last = rule.inputs.get("fromPort"), rule.inputs.get("toPort")
    if first is None:
        return "any"
    return f"{int(first)}" if first == last or last is None else f"{int(first)}–{int(last)}"


def _id_of(resource: Resource) -> str:
    # A security group's id is the last part of its ARN.
    return str(resource.outputs.get("id") or str(resource.outputs["arn"]).rsplit("/", 1)[-1])
