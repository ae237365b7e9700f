"""What is lost can be brought back."""

from collections.abc import Iterator

from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.controls.retention import LIFECYCLE
from rayline_infra.policies.graph import Graph
from rayline_infra.policies.holdings import BUCKET, SECRET, TABLE, bucket_part

VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
SHORTEST_RECOVERY_DAYS = 7
SHORTEST_NONCURRENT_DAYS = 7


def tables_can_be_restored(graph: Graph) -> Iterator[Observation]:
    """Every table can be restored to any second of the last 35 days."""
    for table in graph.of_type(TABLE):
        on = (table.inputs.get("pointInTimeRecovery") or {}).get("enabled") is True
        yield judged(table, on, f"pointInTimeRecovery.enabled = {on}")


def buckets_keep_versions(graph: Graph) -> Iterator[Observation]:
    """Every bucket is versioned: what is overwritten or deleted is still there."""
    for bucket in graph.of_type(BUCKET):
        part = bucket_part(graph, VERSIONING, bucket)
        status = (part.inputs.get("versioningConfiguration") or {}).get("status") if part else None
        yield judged(bucket, status == "Enabled", f"versioning = {status}")


def old_versions_stay_a_while(graph: Graph) -> Iterator[Observation]:
    """No lifecycle rule removes an old version at once."""
    for bucket in graph.of_type(BUCKET):
        part = bucket_part(graph, LIFECYCLE, bucket)
        kept = [
            (rule.get("noncurrentVersionExpiration") or {}).get("noncurrentDays")
            for rule in (part.inputs["rules"] if part else [])
        ]
        soonest = min((days for days in kept if days is not None), default=None)
        setting = "never removed" if soonest is None else f"noncurrentDays = {soonest:g}"
        yield judged(bucket, soonest is None or soonest >= SHORTEST_NONCURRENT_DAYS, setting)


def secrets_can_be_recovered(graph: Graph) -> Iterator[Observation]:
    """A deleted secret can be recovered for a week at least: without it nobody can be told apart again."""
    for secret in graph.of_type(SECRET):
        days = secret.inputs.get("recoveryWindowInDays", 30)
        yield judged(secret, days >= SHORTEST_RECOVERY_DAYS, f"recoveryWindowInDays = {days:g}")


CONTROLS = (
    Control(
        "BAK-1",
        "Tables can be restored to any point in time",
        ("164.308(a)(7)(ii)(A)", "164.310(d)(2)(iv)"),
        "high",
        "DynamoDB tables",
        tables_can_be_restored,
    ),
    Control(
        "BAK-2",
        "Objects keep their versions",
        ("164.308(a)(7)(ii)(A)", "164.312(c)(1)"),
        "high",
        "buckets",
        buckets_keep_versions,
    ),
    Control(
        "BAK-3",
        "Old versions stay for a week at least",
        ("164.308(a)(7)(ii)(B)", "164.312(c)(1)"),
        "medium",
        "lifecycle rules",
        old_versions_stay_a_while,
    ),
    Control(
        "BAK-4",
        "Secrets can be recovered",
        ("164.308(a)(7)(ii)(B)",),
        "medium",
        "Secrets Manager secrets",
        secrets_can_be_recovered,
    ),
)
