"""What stands in the index of quarantine, and which of it somebody asks for."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from rayline.dynamodb import timestamp

MESSAGE = "message-"
EVENT = "event-"


@dataclass(frozen=True)
class Entry:
    """One entry of quarantine, without anything that identifies a patient.

    Attributes:
        stage: the kind of the event that was refused, e.g. ``uploaded``, or ``message``.
        hook: the hook that refused it, where one did, e.g. ``screen_instance``.
        study: keyed hash of the received Study Instance UID, empty where it could not be read.
        series: keyed hash of the received Series Instance UID, likewise.
        index_key: where in the bucket the index has it.
    """

    entry_id: str
    site: str
    stage: str
    hook: str
    reason: str
    explanation: str
    study: str
    series: str
    quarantined_at: str
    size_bytes: int
    index_key: str = field(default="", repr=False, compare=False)

    @property
    def is_object(self) -> bool:
        """Whether it is a received object or what was made of one, rather than a message or an event."""
        return not self.entry_id.startswith((MESSAGE, EVENT))

    def as_json(self) -> dict[str, Any]:
        """What may be told of it."""
        document = asdict(self)
        del document["index_key"]
        return document


class GroupBy(StrEnum):
    """What entries are grouped by."""

    STAGE = "stage"
    REASON = "reason"
    STUDY = "study"
    SERIES = "series"


@dataclass(frozen=True)
class Selection:
    """Which entries are meant; what is None does not matter.

    Attributes:
        stage: the stage or the hook.
        study: the beginning of the study's key, or all of it.
        series: likewise of the series.
        since: quarantined at or after.
        before: quarantined before.
    """

    stage: str | None = None
    reason: str | None = None
    study: str | None = None
    series: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    def has(self, entry: Entry) -> bool:
        """Whether an entry is meant."""
        return (
            self.stage in (None, entry.stage, entry.hook)
            and self.reason in (None, entry.reason)
            and (self.study is None or (bool(entry.study) and entry.study.startswith(self.study)))
            and (self.series is None or (bool(entry.series) and entry.series.startswith(self.series)))
            and (self.since is None or entry.quarantined_at >= timestamp(self.since))
            and (self.before is None or entry.quarantined_at < timestamp(self.before))
        )

    def describe(self) -> dict[str, str]:
        """What was asked for, as an audit trail may keep it."""
        asked = {
            name: timestamp(value) if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }
        return {name: value for name, value in asked.items() if value is not None}


@dataclass
class Group:
    """Entries that have something in common.

    Attributes:
        value: what they have in common; empty where it is not known.
        oldest: when the first of them was quarantined.
    """

    value: str
    entries: int = 0
    size_bytes: int = 0
    oldest: str = ""
    newest: str = ""
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Count an entry."""
        self.entries += 1
        self.size_bytes += entry.size_bytes
        self.oldest = min(self.oldest or entry.quarantined_at, entry.quarantined_at)
        self.newest = max(self.newest, entry.quarantined_at)
        self.reasons[entry.reason] = self.reasons.get(entry.reason, 0) + 1


def grouped(entries: Iterable[Entry], by: GroupBy) -> list[Group]:
    """Entries by what they have in common, the largest group first."""
    groups: dict[str, Group] = {}
    for entry in entries:
        value = entry.hook or entry.stage if by is GroupBy.STAGE else str(getattr(entry, by.value))
        groups.setdefault(value, Group(value)).add(entry)
    return sorted(groups.values(), key=lambda each: (-each.entries, each.value))
