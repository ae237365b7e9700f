"""The effect ledger as a dictionary: the simple model that the real one must agree with, and a fake for other tests.

Only ``Put`` with ``attribute_not_exists(pk)`` is understood among the writes of a commit.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any

from rayline.effects import FINAL_STATES, Claim, CommitConflict, EffectState, Ending, LeaseLost
from rayline.events import EventIdentity


@dataclass
class RecordedEnd:
    """How an effect ended, with what a real item keeps beside its state."""

    result: Mapping[str, Any] | None
    calls: tuple[str, ...]


class InMemoryEffects:
    """Same methods, same answers, same errors as :class:`rayline.effects.EffectLedger`."""

    def __init__(
        self, *, clock: Callable[[], datetime], lease_seconds: float, clock_skew_seconds: float
    ) -> None:
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._clock_skew_seconds = clock_skew_seconds
        self._tokens = count(1)
        self._events: dict[str, dict[str, EffectState]] = {}
        self.ends: dict[tuple[str, str], RecordedEnd] = {}
        self.written: dict[str, Any] = {}

    def states(self, identity: EventIdentity) -> dict[str, EffectState]:
        return dict(self._events.get(identity, {}))

    def claim(
        self, identity: EventIdentity, effects: Sequence[tuple[str, str]], *, fresh: bool = True
    ) -> Claim:
        before = self.states(identity)
        token = f"token-{next(self._tokens)}"
        granted = {name for name, _ in effects if self._free(before.get(name))}
        for name, version in effects:
            if name in granted:
                old = before.get(name)
                self._events.setdefault(identity, {})[name] = EffectState(
                    "in_progress",
                    token,
                    (old.attempts if old else 0) + 1,
                    self._now() + self._lease_seconds,
                    crashes=old.crashes if old else 0,
                    version=version,
                )
        return Claim(token, frozenset(granted), before)

    def claim_fresh(
        self, events: Mapping[EventIdentity, Sequence[tuple[str, str]]]
    ) -> dict[EventIdentity, Claim]:
        return {
            identity: self.claim(identity, effects)
            for identity, effects in events.items()
            if identity not in self._events
        }

    def withdraw(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        states = self.states(identity)
        if all((states[name].state, states[name].token) == ("in_progress", token) for name in effects):
            for name in effects:
                del self._events[identity][name]

    def finish_all(self, endings: Sequence[Ending]) -> dict[tuple[EventIdentity, str], Exception]:
        failed: dict[tuple[EventIdentity, str], Exception] = {}
        for each in endings:
            try:
                self.finish(
                    each.identity,
                    each.effect,
                    each.token,
                    each.state,
                    reason=each.reason,
                    result=each.result,
                    calls=each.calls,
                    writes=each.writes,
                )
            except (LeaseLost, CommitConflict) as error:
                failed[each.identity, each.effect] = error
        return failed

    def busy_seconds(self, state: EffectState | None) -> float:
        if state is None or state.state != "in_progress":
            return 1.0
        return max(1.0, state.lease_until + self._clock_skew_seconds - self._now())

    def renew(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        for name in effects:
            self._held(identity, name, token)
        for name in effects:
            self._change(identity, name, lease_until=self._now() + self._lease_seconds)

    def finish(
        self,
        identity: EventIdentity,
        effect: str,
        token: str,
        state: str,
        *,
        reason: str = "",
        result: Mapping[str, Any] | None = None,
        calls: Sequence[str] = (),
        writes: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._held(identity, effect, token)
        taken = [self._key(write) in self.written for write in writes]
        if any(taken):
            raise CommitConflict(["ConditionalCheckFailed" if each else "None" for each in taken])
        for write in writes:
            self.written[self._key(write)] = write["Put"]["Item"]
        self._change(identity, effect, state=state, reason=reason, lease_until=0.0)
        self.ends[identity, effect] = RecordedEnd(result and json.loads(json.dumps(result)), tuple(calls))

    def record_failure(self, identity: EventIdentity, effect: str, reason: str, *, token: str) -> None:
        before = self.states(identity).get(effect)
        if before and (
            before.state in FINAL_STATES or (before.state == "in_progress" and before.token != token)
        ):
            return
        self._events.setdefault(identity, {})[effect] = EffectState(
            "failed",
            f"token-{next(self._tokens)}",
            before.attempts if before else 0,
            0.0,
            crashes=(before.crashes if before else 0) + 1,
            version=before.version if before else "",
            reason=reason,
        )

    def release(self, identity: EventIdentity, effect: str, token: str) -> None:
        state = self.states(identity).get(effect)
        if state and (state.state, state.token) == ("in_progress", token):
            self._change(identity, effect, lease_until=0.0)

    def _held(self, identity: EventIdentity, effect: str, token: str) -> None:
        state = self.states(identity).get(effect)
        if state is None or (state.state, state.token) != ("in_progress", token):
            raise LeaseLost(effect)

    def _free(self, state: EffectState | None) -> bool:
        if state is None:
            return True
        if state.state == "in_progress":
            return self._now() > state.lease_until + self._clock_skew_seconds
        return state.state not in FINAL_STATES

    def _change(self, identity: EventIdentity, effect: str, **fields: Any) -> None:
        self._events[identity][effect] = replace(self._events[identity][effect], **fields)

    def _now(self) -> float:
        return self._clock().timestamp()

    @staticmethod
    def _key(write: Mapping[str, Any]) -> str:
        return str(write["Put"]["Item"]["pk"]["S"])
