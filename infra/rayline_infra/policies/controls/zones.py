"""Identified and de-identified data stay apart: other buckets, other keys, other roles."""

from collections.abc import Iterator

from rayline.names import DEIDENTIFIED_BUCKETS, IDENTIFIED_BUCKETS
from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.holdings import (
    BUCKET,
    CLUSTER,
    QUEUE,
    SECRET,
    TABLE,
    datastores,
    door_clauses,
    key_clauses,
    key_named,
    key_of,
)
from rayline_infra.policies.identities import Identity, identities
from rayline_infra.policies.patterns import overlaps
from rayline_infra.policies.role_zones import DEIDENTIFIED_ROLES
from rayline_infra.policies.statements import Clause, Request, decided

ARCHIVE = "aws:cloudwatch/eventArchive:EventArchive"
# Object keys of senders stand in messages and events, and originals are spooled in tasks.
IDENTIFIED_TYPES = (QUEUE, ARCHIVE, CLUSTER)
# Beside it, what a bucket's policy does not deny is allowed.
ALL_ALLOWED = Clause("", allows=True, actions=("*",), resources=("*",), principals=(("*", "*"),))


def zone_of(resource: Resource) -> str:
    """The zone that a bucket belongs to, ``identified``, ``deidentified`` or ``none``."""
    kind = resource.name.removesuffix("-replica")
    if kind in IDENTIFIED_BUCKETS:
        return "identified"
    return "deidentified" if kind in DEIDENTIFIED_BUCKETS else "none"


def zones_have_their_keys(graph: Graph) -> Iterator[Observation]:
    """What is identified is encrypted with the identified key and nothing else is, and so on for each zone."""
    for resource in graph.resources:
        if resource.type == BUCKET:
            zone = zone_of(resource)
            if zone == "none":
                continue
        elif resource.type in IDENTIFIED_TYPES:
            zone = "identified"
        elif resource.type == TABLE:
            zone = "tracking"
        elif resource.type == SECRET:
            zone = "secrets"
        else:
            continue
        yield _encrypted_in(graph, resource, zone)
    for store in datastores(graph):
        yield _encrypted_in(graph, store, "deidentified")


def _encrypted_in(graph: Graph, resource: Resource, zone: str) -> Observation:
    key = key_named(graph, key_of(graph, resource))
    name = key.name.removesuffix("-key").removesuffix("-replica") if key else "none"
    return judged(resource, name == zone, f"zone = {zone}, key = {name}")


def deidentified_roles_stay_out(graph: Graph) -> Iterator[Observation]:
    """No role of the de-identified zone may touch an identified bucket, queue or key, by whatever policy."""
    identified = [bucket for bucket in graph.of_type(BUCKET) if zone_of(bucket) == "identified"]
    arns = [f"arn:aws:s3:::{bucket.inputs['bucket']}" for bucket in identified]
    objects = [f"{arn}/*" for arn in arns]
    others = [str(each.outputs["arn"]) for each in graph.resources if each.type in IDENTIFIED_TYPES]
    keys = [str(key.outputs["arn"]) for key in _keys(graph, "identified")]
    for identity in identities(graph):
        if _kind(identity) in DEIDENTIFIED_ROLES:
            reached = [arn for arn in (*arns, *objects, *others, *keys) if _touches(identity, arn)]
            reached += [
                f"{arn} by its key policy"
                for arn in keys
                for clause in key_clauses(graph, arn)
                if clause.allows and ("AWS", identity.arn) in clause.principals
            ]
            setting = f"reaches {', '.join(reached)}" if reached else "reaches nothing of the identified zone"
            yield judged(identity.role, not reached, setting)


def _kind(identity: Identity) -> str:
    return identity.role.name.removesuffix("-role")


def _touches(identity: Identity, arn: str) -> bool:
    return any(
        clause.allows and any(overlaps(resource, arn) for resource in clause.resources if resource != "*")
        for clause in identity.clauses
    )


def _keys(graph: Graph, kind: str) -> list[Resource]:
    return [key for key in graph.resources if key.type.startswith("aws:kms/") and key.name.startswith(f"{kind}-key")
            and "keyId" in key.outputs]  # fmt: skip


def buckets_refuse_the_other_zone(graph: Graph) -> Iterator[Observation]:
    """Identified buckets deny the roles of the de-identified zone, whatever those roles' own policies say."""
    # Resources stand in the order in which they were told of, which differs from run to run.
    others = dict(
        sorted((_kind(each), each.arn) for each in identities(graph) if _kind(each) in DEIDENTIFIED_ROLES)
    )
    for bucket in graph.of_type(BUCKET):
        if zone_of(bucket) == "identified":
            missing = [kind for kind, arn in others.items() if not _denies(graph, bucket, arn)]
            setting = f"does not deny {', '.join(missing)}" if missing else f"denies {', '.join(others)}"
            yield judged(bucket, not missing, setting)


def _denies(graph: Graph, bucket: Resource, role_arn: str) -> bool:
    objects = f"arn:aws:s3:::{bucket.inputs['bucket']}/*"
    context = {"aws:principalarn": role_arn, "aws:securetransport": "true"}
    request = Request("s3:GetObject", objects, ("AWS", role_arn), context)
    return not decided((ALL_ALLOWED, *door_clauses(graph, bucket)), request)


def training_reads_no_logs(graph: Graph) -> Iterator[Observation]:
    """Roles of the de-identified zone write logs and read none: object keys of senders stand there."""
    reads = ("logs:GetLogEvents", "logs:FilterLogEvents", "logs:StartQuery", "logs:GetLogRecord")
    for identity in identities(graph):
        if _kind(identity) in DEIDENTIFIED_ROLES:
            wide = [
                action
                for action in reads
                if any(clause.allows and clause.has_action(action) for clause in identity.clauses)
            ]
            yield judged(
                identity.role, not wide, f"reads logs by {', '.join(wide)}" if wide else "reads no logs"
            )


CONTROLS = (
    Control(
        "ZON-1",
        "Each zone's data are under its own key",
        ("164.312(a)(1)", "164.312(a)(2)(iv)"),
        "critical",
        "buckets, queues, event archives, tables, secrets, data stores",
        zones_have_their_keys,
    ),
    Control(
        "ZON-2",
        "Roles of the de-identified zone reach nothing that names a patient",
        ("164.312(a)(1)", "164.308(a)(4)(ii)(B)"),
        "critical",
        "policies of the roles that train, import, copy and view",
        deidentified_roles_stay_out,
    ),
    Control(
        "ZON-3",
        "Identified buckets refuse the roles of the other zone",
        ("164.312(a)(1)",),
        "high",
        "bucket policies of the identified zone",
        buckets_refuse_the_other_zone,
    ),
    Control(
        "ZON-4",
        "Roles of the de-identified zone read no logs",
        ("164.312(a)(1)",),
        "high",
        "policies of the roles that train, import, copy and view",
        training_reads_no_logs,
    ),
)
