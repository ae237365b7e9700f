"""Quarantine as a source: objects are uploaded or imported anew, messages and events go to the queue again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rayline.events import EventIdentity
from rayline.hashing import KeyedHash
from rayline.quarantine import NotInQuarantine, Quarantine, QuarantineRecord
from rayline.quarantining.entries import EVENT, MESSAGE
from rayline.release import NotReleasable, Releaser
from rayline.replaying.candidates import Candidate, of_body

if TYPE_CHECKING:
    from rayline.settings import Settings


class Quarantined:
    """Reads and replays the entries of one site's quarantine."""

    name = "quarantine"

    def __init__(
        self, quarantine: Quarantine, releaser: Releaser, settings: "Settings", keyed_hash: KeyedHash | None
    ) -> None:
        self._quarantine = quarantine
        self._releaser = releaser
        self._site = settings.site
        self._hash = keyed_hash

    def find(self, kind: str | None) -> list[Candidate]:
        """Every entry, oldest first."""
        records = sorted(self._quarantine.records(), key=lambda each: each.quarantined_at)
        return [each for each in map(self._candidate, records) if kind in (None, each.kind)]

    def _candidate(self, record: QuarantineRecord) -> Candidate:
        found, identity = record.stage, None
        if record.entry_id.startswith(EVENT):
            identity = EventIdentity(f"{self._site}#{record.stage}#{record.entry_id.removeprefix(EVENT)}")
        elif record.entry_id.startswith(MESSAGE):
            body = self._quarantine.content(record.entry_id).decode("utf-8", "surrogatepass")
            found, identity = of_body(body, self._site, self._hash)
        return Candidate(
            kind=found,
            identity=identity,
            entry=record.entry_id,
            reason=record.reason,
            handle=record,
        )

    def send(self, candidates: Sequence[Candidate]) -> int:
        """Release each; one that cannot be is left where it is."""
        sent = 0
        for candidate in candidates:
            try:
                self._releaser.release(candidate.handle)
            except (NotReleasable, NotInQuarantine):
                continue
            sent += 1
        return sent

    def leave(self) -> None:
        """Looking changed nothing."""
