"""Where patients' data may be: buckets and tables by the key that encrypts them, and which role does what there."""

from rayline_infra.diagrams.mermaid import Flowchart
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.holdings import holdings
from rayline_infra.policies.identities import identities
from rayline_infra.policies.patterns import overlaps

KEY = "aws:kms/key:Key"
READS = (
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionForReplication",
    "dynamodb:GetItem",
    "dynamodb:Query",
    "dynamodb:Scan",
)
WRITES = ("s3:PutObject", "s3:ReplicateObject", "dynamodb:PutItem", "dynamodb:UpdateItem")
DRAWN = ("aws:s3/bucket:Bucket", "aws:dynamodb/table:Table")


def zones(graph: Graph) -> str:
    """An arrow into a store is a role that writes it, one out of a store a role that reads it."""
    keys = {str(each.outputs["arn"]): each.name.removesuffix("-key") for each in graph.of_type(KEY)}
    drawn = [each for each in holdings(graph) if each.resource.type in DRAWN and each.key_arn in keys]
    edges = []
    for identity in identities(graph):
        role = identity.role.name.removesuffix("-role")
        for holding in drawn:
            allowed = {
                action
                for clause in identity.clauses
                if clause.allows and _about(clause.resources, holding.arns)
                for action in (*READS, *WRITES)
                if clause.has_action(action)
            }
            if allowed & set(WRITES):
                edges.append((f"role {role}", f"store {holding.resource.name}"))
            if allowed & set(READS):
                edges.append((f"store {holding.resource.name}", f"role {role}"))
    chart = Flowchart("LR")
    for arn, kind in keys.items():
        held = [each.resource for each in drawn if each.key_arn == arn]
        if held:
            with chart.frame(f"key {kind}", f"key {kind}"):
                for resource in held:
                    chart.node(f"store {resource.name}", _label(resource), "store")
    for role in sorted({each for edge in edges for each in edge if each.startswith("role ")}):
        chart.node(role, role.removeprefix("role "), "work")
    for start, end in edges:
        chart.edge(start, end)
    return chart.text()


def _label(resource: Resource) -> str:
    return resource.name.removesuffix("-table")


def _about(patterns: tuple[str, ...], arns: tuple[str, ...]) -> bool:
    return any(overlaps(arn, pattern) for arn in arns for pattern in patterns if pattern != "*")
