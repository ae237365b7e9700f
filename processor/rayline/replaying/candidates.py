"""What may be replayed, and what the effect ledger says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rayline.effects import FINAL_STATES, EffectState, event_identity
from rayline.envelopes import parse_message
from rayline.errors import RejectedEvent
from rayline.events import EventIdentity
from rayline.hashing import KeyedHash
from rayline.reminders import Reminder

REMINDER = "reminder"
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Candidate:
    """One event, message or object that a source holds.

    Attributes:
        kind: the event's kind, ``reminder``, or ``unreadable`` where it is no event.
        identity: the effect ledger's key; None where it is no event, or was recorded without one and no tracking
            secret is at hand.
        entry: where the source has it, e.g. an id in quarantine.
        reason: why it is there.
        states: the effects on record.
        reopened: effects that replaying it makes claimable again.
        obstacle: why it cannot be replayed; empty where it can.
        handle: the source's own.
    """

    kind: str
    identity: EventIdentity | None
    entry: str
    reason: str
    states: Mapping[str, EffectState] = field(default_factory=dict)
    reopened: frozenset[str] = frozenset()
    obstacle: str = ""
    handle: Any = field(default=None, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """The keyed hash in the identity, empty where there is none."""
        return self.identity.rsplit("#", 1)[-1] if self.identity else ""

    def rows(self) -> list[dict[str, Any]]:
        """A row for each effect: event kind, identity digest, plugin, hook, state, and whether it would run again."""
        common = {"event": self.kind, "identity": self.digest, "entry": self.entry, "reason": self.reason}
        if not self.states:
            state = self.obstacle or ("nothing recorded" if self.identity else "not known")
            return [{**common, "hook": "", "plugin": "", "state": state, "would_run": not self.obstacle}]
        return [
            {
                **common,
                "hook": effect.partition(":")[0],
                "plugin": effect.partition(":")[2],
                "state": state.state,
                "would_run": not self.obstacle
                and (effect in self.reopened or state.state not in FINAL_STATES),
            }
            for effect, state in sorted(self.states.items())
        ]


class Source(Protocol):
    """Holds candidates, and sends them again."""

    @property
    def name(self) -> str:
        """``dlq``, ``quarantine`` or ``archive``."""

    def find(self, kind: str | None) -> list[Candidate]:
        """What is there, of one event kind or of all."""

    def send(self, candidates: Sequence[Candidate]) -> int:
        """Send candidates again. Returns how many were sent."""

    def leave(self) -> None:
        """Let go of what was looked at and not sent."""


def of_body(
    body: str, site: str, keyed_hash: KeyedHash | None, recorded: str = ""
) -> tuple[str, EventIdentity | None]:
    """Kind and identity of what a message says.

    Args:
        keyed_hash: None where no tracking secret is at hand.
        recorded: the identity that whoever kept the message wrote down.
    """
    try:
        message = parse_message(body, site)
    except RejectedEvent:
        return UNREADABLE, None
    if isinstance(message, Reminder):
        return REMINDER, None
    if keyed_hash is not None:
        return message.kind, event_identity(message, keyed_hash)
    return message.kind, EventIdentity(recorded) if recorded else None
