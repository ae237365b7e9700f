"""What the API takes and tells of quarantine."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from rayline.quarantine import QuarantineRecord
from rayline.quarantining.dump import HeaderDump
from rayline.quarantining.emptying import Purged, Requeued
from rayline.quarantining.entries import Entry, Group

EntryId = Annotated[str, Field(pattern=r"^((message|event)-)?[0-9a-f]{32}$")]
FilterText = Annotated[str, Field(min_length=1, max_length=64)]


class _Model(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        from_attributes=True,
    )


class QuarantineEntry(_Model):
    """One entry of quarantine, without anything that identifies a patient."""

    entry_id: str = Field(description="a keyed hash; message- or event- before it where it is no file")
    site: str = Field(description="the hospital site")
    stage: str = Field(description="kind of the event that was refused, or message")
    hook: str = Field(description="hook that refused it, where one did, e.g. screen_instance")
    reason: str = Field(description="reason code, e.g. NOT_DICOM")
    explanation: str = Field(description="one sentence for people")
    study: str = Field(description="keyed hash of the received Study Instance UID; empty where not known")
    series: str = Field(description="keyed hash of the received Series Instance UID; empty where not known")
    quarantined_at: AwareDatetime = Field(description="when, in UTC")
    size_bytes: int = Field(ge=0, description="size of its content")

    @classmethod
    def of(cls, entry: Entry) -> "QuarantineEntry":
        """What may be told of an entry."""
        return cls.model_validate(entry.as_json())


class Origin(_Model):
    """Where an entry came from; the key may name a patient."""

    bucket: str = Field(description="the uploads bucket")
    key: str = Field(description="the sender's key")
    version_id: str = Field(description="version of the object")


class QuarantineEntryDetail(QuarantineEntry):
    """One entry, with its origin for those who may see patients' data."""

    origin: Origin | None = Field(default=None, description="only with phi=true, and of what was uploaded")

    @classmethod
    def of_record(cls, record: QuarantineRecord) -> "QuarantineEntryDetail":
        """All that is known of an entry."""
        origin = Origin(
            bucket=record.origin_bucket, key=record.origin_key, version_id=record.origin_version_id
        )
        return cls.model_validate({**record.entry.as_json(), "origin": origin if record.origin_key else None})


class QuarantinePage(_Model):
    """Entries, the newest first."""

    entries: list[QuarantineEntry]
    next: str | None = Field(description="the cursor of the next page; null on the last")


class QuarantineGroup(_Model):
    """Entries that have something in common."""

    value: str = Field(description="what they have in common; empty where it is not known")
    entries: int = Field(ge=1, description="how many")
    size_bytes: int = Field(ge=0, description="of their contents together")
    oldest: AwareDatetime = Field(description="when the first of them was quarantined")
    newest: AwareDatetime = Field(description="when the last of them was")
    reasons: dict[str, int] = Field(description="how many for each reason code")

    @classmethod
    def of(cls, group: Group) -> "QuarantineGroup":
        """What may be told of a group."""
        return cls.model_validate(group)


class HeaderElement(_Model):
    """One element, or item of a sequence."""

    depth: int = Field(ge=0, description="0 at the top level")
    tag: str = Field(description="e.g. (0010,0010)")
    vr: str = Field(description="as written, or as PS3.6 has it; empty of an item")
    length: int | None = Field(description="in bytes; null where it is undefined")
    keyword: str = Field(description="PS3.6's, or private, GroupLength or item 1 and so on")
    value: str | None = Field(description="the first of it as text; null where hidden or not shown")
    hidden: bool = Field(description="whether there is a value that takes phi=true to be seen")


class Header(_Model):
    """A header, element by element as far as it can be read."""

    elements: list[HeaderElement]
    notes: list[str] = Field(description="what is odd about the file as a whole")
    stopped_at: int | None = Field(description="the byte where reading stopped; null where it did not")
    stopped_because: str = Field(description="why it stopped; empty where it did not")

    @classmethod
    def of(cls, dump: HeaderDump) -> "Header":
        """A dump."""
        return cls.model_validate(dump)


class Filter(_Model):
    """Which entries are meant; what is left out does not matter."""

    stage: FilterText | None = Field(default=None, description="stage or hook")
    reason: FilterText | None = Field(default=None, description="reason code")
    study: FilterText | None = Field(default=None, description="key of the study, or the beginning of it")
    series: FilterText | None = Field(default=None, description="key of the series, or the beginning of it")
    since: AwareDatetime | None = Field(default=None, description="quarantined at or after")
    before: AwareDatetime | None = Field(default=None, description="quarantined before")


class PurgeFilter(Filter):
    """Which entries are meant; what is to be deleted has to be old."""

    before: AwareDatetime = Field(description="quarantined before")


class RequeueRequest(_Model):
    """Send entries again."""

    filter: Filter = Field(default=Filter(), description="which")
    dry_run: bool = Field(default=True, description="only count")
    limit: int = Field(default=500, ge=1, le=500, description="entries at most; ask again for the rest")


class PurgeRequest(_Model):
    """Delete entries."""

    filter: PurgeFilter = Field(description="which")
    dry_run: bool = Field(default=True, description="only count")
    limit: int = Field(default=1000, ge=1, le=3000, description="entries at most; ask again for the rest")


class Released(_Model):
    """One entry was sent again."""

    entry_id: str
    sent: Literal[True] = True


class RequeueAnswer(_Model):
    """What became of entries that were to be sent again."""

    dry_run: bool
    found: int = Field(ge=0, description="entries that were meant")
    more: bool = Field(description="whether there are more than the limit")
    sent: int = Field(default=0, ge=0, description="sent again")
    left: dict[str, int] = Field(default_factory=dict, description="left there, by why")
    gone: int = Field(default=0, ge=0, description="had left quarantine meanwhile")

    @classmethod
    def of(cls, found: int, more: bool, done: Requeued) -> "RequeueAnswer":
        """What was done."""
        return cls(dry_run=False, found=found, more=more, sent=done.sent, left=done.left, gone=done.gone)


class PurgeAnswer(_Model):
    """What became of entries that were to be deleted."""

    dry_run: bool
    found: int = Field(ge=0, description="entries that were meant")
    more: bool = Field(description="whether there are more than the limit")
    deleted: int = Field(default=0, ge=0, description="deleted")
    size_bytes: int = Field(default=0, ge=0, description="of their contents")
    kept_versions: bool = Field(
        default=False, description="whether S3 keeps them as noncurrent versions for a while"
    )
    noncurrent_days: int | None = Field(default=None, description="for how long; null where not known")

    @classmethod
    def of(cls, found: int, more: bool, done: Purged, noncurrent_days: int | None) -> "PurgeAnswer":
        """What was done."""
        return cls(
            dry_run=False,
            found=found,
            more=more,
            deleted=done.entries,
            size_bytes=done.size_bytes,
            kept_versions=done.kept_versions,
            noncurrent_days=noncurrent_days,
        )
