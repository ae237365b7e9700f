"""The real effect ledger and a dictionary go through the same history, and answer the same at every step."""

import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from support.effect_invariants import EffectWatcher
from support.in_memory_cloud.cloud import InMemoryCloud
from support.in_memory_effects import InMemoryEffects
from support.manual_clock import ManualClock
from support.processor_estate import create_table

from rayline.effects import CommitConflict, EffectLedger, EffectState, Ending, LeaseLost
from rayline.events import EventIdentity
from rayline_infra.components.tracking import TABLE_KEYS

LEASE_SECONDS = 60.0
SKEW_SECONDS = 20.0
IDENTITIES = [
    EventIdentity("site#uploaded#1"),
    EventIdentity("site#verified#2"),
    EventIdentity("site#verified#3"),
]
EFFECTS = ["on_uploaded:intake", "on_uploaded:a-plugin.of_theirs", "transform_instance:deid"]
MACHINE = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Draw = Callable[[st.SearchStrategy[Any]], Any]


class ForgetfulClient:
    """A DynamoDB client whose next write reaches the table, but whose answer is lost, so that botocore repeats it.

    Attributes:
        in_between: happens after the next write that fails on its condition, before the writer tries again.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.answer_is_lost = False
        self.in_between: Callable[[], object] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def update_item(self, **request: Any) -> Any:
        """The write, twice where the first answer is lost."""
        return self._send(self._client.update_item, request)

    def transact_write_items(self, **request: Any) -> Any:
        """The transaction; botocore repeats it under the same token."""
        return self._send(
            self._client.transact_write_items, {**request, "ClientRequestToken": str(uuid.uuid4())}
        )

    def _send(self, operation: Callable[..., Any], request: dict[str, Any]) -> Any:
        lost, self.answer_is_lost = self.answer_is_lost, False
        if lost:
            with contextlib.suppress(Exception):
                operation(**request)
        try:
            return operation(**request)
        except Exception:
            act, self.in_between = self.in_between, None
            if act is not None:
                act()
            raise


@dataclass(frozen=True)
class Holder:
    """A worker's claim: the same one in both ledgers, each under a token of its own."""

    identity: EventIdentity
    effects: frozenset[str]
    model_token: str
    real_token: str
    ahead: bool = False


def comparable(states: dict[str, EffectState]) -> dict[str, tuple[object, ...]]:
    """What two ledgers must agree on: all but tokens and times of writing."""
    return {
        name: (each.state, each.attempts, each.crashes, each.lease_until, each.version, each.reason)
        for name, each in states.items()
    }


def outcome(act: Callable[[], object]) -> object:
    """What an operation answers or which of our errors it raises."""
    try:
        return act()
    except CommitConflict as conflict:
        return ("conflict", tuple(conflict.codes))
    except LeaseLost:
        return "lease lost"


class EffectMachine(RuleBasedStateMachine):
    """Workers that claim, beat, end, stall, crash and are reported dead, on one table."""

    dynamodb: Any
    table: str

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.client = ForgetfulClient(self.dynamodb)
        times = {"clock": self.clock, "lease_seconds": LEASE_SECONDS, "clock_skew_seconds": SKEW_SECONDS}
        self.model = InMemoryEffects(**times)  # type: ignore[arg-type]
        self.real = EffectLedger(self.client, self.table, **times)  # type: ignore[arg-type]
        self.watchers = {
            "model": EffectWatcher(LEASE_SECONDS, SKEW_SECONDS),
            "real": EffectWatcher(LEASE_SECONDS, SKEW_SECONDS),
        }
        self.claims: list[Holder] = []
        self.run = uuid.uuid4().hex[:8]

    def event(self, identity: EventIdentity) -> EventIdentity:
        """An event of this run: the table is shared by all."""
        return EventIdentity(f"{identity}-{self.run}")

    @initialize()
    def some_item_is_written_already(self) -> None:
        self.taken = f"TAKEN#{self.run}"
        self.dynamodb.put_item(TableName=self.table, Item={"pk": {"S": self.taken}})
        self.model.written[self.taken] = {}

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """One of the steps: in one rule, so that no run is left without claims by swarm testing."""
        steps = [self.claim, self.claim_ahead, self.time_passes]
        if any(each.ahead for each in self.claims):
            steps += [self.withdraw]
        if self.claims:
            steps += [self.finish_together, self.finish_together]
            steps += [self.claim, self.renew, self.finish, self.finish, self.crash]
            steps += [self.claim_against_a_holder]
        data.draw(st.sampled_from(steps))(data.draw)

    def some_claim(self, draw: Draw) -> Holder:
        """A claim, the newest more often than others."""
        return self.claims[-draw(st.integers(1, len(self.claims)))]

    def claim(self, draw: Draw) -> None:
        """A worker claims effects of an event, as a delivery of its message makes it."""
        identity = draw(st.sampled_from(IDENTITIES))
        names = draw(st.lists(st.sampled_from(EFFECTS), min_size=1, max_size=3, unique=True))
        lost = draw(st.booleans())
        self.client.answer_is_lost = lost
        self.claim_both(self.event(identity), names)

    def claim_both(self, event: EventIdentity, names: list[str]) -> None:
        """Claim in both ledgers, and see that they grant the same."""
        wanted = [(name, "1.0") for name in names]
        model, real = self.model.claim(event, wanted), self.real.claim(event, wanted)
        self.client.answer_is_lost = False
        assert real.granted == model.granted
        # What another holds may end between the two writes of a claim; the claim itself depends on the granted alone.
        granted_before = [
            {name: state for name, state in claim.before.items() if name in real.granted}
            for claim in (real, model)
        ]
        assert comparable(granted_before[0]) == comparable(granted_before[1])
        now = self.clock().timestamp()
        for name in real.granted:
            self.watchers["model"].granted((event, name), model.token, now)
            self.watchers["real"].granted((event, name), real.token, now)
        if real.granted:
            self.claims.append(Holder(event, real.granted, model.token, real.token))

    def claim_ahead(self, draw: Draw) -> None:
        """A worker claims the fresh ones among the events of a receive at once."""
        identities = draw(st.lists(st.sampled_from(IDENTITIES), min_size=1, unique=True))
        wanted = {
            self.event(identity): [(name, "1.0") for name in draw(st.sampled_from([EFFECTS[:1], EFFECTS]))]
            for identity in identities
        }
        self.client.answer_is_lost = draw(st.booleans())
        before = {identity: self.real.states(identity) for identity in wanted}
        model, real = self.model.claim_fresh(wanted), self.real.claim_fresh(wanted)
        self.client.answer_is_lost = False
        assert real.keys() == model.keys()
        now = self.clock().timestamp()
        for identity, names in wanted.items():
            if identity not in real:
                self.watchers["real"].a_stale_token_records_nothing(
                    before[identity], self.real.states(identity)
                )
                continue
            assert real[identity].granted == {name for name, _ in names}
            assert not before[identity]
            for name, _ in names:
                self.watchers["model"].granted((identity, name), model[identity].token, now)
                self.watchers["real"].granted((identity, name), real[identity].token, now)
            tokens = model[identity].token, real[identity].token
            self.claims.append(Holder(identity, real[identity].granted, *tokens, ahead=True))

    def withdraw(self, draw: Draw) -> None:
        """A worker stops, or dies, before it has begun what it had claimed ahead, or says so late."""
        holder = draw(st.sampled_from([each for each in self.claims if each.ahead]))
        self.claims.remove(holder)
        self.client.answer_is_lost = draw(st.booleans())
        names = sorted(holder.effects)
        states = self.model.states(holder.identity)
        untouched = all(
            name in states and (states[name].state, states[name].token) == ("in_progress", holder.model_token)
            for name in names
        )
        self.model.withdraw(holder.identity, names, holder.model_token)
        self.real.withdraw(holder.identity, names, holder.real_token)
        self.client.answer_is_lost = False
        if untouched:
            for name in names:
                self.watchers["model"].let_go((holder.identity, name), holder.model_token)
                self.watchers["real"].let_go((holder.identity, name), holder.real_token)
            # As if it had never been claimed: the next one is the first.
            assert not self.real.states(holder.identity).keys() & set(names)

    def finish_together(self, draw: Draw) -> None:
        """A worker records the ends of several events at once; what another holds keeps none of the rest from it."""
        endings: dict[tuple[EventIdentity, str], tuple[Holder, Ending]] = {}
        for holder in draw(st.lists(st.sampled_from(self.claims), min_size=1, max_size=3)):
            for name in draw(st.lists(st.sampled_from(sorted(holder.effects)), min_size=1, unique=True)):
                state: Any = draw(st.sampled_from(["done", "done", "ignored"]))
                known = self.real.states(holder.identity).get(name)
                if known is not None and (known.token, known.state) == (holder.real_token, state):
                    continue  # to say the same end twice is what a lost answer looks like
                kind = draw(st.sampled_from(["none", "none", "new", "taken"]))
                endings[holder.identity, name] = (
                    holder,
                    Ending(
                        holder.identity, name, "", state, f"why {state}", {"n": 1}, ["x"], self.writes(kind)
                    ),
                )
        self.client.answer_is_lost = draw(st.booleans())
        real = self.real.finish_all([replace(each, token=h.real_token) for h, each in endings.values()])
        self.client.answer_is_lost = False
        model = self.model.finish_all([replace(each, token=h.model_token) for h, each in endings.values()])
        assert {key: type(error) for key, error in real.items()} == {
            key: type(error) for key, error in model.items()
        }
        for (identity, name), (holder, _) in endings.items():
            if (identity, name) not in real:
                self.watchers["model"].let_go((identity, name), holder.model_token)
                self.watchers["real"].let_go((identity, name), holder.real_token)

    def claim_against_a_holder(self, draw: Draw) -> None:
        """A holder, perhaps a late one, acts just when another worker has read the ledger and is about to claim."""
        holder = self.some_claim(draw)
        names = sorted(holder.effects)
        ends = draw(st.booleans())
        was_held = {name: self.model.states(holder.identity)[name].state for name in names}

        def act(ledger: Any, token: str) -> None:
            if not ends:
                outcome(lambda: ledger.renew(holder.identity, names, token))
                return
            for name in names:
                if was_held[name] == "in_progress":
                    outcome(lambda each=name: ledger.finish(holder.identity, each, token, "done"))  # type: ignore[misc]

        before = self.clock().timestamp()
        for name in names:
            if outcome(lambda: self.model._held(holder.identity, name, holder.model_token)) is None:  # noqa: B023
                for kind, token in (("model", holder.model_token), ("real", holder.real_token)):
                    watcher = self.watchers[kind]
                    watcher.let_go((holder.identity, name), token)
                    if not ends:
                        watcher.granted((holder.identity, name), token, before)
        act(self.model, holder.model_token)
        self.client.in_between = lambda: act(self.real, holder.real_token)
        self.claim_both(holder.identity, names)
        assert self.client.in_between is None

    def renew(self, draw: Draw) -> None:
        """A heartbeat, perhaps of a worker that had stalled."""
        holder, lost = self.some_claim(draw), draw(st.booleans())
        names = sorted(holder.effects)
        before = self.real.states(holder.identity)
        self.client.answer_is_lost = lost
        real = outcome(lambda: self.real.renew(holder.identity, names, holder.real_token))
        assert real == outcome(lambda: self.model.renew(holder.identity, names, holder.model_token))
        if real == "lease lost":
            self.watchers["real"].a_stale_token_records_nothing(before, self.real.states(holder.identity))
            return
        now = self.clock().timestamp()
        for name in names:
            self.watchers["model"].renewed((holder.identity, name), holder.model_token, now)
            self.watchers["real"].renewed((holder.identity, name), holder.real_token, now)

    def finish(self, draw: Draw) -> None:
        """A worker records an end, perhaps after its lease has run out."""
        holder, lost = self.some_claim(draw), draw(st.booleans())
        name = draw(st.sampled_from(sorted(holder.effects)))
        state: Any = draw(st.sampled_from(["done", "rejected", "ignored", "failed", "waiting"]))
        given = self.writes(draw(st.sampled_from(["none", "none", "new", "new", "taken", "both"])))
        before = self.real.states(holder.identity)
        self.client.answer_is_lost = lost
        arguments = {"reason": f"why {state}", "calls": ["screen_instance:x"], "writes": given}
        real = outcome(
            lambda: self.real.finish(holder.identity, name, holder.real_token, state, **arguments)  # type: ignore[arg-type]
        )
        if (
            self.model.states(holder.identity)[name].token == holder.model_token
            and before[name].state == state
        ):
            # To say the same end twice is what a lost answer looks like; it is taken for that.
            assert real is None
            return
        model = outcome(
            lambda: self.model.finish(holder.identity, name, holder.model_token, state, **arguments)  # type: ignore[arg-type]
        )
        assert real == model
        if real is not None:
            self.watchers["real"].a_stale_token_records_nothing(before, self.real.states(holder.identity))
            return
        self.watchers["model"].let_go((holder.identity, name), holder.model_token)
        self.watchers["real"].let_go((holder.identity, name), holder.real_token)

    def writes(self, kind: str) -> Sequence[dict[str, Any]]:
        """Writes that go with an end, as tracking items do."""
        keys = {
            "none": [],
            "new": [f"NEW#{uuid.uuid4()}"],
            "taken": [self.taken],
            "both": [f"NEW#{uuid.uuid4()}", self.taken],
        }[kind]
        return [
            {
                "Put": {
                    "TableName": self.table,
                    "Item": {"pk": {"S": key}},
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }
            for key in keys
        ]

    def crash(self, draw: Draw) -> None:
        """A worker dies; its supervisor says so, unless it died with it."""
        holder = self.some_claim(draw)
        self.claims.remove(holder)
        blamed = draw(st.sampled_from([None, *EFFECTS]))
        reason = draw(st.sampled_from(["PLUGIN_TIMEOUT", "PLUGIN_CRASHED"]))
        reported = draw(st.booleans())
        if not reported:
            return
        if blamed is not None:
            self.model.record_failure(holder.identity, blamed, reason, token=holder.model_token)
            self.real.record_failure(holder.identity, blamed, reason, token=holder.real_token)
        for name in holder.effects:
            self.model.release(holder.identity, name, holder.model_token)
            self.real.release(holder.identity, name, holder.real_token)
        for name in {*holder.effects, *([blamed] if blamed else [])}:
            self.watchers["model"].let_go((holder.identity, name), holder.model_token)
            self.watchers["real"].let_go((holder.identity, name), holder.real_token)

    def time_passes(self, draw: Draw) -> None:
        """The clock moves on, often to just before or after the end of a lease."""
        self.clock.pass_time(draw(st.sampled_from([1.0, 20.0, 59.5, 60.0, 79.0, 80.0, 81.0, 300.0])))

    def teardown(self) -> None:
        """What was to be written together with an end is there."""
        for key in self.model.written:
            answer = self.dynamodb.get_item(TableName=self.table, Key={"pk": {"S": key}}, ConsistentRead=True)
            assert "Item" in answer

    @invariant()
    def both_ledgers_agree_and_no_end_changes(self) -> None:
        for identity in IDENTITIES:
            event = self.event(identity)
            real, model = self.real.states(event), self.model.states(event)
            assert comparable(real) == comparable(model)
            self.watchers["real"].an_end_stays(event, real)
            self.watchers["model"].an_end_stays(event, model)


@pytest.mark.parametrize("where", ["in-memory", "local"])
def test_the_ledger_and_its_model_agree_through_any_history(
    request: pytest.FixtureRequest, where: str
) -> None:
    cloud = InMemoryCloud(ManualClock()) if where == "in-memory" else request.getfixturevalue("local_cloud")
    client, table = cloud.client("dynamodb"), f"effects-{uuid.uuid4().hex[:8]}"
    create_table(client, table, TABLE_KEYS["effects"], {})
    machine = type("Machine", (EffectMachine,), {"dynamodb": client, "table": table})
    run_state_machine_as_test(machine, settings=MACHINE)  # type: ignore[no-untyped-call]
