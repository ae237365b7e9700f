"""Calls hook implementations one by one: timed, recorded, and each by its own policy.

One plugin's failure never keeps its siblings from running. Observers run under a claim of the effect ledger and
are recorded; screening and transforming are pure, so only a failure that killed a worker is on record for them.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from pydantic import SecretStr

from rayline.aws import is_service_trouble
from rayline.context import EffectHandle, HookContext, StoredInstanceSource
from rayline.dicom.instance import Instance
from rayline.discovery import Implementation, PluginRegistry
from rayline.effects import (
    FINAL_STATES,
    Claim,
    EffectLedger,
    EffectState,
    Ending,
    FinalState,
    LeaseLost,
    OpenState,
)
from rayline.errors import ConfigurationError, PeerUnreachable, PluginFailed, RejectedEvent, RetryableError
from rayline.events import Event, EventIdentity, Ingested, Verified, observer_hook
from rayline.memory import memory_limit
from rayline.observability.logs import failure_fields
from rayline.observability.meter import Meter
from rayline.observability.metrics import CONNECTION_ERRORS
from rayline.observability.traces import Traces, Untraced
from rayline.plugin import Approval, Destination, Evaluation, Rejection
from rayline.recorder import QUICK_SECONDS, Recorder
from rayline.watch import Holding, Watch

PLUGIN_TIMEOUT = "PLUGIN_TIMEOUT"
PLUGIN_CRASHED = "PLUGIN_CRASHED"
PLUGIN_FAILED = "PLUGIN_FAILED"
PLUGIN_MEMORY = "PLUGIN_MEMORY"
NOT_RECORDED = "NOT_RECORDED"
MAX_CRASHES = 3
PEERS = "peers"
"""The service that connection errors of plugins count for."""

_FIRST_WAIT_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 300.0
_SURE_SECONDS = 3.0  # a claim made or renewed within this holds without asking

_log = structlog.get_logger()


_End = tuple[FinalState | OpenState, str]


@dataclass(frozen=True)
class Outcome:
    """What is to become of an event's message.

    Attributes:
        waiting_seconds: something outside was not ready; come back by a delayed message, which is no failure.
        failure: an implementation failed unexpectedly, and why; the message returns, its receipts are counted, and
            it is dead-lettered in the end.
        busy_seconds: another worker holds an effect; look again when its lease is over.
        rejection: the input was refused.
        seen_before: the event had effects on record already.
    """

    waiting_seconds: float | None = None
    failure: str = ""
    busy_seconds: float | None = None
    rejection: Rejection | None = None
    seen_before: bool = field(default=False, compare=False)

    @property
    def finished(self) -> bool:
        """Whether every effect has ended, so that the message may be deleted."""
        return self.waiting_seconds is None and not self.failure and self.busy_seconds is None


def backoff_seconds(attempts: int, jitter: Callable[[], float] = random.random) -> float:
    """Doubling from 2 s, capped at 5 minutes so that nothing looks stuck; the upper half of it is random.

    Source: AWS Architecture Blog, "Exponential Backoff and Jitter" (equal jitter).
    """
    longest: float = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** min(max(attempts, 1) - 1, 10))
    return longest * (1 + jitter()) / 2


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
        meter: Meter,
        traces: Traces | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._jitter = jitter
        self._registry = registry
        self._effects = effects
        self._instances = instances
        self._site = site
        self._secrets = secrets
        self._clock = clock
        self._watch = watch
        self._meter = meter
        self._traces = traces or Untraced()
        self._held: tuple[EventIdentity, frozenset[str], str] | None = None
        self._ahead: dict[EventIdentity, _Ahead] = {}
        self._states: Mapping[str, EffectState] = {}
        self._calls: list[str] = []
        #: Whether this process should end, so that its supervisor starts a fresh one.
        self.worn_out = False

    # -- observers ---------------------------------------------------------------------------------------------

    def claim_ahead(self, events: Sequence[tuple[int, Event, EventIdentity]]) -> None:
        """Claim those events of a receive that nobody has claimed yet, together.

        The others, and one that comes alone, are claimed when they are observed.

        Args:
            events: each with its message's position in the receive.
        """
        positions: dict[EventIdentity, int] = {}
        wanted: dict[EventIdentity, list[tuple[str, str]]] = {}
        for position, event, identity in events:
            effects = self._effects_of(observer_hook(event))
            if effects and identity not in wanted:
                wanted[identity], positions[identity] = effects, position
        if len(wanted) < 2:
            return
        claims = self._effects.claim_fresh(wanted)
        now = self._clock()
        self._ahead = {identity: _Ahead(claim, now) for identity, claim in claims.items()}
        self._watch.holding_ahead(
            [
                Holding(identity, tuple(sorted(claim.granted)), claim.token, positions[identity])
                for identity, claim in claims.items()
            ]
        )

    def withdraw_ahead(self) -> None:
        """Give up what was claimed ahead and has not begun, as if it had not been claimed."""
        ahead, self._ahead = self._ahead, {}
        for identity, each in ahead.items():
            self._effects.withdraw(identity, sorted(each.claim.granted), each.claim.token)

    def _effects_of(self, hook: str) -> list[tuple[str, str]]:
        return [(each.effect, each.version) for each in self._registry.implementations(hook)]

    def observe(self, event: Event, identity: EventIdentity, recorder: Recorder | None = None) -> Outcome:
        """Run every observer of an event that has not ended, then ``on_rejected`` where the input was refused.

        Args:
            recorder: takes the ends that need not be recorded before this returns.
        """
        outcome = self._run_observers(observer_hook(event), event, identity, {}, recorder)
        if outcome.rejection is None or not outcome.finished:
            return outcome
        told = self._run_observers("on_rejected", event, identity, {"rejection": outcome.rejection}, recorder)
        return replace(told, rejection=outcome.rejection, seen_before=outcome.seen_before)

    def _claim(self, hook: str, identity: EventIdentity, recorder: Recorder | None) -> Claim:
        """What was claimed ahead, if that still holds, else a claim of its own; either way it is held from now on."""
        ahead = self._ahead.pop(identity, None)
        if ahead is not None and self._still_holds(identity, ahead):
            self._held = (identity, ahead.claim.granted, ahead.claim.token)
            return ahead.claim
        if recorder is not None:
            recorder.flush()  # the same event may have come twice in one receive
        claim = self._effects.claim(
            identity,
            self._effects_of(hook),
            fresh=hook != "on_rejected",  # told of after the event's own observers, who have an item by then
        )
        self._held = (identity, claim.granted, claim.token)
        self._watch.holding(identity, sorted(claim.granted), claim.token)
        return claim

    def _still_holds(self, identity: EventIdentity, ahead: "_Ahead") -> bool:
        if (self._clock() - ahead.since).total_seconds() < _SURE_SECONDS:
            return True
        try:
            self._effects.renew(identity, sorted(ahead.claim.granted), ahead.claim.token)
        except LeaseLost:
            return False
        return True

    def _run_observers(
        self,
        hook: str,
        event: Event,
        identity: EventIdentity,
        extra: Mapping[str, Any],
        recorder: Recorder | None,
    ) -> Outcome:
        implementations = self._registry.implementations(hook)
        if not implementations:
            return Outcome()
        claim = self._claim(hook, identity, recorder)
        self._states = claim.before
        unfinished = claim.granted
        ends: dict[str, _End] = {}
        try:
            for implementation in implementations:
                if implementation.effect not in claim.granted:
                    continue
                handle = EffectHandle(
                    self._effects,
                    identity,
                    implementation.effect,
                    claim.token,
                    claim.attempts(implementation.effect),
                    # What was tried before goes on record at once: others may wait for it.
                    None if claim.before else recorder,
                )
                ends[implementation.effect] = self._observe_one(implementation, event, handle, claim, extra)
                unfinished = unfinished - {implementation.effect}
                self._held = (identity, unfinished, claim.token)
        finally:
            self._held = None
        return self._outcome(implementations, claim, ends)

    def _outcome(
        self, implementations: Sequence[Implementation], claim: Claim, ends: Mapping[str, _End]
    ) -> Outcome:
        waits = [
            backoff_seconds(claim.attempts(effect), self._jitter)
            for effect, (state, _) in ends.items()
            if state == "waiting"
        ]
        missed = {each.effect for each in implementations} - claim.granted
        before = {effect: claim.before.get(effect) for effect in missed}
        busy = [
            self._effects.busy_seconds(state)
            for state in before.values()
            if state is None or state.state not in FINAL_STATES
        ]
        return Outcome(
            waiting_seconds=min(waits, default=None),
            failure=next((reason for state, reason in ends.values() if state == "failed"), ""),
            busy_seconds=max(busy, default=None),
            rejection=_first_rejection(implementations, claim, ends),
            seen_before=bool(claim.before),
        )

    def _observe_one(
        self,
        implementation: Implementation,
        event: Event,
        handle: EffectHandle,
        claim: Claim,
        extra: Mapping[str, Any],
    ) -> _End:
        """Run one observer and record how it ended. Returns its state and reason."""
        self._calls = handle.calls
        started = time.perf_counter()
        state, reason = self._run(implementation, event, handle, claim, extra)
        if handle.ended is not None:
            return handle.ended
        quick = time.perf_counter() - started < QUICK_SECONDS
        if handle.recorder is not None and quick and (state == "done" or state == "ignored"):
            handle.recorder.soon(
                Ending(handle.identity, handle.effect, handle.token, state, reason, calls=tuple(handle.calls))
            )
            return state, reason
        try:
            self._effects.finish(
                handle.identity, handle.effect, handle.token, state, reason=reason, calls=handle.calls
            )
        except Exception as error:
            # The effect runs again: what is not on record has not happened, and its act is idempotent.
            self._logger(implementation).warning("effect_not_recorded", **failure_fields(error))
            if isinstance(error, LeaseLost):
                return "waiting", "LEASE_LOST"
            self._release(handle)
            return "waiting" if is_service_trouble(error) else "failed", NOT_RECORDED
        return state, reason

    def _run(
        self,
        implementation: Implementation,
        event: Event,
        handle: EffectHandle,
        claim: Claim,
        extra: Mapping[str, Any],
    ) -> _End:
        before = claim.before.get(implementation.effect)
        if before and _is_poison(before) and implementation.policy.on_failure != "retry":
            return self._by_policy(implementation, before.reason, "the plugin was stopped in this call")
        try:
            self._call(implementation, {"event": event, **extra}, handle)
        except RejectedEvent as rejected:
            return "rejected", f"{rejected.reason}: {rejected.explanation}"
        except (LeaseLost, RetryableError) as error:
            return "waiting", str(error)
        except MemoryError:
            return self._by_policy(implementation, PLUGIN_MEMORY, _memory_overrun(implementation))
        except Exception as error:
            self._logger(implementation).error("hook_failed", **failure_fields(error))
            if is_service_trouble(error) and implementation.policy.on_failure != "ignore":
                return "waiting", type(error).__name__
            explanation = str(error) if isinstance(error, PluginFailed) else _told(error)
            return self._by_policy(implementation, PLUGIN_FAILED, explanation)
        return "done", ""

    def _by_policy(self, implementation: Implementation, reason: str, explanation: str) -> _End:
        states: dict[str, FinalState | OpenState] = {
            "ignore": "ignored",
            "reject": "rejected",
            "retry": "failed",
        }
        return states[implementation.policy.on_failure], f"{reason}: {implementation.plugin}: {explanation}"

    def _release(self, handle: EffectHandle) -> None:
        try:
            self._effects.release(handle.identity, handle.effect, handle.token)
        except Exception as error:
            _log.warning("effect_not_released", **failure_fields(error))  # its lease runs out by itself

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
            RejectedEvent: a transformer refused the instance, failed where its policy is to reject, or would
                have seen a patient's data that it may not see.
        """
        for implementation in self._registry.implementations("transform_instance"):
            if not implementation.policy.sees_phi and not instance.receipts:
                raise RejectedEvent(
                    PLUGIN_FAILED,
                    f"{implementation.plugin} may not see PHI; give it an order after de-identification",
                )
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
            if approval is None:
                continue
            if not isinstance(approval, Approval):
                return Approval(
                    "ask_human", f"{implementation.plugin} answered with something that is no approval"
                )
            return approval
        return Approval("ask_human", "no plugin answered")

    def destinations(self, event: Ingested) -> list[Destination]:
        """What all plugins answer, joined."""
        answers: list[Destination] = []
        for implementation in self._registry.implementations("destinations"):
            answers += self._pure(implementation, {"event": event}) or []
        return answers

    def _pure(self, implementation: Implementation, arguments: Mapping[str, Any]) -> Any:
        """Call a decider or transformer; None where it failed and its policy is to ignore that.

        Raises:
            RejectedEvent: it refused, or failed where its policy is to reject.
            RetryableError: something outside was not ready.
            PluginFailed: it failed where its policy is to retry.
        """
        before = self._states.get(implementation.effect)
        if before and _is_poison(before) and implementation.policy.on_failure != "retry":
            return self._pure_failure(implementation, before.reason, "the plugin was stopped in this call")
        self._calls.append(implementation.effect)
        try:
            return self._call(implementation, arguments, None)
        except (RejectedEvent, RetryableError, ConfigurationError):
            raise
        except MemoryError:
            return self._pure_failure(implementation, PLUGIN_MEMORY, _memory_overrun(implementation))
        except Exception as error:
            self._logger(implementation).error("hook_failed", **failure_fields(error))
            if is_service_trouble(error) and implementation.policy.on_failure != "ignore":
                raise RetryableError(f"{implementation.plugin}: {_told(error)}") from None
            return self._pure_failure(implementation, PLUGIN_FAILED, _told(error))

    def _pure_failure(self, implementation: Implementation, reason: str, explanation: str) -> None:
        match implementation.policy.on_failure:
            case "ignore":
                return
            case "retry":
                raise PluginFailed(f"{implementation.plugin}: {explanation}")
            case "reject":
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
        given = {**arguments, "context": context}
        if "event" in given and not implementation.policy.sees_phi:
            given["event"] = given["event"].without_phi()
        started = time.perf_counter()
        policy = implementation.policy
        try:
            with (
                self._traces.span(
                    f"{implementation.hook} {implementation.plugin}",
                    {"rayline.hook": implementation.hook, "rayline.plugin": implementation.plugin},
                ),
                self._watch.calling(implementation.effect, policy.timeout_seconds),
                memory_limit(policy.memory_mb),
            ):
                result = implementation.call(given)
        except PeerUnreachable:
            self._meter.record(CONNECTION_ERRORS, 1, PEERS)
            raise
        except MemoryError:
            # What ate the memory may still hold it, so no other call is to run beside it.
            self.worn_out = True
            log.error("plugin_memory_overrun")
            raise
        log.debug("hook_called", seconds=round(time.perf_counter() - started, 4))
        return result

    def _logger(self, implementation: Implementation) -> Any:
        return _log.bind(plugin=implementation.plugin, hook=implementation.hook)

    # -- lease -------------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Extend the lease of what is held; called by the heartbeat, from its own thread."""
        held = self._held
        if held is not None and held[1]:
            identity, effects, token = held
            with suppress(LeaseLost):
                # Lost where the effect ended in between, or another worker took it: the next write by token decides.
                self._effects.renew(identity, sorted(effects), token)
        for identity, ahead in list(self._ahead.items()):
            since = self._clock()
            with suppress(LeaseLost):
                self._effects.renew(identity, sorted(ahead.claim.granted), ahead.claim.token)
                ahead.since = since


@dataclass
class _Ahead:
    """A claim of an event that has not begun, and since when it is known to hold."""

    claim: Claim
    since: datetime


def _first_rejection(
    implementations: Sequence[Implementation], claim: Claim, ends: Mapping[str, _End]
) -> Rejection | None:
    for implementation in implementations:
        before = claim.before.get(implementation.effect)
        state, reason = ends.get(implementation.effect) or (
            (before.state, before.reason) if before else ("", "")
        )
        if state == "rejected":
            code, _, explanation = reason.partition(": ")
            return Rejection(code, explanation)
    return None


def _is_poison(state: EffectState) -> bool:
    """A timeout is the plugin's own fault at once; a crash may be the machine's, so it counts from the third."""
    if state.reason == PLUGIN_CRASHED:
        return state.crashes >= MAX_CRASHES
    return state.reason == PLUGIN_TIMEOUT


def _memory_overrun(implementation: Implementation) -> str:
    return f"the plugin needed more than its {implementation.policy.memory_mb} MiB of memory"


def _told(error: Exception) -> str:
    """What may be said of a foreign exception: its message may quote the patient."""
    return f"the plugin failed with {type(error).__name__}"


def _rejection_of(answer: Any, implementation: Implementation) -> Rejection:
    if isinstance(answer, Rejection):
        return answer
    raise RejectedEvent(
        PLUGIN_FAILED, f"{implementation.plugin} answered with something that is no rejection"
    )
