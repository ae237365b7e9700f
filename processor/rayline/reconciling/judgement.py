"""Whether the effects of an event should have ended by now, and did not."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rayline.dispatcher import backoff_seconds
from rayline.dynamodb import Item, timestamp
from rayline.effects import DEAD, FINAL_STATES, EffectState
from rayline.reconciling.report import GapCode


@dataclass(frozen=True)
class Unfinished:
    """The worst that is the matter with an event."""

    what: GapCode
    effect: str = ""

    @property
    def can_be_sent_again(self) -> bool:
        """Whether one more message helps: what failed until it was dead would only fail again."""
        return self.what is not GapCode.EFFECT_DEAD


def judge(
    item: Item | None, happened_at: datetime, before: datetime, effect_names: Collection[str]
) -> Unfinished | None:
    """What is the matter with an event by its item in the effect ledger; None where all is well or under way.

    An effect that the item does not hold beside others that it does belongs to a plugin that came later: what
    happened before it is not its business, unless somebody replays it.

    Args:
        happened_at: when the source says that it happened.
        before: what was begun or due later may still be under way.
    """
    states = _states(item, effect_names)
    if item is None or not states:
        return Unfinished(GapCode.EVENT_MISSED) if happened_at < before else None
    open_states = dict(_open(states))
    if not open_states:
        return None
    dead = next((name for name, state in open_states.items() if state.state == DEAD), None)
    if dead is not None:
        return Unfinished(GapCode.EFFECT_DEAD, dead)
    if "due_at" in item:
        name = next(iter(open_states))
        return Unfinished(GapCode.PARKED_PAST_DUE, name) if item["due_at"] < timestamp(before) else None
    for name, state in open_states.items():
        begun = datetime.fromisoformat(state.at) if state.at else happened_at
        if state.state == "in_progress":
            if max(state.lease_until, begun.timestamp()) < before.timestamp():
                return Unfinished(GapCode.EFFECT_ABANDONED, name)
        elif begun + _longest_wait(state) < before:
            return Unfinished(GapCode.EFFECT_STALLED, name)
    return None


def has_ended(item: Item | None, effect_names: Collection[str]) -> bool:
    """Whether an event was handled and nothing of it is open."""
    states = _states(item, effect_names)
    return bool(states) and not dict(_open(states))


def _longest_wait(state: EffectState) -> timedelta:
    return timedelta(seconds=backoff_seconds(state.attempts, lambda: 1.0))


def _states(item: Item | None, effect_names: Collection[str]) -> dict[str, EffectState]:
    return {
        name: EffectState.of(value)
        for name, value in (item or {}).items()
        if isinstance(value, dict) and name in effect_names
    }


def _open(states: dict[str, EffectState]) -> Iterator[tuple[str, EffectState]]:
    yield from ((name, state) for name, state in states.items() if state.state not in FINAL_STATES)
    rejected = [state for name, state in states.items() if state.state == "rejected"]
    # Whoever is told of rejections is claimed after them, so a crash in between leaves none of theirs.
    if rejected and not any(name.startswith("on_rejected:") for name in states):
        last = max(rejected, key=lambda state: state.at)
        yield "on_rejected", EffectState("waiting", last.token, last.attempts, 0.0, at=last.at)
