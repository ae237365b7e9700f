"""Sees that the events of one page of a source have ended, and offers to send again those that have not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rayline.dynamodb import Item
from rayline.effects import event_identity
from rayline.events import Event, EventIdentity
from rayline.reconciling.judgement import Unfinished, judge
from rayline.reconciling.repairs import Repairs
from rayline.reconciling.report import WayStage
from rayline.reconciling.survey import Found, Survey


@dataclass(frozen=True)
class Happened:
    """One event as its source tells of it.

    Attributes:
        event: what identifies it; where ``complete`` is given, that fetches what else its message needs.
        subject_hash: what a gap names; never what a sender chose.
    """

    event: Event
    happened_at: datetime
    subject_hash: str
    complete: Callable[[], Event] | None = None


class EventCheck:
    """Judges events of a source by the effect ledger."""

    def __init__(self, survey: Survey, repairs: Repairs) -> None:
        self._survey = survey
        self._repairs = repairs

    def unfinished(
        self, happened: Sequence[Happened], stage_of: Callable[[str], WayStage]
    ) -> Iterator[tuple[Happened, Item | None, Found | None]]:
        """Each event with its item and, where it should have ended and has not, the gap.

        Args:
            stage_of: the stage of an effect, by its name; of an event without effects, by the empty name.
        """
        keyed_hash = self._survey.services.keyed_hash
        identities = [event_identity(each.event, keyed_hash) for each in happened]
        items = self._survey.effects(identities)
        for each, identity in zip(happened, identities, strict=True):
            item = items.get(identity)
            unfinished = judge(item, each.happened_at, self._survey.before, self._survey.effect_names)
            found = None if unfinished is None else self._found(each, identity, unfinished, stage_of)
            yield each, item, found

    def _found(
        self,
        happened: Happened,
        identity: EventIdentity,
        unfinished: Unfinished,
        stage_of: Callable[[str], WayStage],
    ) -> Found:
        def repair() -> str:
            return self._repairs.send_event(happened.complete() if happened.complete else happened.event)

        return Found(
            stage_of(unfinished.effect),
            unfinished.what,
            happened.subject_hash,
            repair if unfinished.can_be_sent_again else None,
            unfinished.effect,
            identity,
        )
