"""Quarantine: what was refused stays whole, with a reason for machines and one for people.

An entry is three objects of the quarantine bucket: ``{site}/{entry id}/object`` as it came and ``…/reason.json``, its
record, both of which may name a patient; and its mention in the index (:mod:`rayline.quarantining.index`), which
does not.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from rayline.dicom.content import WHOLE_BYTES, Content, InMemory, content_of
from rayline.dynamodb import timestamp
from rayline.errors import RaylineError
from rayline.objects import is_gone, put_content, stored_object
from rayline.quarantining.dump import HeaderDump, dump_header
from rayline.quarantining.entries import Entry
from rayline.quarantining.index import QuarantineIndex, index_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_REFUSED = frozenset({"AccessDenied", "403"})
_CHANGED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
# Of a dump that is kept: what is larger is dumped when somebody looks.
_KEPT_ELEMENTS, _KEPT_READS = 2_000, 40


class NotInQuarantine(RaylineError):
    """There is nothing in quarantine by that id."""


@dataclass(frozen=True)
class QuarantineRecord:
    """Why something was refused. The record lies in the identified zone and may name the sender's key.

    Attributes:
        stage: the kind of the event that was refused, e.g. ``uploaded``, or ``message``.
        origin_key: the key in the uploads bucket, empty for a message.
        origin_version_id: its version.
        hook: the hook that refused it, where one did, e.g. ``screen_instance``.
        study: keyed hash of the received Study Instance UID, empty where it could not be read.
        series: keyed hash of the received Series Instance UID, likewise.
    """

    entry_id: str
    site: str
    stage: str
    reason: str
    explanation: str
    quarantined_at: str
    size_bytes: int
    origin_bucket: str = ""
    origin_key: str = ""
    origin_version_id: str = ""
    hook: str = ""
    study: str = ""
    series: str = ""

    @property
    def entry(self) -> Entry:
        """What the index tells of it."""
        return Entry(
            entry_id=self.entry_id,
            site=self.site,
            stage=self.stage,
            hook=self.hook,
            reason=self.reason,
            explanation=self.explanation,
            study=self.study,
            series=self.series,
            quarantined_at=self.quarantined_at,
            size_bytes=self.size_bytes,
        )

    @property
    def was_imported(self) -> bool:
        """Whether it is a file that HealthImaging refused, de-identified where the site's profile asks for that."""
        return self.entry.is_object and not self.origin_key


class Quarantine:
    """Keeps refused objects and messages.

    Attributes:
        index: where they are listed.
    """

    def __init__(self, s3: "S3Client", bucket: str, *, site: str, clock: Callable[[], datetime]) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._site = site
        self._clock = clock
        self.index = QuarantineIndex(s3, bucket, site=site)

    def _key(self, entry_id: str, name: str) -> str:
        return f"{self._site}/{entry_id}/{name}"

    def keep(
        self,
        entry_id: str,
        content: bytes | Content,
        *,
        stage: str,
        reason: str,
        explanation: str,
        hook: str = "",
        study: str = "",
        series: str = "",
        origin: tuple[str, str, str] = ("", "", ""),
    ) -> QuarantineRecord:
        """Store content, record and mention; repeating it leaves one entry with the same content.

        Large objects of S3 are copied by S3.
        """
        content = content_of(content)
        bucket, key, version_id = origin
        record = QuarantineRecord(
            entry_id=entry_id,
            site=self._site,
            stage=stage,
            reason=reason,
            explanation=explanation,
            quarantined_at=timestamp(self._clock()),
            size_bytes=content.size,
            origin_bucket=bucket,
            origin_key=key,
            origin_version_id=version_id,
            hook=hook,
            study=study,
            series=series,
        )
        kind = "application/dicom" if record.entry.is_object else "application/octet-stream"
        put_content(self._s3, self._bucket, self._key(entry_id, "object"), content, kind)
        before = self.find(entry_id)
        # The record comes after the content: an entry with a record is whole.
        self._s3.put_object(
            Bucket=self._bucket,
            Key=self._key(entry_id, "reason.json"),
            Body=json.dumps(asdict(record), sort_keys=True).encode(),
            ContentType="application/json",
        )
        self.index.put(record.entry, self._dump(record, content))
        if before is not None and before.entry != record.entry:
            self.index.remove(index_key(before.entry))
        return record

    @staticmethod
    def _dump(record: QuarantineRecord, content: Content) -> HeaderDump | None:
        if not record.entry.is_object:
            return None
        return dump_header(content, phi=False, elements=_KEPT_ELEMENTS, reads=_KEPT_READS)

    # -- reading -----------------------------------------------------------------------------------------------

    def find(self, entry_id: str) -> QuarantineRecord | None:
        """The record of one entry, None where there is none."""
        try:
            response = self._s3.get_object(Bucket=self._bucket, Key=self._key(entry_id, "reason.json"))
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        return QuarantineRecord(**json.loads(response["Body"].read()))

    def record(self, entry_id: str) -> QuarantineRecord:
        """The record of one entry.

        Raises:
            NotInQuarantine: there is none.
        """
        record = self.find(entry_id)
        if record is None:
            raise NotInQuarantine(
                f"nothing in quarantine by the id {entry_id}; `rayline quarantine list` shows what there is"
            )
        return record

    def entry(self, entry_id: str) -> Entry:
        """What the index tells of one entry, to those too who may not read records.

        Raises:
            NotInQuarantine: there is none.
        """
        record = None
        try:
            record = self.find(entry_id)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _REFUSED:
                raise  # else the index is all that they may read
        found = self.index.find(entry_id, record.quarantined_at if record else None)
        if found is None:
            raise NotInQuarantine(
                f"nothing in quarantine by the id {entry_id}; `rayline quarantine list` shows what there is"
            )
        return found

    def stored(self, entry_id: str) -> Content:
        """The refused object, read as it is asked for; a small one is in memory at once.

        Raises:
            NotInQuarantine: it has gone.
        """
        key = self._key(entry_id, "object")
        try:
            head = self._s3.head_object(Bucket=self._bucket, Key=key)
            if head["ContentLength"] <= WHOLE_BYTES:
                return InMemory(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except ClientError as error:
            if is_gone(error):
                raise NotInQuarantine(f"the content of {entry_id} is in quarantine no more") from None
            raise
        return stored_object(self._s3, head, self._bucket, key, head.get("VersionId", ""))

    def content(self, entry_id: str) -> bytes:
        """The refused bytes."""
        return self.stored(entry_id).whole()

    def records(self) -> Iterator[QuarantineRecord]:
        """Every record of the site, each read; to list or count entries, ask the index."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._site}/"
        ):
            for entry in page.get("Contents", []):
                parts = entry["Key"].split("/")
                if len(parts) == 3 and parts[2] == "reason.json":
                    record = self.find(parts[1])
                    if record is not None:
                        yield record

    # -- taking out --------------------------------------------------------------------------------------------

    def forget(self, record: QuarantineRecord) -> None:
        """Take an entry's record out, unless it came in again since ``record`` was read; its content may stay."""
        key = self._key(record.entry_id, "reason.json")
        try:
            response = self._s3.get_object(Bucket=self._bucket, Key=key)
            if QuarantineRecord(**json.loads(response["Body"].read())) == record:
                self._s3.delete_object(Bucket=self._bucket, Key=key, IfMatch=response["ETag"])
        except ClientError as error:
            if not is_gone(error) and error.response.get("Error", {}).get("Code") not in _CHANGED:
                raise
        # The mention comes last, so that what a crash leaves is still seen and can be taken out again.
        self.index.remove(index_key(record.entry))

    def remove(self, entry_id: str) -> None:
        """Delete an entry; its versions stay until the bucket's lifecycle ends them."""
        record = self.find(entry_id)
        for name in ("reason.json", "object"):
            self._s3.delete_object(Bucket=self._bucket, Key=self._key(entry_id, name))
        if record is not None:
            self.index.remove(index_key(record.entry))

    def finish_removing(self, mention: Entry) -> None:
        """Delete what a crash has left of an entry whose record is gone, and what mentions it."""
        if mention.is_object:
            self._s3.delete_object(Bucket=self._bucket, Key=self._key(mention.entry_id, "object"))
        self.index.remove(mention.index_key or index_key(mention))
