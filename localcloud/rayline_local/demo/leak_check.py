"""Everything that must be free of PHI, as named blobs: de-identified buckets, HealthImaging, tables, logs, events."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rayline.names import DEIDENTIFIED_BUCKETS, EstateNames, TableKind
from rayline_local.running import RunningFront
from rayline_local.tasks import root_client

_TABLES: tuple[TableKind, ...] = ("image-tracking", "effects", "model-metrics")


def deidentified_blobs(
    front: RunningFront, datastore_id: str, log_files: list[Path]
) -> Iterator[tuple[str, bytes]]:
    """Name and content of everything outside the identified zone.

    Args:
        log_files: what the processor and the jobs logged.
    """
    names = EstateNames(front.stack, front.account_id, front.region)
    yield from _objects(root_client(front, "s3"), names)
    yield from _image_sets(root_client(front, "medical-imaging"), datastore_id)
    yield from _tables(root_client(front, "dynamodb"), names)
    for path in log_files:
        yield f"log {path.name}", path.read_bytes()
    for number, entry in enumerate(front.ask("events")["entries"]):
        yield f"event {number}", json.dumps(entry, ensure_ascii=False).encode()


def _objects(s3: Any, names: EstateNames) -> Iterator[tuple[str, bytes]]:
    for kind in DEIDENTIFIED_BUCKETS:
        bucket = names.bucket(kind)
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in page.get("Versions", []):
                key = version["Key"]
                body = s3.get_object(Bucket=bucket, Key=key, VersionId=version["VersionId"])["Body"].read()
                # The key is searched too: a name in a key leaks as well.
                yield f"s3 {kind} {key}", key.encode() + b"\n" + body


def _image_sets(client: Any, datastore_id: str) -> Iterator[tuple[str, bytes]]:
    for page in client.get_paginator("search_image_sets").paginate(datastoreId=datastore_id):
        for summary in page["imageSetsMetadataSummaries"]:
            image_set_id = summary["imageSetId"]
            yield f"healthimaging search {image_set_id}", json.dumps(summary, default=str).encode()
            blob = client.get_image_set_metadata(datastoreId=datastore_id, imageSetId=image_set_id)
            yield f"healthimaging metadata {image_set_id}", blob["imageSetMetadataBlob"].read()


def _tables(dynamodb: Any, names: EstateNames) -> Iterator[tuple[str, bytes]]:
    for kind in _TABLES:
        for page in dynamodb.get_paginator("scan").paginate(TableName=names.table(kind)):
            for item in page["Items"]:
                yield f"table {kind}", json.dumps(item, ensure_ascii=False, default=str).encode()
