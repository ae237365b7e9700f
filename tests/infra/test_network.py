"""The network: addresses, ways in and out, and what each kind of workload can reach."""

import json
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.called_services import called_services, host_names, privatelink_name
from support.network_paths import SUBNET, reaches, route_target

from rayline_infra.planning import plan
from rayline_infra.planning.errors import ProgramError
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.openings import openings

ROOT = Path(__file__).parents[2]
ZONES = {"local": 2, "dev": 2, "prod": 3}
PRIVATE_CIDRS = ["10.0.10.0/24", "10.0.20.0/24", "10.0.30.0/24"]
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
COMPUTE = ("processor", "api", "gateway", "training", "inference")
# Roles that act from within the VPC.
ROLES_INSIDE = ("processor", "execution", "training", "api", "gateway")
SOMEWHERE = "93.184.216.34"  # an address of the internet that is nobody's here
ASKED_FOR = {
    "s3", "dynamodb", "sagemaker.api", "sagemaker.runtime", "medical-imaging", "runtime-medical-imaging", "sqs",
    "sns", "events", "kms", "secretsmanager", "ssm", "ecr.api", "ecr.dkr", "logs", "sts", "monitoring",
}  # fmt: skip
# IAM spells services by their own prefixes; the endpoint is that of the host which is called.
ENDPOINTS_OF_PREFIX = {
    "sagemaker": {"sagemaker.api"},
    "medical-imaging": {"medical-imaging", "runtime-medical-imaging"},
    "ecr": {"ecr.api", "ecr.dkr"},
    "cloudwatch": {"monitoring"},
    "ec2": set(),  # SageMaker attaches jobs to the VPC in the role's name, from outside of it
    "iam": set(),  # PassRole is checked by the service that the role is handed to, and calls nothing
}


@cache
def planned(stack: str, *overrides: tuple[str, str]) -> Graph:
    return plan(stack, overrides=dict(overrides))


WITH_NAT = (("rayline:natGateways", "2"),)
BY_TRANSIT_GATEWAY = (
    ("rayline:hospitalAttachment", "transit-gateway"),
    ("rayline:transitGatewayId", "tgw-0123456789abcdef0"),
    ("rayline:hospitalCidrs", '["10.200.0.0/16"]'),
)
BY_VPN = (
    ("rayline:hospitalAttachment", "vpn"),
    ("rayline:customerGatewayIp", "203.0.113.10"),
    ("rayline:hospitalCidrs", '["10.200.0.0/16"]'),
)


def endpoints(graph: Graph) -> dict[str, Resource]:
    """Endpoints by the service's name without the region."""
    region = graph.outputs["region"]
    return {
        each.inputs["serviceName"].removeprefix(f"com.amazonaws.{region}."): each
        for each in graph.of_type(ENDPOINT)
    }


def private_subnets(graph: Graph) -> list[Resource]:
    return [each for each in graph.of_type(SUBNET) if each.name.startswith("private-")]


def group_id(graph: Graph, kind: str) -> str:
    return graph.named(GROUP, f"{kind}-security-group").id


def statements_of(policy: str) -> list[dict[str, Any]]:
    found = json.loads(policy)["Statement"]
    assert found
    return list(found)


def test_every_zone_has_the_private_addresses_that_were_asked_for(graph: Graph) -> None:
    (vpc,) = graph.of_type("aws:ec2/vpc:Vpc")
    assert vpc.inputs["cidrBlock"] == "10.0.0.0/16"
    assert vpc.inputs["enableDnsSupport"] is True
    assert vpc.inputs["enableDnsHostnames"] is True
    subnets = private_subnets(graph)
    zones = [f"us-east-1{letter}" for letter in "abc"[: ZONES[graph.stack]]]
    assert [each.inputs["cidrBlock"] for each in subnets] == PRIVATE_CIDRS[: ZONES[graph.stack]]
    assert [each.inputs["availabilityZone"] for each in subnets] == zones


def test_without_nat_there_is_no_public_subnet_and_no_public_address(graph: Graph) -> None:
    assert len(graph.of_type(SUBNET)) == ZONES[graph.stack]
    assert not graph.of_type("aws:ec2/natGateway:NatGateway")
    assert not graph.of_type("aws:ec2/eip:Eip")
    assert not [each for each in graph.of_type(SUBNET) if each.inputs.get("mapPublicIpOnLaunch")]


def test_with_nat_each_gateway_has_a_public_subnet_of_its_own() -> None:
    graph = planned("prod", *WITH_NAT)
    public = [each for each in graph.of_type(SUBNET) if each.name.startswith("public-")]
    assert [each.inputs["cidrBlock"] for each in public] == ["10.0.1.0/24", "10.0.2.0/24"]
    assert not [each for each in public if each.inputs["mapPublicIpOnLaunch"]]
    gateways = graph.of_type("aws:ec2/natGateway:NatGateway")
    assert [each.inputs["subnetId"] for each in gateways] == [each.id for each in public]
    by_id = {each.id: each for each in gateways}
    for subnet in private_subnets(graph):
        target = route_target(graph, subnet, SOMEWHERE)
        assert target in by_id
        # Its own zone's gateway, as far as there are so many: traffic between zones costs.
        zone = subnet.inputs["availabilityZone"]
        if f"public-{zone}-subnet" in {each.name for each in public}:
            assert by_id[target].name == f"nat-{zone}"


def test_what_stands_in_the_network_has_no_public_address(graph: Graph) -> None:
    public_subnets = {each.id for each in graph.of_type(SUBNET)} - {
        each.id for each in private_subnets(graph)
    }
    for balancer in graph.of_type("aws:lb/loadBalancer:LoadBalancer"):
        assert balancer.inputs["internal"] is True, balancer.name
        assert not public_subnets & set(balancer.inputs["subnets"]), balancer.name
    for service in graph.of_type("aws:ecs/service:Service"):
        network = service.inputs["networkConfiguration"]
        assert not network.get("assignPublicIp"), service.name
        assert not public_subnets & set(network["subnets"]), service.name


def paths_to_the_internet(graph: Graph) -> list[str]:
    return [
        f"{kind} in {subnet.name} reaches port {port}"
        for kind in (*COMPUTE, "endpoints", "gateway-balancer")
        for subnet in private_subnets(graph)
        for port in (22, 53, 80, 443, 8080)
        if reaches(graph, subnet, group_id(graph, kind), SOMEWHERE, port)
    ]


def test_compute_cannot_reach_the_internet(graph: Graph) -> None:
    assert not paths_to_the_internet(graph)


def test_compute_cannot_reach_the_internet_through_nat_either() -> None:
    assert not paths_to_the_internet(planned("prod", *WITH_NAT))


def test_the_load_balancer_reaches_an_identity_provider_only_where_there_is_nat(
    graph_of: Callable[[str], Graph],
) -> None:
    for graph, expected in ((graph_of("prod"), False), (planned("prod", *WITH_NAT), True)):
        balancer = group_id(graph, "load-balancer")
        for subnet in private_subnets(graph):
            assert reaches(graph, subnet, balancer, SOMEWHERE, 443) is expected
            assert not reaches(graph, subnet, balancer, SOMEWHERE, 80)


def test_a_group_a_route_or_a_list_alone_keeps_compute_from_the_internet() -> None:
    """The proof can fail: with every line of defence taken away, compute does reach the internet."""
    graph = planned("prod", *WITH_NAT)
    processor = group_id(graph, "processor")
    subnet = private_subnets(graph)[0]

    def changed(type_token: str, **inputs: object) -> Callable[[Resource], Resource]:
        return lambda each: (
            replace(each, inputs={**each.inputs, **inputs}) if each.type == type_token else each
        )

    opened = replace(
        graph,
        resources=tuple(
            map(
                changed(
                    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
                    cidrIpv4="0.0.0.0/0",
                    referencedSecurityGroupId=None,
                    prefixListId=None,
                ),
                graph.resources,
            )
        ),
    )
    assert reaches(opened, subnet, processor, SOMEWHERE, 443)
    without_routes = replace(
        opened, resources=tuple(each for each in opened.resources if each.type != "aws:ec2/route:Route")
    )
    assert not reaches(without_routes, subnet, processor, SOMEWHERE, 443)
    emptied = changed("aws:ec2/networkAcl:NetworkAcl", egress=[])
    assert not reaches(
        replace(opened, resources=tuple(map(emptied, opened.resources))), subnet, processor, SOMEWHERE, 443
    )


def test_no_private_route_leads_to_the_internet_gateway(graph: Graph) -> None:
    assert [route_target(graph, each, SOMEWHERE) for each in private_subnets(graph)] == [None] * ZONES[
        graph.stack
    ]


def test_what_aws_makes_with_a_vpc_lets_nothing_through(graph: Graph) -> None:
    (group,) = graph.of_type("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert (group.inputs["ingress"], group.inputs["egress"]) == ([], [])
    (acl,) = graph.of_type("aws:ec2/defaultNetworkAcl:DefaultNetworkAcl")
    assert (acl.inputs["ingress"], acl.inputs["egress"]) == ([], [])
    (table,) = graph.of_type("aws:ec2/defaultRouteTable:DefaultRouteTable")
    assert table.inputs["routes"] == []
    (vpc,) = graph.of_type("aws:ec2/vpc:Vpc")
    assert table.inputs["defaultRouteTableId"] == vpc.outputs["defaultRouteTableId"]
    assert acl.inputs["defaultNetworkAclId"] == vpc.outputs["defaultNetworkAclId"]
    listed = [set(each.inputs["subnetIds"]) for each in graph.of_type("aws:ec2/networkAcl:NetworkAcl")]
    assert set.union(*listed) == {each.id for each in graph.of_type(SUBNET)}


def test_nobody_opens_a_shell_through_the_network_acl(graph: Graph) -> None:
    for acl in graph.of_type("aws:ec2/networkAcl:NetworkAcl"):
        for rule in acl.inputs["ingress"]:
            if rule["cidrBlock"] == "0.0.0.0/0":
                assert not [port for port in (22, 3389) if rule["fromPort"] <= port <= rule["toPort"]]


@pytest.mark.parametrize(
    "overrides", [BY_TRANSIT_GATEWAY, BY_VPN, WITH_NAT], ids=["transit gateway", "vpn", "nat"]
)
def test_whoever_sends_too_large_a_packet_out_of_the_vpc_hears_of_it(
    overrides: tuple[tuple[str, str], ...],
) -> None:
    # VPC guide, "Path MTU Discovery": both ways, type 3, code 4; a network ACL knows nothing of connections.
    for acl in planned("prod", *overrides).of_type("aws:ec2/networkAcl:NetworkAcl"):
        for direction in ("ingress", "egress"):
            told = [each for each in acl.inputs[direction] if each["protocol"] != "tcp"]
            assert [(each["protocol"], each["icmpType"], each["icmpCode"]) for each in told] == [
                ("icmp", 3, 4)
            ]
            assert len({each["ruleNo"] for each in acl.inputs[direction]}) == len(acl.inputs[direction])


def test_a_network_acl_passes_nothing_but_tcp_where_nothing_leaves_the_vpc(graph: Graph) -> None:
    (acl,) = graph.of_type("aws:ec2/networkAcl:NetworkAcl")
    assert {each["protocol"] for each in (*acl.inputs["ingress"], *acl.inputs["egress"])} == {"tcp"}


def test_rules_name_their_peers(graph: Graph) -> None:
    groups = {each.id: each.name.removesuffix("-security-group") for each in graph.of_type(GROUP)}
    lists = {endpoints(graph)[name].outputs["prefixListId"]: name for name in ("s3", "dynamodb")}
    lists["pl-3b927c52"] = "cloudfront"  # com.amazonaws.global.cloudfront.origin-facing in us-east-1
    found: dict[str, set[tuple[str, int]]] = {"ingress": set(), "egress": set()}
    for rule in openings(graph):
        (peer,) = rule.peers
        assert rule.protocol == "tcp"
        assert rule.ports[0] == rule.ports[1]
        named = groups.get(peer) or lists.get(peer) or peer
        found[rule.direction].add((f"{groups[rule.group_id]} {named}", rule.ports[0]))
    assert found["egress"] == {
        *((f"{kind} endpoints", 443) for kind in ("processor", "api", "gateway", "training")),
        *((f"{kind} s3", 443) for kind in COMPUTE),
        *((f"{kind} dynamodb", 443) for kind in ("processor", "api")),
        ("load-balancer api", 8443),
        ("gateway-balancer gateway", 11112),
    }
    assert found["ingress"] == {
        *((f"endpoints {kind}", 443) for kind in ("processor", "api", "gateway", "training")),
        ("api load-balancer", 8443),
        ("gateway gateway-balancer", 11112),
        ("load-balancer cloudfront", 443),
    }


def test_a_region_in_which_nobody_could_reach_the_api_is_refused() -> None:
    zones = '["eu-north-1a", "eu-north-1b"]'
    with pytest.raises(ProgramError, match=r"aws:region is wrong: .*in eu-north-1; take one of .*us-west-2"):
        planned("dev", ("aws:region", "eu-north-1"), ("rayline:availabilityZones", zones))


def test_security_groups_declare_no_rules_inline(graph: Graph) -> None:
    # The provider lets inline rules and rule resources overwrite each other.
    assert not [each for each in graph.of_type(GROUP) if "ingress" in each.inputs or "egress" in each.inputs]


def test_there_is_an_endpoint_for_every_service_that_was_asked_for(graph: Graph) -> None:
    assert set(endpoints(graph)) >= ASKED_FOR


def test_there_is_an_endpoint_for_every_service_that_the_code_calls(graph: Graph) -> None:
    called = {
        name
        for package in ("processor/rayline", "training/rayline_training", "plugins")
        for name in called_services(ROOT / package)
    }
    assert {"s3", "dynamodb", "sqs", "events", "medical-imaging", "sagemaker", "sts"} <= called
    needed = {privatelink_name(host) for client in called for host in host_names(client)}
    assert needed <= set(endpoints(graph))


def test_there_is_an_endpoint_for_every_service_that_a_role_inside_may_call(graph: Graph) -> None:
    prefixes = {
        action.split(":")[0]
        for statement in granted_inside(graph)
        for action in statement["Action"]
        if statement["Effect"] == "Allow"
    }
    assert {"s3", "sqs", "ecr", "kms"} <= prefixes
    needed = {name for prefix in prefixes for name in ENDPOINTS_OF_PREFIX.get(prefix, {prefix})}
    assert needed <= set(endpoints(graph))


def test_there_is_an_endpoint_for_what_fargate_does_before_a_container_starts(graph: Graph) -> None:
    needed = set()
    for task in graph.of_type("aws:ecs/taskDefinition:TaskDefinition"):
        for container in json.loads(task.inputs["containerDefinitions"]):
            # Any other registry lies beyond the VPC.
            registry = f"{graph.outputs['account_id']}.dkr.ecr.{graph.outputs['region']}.amazonaws.com/"
            assert container["image"].startswith(registry), container["image"]
            needed |= {"ecr.api", "ecr.dkr", "s3"}
            needed |= {each["valueFrom"].split(":")[2] for each in container.get("secrets", ())}
            if container["logConfiguration"]["logDriver"] == "awslogs":
                needed.add("logs")
    assert needed >= {"ecr.api", "ecr.dkr", "s3", "secretsmanager", "logs"}
    assert needed <= set(endpoints(graph))


def test_the_agent_that_guardduty_puts_beside_tasks_reaches_guardduty(graph: Graph) -> None:
    # An account that has GuardDuty already puts it there too (GuardDuty user guide, "How Runtime Monitoring works
    # with Fargate"), and would make an endpoint that tasks cannot reach and that outlives the stack.
    assert graph.of_type("aws:ecs/service:Service")
    endpoint = endpoints(graph)["guardduty-data"]
    assert endpoint.inputs["serviceName"] == "com.amazonaws.us-east-1.guardduty-data"
    (statement,) = statements_of(endpoint.inputs["policy"])
    # The same as GuardDuty's own, which allows everything and denies it to principals of other accounts.
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Allow", ["*"], ["*"])
    assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": graph.outputs["account_id"]}}


def granted_inside(graph: Graph) -> list[dict[str, Any]]:
    """What the roles may do that act from within the VPC."""
    prefix = f"rayline-{graph.stack}-"
    return [
        statement
        for each in graph.of_type("aws:iam/rolePolicy:RolePolicy")
        if each.inputs["role"].removeprefix(prefix) in ROLES_INSIDE
        for statement in statements_of(each.inputs["policy"])
    ]


def test_interface_endpoints_answer_in_place_of_the_service(graph: Graph) -> None:
    subnets = [each.id for each in private_subnets(graph)]
    expected = subnets if graph.stack == "prod" else subnets[:1]
    for name, endpoint in endpoints(graph).items():
        if name in ("s3", "dynamodb"):
            continue
        assert endpoint.inputs["vpcEndpointType"] == "Interface"
        assert endpoint.inputs["privateDnsEnabled"] is True
        assert endpoint.inputs["subnetIds"] == expected
        assert endpoint.inputs["securityGroupIds"] == [group_id(graph, "endpoints")]


def test_gateway_endpoints_are_routes_of_every_private_subnet(graph: Graph) -> None:
    tables = {
        each.inputs["routeTableId"]
        for each in graph.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation")
        if each.inputs["subnetId"] in {subnet.id for subnet in private_subnets(graph)}
    }
    for name in ("s3", "dynamodb"):
        endpoint = endpoints(graph)[name]
        assert endpoint.inputs["vpcEndpointType"] == "Gateway"
        assert set(endpoint.inputs["routeTableIds"]) == tables


def test_endpoint_policies_let_nobody_but_this_accounts_principals_through(graph: Graph) -> None:
    account = graph.outputs["account_id"]
    for name, endpoint in endpoints(graph).items():
        for statement in statements_of(endpoint.inputs["policy"]):
            assert statement["Effect"] == "Allow"
            assert "*" not in statement["Action"] or name == "guardduty-data", name
            if statement["Sid"] == "ImageLayers":
                assert statement["Resource"] == ["arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"]
                assert statement["Action"] == ["s3:GetObject"]
                continue
            assert statement["Condition"]["StringEquals"]["aws:PrincipalAccount"] == account, name
            if statement["Sid"] == "GuardDutyAgent":
                assert statement["Resource"] == [
                    "arn:aws:ecr:us-east-1:*:repository/aws-guardduty-agent-fargate"
                ]
                assert all(
                    action.startswith(("ecr:Batch", "ecr:GetDownloadUrl")) for action in statement["Action"]
                )
                continue
            for resource in statement["Resource"]:
                ours = account in resource and f"rayline-{graph.stack}" in resource
                jobs = resource.startswith(
                    (
                        f"arn:aws:sagemaker:us-east-1:{account}:processing-job/pipelines-",
                        f"arn:aws:sagemaker:us-east-1:{account}:training-job/pipelines-",
                        f"arn:aws:logs:us-east-1:{account}:log-group:/aws/sagemaker/",
                    )
                )
                made_by_aws = resource.startswith(
                    (
                        f"arn:aws:kms:us-east-1:{account}:key/",
                        f"arn:aws:medical-imaging:us-east-1:{account}:datastore/",
                    )
                ) and not resource.endswith((":key/*", ":datastore/*"))
                in_a_folder = f":{account}:" in resource and f"rayline/{graph.stack}/" in resource
                without = resource == "*" and statement["Sid"] == "OwnPrincipalsCallWhatHasNoResource"
                assert ours or jobs or made_by_aws or in_a_folder or without, (name, resource)


def test_endpoint_policies_let_every_grant_through(graph: Graph) -> None:
    policies = {name: statements_of(each.inputs["policy"]) for name, each in endpoints(graph).items()}
    for statement in granted_inside(graph):
        if statement["Effect"] != "Allow":
            continue
        for action in statement["Action"]:
            prefix = action.split(":")[0]
            for name in ENDPOINTS_OF_PREFIX.get(prefix, {prefix}):
                for resource in statement["Resource"]:
                    assert any(
                        any(fnmatchcase(action, allowed) for allowed in each["Action"])
                        and any(fnmatchcase(resource, allowed) for allowed in each["Resource"])
                        for each in policies[name]
                    ), f"the endpoint of {name} refuses {action} on {resource}"


def test_flow_logs_keep_every_connection_under_the_logs_key(graph: Graph) -> None:
    (flow_log,) = graph.of_type("aws:ec2/flowLog:FlowLog")
    group = graph.named("aws:cloudwatch/logGroup:LogGroup", "flow-logs")
    assert flow_log.inputs["vpcId"] == graph.of_type("aws:ec2/vpc:Vpc")[0].id
    assert flow_log.inputs["trafficType"] == "ALL"
    assert flow_log.inputs["logDestination"] == group.outputs["arn"]
    assert group.inputs["retentionInDays"] == {"local": 7, "dev": 7, "prod": 365}[graph.stack]
    key = graph.named("aws:kms/key:Key", "logs-key")
    assert group.inputs["kmsKeyId"] == key.outputs["arn"]
    contexts = [
        each["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
        for each in statements_of(key.inputs["policy"])
        if "'logs.us-east-1.amazonaws.com'" in str(each.get("Principal"))
        and "ArnLike" in each.get("Condition", {})
    ]
    patterns = [one for each in contexts for one in ([each] if isinstance(each, str) else each)]
    assert any(fnmatchcase(group.outputs["arn"], pattern) for pattern in patterns)


def test_flow_logs_write_to_their_group_alone_and_for_this_account_alone(graph: Graph) -> None:
    role = graph.named("aws:iam/role:Role", "flow-logs-role")
    assert graph.of_type("aws:ec2/flowLog:FlowLog")[0].inputs["iamRoleArn"] == role.outputs["arn"]
    (trust,) = statements_of(role.inputs["assumeRolePolicy"])
    assert trust["Principal"] == {"Service": ["vpc-flow-logs.amazonaws.com"]}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": graph.outputs["account_id"]}
    policy = graph.named("aws:iam/rolePolicy:RolePolicy", "flow-logs-policy")
    arn = graph.named("aws:cloudwatch/logGroup:LogGroup", "flow-logs").outputs["arn"]
    for grant in statements_of(policy.inputs["policy"]):
        if set(grant["Resource"]) != {arn, f"{arn}:*"}:
            # The list of log groups has no ARN.
            assert (grant["Action"], grant["Resource"]) == (["logs:DescribeLogGroups"], ["*"])
        assert {action.split(":")[0] for action in grant["Action"]} == {"logs"}


def test_what_can_be_named_is_named(graph: Graph) -> None:
    named = (
        "aws:ec2/vpc:Vpc",
        SUBNET,
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/networkAcl:NetworkAcl",
        GROUP,
        ENDPOINT,
        "aws:ec2/flowLog:FlowLog",
        "aws:ec2/internetGateway:InternetGateway",
    )
    for type_token in named:
        assert graph.of_type(type_token)
        for each in graph.of_type(type_token):
            assert each.inputs["tags"]["Name"].startswith(f"rayline-{graph.stack}"), each.name


def test_no_stack_is_attached_to_a_hospital_unless_it_says_so(graph: Graph) -> None:
    assert not graph.of_type("aws:ec2transitgateway/vpcAttachment:VpcAttachment")
    assert not graph.of_type("aws:ec2/vpnGateway:VpnGateway")
    assert not graph.of_type("aws:ec2/route:Route")


@pytest.mark.parametrize(
    ("overrides", "target_type"),
    [
        (BY_TRANSIT_GATEWAY, "aws:ec2transitgateway/vpcAttachment:VpcAttachment"),
        (BY_VPN, "aws:ec2/vpnGateway:VpnGateway"),
    ],
    ids=["transit gateway", "vpn"],
)
def test_the_hospital_is_reached_on_the_ports_of_its_pacs_and_nothing_else_is(
    overrides: tuple[tuple[str, str], ...], target_type: str
) -> None:
    graph = planned("prod", *overrides)
    (attachment,) = graph.of_type(target_type)
    expected = "tgw-0123456789abcdef0" if target_type.startswith("aws:ec2transitgateway") else attachment.id
    for subnet in private_subnets(graph):
        assert route_target(graph, subnet, "10.200.7.9") == expected
        assert route_target(graph, subnet, "10.201.0.1") is None
        assert route_target(graph, subnet, SOMEWHERE) is None
        for port, open_ in ((104, True), (11112, True), (443, False), (22, False)):
            assert reaches(graph, subnet, group_id(graph, "processor"), "10.200.7.9", port) is open_, port
        for kind in ("api", "gateway", "training", "inference"):
            assert not reaches(graph, subnet, group_id(graph, kind), "10.200.7.9", 104), kind
    calling_in = {
        (rule.group_id, rule.ports[0])
        for rule in openings(graph)
        if rule.direction == "ingress" and "10.200.0.0/16" in rule.peers
    }
    assert calling_in == {
        (group_id(graph, "load-balancer"), 443),
        (group_id(graph, "gateway-balancer"), 11112),
    }


def test_the_transit_gateway_is_attached_in_every_zone_before_routes_lead_to_it() -> None:
    graph = planned("prod", *BY_TRANSIT_GATEWAY)
    (attachment,) = graph.of_type("aws:ec2transitgateway/vpcAttachment:VpcAttachment")
    assert attachment.inputs["subnetIds"] == [each.id for each in private_subnets(graph)]
    routes = graph.of_type("aws:ec2/route:Route")
    assert len(routes) == 3
    assert all(attachment.urn in each.dependencies for each in routes)


def test_the_vpn_is_encrypted_as_it_should_be_and_its_keys_are_not_in_the_state() -> None:
    graph = planned("prod", *BY_VPN)
    (connection,) = graph.of_type("aws:ec2/vpnConnection:VpnConnection")
    (gateway,) = graph.of_type("aws:ec2/vpnGateway:VpnGateway")
    assert connection.inputs["vpnGatewayId"] == gateway.id
    assert connection.inputs["presharedKeyStorage"] == "SecretsManager"
    assert not [name for name in connection.inputs if "Preshared" in name and "Storage" not in name]
    for tunnel in ("tunnel1", "tunnel2"):
        assert connection.inputs[f"{tunnel}IkeVersions"] == ["ikev2"]
        for phase in ("Phase1", "Phase2"):
            assert connection.inputs[f"{tunnel}{phase}EncryptionAlgorithms"] == ["AES256-GCM-16"]
    (route,) = graph.of_type("aws:ec2/vpnConnectionRoute:VpnConnectionRoute")
    assert route.inputs["destinationCidrBlock"] == "10.200.0.0/16"
