"""A file that HealthImaging refused goes into an import batch again, once an operator has released it.

The processor does it, for only its role writes batches. It believes the ledger and not the message: the instance
is in quarantine since the moment that was released, was in a batch before, and has its de-identification receipt where
the site's profile asks for one.

::

    1 file into the open batch ─▶ 2 instance batched and UID held, in one transaction ─▶ 3 entry removed

A crash after 1 leaves a file that no instance claims, which its batch drops. After 2 the reminder comes again,
finds the instance out of quarantine, and repeats 3.
"""

import structlog
from botocore.exceptions import ClientError

from rayline.dicom.content import Content
from rayline.dicom.reasons import ReasonCode
from rayline.dynamodb import CONDITION_FAILED, Item, cancellation_codes
from rayline.errors import RetryableError
from rayline.instances import Stage
from rayline.quarantine import NotInQuarantine, QuarantineRecord
from rayline.reminders import ImportAgain
from rayline.services import Services

_log = structlog.get_logger()


class ImportsAgain:
    """Answers the reminders of one worker."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def look_after(self, reminder: ImportAgain) -> None:
        """Put a released file into the open batch.

        Raises:
            RetryableError: another worker has sealed the batch.
        """
        record = self._services.quarantine.find(reminder.entry_id)
        item = self._services.ledger.instance(reminder.entry_id)
        if record is None:
            self._finish(reminder, item)
        elif record.quarantined_at != reminder.quarantined_at or not record.was_imported:
            return  # a late reminder, of an entry that came in again
        elif item is None or "batch_id" not in item:
            _log.warning("import_again_refused", entry_id=reminder.entry_id, reason="INSTANCE_UNKNOWN")
        elif item["stage"] != Stage.QUARANTINED:
            self._services.quarantine.remove(record.entry_id)
        elif self._services.profile.identity == "deidentified" and not item.get("receipts"):
            _log.warning(
                "import_again_refused", entry_id=reminder.entry_id, reason=ReasonCode.NOT_DEIDENTIFIED
            )
        else:
            self._store(record, item)

    def _finish(self, reminder: ImportAgain, item: Item | None) -> None:
        """Remove what a crash in the last step has left."""
        mention = self._services.quarantine.index.find(reminder.entry_id, reminder.quarantined_at)
        if mention is not None and item is not None and item["stage"] != Stage.QUARANTINED:
            self._services.quarantine.finish_removing(mention)

    def _store(self, record: QuarantineRecord, item: Item) -> None:
        services = self._services
        try:
            content = services.quarantine.stored(record.entry_id)
        except NotInQuarantine:
            _log.warning("import_again_refused", entry_id=record.entry_id, reason=ReasonCode.OBJECT_GONE)
            return
        batch_id = services.batches.store(record.entry_id, content)
        services.studies.touch(item["study_instance_uid"], None, in_doubt=True)
        writes = [
            *services.ledger.import_again_writes(item, batch_id),
            services.batches.still_open(batch_id),
        ]
        try:
            services.clients.dynamodb.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
        except ClientError as error:
            codes = cancellation_codes(error)
            if CONDITION_FAILED not in codes:
                raise
            left, held, lost = (code == CONDITION_FAILED for code in codes)
            if lost:
                services.batches.forget(batch_id)
            if left:
                return  # somebody else was quicker, and removes the entry
            if not held:
                raise RetryableError(
                    "another worker sealed the import batch; the file goes into the next"
                ) from None
            self._resolve(record, item, content)
            return
        services.quarantine.remove(record.entry_id)
        _log.info("import_again", entry_id=record.entry_id, batch_id=batch_id)

    def _resolve(self, record: QuarantineRecord, item: Item, content: Content) -> None:
        """The UID was taken meanwhile: by the same image, sent again, or by another one."""
        services = self._services
        holder = services.ledger.uid_holder(item["received_uid_hash"])
        if holder is None:
            raise RetryableError("the UID's holder changed while it was looked at")
        names = ("content_sha256", "content_checksum", "content_checksum_algorithm")
        reason = ReasonCode.UID_CONFLICT.value
        if same := all(holder.get(name) == item.get(name) for name in names):
            write = services.ledger.duplicate_after_all_write(item, holder["instance_id"])
        else:
            write = services.ledger.refused_after_all_write(item, reason)
        services.clients.dynamodb.transact_write_items(TransactItems=[write])  # type: ignore[list-item]
        if same:
            services.quarantine.remove(record.entry_id)
            _log.info("import_again_not_needed", entry_id=record.entry_id)
            return
        services.quarantine.keep(
            record.entry_id,
            content,
            stage=record.stage,
            reason=reason,
            explanation="another image with this SOP Instance UID was taken in meanwhile",
            study=record.study,
            series=record.series,
        )
        _log.warning("import_again_refused", entry_id=record.entry_id, reason=reason)
