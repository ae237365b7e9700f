"""Buckets by what they hold and how it ages, tables, the data store, keys and secrets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rayline.errors import ConfigurationError
from rayline_infra.costing.lines import Driver, Line, Month, Pricers
from rayline_infra.costing.networking import requests
from rayline_infra.costing.usage import BYTES_PER_GIB, DAYS_PER_MONTH, MIB_PER_GIB
from rayline_infra.policies.graph import Resource

S3 = "S3"
FOREVER = float("inf")
ACCESS_LOG_BYTES = 600  # of a request in an S3 access log
# Intelligent-Tiering moves what nobody reads after 30 and after 90 days (Amazon S3 user guide).
TIERING_INFREQUENT_DAYS, TIERING_ARCHIVE_DAYS = 30, 90
PRICE_OF_CLASS = {"GLACIER": "s3.glacier", "GLACIER_IR": "s3.archive_instant"}
LEAST_IMAGE_SET_GIB = 5 / 1024  # HealthImaging pricing: an image set counts 5 MB at least


@dataclass(frozen=True)
class Inflow:
    """What arrives in a bucket in a month."""

    gib: float
    objects: float
    driver: Driver


def inflow(kind: str, month: Month) -> Inflow:
    """What arrives in a bucket of a kind.

    Raises:
        ConfigurationError: nobody said what such a bucket holds.
    """
    usage = month.usage
    raw = Inflow(usage.raw_gib, usage.images, "scan")
    trained = usage.trainings_per_month * usage.images_per_training
    events = data_events(month)
    s3_requests = usage.images * (usage.object_writes_per_image + usage.object_reads_per_image)
    known = {
        "uploads": raw,
        "archive": raw,
        "imports": raw,
        "quarantine": Inflow(
            raw.gib * usage.quarantined_share, raw.objects * usage.quarantined_share, "scan"
        ),
        "preprocessed": Inflow(trained * usage.mib_per_training_image / MIB_PER_GIB, trained, "training"),
        "models": Inflow(
            usage.trainings_per_month * usage.model_mib / MIB_PER_GIB, usage.trainings_per_month, "training"
        ),
        "reports": Inflow(
            usage.trainings_per_month * usage.report_mib / MIB_PER_GIB, usage.trainings_per_month, "training"
        ),
        "logs": Inflow(events * usage.trail_bytes_per_event / BYTES_PER_GIB, events / 100, "scan"),
        "access-logs": Inflow(s3_requests * ACCESS_LOG_BYTES / BYTES_PER_GIB, s3_requests / 100, "scan"),
        "viewer": Inflow(usage.viewer_mib_per_view / MIB_PER_GIB, 10, "fixed"),
    }
    found = known.get(kind.removesuffix("-replica"))
    if found is None:
        raise ConfigurationError(
            f"nobody said what a bucket {kind} holds; add it to inflow() of rayline_infra/costing/storing.py"
        )
    return found


def data_events(month: Month) -> float:
    """Calls on data that trails and GuardDuty look at."""
    return month.usage.images * month.usage.data_events_per_image


def bucket(resource: Resource, month: Month) -> Iterator[Line]:
    """What a bucket holds at its age, in the classes that its lifecycle moves it to, and its requests."""
    kind = bucket_kind(str(resource.inputs["bucket"]), month)
    arriving = inflow(kind, month)
    yield from _stored(resource, month, arriving, _rules(resource, month))
    if kind in ("uploads", "imports"):
        usage = month.usage
        writes = usage.images * usage.object_writes_per_image / 2
        reads = usage.images * usage.object_reads_per_image / 2
        yield month.line(S3, "writes", resource, "s3.writes", writes, "scan")
        yield month.line(S3, "reads", resource, "s3.reads", reads, "scan")
    elif kind == "viewer":
        yield month.line(S3, "reads", resource, "s3.reads", requests(month) / 10, "scan")


def bucket_kind(name: str, month: Month) -> str:
    """A bucket's kind, which its name has between the stack and the account."""
    return name.removeprefix(month.stack_prefix).rpartition("-")[0]


def _rules(resource: Resource, month: Month) -> list[Mapping[str, Any]]:
    return [
        rule
        for each in month.graph.of_type("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
        if each.inputs["bucket"] == resource.inputs["bucket"]
        for rule in each.inputs["rules"]
        if rule["status"] == "Enabled"
    ]


def _stored(
    resource: Resource, month: Month, arriving: Inflow, rules: list[Mapping[str, Any]]
) -> Iterator[Line]:
    expires = min(
        (
            float(rule["expiration"]["days"])
            for rule in rules
            if (rule.get("expiration") or {}).get("days") is not None
        ),
        default=FOREVER,
    )
    moves = sorted(
        (float(move["days"]), str(move["storageClass"]))
        for rule in rules
        for move in rule.get("transitions") or ()
    )
    starts = [(0.0, "STANDARD"), *moves]
    ends = [*(days for days, _ in moves), expires]
    for (start, storage_class), end in zip(starts, ends, strict=True):
        until = min(end, expires)
        if storage_class == "INTELLIGENT_TIERING":
            yield from _tiered(resource, month, arriving, start, until)
        else:
            price = PRICE_OF_CLASS.get(storage_class, "s3.standard")
            gib = arriving.gib * aged_months(start, until, month.usage.months)
            what = storage_class.replace("_", " ").lower().capitalize()
            if gib:
                yield month.line(S3, what, resource, price, gib, arriving.driver)
        if start and aged_months(start, start + DAYS_PER_MONTH, month.usage.months):
            price = "s3.to_tiering" if storage_class == "INTELLIGENT_TIERING" else "s3.to_glacier"
            yield month.line(S3, "lifecycle moves", resource, price, arriving.objects, arriving.driver)


def _tiered(resource: Resource, month: Month, arriving: Inflow, start: float, until: float) -> Iterator[Line]:
    edges = (start, start + TIERING_INFREQUENT_DAYS, start + TIERING_ARCHIVE_DAYS, FOREVER)
    prices = ("s3.standard", "s3.infrequent", "s3.archive_instant")
    for low, high, price in zip(edges, edges[1:], prices, strict=False):
        months = aged_months(low, min(high, until), month.usage.months)
        if months:
            yield month.line(
                S3, "Intelligent tiering", resource, price, arriving.gib * months, arriving.driver
            )
    watched = arriving.objects * aged_months(start, until, month.usage.months)
    if watched:
        yield month.line(S3, "tiering's monitoring", resource, "s3.monitoring", watched, arriving.driver)


def aged_months(start_days: float, end_days: float, months: float) -> float:
    """Months' worth of arrivals that are between two ages at the end of the estate's last month."""
    oldest = months * DAYS_PER_MONTH
    return max(0.0, min(end_days, oldest) - min(start_days, oldest)) / DAYS_PER_MONTH


def replication(resource: Resource, month: Month) -> Iterator[Line]:
    """Copies: each is a write at its destination, and into another region it is a transfer, too."""
    arriving = inflow(bucket_kind(str(resource.inputs["bucket"]), month), month)
    regions = {
        str(each.outputs["arn"]): each.inputs.get("region")
        for each in month.graph.of_type("aws:s3/bucket:Bucket")
    }
    home = month.graph.outputs["region"]
    for rule in resource.inputs["rules"]:
        destination = str(rule["destination"]["bucket"])
        yield month.line(S3, "copies", resource, "s3.writes", arriving.objects, arriving.driver)
        if regions.get(destination) not in (None, home):
            yield month.line(
                S3, "copies to another region", resource, "transfer.regions", arriving.gib, arriving.driver
            )


def table(resource: Resource, month: Month) -> Iterator[Line]:
    """A table's requests on demand, what it holds, and its continuous backup."""
    usage = month.usage
    name = str(resource.inputs["name"]).removeprefix(month.stack_prefix)
    share = {"image-tracking": 0.6, "effects": 0.4}.get(name, 0.0)
    writes, reads = usage.images * usage.table_writes_per_image, usage.images * usage.table_reads_per_image
    gib = usage.images * usage.months * usage.table_bytes_per_image * share / BYTES_PER_GIB
    service = "DynamoDB"
    yield month.line(service, "writes", resource, "dynamodb.writes", writes * share, "scan")
    yield month.line(service, "reads", resource, "dynamodb.reads", reads * share, "scan")
    yield month.line(service, "storage", resource, "dynamodb.storage", gib, "scan")
    if (resource.inputs.get("pointInTimeRecovery") or {}).get("enabled"):
        yield month.line(service, "backups", resource, "dynamodb.backups", gib, "scan")


def datastore(resource: Resource, month: Month) -> Iterator[Line]:
    """Image sets: a month in the frequent tier, then in the archive until somebody reads them; and calls."""
    usage = month.usage
    compressed = usage.images_per_scan * usage.mib_per_image * usage.stored_ratio / MIB_PER_GIB
    scan_gib = max(compressed, usage.image_sets_per_scan * LEAST_IMAGE_SET_GIB)
    stored = scan_gib * usage.scans_per_month * usage.months
    fresh = scan_gib * usage.scans_per_month * min(1.0, usage.months)
    # Preprocessing reads frames, which brings their image sets back for a month.
    read_again = 0.0
    if usage.trainings_per_month and usage.images_per_scan:
        read_again = min(stored - fresh, usage.images_per_training / usage.images_per_scan * scan_gib)
    service = "HealthImaging"
    yield month.line(service, "frequent tier", resource, "healthimaging.frequent", fresh, "scan")
    yield month.line(
        service, "read again for training", resource, "healthimaging.frequent", read_again, "training"
    )
    archived = stored - fresh - read_again
    yield month.line(service, "archive tier", resource, "healthimaging.archive", archived, "scan")
    viewed = usage.frames_viewed + usage.scans_per_month * (usage.views_per_scan + 10)
    yield month.line(service, "calls of viewers", resource, "healthimaging.calls", viewed, "scan")
    trained = usage.trainings_per_month * usage.images_per_training
    yield month.line(service, "calls of training", resource, "healthimaging.calls", trained, "training")


def key(resource: Resource, month: Month) -> Iterator[Line]:
    """A key, its first two rotations, and the requests that it answers."""
    usage = month.usage
    rotated = resource.inputs.get("enableKeyRotation")
    every = float(resource.inputs.get("rotationPeriodInDays") or 365)
    # Only the first two rotations are charged (AWS KMS pricing).
    rotations = min(2.0, usage.months * DAYS_PER_MONTH // every) if rotated else 0.0
    yield month.line("KMS", "keys", resource, "kms.key", 1 + rotations)
    yield month.line("KMS", "requests of an idle stack", resource, "kms.requests", usage.kms_requests_per_key)
    keys = len(month.graph.of_type(KEY)) + len(month.graph.of_type(REPLICA_KEY))
    requests_ = usage.images * usage.kms_requests_per_image / keys
    yield month.line("KMS", "requests", resource, "kms.requests", requests_, "scan")


def secret(resource: Resource, month: Month) -> Iterator[Line]:
    """A secret; reading it when a task starts is too little to count."""
    yield month.line("Secrets Manager", "secrets", resource, "secrets.secret", 1)


KEY = "aws:kms/key:Key"
REPLICA_KEY = "aws:kms/replicaKey:ReplicaKey"
PRICERS: Pricers = {
    "aws:cloudcontrol/resource:Resource": datastore,
    "aws:dynamodb/table:Table": table,
    KEY: key,
    REPLICA_KEY: key,
    "aws:s3/bucket:Bucket": bucket,
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": replication,
    "aws:secretsmanager/secret:Secret": secret,
}
