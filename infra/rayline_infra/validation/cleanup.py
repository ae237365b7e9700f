"""Takes away whatever the made-up study became, as who deploys may."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rayline.dynamodb import Item
from rayline.imports import batch_prefix
from rayline.instances import image_set_key
from rayline.names import IMPORT_RESULT_PREFIX
from rayline_infra.validation.account import Account
from rayline_infra.validation.trace import Trace

JOBS_SECONDS = 120.0
POLL_SECONDS = 0.5
STAYS = (
    "the batch's item and HealthImaging's import job, so that the reconciler finds every job explained",
    "effects and sent notifications in the ledgers, which expire by themselves, and the count of all imports",
    "the audit trail, logs, metrics and event archives, which nobody may change",
)


class CleanUp:
    """Knows what was sent; the rest it reads from the trace.

    Args:
        bucket: the uploads bucket.
        keys: of what was sent, or may have been.

    Attributes:
        stays: what is left, and why.
    """

    def __init__(
        self,
        account: Account,
        bucket: str,
        keys: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._account = account
        self._clock = clock
        self._pause = pause
        self._bucket = bucket
        self._keys = keys
        self.stays: tuple[str, ...] = STAYS

    def run(self, trace: Trace) -> dict[str, int]:
        """Remove everything, and answer how many things of each kind; what could not be removed is in ``stays``."""
        removed: dict[str, int] = {}
        try:
            self._remove(trace, removed)
        except (BotoCoreError, ClientError) as error:
            self.stays = (
                *self.stays,
                f"what is left of the made-up study, since cleaning up failed: {error}",
            )
        return {kind: count for kind, count in removed.items() if count}

    def _remove(self, trace: Trace, removed: dict[str, int]) -> None:
        removed["object versions of uploads"] = sum(
            self._delete_versions(self._bucket, key) for key in self._keys
        )
        seen = trace.look()
        self._await_jobs(trace)
        outputs = self._account.graph.outputs
        imports = str(outputs["imports_bucket"])
        removed["image sets"] = sum(
            self._delete_image_set(trace, each) for each in seen.image_set_ids | trace.image_sets()
        )
        removed["object versions of batches"] = sum(
            self._delete_versions(imports, f"{batch_prefix(str(item['batch_id']))}{item['instance_id']}")
            for item in seen.instances.values()
            if "batch_id" in item
        )
        # A batch that others' files are in too keeps its results, which name none of them.
        ours = Counter(str(item.get("batch_id")) for item in seen.instances.values())
        alone = [
            batch for batch_id, batch in seen.batches.items() if batch.get("file_count") == ours[batch_id]
        ]
        removed["object versions of import results"] = sum(
            self._delete_versions(
                imports, f"{IMPORT_RESULT_PREFIX}{trace.datastore_id}-DicomImport-{batch['job_id']}/"
            )
            for batch in alone
            if "job_id" in batch
        )
        removed["object versions of quarantine"] = sum(
            self._delete_versions(str(outputs["quarantine_bucket"]), f"{item['site']}/{item['instance_id']}/")
            for item in seen.instances.values()
            if "quarantined_at" in item
        )
        removed["ledger items"] = self._delete_items(trace, seen.instances.values())

    def _await_jobs(self, trace: Trace) -> None:
        """A job that is under way would make image sets after they were looked for."""
        deadline = self._clock() + JOBS_SECONDS
        while {"SUBMITTED", "IN_PROGRESS"} & set(trace.job_states()) and self._clock() < deadline:
            self._pause(POLL_SECONDS)

    def _delete_versions(self, bucket: str, prefix: str) -> int:
        s3 = self._account.client("s3")
        found = [
            {"Key": each["Key"], "VersionId": each["VersionId"]}
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
            for kind in ("Versions", "DeleteMarkers")
            for each in page.get(kind, ())
        ]
        for each in found:
            s3.delete_object(Bucket=bucket, **each)
        return len(found)

    def _delete_image_set(self, trace: Trace, image_set_id: str) -> int:
        self._account.client("medical-imaging").delete_image_set(
            datastoreId=trace.datastore_id, imageSetId=image_set_id
        )
        return 1

    def _delete_items(self, trace: Trace, instances: Iterable[Item]) -> int:
        keys: set[str] = set()
        for item in instances:
            keys.add(str(item["pk"]))
            if uid := item.get("received_uid_hash"):
                keys.add(f"UID#{item['site']}#{uid}")
            if study := item.get("study_instance_uid"):
                keys.add(f"STUDY#{item['site']}#{study}")
            if image_set := item.get("image_set_id"):
                keys.add(image_set_key(trace.datastore_id, str(image_set)))
        table = str(self._account.graph.outputs["image_tracking_table"])
        dynamodb: Any = self._account.client("dynamodb")
        for key in keys:
            dynamodb.delete_item(TableName=table, Key={"pk": {"S": key}})
        return len(keys)
