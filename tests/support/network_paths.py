"""Whether a packet would find its way, computed from a graph's routes, network ACLs and security groups."""

import json
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.openings import openings

SUBNET = "aws:ec2/subnet:Subnet"
EPHEMERAL_PORT = 50_000  # of an answer


def reaches(graph: Graph, subnet: Resource, group_id: str, address: str, port: int) -> bool:
    """Whether something in a subnet under a security group can open a TCP connection, and get its answer."""
    return (
        _group_lets_out(graph, group_id, address, port)
        and _list_lets(graph, subnet, "egress", address, port)
        and _list_lets(graph, subnet, "ingress", address, EPHEMERAL_PORT)
        and _routed(graph, subnet, address)
    )


def route_target(graph: Graph, subnet: Resource, address: str) -> str | None:
    """Where a subnet's route table sends an address: the id of the target of the longest prefix, or "local"."""
    found = [
        (IPv4Network(route["destinationCidrBlock"]).prefixlen, _target(route))
        for route in _routes(graph, _route_table_id(graph, subnet))
        if IPv4Address(address) in IPv4Network(route["destinationCidrBlock"])
    ]
    vpc = graph.of_type("aws:ec2/vpc:Vpc")[0]
    if IPv4Address(address) in IPv4Network(vpc.inputs["cidrBlock"]):
        found.append((33, "local"))  # the local route cannot be overridden by a shorter one
    return max(found)[1] if found else None


def _routed(graph: Graph, subnet: Resource, address: str) -> bool:
    target = route_target(graph, subnet, address)
    if target is None:
        return False
    if target.startswith("nat-"):
        (gateway,) = [each for each in graph.of_type("aws:ec2/natGateway:NatGateway") if each.id == target]
        (public,) = [each for each in graph.of_type(SUBNET) if each.id == gateway.inputs["subnetId"]]
        return _routed(graph, public, address)
    return True


def _route_table_id(graph: Graph, subnet: Resource) -> str:
    for each in graph.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation"):
        if each.inputs["subnetId"] == subnet.id:
            return str(each.inputs["routeTableId"])
    return str(graph.of_type("aws:ec2/vpc:Vpc")[0].outputs["mainRouteTableId"])


def _routes(graph: Graph, table_id: str) -> Iterator[Mapping[str, Any]]:
    for table in graph.of_type("aws:ec2/routeTable:RouteTable"):
        if table.id == table_id:
            yield from table.inputs.get("routes") or ()
    for default in graph.of_type("aws:ec2/defaultRouteTable:DefaultRouteTable"):
        if default.id == table_id:
            yield from default.inputs.get("routes") or ()
    for route in graph.of_type("aws:ec2/route:Route"):
        if route.inputs["routeTableId"] == table_id:
            yield route.inputs


def _target(route: Mapping[str, Any]) -> str:
    targets = [str(value) for name, value in route.items() if name.endswith(("atewayId", "endpointId"))]
    assert len(targets) == 1, json.dumps(dict(route))
    return targets[0]


def _group_lets_out(graph: Graph, group_id: str, address: str, port: int) -> bool:
    return any(
        rule.group_id == group_id
        and rule.direction == "egress"
        and rule.protocol in ("tcp", "6", "-1")
        and rule.ports[0] <= port <= rule.ports[1]
        and any("/" in peer and IPv4Address(address) in IPv4Network(peer) for peer in rule.peers)
        for rule in openings(graph)
    )


def _list_lets(graph: Graph, subnet: Resource, direction: str, address: str, port: int) -> bool:
    lists = [
        each
        for each in graph.of_type("aws:ec2/networkAcl:NetworkAcl")
        if subnet.id in (each.inputs.get("subnetIds") or ())
    ]
    if not lists:
        (default,) = graph.of_type("aws:ec2/defaultNetworkAcl:DefaultNetworkAcl")
        lists = [default]
    (rules,) = [each.inputs.get(direction) or () for each in lists]
    for rule in sorted(rules, key=lambda each: int(each.get("ruleNo", each.get("ruleNumber")))):
        if (
            rule["protocol"] in ("tcp", "6", "-1")
            and IPv4Address(address) in IPv4Network(rule["cidrBlock"])
            and rule["fromPort"] <= port <= rule["toPort"]
        ):
            return bool(rule["action"] == "allow")
    return False
