"""What must hold of an effect ledger whatever happens, watched from outside through its answers alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rayline.effects import FINAL_STATES, EffectState

Effect = tuple[str, str]  # event identity, effect name


@dataclass
class EffectWatcher:
    """Follows one ledger's answers; each method named after an invariant fails when that is broken.

    Attributes:
        holders: tokens to whom each effect was granted, with the time at which their lease ends for certain.
        ended: the final state of each effect that was seen to end.
    """

    lease_seconds: float
    clock_skew_seconds: float
    holders: dict[Effect, dict[str, float]] = field(default_factory=dict)
    ended: dict[Effect, str] = field(default_factory=dict)

    def granted(self, effect: Effect, token: str, now: float) -> None:
        """A claim was granted."""
        self.an_ended_effect_never_runs_again(effect)
        self.at_most_one_holder(effect, now)
        self.holders.setdefault(effect, {})[token] = now + self.lease_seconds

    def renewed(self, effect: Effect, token: str, now: float) -> None:
        """A lease was extended."""
        self.holders[effect][token] = now + self.lease_seconds

    def let_go(self, effect: Effect, token: str) -> None:
        """A holder recorded an end, gave its claim up, or was reported dead."""
        self.holders.get(effect, {}).pop(token, None)

    def an_ended_effect_never_runs_again(self, effect: Effect) -> None:
        """Nothing that ended is granted."""
        assert effect not in self.ended, f"{effect} was granted after it had ended as {self.ended[effect]}"

    def at_most_one_holder(self, effect: Effect, now: float) -> None:
        """Nothing is granted while another's lease may still hold."""
        for token, lease_until in self.holders.get(effect, {}).items():
            assert now > lease_until + self.clock_skew_seconds, f"{effect} is still held by {token}"

    def a_stale_token_records_nothing(
        self, before: Mapping[str, EffectState], after: Mapping[str, EffectState]
    ) -> None:
        """A write by a token that does not hold the effect changes nothing at all."""
        assert before == after

    def an_end_stays(self, identity: str, states: Mapping[str, EffectState]) -> None:
        """A final state never changes; called with everything that the ledger holds of an event."""
        for name, state in states.items():
            known = self.ended.get((identity, name))
            assert known in (None, state.state), f"{name} ended as {known} and is now {state.state}"
            if state.state in FINAL_STATES:
                self.ended[identity, name] = state.state
