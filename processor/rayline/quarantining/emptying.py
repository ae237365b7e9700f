"""Emptying quarantine in bulk: sending entries again, or deleting them; a page at a time, and safe to repeat."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rayline.errors import RaylineError
from rayline.instances import InstanceLedger
from rayline.observability.audit import AuditTrail
from rayline.quarantine import NotInQuarantine, Quarantine
from rayline.quarantining.entries import EVENT, Entry, Selection
from rayline.quarantining.index import index_key
from rayline.release import NotReleasable, Releaser

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PAGE = 300  # entries: three keys of each fit into one DeleteObjects call
_DELETES_A_CALL = 1_000
_THREADS = 16

Progress = Callable[[int], None]


class NotDeleted(RaylineError):
    """S3 did not delete everything that it was asked to."""


@dataclass
class Requeued:
    """What became of entries that were to be sent again.

    Attributes:
        sent: entries that were sent again.
        left: entries that cannot be sent from there, by why.
        gone: entries that had left quarantine by themselves meanwhile.
    """

    sent: int
    left: dict[str, int]
    gone: int


@dataclass
class Purged:
    """What was deleted.

    Attributes:
        entries: how many.
        size_bytes: of their contents.
        kept_versions: whether S3 keeps what was deleted as noncurrent versions, until the lifecycle ends them.
    """

    entries: int = 0
    size_bytes: int = 0
    kept_versions: bool = False


class Emptying:
    """Bulk work on the quarantine of one site.

    Args:
        threads: requests side by side.
    """

    def __init__(
        self,
        s3: "S3Client",
        bucket: str,
        quarantine: Quarantine,
        releaser: Releaser,
        ledger: InstanceLedger,
        audit: AuditTrail,
        *,
        threads: int = _THREADS,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._quarantine = quarantine
        self._releaser = releaser
        self._ledger = ledger
        self._audit = audit
        self._threads = threads

    # -- sending again -----------------------------------------------------------------------------------------

    def release(self, entry_id: str, by: str) -> None:
        """Send one entry again.

        Raises:
            NotInQuarantine: there is none by that id.
            NotReleasable: it cannot be sent from there.
        """
        if entry_id.startswith(EVENT):
            raise NotReleasable(
                f"{entry_id} is an event, whose refusal stands; `rayline replay --from quarantine` has it tried again"
            )
        record = self._quarantine.record(entry_id)
        self._audit.record("quarantine_released", by, entry_id=entry_id)
        self._releaser.release(record)

    def requeue(
        self, entries: Sequence[Entry], selection: Selection, by: str, progress: Progress = lambda _: None
    ) -> Requeued:
        """Send entries again, the oldest first and some side by side; one that cannot be sent keeps none of the others.

        Args:
            progress: called with the number of entries that were looked at.
        """
        if entries:
            self._audit.record(
                "quarantine_released", by, entries=len(entries), selection=selection.describe()
            )
        done = Requeued(0, {}, 0)
        oldest_first = sorted(entries, key=lambda each: each.quarantined_at)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="requeue") as pool:
            for page in _pages(oldest_first):
                for outcome in pool.map(self._outcome, page):
                    if outcome is None:
                        done.sent += 1
                    elif isinstance(outcome, NotInQuarantine):
                        done.gone += 1
                    else:
                        done.left[str(outcome)] = done.left.get(str(outcome), 0) + 1
                    progress(1)
        return done

    def _outcome(self, entry: Entry) -> NotReleasable | NotInQuarantine | None:
        """Why an entry was not sent again; None where it was."""
        try:
            self._requeue(entry)
        except (NotReleasable, NotInQuarantine) as why:
            return why
        return None

    def _requeue(self, entry: Entry) -> None:
        if entry.entry_id.startswith(EVENT):
            raise NotReleasable("an event, whose refusal stands")
        record = self._quarantine.find(entry.entry_id)
        if record is None:
            self._quarantine.finish_removing(entry)
            raise NotInQuarantine(f"{entry.entry_id} has left quarantine")
        if record.quarantined_at != entry.quarantined_at:
            # It came in again, and has another mention.
            self._quarantine.index.remove(entry.index_key or index_key(entry))
            raise NotInQuarantine(f"{entry.entry_id} has left quarantine")
        self._releaser.release(record)

    # -- deleting ----------------------------------------------------------------------------------------------

    def purge(
        self,
        entries: Iterable[Entry],
        selection: Selection,
        by: str,
        *,
        every_version: bool = False,
        progress: Progress = lambda _: None,
    ) -> Purged:
        """Delete entries with their contents, and mark their instances in the ledger.

        Within a page: records, contents, the ledger's marks, and last the mentions by which a repetition after a crash
        finds them again.

        Args:
            every_version: delete all versions at once, which takes ``s3:DeleteObjectVersion``.

        Raises:
            NotDeleted: S3 did not delete everything; repeat it.
        """
        done = Purged()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="purge") as pool:
            for page in _pages(entries):
                self._audit.record("quarantine_purged", by, entries=len(page), selection=selection.describe())
                records = pool.map(lambda entry: self._quarantine.find(entry.entry_id), page)
                # One that came in again meanwhile stays; only what mentions it as it was goes.
                still = [
                    entry
                    for entry, record in zip(page, records, strict=True)
                    if record is None or record.quarantined_at == entry.quarantined_at
                ]
                for name in ("reason.json", "object"):
                    keys = [f"{entry.site}/{entry.entry_id}/{name}" for entry in still]
                    done.kept_versions |= self._delete(keys, pool, every_version)
                self._ledger.mark_purged(entry.entry_id for entry in still if entry.is_object)
                self._delete([entry.index_key or index_key(entry) for entry in page], pool, every_version)
                done.entries += len(still)
                done.size_bytes += sum(entry.size_bytes for entry in still)
                progress(len(page))
        return done

    def _delete(self, keys: Sequence[str], pool: ThreadPoolExecutor, every_version: bool) -> bool:
        """Delete objects; whether S3 keeps them as noncurrent versions."""
        versions: Iterable[list[dict[str, str]]] = [[{"Key": key}] for key in keys]
        if every_version:
            versions = pool.map(self._versions, keys)
        marked = False
        for chunk in _chunks([each for found in versions for each in found], _DELETES_A_CALL):
            request: Any = {"Objects": chunk}
            answer = self._s3.delete_objects(Bucket=self._bucket, Delete=request)
            if answer.get("Errors"):
                code = answer["Errors"][0].get("Code", "unknown")
                raise NotDeleted(
                    f"S3 left {len(answer['Errors'])} objects of quarantine where they were ({code}); try again"
                )
            marked |= any(each.get("DeleteMarker") and "VersionId" not in each for each in answer["Deleted"])
        return marked

    def _versions(self, key: str) -> list[dict[str, str]]:
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key)
        return [
            {"Key": each["Key"], "VersionId": each["VersionId"]}
            for page in pages
            for each in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            if each["Key"] == key
        ]


def _pages(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    found = iter(entries)
    while page := list(islice(found, _PAGE)):
        yield page


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
