"""What every source's check shares: the time span, the ledgers in batches, and where gaps go."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from rayline.dynamodb import Item, batch_get
from rayline.events import EventIdentity
from rayline.reconciling.report import GapCode, Report, WayStage
from rayline.services import Services

Repair = Callable[[], str]
"""Sends what brings a thing about, and says what it sent."""


@dataclass(frozen=True)
class Found:
    """A gap, and how to repair it; None where only a person can.

    Attributes:
        identity: the event whose effects have not ended, where the gap is one.
    """

    stage: WayStage
    what: GapCode
    subject_hash: str
    repair: Repair | None = None
    effect: str = ""
    identity: EventIdentity | None = None


@dataclass
class Survey:
    """One run's view of the estate.

    Attributes:
        effect_names: effects of this site's plugins, e.g. ``on_uploaded:rayline.intake``; others are gone plugins'.
        tick: called after each page, so that the caller can do what cannot wait.
        told: events that a gap was found of.
    """

    services: Services
    effect_names: Collection[str]
    now: datetime
    report: Report
    tick: Callable[[], None]
    told: set[EventIdentity] = field(default_factory=set)

    @property
    def since(self) -> datetime:
        """What happened earlier is not looked at."""
        return self.report.since

    @property
    def before(self) -> datetime:
        """What happened later may still be under way."""
        return self.report.before

    def spans(self, moment: datetime | None) -> bool:
        """Whether something that happened then is to be looked at."""
        return moment is not None and self.since <= moment < self.before

    def looked_at(self, stage: WayStage, count: int) -> None:
        """Count what one page brought."""
        self.report.looked_at(stage, count)
        self.tick()

    def effects(self, identities: Collection[EventIdentity]) -> dict[EventIdentity, Item]:
        """The effect ledger's items of events; those without one are absent."""
        table = self.services.settings.effects_table
        return {EventIdentity(item["pk"]): item for item in self._read(table, identities)}

    def tracked(self, keys: Collection[str]) -> dict[str, Item]:
        """Items of the tracking table by key; those that do not exist are absent."""
        return {item["pk"]: item for item in self._read(self.services.ledger.table, keys)}

    def _read(self, table: str, keys: Collection[str]) -> Iterator[Item]:
        return batch_get(self.services.clients.dynamodb, table, keys)
