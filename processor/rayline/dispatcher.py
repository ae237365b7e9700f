"""Calls hook implementations one by one: timed, recorded, and each by its own policy.

One plugin's failure never keeps its siblings from running. Observers run under a claim of the effect ledger and
are recorded; screening and transforming are pure, so only a failure that killed a worker is on record for them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from rayline.context import EffectHandle, HookContext, StoredInstanceSource
from rayline.dicom.instance import Instance
from rayline.discovery import Implementation, PluginRegistry
from rayline.effects import Claim, EffectLedger, EffectState, LeaseLost
from rayline.errors import ConfigurationError, RejectedEvent, RetryableError
from rayline.events import Event, EventIdentity, Ingested, Verified, observer_hook
from rayline.observability.logs import failure_fields
from rayline.plugin import Approval, Destination, Evaluation, Rejection
from rayline.watch import Watch

PLUGIN_TIMEOUT = "PLUGIN_TIMEOUT"
PLUGIN_CRASHED = "PLUGIN_CRASHED"
PLUGIN_FAILED = "PLUGIN_FAILED"
MAX_CRASHES = 3

_FIRST_WAIT_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 300.0
_SERVICE_TROUBLE = frozenset(
    {"InternalError", "InternalServerException", "InternalServerError", "ServiceUnavailable", "SlowDown"}
)

_log = structlog.get_logger()


@dataclass(frozen=True)
class Outcome:
    """What is to become of an event's message.

    Attributes:
        waiting_seconds: something outside was not ready; come back by a delayed message, which is no failure.
        failed: an implementation failed unexpectedly; leave the message to SQS, which counts its receipts.
        busy_seconds: another worker holds an effect; look again when its lease is over.
        rejection: the input was refused.
    """

    waiting_seconds: float | None = None
    failed: bool = False
    busy_seconds: float | None = None
    rejection: Rejection | None = None

    @property
    def finished(self) -> bool:
        """Whether every effect has ended, so that the message may be deleted."""
        return self.waiting_seconds is None and not self.failed and self.busy_seconds is None


def backoff_seconds(attempts: int) -> float:
    """Doubling from 2 s, capped at 5 minutes so that nothing looks stuck."""
    return float(min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** min(attempts - 1, 10)))


class Dispatcher:
    """Runs the hooks of one worker; it handles one event at a time."""

    def __init__(
        self,
        registry: PluginRegistry,
        effects: EffectLedger,
        instances: StoredInstanceSource,
        *,
        site: str,
        secrets: Mapping[str, SecretStr],
        clock: Callable[[], datetime],
        watch: Watch,
    ) -> None:
        self._registry = registry
        self._effects = effects
        self._instances = instances
        self._site = site
        self._secrets = secrets
        self._clock = clock
        self._watch = watch
        self._held: tuple[EventIdentity, frozenset[str], str] | None = None
        self._states: Mapping[str, EffectState] = {}
        self._calls: list[str] = []

    # -- observers ---------------------------------------------------------------------------------------------

    def observe(self, event: Event, identity: EventIdentity) -> Outcome:
        """Run every observer of an event that has not ended, then ``on_rejected`` where the input was refused."""
        outcome = self._run_observers(observer_hook(event), event, identity, {})
        if outcome.rejection is None or not outcome.finished:
            return outcome
        told = self._run_observers("on_rejected", event, identity, {"rejection": outcome.rejection})
        return Outcome(told.waiting_seconds, told.failed, told.busy_seconds, outcome.rejection)

    def _run_observers(
        self, hook: str, event: Event, identity: EventIdentity, extra: Mapping[str, Any]
    ) -> Outcome:
        implementations = self._registry.implementations(hook)
        if not implementations:
            return Outcome()
        claim = self._effects.claim(identity, [(each.effect, each.version) for each in implementations])
        self._states = claim.states
        self._hold(identity, claim.granted, claim.token)
        results: dict[str, tuple[str, str]] = {}
        waits: list[float] = []
        failed = False
        try:
            for implementation in implementations:
                if implementation.effect not in claim.granted:
                    continue
                state, reason = self._observe_one(implementation, event, identity, claim, extra)
                results[implementation.effect] = (state, reason)
                self._hold(identity, claim.granted - results.keys(), claim.token)
                if state == "waiting":
                    waits.append(backoff_seconds(_attempts(claim, implementation)))
                failed = failed or state == "failed"
        finally:
            self._hold(identity, frozenset(), claim.token)
        now = self._clock().timestamp()
        ours = {each.effect for each in implementations} - claim.granted
        held_by_others = [
            state for name, state in claim.states.items() if name in ours and state.state == "in_progress"
        ]
        busy = max((max(1.0, state.lease_until - now) for state in held_by_others), default=None)
        return Outcome(
            min(waits, default=None), failed, busy, self._rejection(implementations, claim, results)
        )

    def _rejection(
        self, implementations: Sequence[Implementation], claim: Claim, results: Mapping[str, tuple[str, str]]
    ) -> Rejection | None:
        for implementation in implementations:
            before = claim.states.get(implementation.effect)
            state, reason = results.get(
                implementation.effect, (before.state, before.reason) if before else ("", "")
            )
            if state == "rejected":
                code, _, explanation = reason.partition(": ")
                return Rejection(code, explanation)
        return None

    def _observe_one(
        self,
        implementation: Implementation,
        event: Event,
        identity: EventIdentity,
        claim: Claim,
        extra: Mapping[str, Any],
    ) -> tuple[str, str]:
        """Run one observer and record how it ended. Returns its state and reason."""
        attempts = _attempts(claim, implementation)
        handle = EffectHandle(
            self._effects, identity, implementation.effect, claim.token, attempts, implementation.version
        )
        self._calls = handle.calls
        before = claim.states.get(implementation.effect)
        state: Any = "done"
        reason = ""
        if before and before.reason in (PLUGIN_TIMEOUT, PLUGIN_CRASHED) and before.attempts >= MAX_CRASHES:
            state, reason = self._by_policy(implementation, before.reason, "the plugin was stopped too often")
        else:
            try:
                seen = event if implementation.policy.sees_phi else event.without_phi()
                self._call(implementation, {"event": seen, **extra}, handle)
            except LeaseLost:
                self._logger(implementation).warning("effect_lease_lost")
                return "failed", "LEASE_LOST"
            except RejectedEvent as rejected:
                state, reason = "rejected", f"{rejected.reason}: {rejected.explanation}"
            except RetryableError as error:
                state, reason = "waiting", str(error)
            except Exception as error:
                state, reason = self._failure(implementation, error)
        if handle.ended is not None:
            return handle.ended
        self._effects.finish(
            identity,
            implementation.effect,
            claim.token,
            state,
            attempts=attempts,
            version=implementation.version,
            reason=reason,
            calls=handle.calls,
        )
        return state, reason

    def _failure(self, implementation: Implementation, error: Exception) -> tuple[str, str]:
        self._logger(implementation).error("hook_failed", **failure_fields(error))
        if _is_service_trouble(error):
            return "waiting", f"{type(error).__name__}"
        return self._by_policy(
            implementation, PLUGIN_FAILED, f"the plugin failed with {type(error).__name__}"
        )

    def _by_policy(self, implementation: Implementation, reason: str, explanation: str) -> tuple[str, str]:
        on_failure = implementation.policy.on_failure
        if on_failure == "ignore":
            return "ignored", reason
        if on_failure == "reject":
            return "rejected", f"{reason}: {implementation.plugin}: {explanation}"
        return "failed", reason

    # -- pure hooks --------------------------------------------------------------------------------------------

    def screen(self, instance: Instance) -> Rejection | None:
        """The first rejection of an instance, or None."""
        for implementation in self._registry.implementations("screen_instance"):
            rejection = self._pure(implementation, {"instance": instance})
            if rejection is not None:
                return _rejection_of(rejection, implementation)
        return None

    def transform(self, instance: Instance) -> Instance:
        """The instance after every transformer, in order.

        Raises:
            RejectedEvent: a transformer refused the instance, or failed where its policy is to reject.
        """
        for implementation in self._registry.implementations("transform_instance"):
            changed = self._pure(implementation, {"instance": instance})
            if changed is None:
                continue
            if not isinstance(changed, Instance):
                raise RejectedEvent(PLUGIN_FAILED, f"{implementation.plugin} returned no instance")
            instance = changed
        return instance

    def accept_verification(self, event: Verified) -> Rejection | None:
        """The first refusal of a verification, or None."""
        for implementation in self._registry.implementations("accept_verification"):
            rejection = self._pure(implementation, {"event": event})
            if rejection is not None:
                return _rejection_of(rejection, implementation)
        return None

    def approve_model(self, evaluation: Evaluation) -> Approval:
        """The first answer of a plugin; where none answers, or one fails, a human decides."""
        for implementation in self._registry.implementations("approve_model"):
            try:
                approval = self._pure(implementation, {"evaluation": evaluation})
            except RejectedEvent as rejected:
                return Approval("ask_human", f"{rejected.reason}: {rejected.explanation}")
            if isinstance(approval, Approval):
                return approval
        return Approval("ask_human", "no plugin answered")

    def destinations(self, event: Ingested) -> list[Destination]:
        """What all plugins answer, joined."""
        answers: list[Destination] = []
        for implementation in self._registry.implementations("destinations"):
            answers += self._pure(implementation, {"event": event}) or []
        return answers

    def _pure(self, implementation: Implementation, arguments: Mapping[str, Any]) -> Any:
        before = self._states.get(implementation.effect)
        if before and before.state == "failed" and _is_poison(before):
            return self._pure_failure(implementation, before.reason, "the plugin was stopped in this call")
        self._calls.append(implementation.effect)
        try:
            return self._call(implementation, arguments, None)
        except (RejectedEvent, RetryableError, ConfigurationError):
            raise
        except Exception as error:
            self._logger(implementation).error("hook_failed", **failure_fields(error))
            return self._pure_failure(
                implementation, PLUGIN_FAILED, f"the plugin failed with {type(error).__name__}"
            )

    def _pure_failure(self, implementation: Implementation, reason: str, explanation: str) -> None:
        on_failure = implementation.policy.on_failure
        if on_failure == "ignore":
            return
        if on_failure == "retry":
            raise RetryableError(f"{implementation.plugin}: {explanation}")
        raise RejectedEvent(reason, f"{implementation.plugin}: {explanation}")

    # -- calling -----------------------------------------------------------------------------------------------

    def _call(
        self, implementation: Implementation, arguments: Mapping[str, Any], handle: EffectHandle | None
    ) -> Any:
        log = self._logger(implementation)
        context = HookContext(
            site=self._site,
            log=log,
            settings=implementation.settings,
            clock=self._clock,
            secrets=self._secrets,
            instances=self._instances,
            ask_destinations=self.destinations,
            effect=handle,
        )
        with self._watch.calling(implementation.effect, implementation.policy.timeout_seconds):
            result = implementation.call({**arguments, "context": context})
        log.debug("hook_called")
        return result

    def _logger(self, implementation: Implementation) -> Any:
        return _log.bind(plugin=implementation.plugin, hook=implementation.hook)

    # -- lease -------------------------------------------------------------------------------------------------

    def _hold(self, identity: EventIdentity, effects: frozenset[str], token: str) -> None:
        self._held = (identity, effects, token) if effects else None
        self._watch.holding(identity, sorted(effects), token)

    def renew(self) -> None:
        """Extend the lease of what is held; called by the heartbeat, from its own thread."""
        held = self._held
        if held is None:
            return
        identity, effects, token = held
        try:
            self._effects.renew(identity, sorted(effects), token)
        except LeaseLost:
            # The effect ended in between, or another worker took it; the next write by token decides which.
            return


def _attempts(claim: Claim, implementation: Implementation) -> int:
    before = claim.states.get(implementation.effect)
    return (before.attempts if before else 0) + 1


def _is_poison(state: EffectState) -> bool:
    """A timeout is the plugin's own fault at once; a crash may be the machine's, so it counts from the third."""
    return state.reason == PLUGIN_TIMEOUT or (
        state.reason == PLUGIN_CRASHED and state.attempts >= MAX_CRASHES
    )


def _is_service_trouble(error: Exception) -> bool:
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        return (
            code in _SERVICE_TROUBLE or "Throttl" in code or code == "ProvisionedThroughputExceededException"
        )
    return isinstance(error, BotoCoreError)


def _rejection_of(answer: Any, implementation: Implementation) -> Rejection:
    if isinstance(answer, Rejection):
        return answer
    raise RejectedEvent(
        PLUGIN_FAILED, f"{implementation.plugin} answered with something that is no rejection"
    )
