"""Evidence is kept for six years, and nothing else for ever."""

from collections.abc import Iterator, Mapping
from typing import Any

from rayline_infra.policies.controls.control import Control, Observation, absent, judged
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.holdings import BUCKET, QUEUE, bucket_part

TRAIL = "aws:cloudtrail/trail:Trail"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
OBJECT_LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ARCHIVE = "aws:cloudwatch/eventArchive:EventArchive"
SIX_YEARS_DAYS = 6 * 365 + 2
REPLAY_DAYS = 30
LONGEST_QUEUE_SECONDS = 14 * 24 * 3600


def audit_buckets(graph: Graph) -> tuple[Resource, ...]:
    """Buckets that trails write to: what must outlive whoever would rather it did not."""
    names = {str(trail.inputs["s3BucketName"]) for trail in graph.of_type(TRAIL)}
    return tuple(bucket for bucket in graph.of_type(BUCKET) if bucket.inputs["bucket"] in names)


def left_to_the_account(graph: Graph, service: str, setting: str) -> Observation:
    """An account-wide service that the stack does not make: its settings say that the account has one."""
    for audit in graph.of_type("rayline:audit:Audit"):
        if {**audit.inputs, **audit.outputs}.get(setting) == "existing":
            return judged(
                audit, True, f"{setting} = existing: {service} is the account's own, and its owner's to show"
            )
    return absent(service, f"the stack declares no {service}, and does not say that the account has it")


def evidence_is_kept(graph: Graph) -> Iterator[Observation]:
    """No lifecycle rule of an audit bucket removes a log before six years have passed."""
    if not audit_buckets(graph):
        yield left_to_the_account(graph, "CloudTrail", "cloudTrail")
    for bucket in audit_buckets(graph):
        part = bucket_part(graph, LIFECYCLE, bucket)
        rules: list[Mapping[str, Any]] = part.inputs["rules"] if part else []
        days = [
            rule["expiration"]["days"]
            for rule in rules
            if rule["status"] == "Enabled" and (rule.get("expiration") or {}).get("days")
        ]
        soonest = min(days, default=None)
        setting = f"logs expire after {soonest:g} days" if soonest else "no rule removes a log"
        yield judged(bucket, soonest is None or soonest >= SIX_YEARS_DAYS, setting)


def evidence_is_locked(graph: Graph) -> Iterator[Observation]:
    """Whoever holds the account cannot remove a log within six years either."""
    if not audit_buckets(graph):
        yield left_to_the_account(graph, "CloudTrail", "cloudTrail")
    for bucket in audit_buckets(graph):
        part = bucket_part(graph, OBJECT_LOCK, bucket)
        held = ((part.inputs.get("rule") or {}).get("defaultRetention") or {}) if part else {}
        days = (held.get("days") or 0) + 365.25 * (held.get("years") or 0)
        locked = bool(bucket.inputs.get("objectLockEnabled")) and days >= SIX_YEARS_DAYS
        setting = f"object lock: {held.get('mode', 'none')}, {days / 365.25:.1f} years"
        yield judged(bucket, locked and held.get("mode") == "COMPLIANCE", setting)


def log_groups_end(graph: Graph) -> Iterator[Observation]:
    """Every log group says for how long it keeps its lines."""
    for group in graph.of_type(LOG_GROUP):
        days = group.inputs.get("retentionInDays")
        yield judged(group, bool(days), f"retentionInDays = {days:g}" if days else "kept for ever")


def events_can_be_replayed(graph: Graph) -> Iterator[Observation]:
    """Queues keep a message for as long as SQS can; archives keep thirty days, and not for ever."""
    for queue in graph.of_type(QUEUE):
        seconds = queue.inputs.get("messageRetentionSeconds") or 0
        yield judged(queue, seconds == LONGEST_QUEUE_SECONDS, f"messageRetentionSeconds = {seconds:g}")
    for archive in graph.of_type(ARCHIVE):
        days = archive.inputs.get("retentionDays") or 0
        yield judged(archive, days >= REPLAY_DAYS, f"retentionDays = {days:g}")


CONTROLS = (
    Control(
        "RET-1",
        "Audit logs are kept for six years",
        ("164.316(b)(2)(i)", "164.312(b)"),
        "critical",
        "lifecycle rules of the buckets that trails write to",
        evidence_is_kept,
    ),
    Control(
        "RET-2",
        "Audit logs cannot be removed for six years",
        ("164.316(b)(2)(i)", "164.312(c)(1)"),
        "critical",
        "object lock, in compliance mode, of the buckets that trails write to",
        evidence_is_locked,
    ),
    Control(
        "RET-3",
        "Log groups say for how long they keep",
        ("164.310(d)(2)(i)", "164.312(b)"),
        "low",
        "log groups",
        log_groups_end,
    ),
    Control(
        "RET-4",
        "Events can be brought back",
        ("164.308(a)(7)(ii)(B)", "164.310(d)(2)(i)"),
        "medium",
        "retention of queues and event archives",
        events_can_be_replayed,
    ),
)
