"""Replaying: send events again, after showing what would run again and what is already done.

What has ended stays ended: an effect that is done, ignored or rejected does not run again because its event comes
again. Only two things make it: asking for a plugin by name, and replaying an event from quarantine, where the
refusal is what is to be tried again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from rayline.effects import EffectLedger, EffectState
from rayline.errors import RaylineError
from rayline.replaying.candidates import Candidate, Source

ASK_ABOVE = 100  # events that are replayed without asking

_log = structlog.get_logger()


class NothingToReopen(RaylineError):
    """No ended effect of the plugin is on record for the chosen events."""


@dataclass(frozen=True)
class ReplayReport:
    """What was found and what was done.

    Attributes:
        sent: events that were sent again; None for a dry run.
        left: candidates that cannot be replayed from there.
    """

    source: str
    candidates: Sequence[Candidate]
    sent: int | None
    reopened: int
    left: int

    def as_json(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            "source": self.source,
            "found": len(self.candidates),
            "sent": self.sent,
            "reopened": self.reopened,
            "left": self.left,
            "effects": [row for each in self.candidates for row in each.rows()],
        }


class Replay:
    """One run over one source."""

    def __init__(
        self, source: Source, effects: EffectLedger, *, event: str | None, plugin: str | None
    ) -> None:
        self._source = source
        self._effects = effects
        self._event = event
        self._plugin = plugin

    def look(self) -> list[Candidate]:
        """What the source holds, with what the ledger says of it; nothing is changed.

        Raises:
            NothingToReopen: a plugin was named of which no effect has ended.
        """
        found = [self._judged(each) for each in self._source.find(self._event)]
        if self._plugin is None:
            return found
        chosen = [
            each for each in found if any(_plugin_of(effect) == self._plugin for effect in each.reopened)
        ]
        if found and not chosen:
            self._source.leave()
            raise NothingToReopen(
                f"no ended effect of the plugin {self._plugin} is on record for these events; "
                "`rayline plugins trace` shows which there are"
            )
        return chosen

    def _judged(self, candidate: Candidate) -> Candidate:
        if candidate.identity is None:
            return candidate
        states = self._effects.states(candidate.identity)
        reopened = {name for name, state in states.items() if self._reopens(name, state)}
        return replace(candidate, states=states, reopened=frozenset(reopened))

    def _reopens(self, effect: str, state: EffectState) -> bool:
        if not state.has_ended:
            return False
        if _plugin_of(effect) == self._plugin:
            return True
        # A refusal is what quarantine is replayed for, and its telling comes again with it.
        told = effect.startswith("on_rejected:")
        return (
            self._plugin is None and self._source.name == "quarantine" and (state.state == "rejected" or told)
        )

    def act(self, candidates: Sequence[Candidate], by: str) -> ReplayReport:
        """Reopen what is to run again, send the events, and let go of the rest.

        Args:
            by: who asks, as the audit trail in the effect's item names him.
        """
        possible = [each for each in candidates if not each.obstacle]
        reopened = 0
        try:
            for each in possible:
                if each.identity is not None and each.reopened:
                    # Before the message: one that came first would find the effect still ended.
                    reopened += self._effects.reopen(each.identity, sorted(each.reopened), by=by)
            sent = self._source.send(possible)
        finally:
            self._source.leave()
        _log.info(
            "replayed", replayed_from=self._source.name, found=len(candidates), sent=sent, reopened=reopened
        )
        return ReplayReport(self._source.name, candidates, sent, reopened, len(candidates) - sent)

    def preview(self, candidates: Sequence[Candidate]) -> ReplayReport:
        """What acting would be about."""
        obstacles = sum(bool(each.obstacle) for each in candidates)
        return ReplayReport(self._source.name, candidates, None, 0, obstacles)

    def leave(self) -> None:
        """Let go of everything, as a dry run does."""
        self._source.leave()


def _plugin_of(effect: str) -> str:
    return effect.partition(":")[2]
