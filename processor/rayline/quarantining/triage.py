"""What people do with quarantine, from the command and from the API alike: look, look closer, send again, delete."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from rayline.hashing import KeyedHash
from rayline.instances import InstanceLedger
from rayline.observability.audit import AuditTrail
from rayline.observability.meter import Meter
from rayline.quarantine import Quarantine, QuarantineRecord
from rayline.quarantining.dump import HeaderDump, dump_header
from rayline.quarantining.emptying import Emptying
from rayline.quarantining.entries import Entry, Group, GroupBy, Selection, grouped
from rayline.quarantining.received import series_key, study_key
from rayline.release import Releaser

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from rayline.aws import Clients
    from rayline.settings import Settings

_TEXT_BYTES = 16 * 1024
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Triage:
    """Quarantine as an operator sees it.

    Attributes:
        hashed: makes keys of UIDs, where the tracking secret is at hand.
    """

    quarantine: Quarantine
    emptying: Emptying
    audit: AuditTrail
    bucket: str
    s3: "S3Client"
    hashed: KeyedHash | None

    def selection(
        self,
        *,
        stage: str | None = None,
        reason: str | None = None,
        study: str | None = None,
        series: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> Selection:
        """Which entries are meant; a study or series by its key, or by its UID where the tracking secret is at hand."""
        if self.hashed is not None and study is not None and "." in study:
            study = study_key(study, self.hashed)
        if self.hashed is not None and series is not None and "." in series:
            series = series_key(series, self.hashed)
        return Selection(stage, reason, study, series, _in_utc(since), _in_utc(before))

    def entries(self, selection: Selection, after: str = "") -> Iterator[Entry]:
        """Entries, the newest first."""
        return self.quarantine.index.entries(selection, after)

    def groups(self, selection: Selection, by: GroupBy) -> list[Group]:
        """Entries by what they have in common, the largest group first."""
        return grouped(self.entries(selection), by)

    def header(self, entry: Entry) -> HeaderDump | None:
        """The header dump that everybody may see; None where the entry is no file."""
        return self.quarantine.index.header(entry)

    def record(self, entry_id: str, by: str) -> QuarantineRecord:
        """A record with the sender's key, which may name the patient; that it was looked at is recorded first.

        Raises:
            NotInQuarantine: there is none by that id.
        """
        record = self.quarantine.record(entry_id)
        self.audit.record("phi_viewed", by, entry_id=entry_id)
        return record

    def values(self, entry_id: str, by: str) -> HeaderDump | None:
        """The header dump with all values; that it was looked at is recorded first. None where it is no file.

        Raises:
            NotInQuarantine: there is none by that id.
        """
        return self._values(self.record(entry_id, by))

    def look(self, entry_id: str, by: str) -> tuple[QuarantineRecord, HeaderDump | None]:
        """Both at once."""
        record = self.record(entry_id, by)
        return record, self._values(record)

    def _values(self, record: QuarantineRecord) -> HeaderDump | None:
        if not record.entry.is_object:
            return None
        return dump_header(self.quarantine.stored(record.entry_id), phi=True)

    def text(self, record: QuarantineRecord) -> str:
        """The first of a refused message or event, for those who have looked at its record."""
        stored = self.quarantine.stored(record.entry_id)
        text = stored.read(0, _TEXT_BYTES).decode("utf-8", "replace")
        return text if stored.size <= _TEXT_BYTES else f"{text}…"

    def noncurrent_days(self) -> int | None:
        """For how many days the bucket's lifecycle keeps what was deleted; None where it does not say."""
        try:
            found = self.s3.get_bucket_lifecycle_configuration(Bucket=self.bucket)
        except ClientError:
            return None  # none is set, or not everybody may know
        days = [
            rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
            for rule in found["Rules"]
            if rule.get("Status") == "Enabled"
            and "NoncurrentDays" in rule.get("NoncurrentVersionExpiration", {})
        ]
        return min(days, default=None)


def _in_utc(moment: datetime | None) -> datetime | None:
    """A moment in UTC; the first or last one that there is, where it lies beyond."""
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        return _FIRST if moment is not None and moment.year == 1 else _LAST


def open_triage(
    clients: "Clients",
    settings: "Settings",
    ledger: InstanceLedger,
    quarantine: Quarantine,
    releaser: Releaser,
    *,
    clock: Callable[[], datetime],
    hashed: KeyedHash | None = None,
    meter: Meter | None = None,
) -> Triage:
    """The quarantine of the site that the settings name."""
    bucket = settings.quarantine_bucket
    table = settings.image_tracking_table
    audit = AuditTrail(clients.dynamodb, table, site=settings.site, clock=clock, meter=meter)
    return Triage(
        quarantine=quarantine,
        emptying=Emptying(clients.s3, bucket, quarantine, releaser, ledger, audit),
        audit=audit,
        bucket=bucket,
        s3=clients.s3,
        hashed=hashed,
    )
