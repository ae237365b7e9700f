"""Import batches: instances are stored straight into ``imports/{batch}/``, and a sealed batch is one import job.

::

    open ──seal──▶ sealed ──StartDICOMImportJob──▶ started ──manifests read──▶ accounted

A batch belongs to the worker that opened it and is written by nobody else. The owner renews its lease; once that
has run out, a reminder in the queue lets another worker seal the batch. An instance is recorded in a batch only
while that is open and its owner's (:meth:`ImportBatches.still_open`), so a sealed batch gains none. What lies in a
sealed batch without an instance that claims it is deleted before the job starts. The client token of the job is
the batch id, so a repeated start is the same job. A reminder stays in the queue until the job has started.
Limits: 5,000 files and 10 GB a job (AWS HealthImaging endpoints and quotas).
"""

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from botocore.exceptions import ClientError

from rayline.aws import MAX_DELAY_SECONDS
from rayline.dicom.content import Content
from rayline.dynamodb import (
    Item,
    TransactItem,
    batch_get,
    is_condition_failure,
    timestamp,
    to_attribute,
    to_attributes,
)
from rayline.errors import RetryableError
from rayline.instances import InstanceLedger
from rayline.names import IMPORT_PREFIX, IMPORT_RESULT_PREFIX
from rayline.objects import put_content
from rayline.reminders import BatchDue, reminder_body
from rayline.watch import Watch

if TYPE_CHECKING:
    from rayline.aws import Clients
    from rayline.settings import Settings

MAX_FILES = 5_000
MAX_BYTES = 10 * 1000**3
MAX_OPEN_QUIETS = 10  # a batch that never falls quiet is sealed after this many quiet periods
_DELETES_A_CALL = 1_000

_log = structlog.get_logger()


def batch_key(batch_id: str) -> str:
    """Key of a batch's item in the tracking table."""
    return f"BATCH#{batch_id}"


def batch_listing(site: str) -> str:
    """Under what the index ``by_listing`` lists a site's batches until they are accounted for."""
    return f"{site}#batch"


def batch_prefix(batch_id: str) -> str:
    """Key prefix of a batch's files."""
    return f"{IMPORT_PREFIX}{batch_id}/"


def file_key(batch_id: str, instance_id: str) -> str:
    """Key of one instance in a batch."""
    return f"{batch_prefix(batch_id)}{instance_id}.dcm"


def instance_id_of(key: str) -> str:
    """The instance that a batch's file holds."""
    return key.rsplit("/", 1)[-1].removesuffix(".dcm")


@dataclass
class OpenBatch:
    """The batch that this worker is filling."""

    batch_id: str
    opened_at: datetime
    last_stored_at: datetime
    renewed_at: datetime
    files: set[str] = field(default_factory=set)
    size_bytes: int = 0


class ImportBatches:
    """Fills, seals and starts the import batches of one worker, and rescues those of workers that died."""

    def __init__(
        self,
        clients: "Clients",
        settings: "Settings",
        ledger: InstanceLedger,
        *,
        clock: Callable[[], datetime],
        owner: str,
        watch: Watch,
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._owner = owner
        self._watch = watch
        self._current: OpenBatch | None = None
        self._lock = threading.Lock()

    # -- filling -----------------------------------------------------------------------------------------------

    def store(self, instance_id: str, content: Content) -> str:
        """Write an instance into the open batch, opening one where there is none. Returns the batch id."""
        batch = self._usable(content.size)
        put_content(
            self._clients.s3,
            self._settings.imports_bucket,
            file_key(batch.batch_id, instance_id),
            content,
        )
        batch.files.add(instance_id)
        batch.size_bytes += content.size
        batch.last_stored_at = self._clock()
        return batch.batch_id

    def still_open(self, batch_id: str) -> TransactItem:
        """The condition under which an instance may be recorded in a batch: it is open, and this worker's."""
        return {
            "ConditionCheck": {
                "TableName": self._ledger.table,
                "Key": {"pk": {"S": batch_key(batch_id)}},
                "ConditionExpression": "#state = :open AND #owner = :owner",
                "ExpressionAttributeNames": {"#state": "state", "#owner": "owner"},
                "ExpressionAttributeValues": {":open": {"S": "open"}, ":owner": {"S": self._owner}},
            }
        }

    def forget(self, batch_id: str) -> None:
        """Fill a new batch from now on, since another worker has sealed this one."""
        with self._lock:
            if self._current is not None and self._current.batch_id == batch_id:
                _log.warning("import_batch_lease_lost", batch_id=batch_id)
                self._current = None
                self._watch.filling(None)

    def _usable(self, size_bytes: int) -> OpenBatch:
        batch = self._current
        if batch and self._lease_is_doubtful(batch):
            # Another worker may have sealed it: never append to what may be sealed.
            self.forget(batch.batch_id)
            batch = None
        if batch and (len(batch.files) >= MAX_FILES or batch.size_bytes + size_bytes > MAX_BYTES):
            self.seal_current()
            batch = None
        return batch or self._open()

    def _lease_is_doubtful(self, batch: OpenBatch) -> bool:
        return (self._clock() - batch.renewed_at).total_seconds() > self._settings.lease_seconds

    def _open(self) -> OpenBatch:
        now = self._clock()
        batch = OpenBatch(uuid.uuid4().hex, opened_at=now, last_stored_at=now, renewed_at=now)
        item = {
            "pk": batch_key(batch.batch_id),
            "type": "batch",
            "site": self._settings.site,
            "batch_id": batch.batch_id,
            "state": "open",
            "owner": self._owner,
            "lease_until": now.timestamp() + self._settings.lease_seconds,
            "opened_at": timestamp(now),
            "listing": batch_listing(self._settings.site),
            "listed_at": timestamp(now),
        }
        # The reminder goes out first: a reminder without a batch is harmless, a batch without one is not.
        self._send_reminder(batch.batch_id, self._rescue_delay_seconds())
        self._clients.dynamodb.put_item(TableName=self._ledger.table, Item=to_attributes(item))
        self._current = batch
        self._watch.filling(batch.batch_id)
        _log.info("import_batch_opened", batch_id=batch.batch_id)
        return batch

    def renew(self) -> None:
        """Extend the lease of the open batch; called by the heartbeat, from its own thread."""
        batch = self._current
        if batch is None:
            return
        now = self._clock()
        lease = now.timestamp() + self._settings.lease_seconds
        if self._update(batch.batch_id, "open", {"lease_until": lease}, owner=self._owner):
            batch.renewed_at = now
        else:
            self.forget(batch.batch_id)

    # -- sealing -----------------------------------------------------------------------------------------------

    def seconds_until_due(self) -> float | None:
        """Seconds until the open batch wants sealing, 0 where it does now, None where none is open."""
        batch = self._current
        if batch is None:
            return None
        # An empty one too, whose only file was refused after all: else it stays open until something else arrives.
        now = self._clock()
        quiet = self._settings.batch_quiet_seconds
        until_quiet = quiet - (now - batch.last_stored_at).total_seconds()
        until_old = quiet * MAX_OPEN_QUIETS - (now - batch.opened_at).total_seconds()
        return max(0.0, min(until_quiet, until_old))

    def seal_if_due(self) -> None:
        """Seal the open batch once it fell quiet or grew old."""
        if self.seconds_until_due() == 0.0:
            self.seal_current()

    def seal_current(self) -> None:
        """Seal the open batch and start its import job."""
        with self._lock:
            batch, self._current = self._current, None
        if batch is None:
            return
        if not self._update(batch.batch_id, "open", {"state": "sealed"}, owner=self._owner):
            _log.warning("import_batch_lease_lost", batch_id=batch.batch_id)
            return
        self._start(batch.batch_id)
        self._watch.filling(None)

    def abandon(self, batch_id: str, owner: str) -> None:
        """Let the batch of a worker that has died be looked after at once, without waiting for its lease."""
        self._update(batch_id, "open", {"lease_until": 0}, owner=owner)
        self._send_reminder(batch_id, 0)

    def look_after(self, batch_id: str) -> float | None:
        """Answer a reminder: seal an abandoned batch, or start the job of one that was only sealed.

        Returns:
            Seconds until the reminder must come again, None once it has done its work.
        """
        item = self._ledger.item(batch_key(batch_id))
        if item is None or item["state"] in ("started", "accounted"):
            return None
        if item["state"] == "open":
            expires = float(item["lease_until"]) + self._settings.clock_skew_seconds
            remaining = expires - self._clock().timestamp()
            if remaining > 0:
                return remaining + 1
            if not self._take_over(item):
                return self._rescue_delay_seconds()
            _log.info("import_batch_rescued", batch_id=batch_id)
        self._start(batch_id)
        return None

    def _take_over(self, item: Item) -> bool:
        """Seal an abandoned batch, unless its owner renewed it just now."""
        condition = "#state = :open AND lease_until = :lease"
        try:
            self._clients.dynamodb.update_item(
                TableName=self._ledger.table,
                Key={"pk": {"S": item["pk"]}},
                UpdateExpression="SET #state = :sealed, #owner = :owner",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#state": "state", "#owner": "owner"},
                ExpressionAttributeValues={
                    ":open": {"S": "open"},
                    ":sealed": {"S": "sealed"},
                    ":owner": {"S": self._owner},
                    ":lease": to_attribute(item["lease_until"]),
                },
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False
            raise
        return True

    def _start(self, batch_id: str) -> None:
        """Start the import job of a sealed batch; the client token makes a second start the same job."""
        files = self._drop_unclaimed(batch_id)
        if not files:
            self._update(batch_id, "sealed", {"state": "accounted", "file_count": 0}, remove=("listing",))
            return
        bucket = self._settings.imports_bucket
        job = self._clients.medical_imaging.start_dicom_import_job(
            jobName=batch_id,
            dataAccessRoleArn=self._settings.import_role_arn,
            clientToken=batch_id,
            datastoreId=self._settings.datastore_id,
            inputS3Uri=f"s3://{bucket}/{batch_prefix(batch_id)}",
            outputS3Uri=f"s3://{bucket}/{IMPORT_RESULT_PREFIX}",
        )
        self._update(batch_id, "sealed", {"state": "started", "job_id": job["jobId"], "file_count": files})
        _log.info("import_job_started", batch_id=batch_id, job_id=job["jobId"], files=files)

    def _drop_unclaimed(self, batch_id: str) -> int:
        """Delete files whose instance the ledger does not hold in this batch. Returns how many files stay."""
        bucket = self._settings.imports_bucket
        unclaimed = []
        kept = 0
        pages = self._clients.s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=batch_prefix(batch_id)
        )
        for page in pages:
            keys = [entry["Key"] for entry in page.get("Contents", [])]
            claimed = self._claimed(batch_id, keys)
            kept += len(claimed)
            unclaimed += [key for key in keys if key not in claimed]
        for start in range(0, len(unclaimed), _DELETES_A_CALL):
            chunk = unclaimed[start : start + _DELETES_A_CALL]
            response = self._clients.s3.delete_objects(
                Bucket=bucket, Delete={"Objects": [{"Key": key} for key in chunk], "Quiet": True}
            )
            if response.get("Errors"):
                raise RetryableError(
                    "files that no instance claims could not be deleted from an import batch"
                )
        if unclaimed:
            _log.info("import_batch_unclaimed_files_deleted", batch_id=batch_id, files=len(unclaimed))
        return kept

    def _claimed(self, batch_id: str, keys: list[str]) -> set[str]:
        instance_keys = [self._ledger.instance_key(instance_id_of(key)) for key in keys]
        items = batch_get(self._clients.dynamodb, self._ledger.table, instance_keys)
        return {file_key(batch_id, item["instance_id"]) for item in items if item.get("batch_id") == batch_id}

    # -- the ledger's side -------------------------------------------------------------------------------------

    def mark_accounted(self, batch_id: str, counts: dict[str, int]) -> None:
        """Record that every file of a batch is imported or in quarantine."""
        self._update(batch_id, None, {"state": "accounted", **counts}, remove=("listing",))

    def _send_reminder(self, batch_id: str, delay_seconds: float) -> None:
        body = reminder_body(BatchDue(site=self._settings.site, batch_id=batch_id))
        self._clients.sqs.send_message(
            QueueUrl=self._settings.queue_url,
            MessageBody=body,
            DelaySeconds=min(MAX_DELAY_SECONDS, round(delay_seconds)),
        )

    def _rescue_delay_seconds(self) -> float:
        return self._settings.lease_seconds + self._settings.clock_skew_seconds + 1

    def _update(
        self,
        batch_id: str,
        state: str | None,
        fields: dict[str, Any],
        *,
        owner: str | None = None,
        remove: Sequence[str] = (),
    ) -> bool:
        """Set fields of a batch that is in ``state`` and its ``owner``'s, where these are given; else False."""
        names = {f"#f{index}": name for index, name in enumerate(fields)}
        values = {f":f{index}": to_attribute(value) for index, value in enumerate(fields.values())}
        conditions = ["attribute_exists(pk)"]
        if state is not None:
            conditions.append("#state = :state")
            names["#state"] = "state"
            values[":state"] = to_attribute(state)
        if owner is not None:
            conditions.append("#owner = :owner")
            names["#owner"] = "owner"
            values[":owner"] = to_attribute(owner)
        try:
            self._clients.dynamodb.update_item(
                TableName=self._ledger.table,
                Key={"pk": {"S": batch_key(batch_id)}},
                UpdateExpression="SET "
                + ", ".join(f"#f{index} = :f{index}" for index in range(len(fields)))
                + (f" REMOVE {', '.join(remove)}" if remove else ""),
                ConditionExpression=" AND ".join(conditions),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False
            raise
        return True
