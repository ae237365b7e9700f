"""The index of quarantine: one small object for each entry, whose key says all that lists and groups need.

``{site}/index/{newest first}/{entry id}/{stage}/{hook}/{reason}/{study}/{series}/{bytes}/{explanation}``

So a list of 100,000 entries costs 100 requests, and whoever may read below ``index/`` only sees nothing that identifies
a patient: UIDs are keyed hashes there, the sender's key is absent, and the object holds the header dump without
what may name somebody. The bucket's lifecycle ends it with the entry that it tells of.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from botocore.exceptions import ClientError

from rayline.dynamodb import timestamp
from rayline.names import INDEX_FOLDER
from rayline.objects import is_gone
from rayline.quarantining.dump import HeaderDump
from rayline.quarantining.entries import Entry, Selection

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NEWEST_FIRST = 10**16  # minus the microseconds since 1970, so that keys in their order are the newest first
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NONE = "-"
# A key has at most 1,024 bytes (Amazon S3 user guide, "Object key naming"), a part of it 255 on most disks.
_PART_BYTES = 64
_EXPLANATION_BYTES = 240


def index_key(entry: Entry) -> str:
    """Where the index has an entry."""
    parts = (
        entry.entry_id, entry.stage, entry.hook, entry.reason, entry.study, entry.series, str(entry.size_bytes)
    )  # fmt: skip
    return "/".join(
        (
            f"{entry.site}/{INDEX_FOLDER}",
            _rank(datetime.fromisoformat(entry.quarantined_at)),
            *(_quoted(part, _PART_BYTES) for part in parts),
            _quoted(entry.explanation, _EXPLANATION_BYTES),
        )
    )


def entry_at(key: str) -> Entry | None:
    """The entry that a key of the index tells of; None where it is no such key."""
    parts = key.split("/")
    if len(parts) != 11 or parts[1] != INDEX_FOLDER or not (parts[2].isdigit() and parts[9].isdigit()):
        return None
    entry_id, stage, hook, reason, study, series = (_unquoted(part) for part in parts[3:9])
    return Entry(
        entry_id=entry_id,
        site=parts[0],
        stage=stage,
        hook=hook,
        reason=reason,
        explanation=_unquoted(parts[10]),
        study=study,
        series=series,
        quarantined_at=timestamp(_EPOCH + timedelta(microseconds=_NEWEST_FIRST - int(parts[2]))),
        size_bytes=int(parts[9]),
        index_key=key,
    )


def _rank(moment: datetime, *, earlier: int = 0) -> str:
    """Where a moment stands, or one that is so many microseconds earlier; before 1970 and after 2286 all are one."""
    microseconds = (moment - _EPOCH) // timedelta(microseconds=1) - earlier
    return f"{_NEWEST_FIRST - min(max(microseconds, 1), _NEWEST_FIRST):016d}"


def _quoted(text: str, most: int) -> str:
    """Text as one part of a key, cut between two characters where it is too long."""
    quoted = _quote(text)
    if len(quoted) > most:
        quoted = ""
        for piece in map(_quote, text):
            if len(quoted) + len(piece) > most:
                break
            quoted += piece
    return quoted or _NONE


def _quote(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe=" ").replace(" ", "+")


def _unquoted(part: str) -> str:
    if part.isalnum():
        return part
    return "" if part == _NONE else unquote(part.replace("+", " "), errors="replace")


class QuarantineIndex:
    """Lists and keeps the index of one site's quarantine.

    Attributes:
        prefix: what its keys begin with.
    """

    def __init__(self, s3: "S3Client", bucket: str, *, site: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self.prefix = f"{site}/{INDEX_FOLDER}/"

    def put(self, entry: Entry, dump: HeaderDump | None) -> None:
        """Note an entry, with the header dump that everybody may see; repeating it changes nothing."""
        self._s3.put_object(
            Bucket=self._bucket,
            Key=index_key(entry),
            Body=json.dumps(dump.as_json() if dump is not None else None).encode(),
            ContentType="application/json",
        )

    def entries(self, selection: Selection = Selection(), after: str = "") -> Iterator[Entry]:
        """Entries, the newest first, each once; one page is asked for at a time.

        Args:
            after: the key of the index after which to begin.
        """
        return (entry for entry in self._mentions(selection, after) if selection.has(entry))

    def page(self, selection: Selection, after: str, limit: int, most: int) -> tuple[list[Entry], str]:
        """The next entries of a selection, and the key after which to go on; empty where there are no more.

        Args:
            limit: entries at most.
            most: entries to look through at most, whether they are meant or not.
        """
        found: list[Entry] = []
        for looked_at, entry in enumerate(self._mentions(selection, after)):
            if len(found) == limit or looked_at == most:
                return found, after
            if selection.has(entry):
                found.append(entry)
            after = entry.index_key
        return found, ""

    def _mentions(self, selection: Selection, after: str) -> Iterator[Entry]:
        """What lies in a selection's span of time."""
        start = after
        if selection.before is not None:
            # What is not before then stands before this key.
            start = max(start, self.prefix + _rank(selection.before, earlier=1))
        last = None if selection.since is None else self.prefix + _rank(selection.since) + "0"
        seen: set[str] = set()
        request: dict[str, Any] = {"StartAfter": start} if start else {}
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self.prefix, **request
        )
        for page in pages:
            for each in page.get("Contents", []):
                if last is not None and each["Key"] >= last:
                    return
                entry = entry_at(each["Key"])
                if (
                    entry is not None and entry.entry_id not in seen
                ):  # else an older mention, which a crash has left
                    seen.add(entry.entry_id)
                    yield entry

    def find(self, entry_id: str, quarantined_at: str | None = None) -> Entry | None:
        """The index's mention of one entry; at once where its time is known, else by looking through."""
        prefix = self.prefix
        if quarantined_at is not None:
            prefix += f"{_rank(datetime.fromisoformat(quarantined_at))}/{_quoted(entry_id, _PART_BYTES)}/"
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for each in page.get("Contents", []):
                entry = entry_at(each["Key"])
                if entry is not None and entry.entry_id == entry_id:
                    return entry
        return None

    def header(self, entry: Entry) -> HeaderDump | None:
        """The header dump of an entry, without what may name somebody; None where it is no file, or has gone."""
        try:
            response = self._s3.get_object(Bucket=self._bucket, Key=entry.index_key or index_key(entry))
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        document = json.loads(response["Body"].read())
        return None if document is None else HeaderDump.from_json(document)

    def remove(self, key: str) -> None:
        """Take one mention out."""
        self._s3.delete_object(Bucket=self._bucket, Key=key)
