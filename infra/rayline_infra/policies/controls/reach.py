"""What can reach what over the network: only what is named, and only by private ways."""

import json
from collections.abc import Iterator

from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.controls.encryption import BALANCER, job_steps
from rayline_infra.policies.controls.public_access import narrows
from rayline_infra.policies.graph import Graph, Resource, account_of
from rayline_infra.policies.identities import at
from rayline_infra.policies.openings import Opening, is_internet, openings
from rayline_infra.policies.statements import EVERYONE, Clause, read_policy

ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
SUBNET = "aws:ec2/subnet:Subnet"
ROUTE = "aws:ec2/route:Route"
ROUTE_TABLE = "aws:ec2/routeTable:RouteTable"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
GATEWAY = "aws:ec2/internetGateway:InternetGateway"
NAT = "aws:ec2/natGateway:NatGateway"
PIPELINE = "aws:sagemaker/pipeline:Pipeline"
SERVICE = "aws:ecs/service:Service"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
WAYS = ("natGatewayId", "gatewayId", "egressOnlyGatewayId", "transitGatewayId", "networkInterfaceId")
DESTINATIONS = ("destinationCidrBlock", "destinationIpv6CidrBlock", "cidrBlock", "ipv6CidrBlock")
DOOR_PORTS = {(443, 443), (80, 80)}


def public_doors(graph: Graph) -> frozenset[str]:
    """Security groups that the internet may call: those of application load balancers that face it."""
    return frozenset(
        str(group)
        for balancer in graph.of_type(BALANCER)
        if not balancer.inputs.get("internal")
        and balancer.inputs.get("loadBalancerType", "application") == "application"
        for group in balancer.inputs.get("securityGroups") or ()
    )


def nothing_listens_to_the_internet(graph: Graph) -> Iterator[Observation]:
    """Only the API's load balancer takes calls from anywhere, on the ports of HTTPS and its redirect."""
    doors = public_doors(graph)
    for opening in openings(graph):
        if opening.direction == "ingress":
            door = opening.group_id in doors and opening.protocol == "tcp" and opening.ports in DOOR_PORTS
            yield judged(opening.declared_by, door or not opening.to_the_internet, str(opening))


def peers_are_named(graph: Graph) -> Iterator[Observation]:
    """Every rule of a security group names who is on the other side, and no rule opens every port."""
    for opening in openings(graph):
        everywhere = opening.direction == "egress" and opening.to_the_internet and not _to_https(opening)
        fine = bool(opening.peers) and not everywhere and not _every_port(opening)
        yield judged(opening.declared_by, fine, str(opening))
    for group in graph.of_type(DEFAULT_GROUP):
        closed = not group.inputs.get("ingress") and not group.inputs.get("egress")
        yield judged(group, closed, f"the VPC's default group lets something through: {not closed}")


def _to_https(opening: Opening) -> bool:
    return opening.protocol == "tcp" and opening.ports == (443, 443)


def _every_port(opening: Opening) -> bool:
    itself = opening.peers == (opening.group_id,)
    return opening.ports == (0, 65535) and not itself


def compute_stays_private(graph: Graph) -> Iterator[Observation]:
    """Tasks and pipeline jobs have no public address, and their subnets no route from the internet."""
    public = _public_subnets(graph)
    for service in graph.of_type(SERVICE):
        network = service.inputs.get("networkConfiguration") or {}
        exposed = set(map(str, network.get("subnets", []))) & public
        fine = not network.get("assignPublicIp") and bool(network) and not exposed
        yield judged(
            service,
            fine,
            f"assignPublicIp = {bool(network.get('assignPublicIp'))}, public subnets: {len(exposed)}",
        )
    for pipeline, name, subnets in _jobs(graph):
        # A job without subnets of ours runs in SageMaker's own network, with the internet in reach.
        fine = bool(subnets) and not subnets & public
        yield judged(
            pipeline, fine, f"{name} in {len(subnets)} subnets, public subnets: {len(subnets & public)}"
        )
    for subnet in graph.of_type(SUBNET):
        gives = bool(subnet.inputs.get("mapPublicIpOnLaunch"))
        yield judged(subnet, not gives, f"mapPublicIpOnLaunch = {gives}")


def _jobs(graph: Graph) -> Iterator[tuple[Resource, str, set[str]]]:
    """The jobs of pipelines, each with its subnets."""
    for pipeline in graph.of_type(PIPELINE):
        for step in job_steps(json.loads(str(pipeline.inputs["pipelineDefinition"]))["Steps"]):
            # Training names them itself, processing within its network (SageMaker API reference).
            arguments = step["Arguments"]
            network = arguments.get("NetworkConfig") or arguments
            yield pipeline, step["Name"], set((network.get("VpcConfig") or {}).get("Subnets") or ())


def _public_subnets(graph: Graph) -> frozenset[str]:
    gateways = {gateway.id for gateway in graph.of_type(GATEWAY)}
    tables = {str(each.inputs["routeTableId"]) for each in graph.of_type(ROUTE)
              if each.inputs.get("gatewayId") in gateways}  # fmt: skip
    for table in graph.of_type(ROUTE_TABLE):
        if any(each.get("gatewayId") in gateways for each in table.inputs.get("routes") or ()):
            tables.add(table.id)
    return frozenset(
        str(each.inputs["subnetId"])
        for each in graph.of_type(ASSOCIATION)
        if str(each.inputs["routeTableId"]) in tables and each.inputs.get("subnetId")
    )


def endpoints_have_policies(graph: Graph) -> Iterator[Observation]:
    """No endpoint carries everybody's requests to everything: a stolen credential does not work through it."""
    account = account_of(graph)
    for endpoint in graph.of_type(ENDPOINT):
        text = endpoint.inputs.get("policy")
        if not text:
            yield judged(endpoint, False, "policy = none, which lets everything through")
            continue
        wide = [clause.sid for clause in read_policy(str(text)) if _anything(clause, account)]
        yield judged(
            endpoint, not wide, f"everything passes by {', '.join(wide)}" if wide else "policy narrows it"
        )


def _anything(clause: Clause, account: str) -> bool:
    everyone = any(EVERYONE in principal for principal in clause.principals)
    narrowed = any(narrows(*condition, account) for condition in clause.conditions)
    return clause.allows and everyone and "*" in clause.resources and not narrowed


def the_way_out_is_closed(graph: Graph) -> Iterator[Observation]:
    """No route leads from compute to the internet, but through a NAT gateway where a stack wants one."""
    subnets = {subnet.id: subnet for subnet in graph.of_type(SUBNET)}
    tables = {
        str(each.inputs.get("subnetId")): str(each.inputs["routeTableId"])
        for each in graph.of_type(ASSOCIATION)
    }
    nats = {nat.id for nat in graph.of_type(NAT)}
    for identity in sorted(_compute_subnets(graph) & set(subnets)):
        ways = [way for way in _ways(graph, tables.get(identity, "")) if is_internet(way[1])]
        fine = identity in tables and all(target in nats for target, _ in ways)
        setting = ", ".join(f"{destination} → {target}" for target, destination in ways) or "no route out"
        yield judged(subnets[identity], fine, setting if identity in tables else "the VPC's main route table")


def _ways(graph: Graph, table: str) -> Iterator[tuple[str, str]]:
    """Where the routes of a table lead, and for which addresses."""
    routes = [each.inputs for each in graph.of_type(ROUTE) if str(each.inputs["routeTableId"]) == table]
    for each in graph.of_type(ROUTE_TABLE):
        routes += each.inputs.get("routes") or () if each.id == table else ()
    for route in routes:
        target = next((str(route[name]) for name in WAYS if route.get(name)), "elsewhere")
        yield from ((target, str(route[name])) for name in DESTINATIONS if route.get(name))


def _compute_subnets(graph: Graph) -> set[str]:
    tasks = {
        str(subnet)
        for service in graph.of_type(SERVICE)
        for subnet in (service.inputs.get("networkConfiguration") or {}).get("subnets", [])
    }
    return tasks.union(*(subnets for _, _, subnets in _jobs(graph)))


def balancers_are_where_they_should_be(graph: Graph) -> Iterator[Observation]:
    """Only the API faces the internet; whatever takes DICOM from modalities is inside."""
    for balancer in graph.of_type(BALANCER):
        internal = bool(balancer.inputs.get("internal"))
        network = balancer.inputs.get("loadBalancerType") == "network"
        yield judged(balancer, internal or not network, f"internal = {internal}")
    for balancer in graph.of_type(BALANCER):
        if balancer.inputs.get("loadBalancerType", "application") == "application":
            drops = at(balancer.inputs, "dropInvalidHeaderFields") is True
            yield judged(balancer, drops, f"dropInvalidHeaderFields = {drops}")


def public_balancers_have_a_firewall(graph: Graph) -> Iterator[Observation]:
    """A web firewall stands before what the internet may call."""
    guarded = {
        str(each.inputs["resourceArn"])
        for each in graph.of_type("aws:wafv2/webAclAssociation:WebAclAssociation")
    }
    for balancer in graph.of_type(BALANCER):
        if balancer.inputs.get("loadBalancerType", "application") == "application":
            yield _guarded(balancer, str(balancer.outputs["arn"]) in guarded)
    for distribution in graph.of_type("aws:cloudfront/distribution:Distribution"):
        yield _guarded(distribution, bool(distribution.inputs.get("webAclId")))


def _guarded(resource: Resource, there: bool) -> Observation:
    return judged(resource, there, f"web firewall: {there}")


CONTROLS = (
    Control(
        "NET-1",
        "Nothing but the public door takes calls from the internet",
        ("164.312(a)(1)", "164.312(e)(1)"),
        "critical",
        "ingress of security groups",
        nothing_listens_to_the_internet,
    ),
    Control(
        "NET-2",
        "Security groups name their peers",
        ("164.312(e)(1)",),
        "high",
        "rules of security groups, and the VPC's default group",
        peers_are_named,
    ),
    Control(
        "NET-3",
        "Compute has no public address",
        ("164.312(e)(1)", "164.312(a)(1)"),
        "critical",
        "ECS services, jobs of pipelines and subnets",
        compute_stays_private,
    ),
    Control(
        "NET-4",
        "Endpoints have policies",
        ("164.312(e)(1)", "164.312(a)(1)"),
        "high",
        "VPC endpoints",
        endpoints_have_policies,
    ),
    Control(
        "NET-5",
        "Compute has no route to the internet",
        ("164.312(e)(1)",),
        "high",
        "routes of the subnets that compute runs in",
        the_way_out_is_closed,
    ),
    Control(
        "NET-6",
        "DICOM is taken inside only, and malformed requests nowhere",
        ("164.312(e)(1)",),
        "high",
        "load balancers",
        balancers_are_where_they_should_be,
    ),
    Control(
        "NET-7",
        "A web firewall stands before what browsers call",
        ("164.308(a)(5)(ii)(B)", "164.312(e)(1)"),
        "medium",
        "application load balancers and CloudFront",
        public_balancers_have_a_firewall,
    ),
)
