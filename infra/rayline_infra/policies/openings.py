"""What security groups let through, however the program spelled it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Literal

from rayline_infra.policies.graph import Graph, Resource

SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
Direction = Literal["ingress", "egress"]
# A range of more addresses than any hospital has; two halves of the internet are the internet, too.
_WIDEST = {4: 8, 6: 16}
_RULES: Mapping[str, Direction] = {
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "ingress",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "egress",
}


@dataclass(frozen=True)
class Opening:
    """One rule of a security group.

    Attributes:
        declared_by: the group, or the resource that is a rule of it.
        peers: CIDR blocks, prefix lists and security groups on the other side.
        ports: first and last port; (0, 65535) for all.
    """

    declared_by: Resource
    group_id: str
    direction: Direction
    protocol: str
    ports: tuple[int, int]
    peers: tuple[str, ...]

    @property
    def to_the_internet(self) -> bool:
        """Whether any address may be on the other side."""
        return any(is_internet(peer) for peer in self.peers)

    def __str__(self) -> str:
        first, last = self.ports
        ports = f"{first}" if first == last else f"{first}-{last}"
        return f"{self.direction} {self.protocol} {ports} {', '.join(self.peers) or 'nobody'}"


def is_internet(destination: str) -> bool:
    """Whether a CIDR block stands for any address, or nearly; of a group or a prefix list it does not."""
    try:
        network = ip_network(destination)
    except ValueError:
        return False
    return network.prefixlen < _WIDEST[network.version]


def openings(graph: Graph) -> Iterator[Opening]:
    """Every rule of every security group."""
    for group in graph.of_type(SECURITY_GROUP):
        directions: tuple[Direction, ...] = ("ingress", "egress")
        for direction in directions:
            for rule in group.inputs.get(direction) or ():
                peers = (
                    *(rule.get("cidrBlocks") or ()),
                    *(rule.get("ipv6CidrBlocks") or ()),
                    *(rule.get("prefixListIds") or ()),
                    *(rule.get("securityGroups") or ()),
                    *((group.id,) if rule.get("self") else ()),
                )
                yield _opening(group, group.id, direction, rule, "protocol", peers)
    for type_token, direction in _RULES.items():
        for resource in graph.of_type(type_token):
            rule = resource.inputs
            named = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
            peers = tuple(str(rule[name]) for name in named if rule.get(name))
            yield _opening(resource, str(rule["securityGroupId"]), direction, rule, "ipProtocol", peers)
    for resource in graph.of_type("aws:ec2/securityGroupRule:SecurityGroupRule"):
        rule = resource.inputs
        source = rule.get("sourceSecurityGroupId")
        peers = (
            *(rule.get("cidrBlocks") or ()),
            *(rule.get("ipv6CidrBlocks") or ()),
            *(rule.get("prefixListIds") or ()),
            *((str(source),) if source else ()),
            *((str(rule["securityGroupId"]),) if rule.get("self") else ()),
        )
        yield _opening(resource, str(rule["securityGroupId"]), rule["type"], rule, "protocol", peers)


def _opening(
    declared_by: Resource,
    group_id: str,
    direction: Direction,
    rule: Mapping[str, Any],
    protocol_input: str,
    peers: tuple[str, ...],
) -> Opening:
    protocol = str(rule.get(protocol_input, "-1"))
    first, last = rule.get("fromPort"), rule.get("toPort")
    ports = (0, 65535) if protocol == "-1" or first is None else (int(first), int(last or first))
    return Opening(declared_by, group_id, direction, protocol, ports, peers)
