"""Cases of network reach."""

import json
from typing import Any

from support.control_case import Case
from support.small_graphs import allow, arn, graph, made, policy

from rayline_infra.policies.graph import Graph, Resource

INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"


def balancer(**inputs: Any) -> Resource:
    settings = {"internal": False, "securityGroups": ["sg-door"], "dropInvalidHeaderFields": True, **inputs}
    return made(
        "aws:lb/loadBalancer:LoadBalancer",
        "balancer",
        settings,
        outputs={"arn": arn("elasticloadbalancing", "loadbalancer/app/api/1")},
    )


def rule(type_token: str, group: str, **inputs: Any) -> Graph:
    settings = {"securityGroupId": group, "ipProtocol": "tcp", "fromPort": 443.0, "toPort": 443.0, **inputs}
    return graph(balancer(), made(type_token, "rule", settings))


def inline(**rule_inputs: Any) -> Graph:
    rule_inputs = {"protocol": "tcp", "fromPort": 104.0, "toPort": 104.0, **rule_inputs}
    return graph(made("aws:ec2/securityGroup:SecurityGroup", "group", {"ingress": [rule_inputs]}))


def service(*, public: bool = False, subnet: str = "subnet-private") -> Graph:
    return graph(
        made("aws:ec2/internetGateway:InternetGateway", "gateway", identity="igw-1"),
        made("aws:ec2/natGateway:NatGateway", "nat", identity="nat-1"),
        made("aws:ec2/subnet:Subnet", "private", {"mapPublicIpOnLaunch": False}, identity="subnet-private"),
        made(
            "aws:ec2/route:Route",
            "out",
            {"routeTableId": "rtb-public", "gatewayId": "igw-1", "destinationCidrBlock": "0.0.0.0/0"},
        ),
        association("public", "subnet-public"),
        made(
            "aws:ecs/service:Service",
            "processor",
            {"networkConfiguration": {"subnets": [subnet], "assignPublicIp": public}},
        ),
    )


def association(kind: str, subnet: str) -> Resource:
    return made(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        f"{subnet}-table",
        {"routeTableId": f"rtb-{kind}", "subnetId": subnet},
    )


def routed(**target: str) -> Graph:
    return way_out(destinationCidrBlock="0.0.0.0/0", **target)


def way_out(**inputs: str) -> Graph:
    route = {"routeTableId": "rtb-private", **inputs}
    return graph(
        *service().resources,
        association("private", "subnet-private"),
        made("aws:ec2/route:Route", "way-out", route),
    )


def jobs(**arguments: Any) -> Graph:
    steps = [{"Name": "Train", "Type": "Training", "Arguments": arguments}]
    pipeline = made(
        "aws:sagemaker/pipeline:Pipeline", "pipeline", {"pipelineDefinition": json.dumps({"Steps": steps})}
    )
    return graph(*service().resources, pipeline)


def endpoint(*statements: dict[str, Any]) -> Graph:
    inputs = {"policy": policy(*statements)} if statements else {}
    return graph(made("aws:ec2/vpcEndpoint:VpcEndpoint", "s3", inputs))


def guarded(resource: str) -> Resource:
    return made("aws:wafv2/webAclAssociation:WebAclAssociation", "association", {"resourceArn": resource})


ONLY_OURS = allow(
    "s3:GetObject", principal="*", when={"StringEquals": {"aws:PrincipalAccount": "222222222222"}}
)


def cases() -> list[Case]:
    """All of them."""
    door = rule(INGRESS, "sg-door", cidrIpv4="0.0.0.0/0")
    inside = rule(INGRESS, "sg-tasks", referencedSecurityGroupId="sg-door")
    out = rule(EGRESS, "sg-tasks", prefixListId="pl-s3")
    return [
        Case(
            "NET-1",
            "tasks take calls from anywhere",
            door,
            rule(INGRESS, "sg-tasks", cidrIpv4="0.0.0.0/0"),
            "rule",
        ),
        Case(
            "NET-1",
            "tasks take IPv6 calls from anywhere",
            inside,
            rule(INGRESS, "sg-tasks", cidrIpv6="::/0"),
            "rule",
        ),
        Case(
            "NET-1",
            "the door takes calls on another port",
            door,
            rule(INGRESS, "sg-door", cidrIpv4="0.0.0.0/0", fromPort=22.0, toPort=22.0),
            "rule",
        ),
        Case(
            "NET-1",
            "DICOM from anywhere",
            inline(cidrBlocks=["10.200.0.0/16"]),
            inline(cidrBlocks=["0.0.0.0/0"]),
            "group",
        ),
        Case(
            "NET-1",
            "half of the internet",
            inside,
            rule(INGRESS, "sg-tasks", cidrIpv4="128.0.0.0/1"),
            "rule",
        ),
        Case("NET-2", "a rule of nobody", inside, rule(INGRESS, "sg-tasks"), "rule"),
        Case(
            "NET-2",
            "every port of a peer",
            inside,
            rule(INGRESS, "sg-tasks", ipProtocol="-1", referencedSecurityGroupId="sg-door"),
            "rule",
        ),
        Case(
            "NET-2",
            "out to anywhere on any port",
            out,
            rule(EGRESS, "sg-tasks", ipProtocol="-1", cidrIpv4="0.0.0.0/0"),
            "rule",
        ),
        Case(
            "NET-2",
            "the default group lets through",
            graph(made("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "default")),
            graph(made("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "default", {"egress": [{}]})),
            "default",
        ),
        Case("NET-3", "a task has a public address", service(), service(public=True), "processor"),
        Case(
            "NET-3", "a task is in a public subnet", service(), service(subnet="subnet-public"), "processor"
        ),
        Case(
            "NET-3",
            "a job runs in SageMaker's own network",
            jobs(VpcConfig={"Subnets": ["subnet-private"]}),
            jobs(),
            "pipeline",
        ),
        Case(
            "NET-3",
            "a job is in a public subnet",
            jobs(NetworkConfig={"VpcConfig": {"Subnets": ["subnet-private"]}}),
            jobs(NetworkConfig={"VpcConfig": {"Subnets": ["subnet-private", "subnet-public"]}}),
            "pipeline",
        ),
        Case("NET-4", "the endpoint has no policy", endpoint(ONLY_OURS), endpoint(), "s3"),
        Case(
            "NET-4",
            "the endpoint lets everything through",
            endpoint(ONLY_OURS),
            endpoint(allow("*", principal="*")),
            "s3",
        ),
        Case(
            "NET-4",
            "the endpoint lets everything through that speaks TLS",
            endpoint(ONLY_OURS),
            endpoint(allow("*", principal="*", when={"Bool": {"aws:SecureTransport": "true"}})),
            "s3",
        ),
        Case(
            "NET-5",
            "a route to the internet gateway",
            routed(natGatewayId="nat-1"),
            routed(gatewayId="igw-1"),
            "private",
        ),
        *(
            Case("NET-5", f"a route {why}", routed(natGatewayId="nat-1"), way_out(**route), "private")
            for why, route in (
                ("of IPv6", {"destinationIpv6CidrBlock": "::/0", "egressOnlyGatewayId": "eigw-1"}),
                ("to half of the internet", {"destinationCidrBlock": "0.0.0.0/1", "gatewayId": "igw-1"}),
            )
        ),
        Case(
            "NET-5",
            "a route within the table",
            routed(natGatewayId="nat-1"),
            graph(
                *routed(natGatewayId="nat-1").resources,
                made(
                    "aws:ec2/routeTable:RouteTable",
                    "table",
                    {"routes": [{"cidrBlock": "0.0.0.0/0", "gatewayId": "igw-1"}]},
                    identity="rtb-private",
                ),
            ),
            "private",
        ),
        Case(
            "NET-6",
            "DICOM from the internet",
            graph(balancer(internal=True, loadBalancerType="network")),
            graph(balancer(internal=False, loadBalancerType="network")),
            "balancer",
        ),
        Case(
            "NET-6",
            "malformed headers pass",
            graph(balancer()),
            graph(balancer(dropInvalidHeaderFields=False)),
            "balancer",
        ),
        Case(
            "NET-7",
            "no firewall before the API",
            graph(balancer(), guarded(str(balancer().outputs["arn"]))),
            graph(balancer(), guarded("other")),
            "balancer",
        ),
        Case(
            "NET-7",
            "no firewall before the viewer",
            graph(made("aws:cloudfront/distribution:Distribution", "viewer", {"webAclId": "arn"})),
            graph(made("aws:cloudfront/distribution:Distribution", "viewer")),
            "viewer",
        ),
    ]
