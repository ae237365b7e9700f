"""Implementations are called one by one, each under its own policy, and none starves another."""

import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from botocore.exceptions import EndpointConnectionError
from botocore.exceptions import ParamValidationError as WrongParameter
from support.plugins import LEASE_SECONDS, SKEW_SECONDS, Bench, Plugin
from support.processor_estate import aws_error

from rayline.dispatcher import MAX_CRASHES, PLUGIN_CRASHED, PLUGIN_FAILED, PLUGIN_TIMEOUT, backoff_seconds
from rayline.effects import LeaseLost
from rayline.errors import ConfigurationError, PluginFailed, RejectedEvent, RetryableError
from rayline.events import Event, EventIdentity, Ingested, Uploaded, Verified
from rayline.memory import memory_limit
from rayline.plugin import Approval, Destination, Evaluation, Instance, Policy, Receipt, Rejection
from rayline.testing import image_instance
from rayline.watch import Holding

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UPLOADED = Uploaded(
    site="test-site", occurred_at=NOW, bucket="uploads", key="upload/DOE^JANE", version_id="v1", size_bytes=1
)
VERIFIED = Verified(
    site="test-site", occurred_at=NOW, action="verified", verification_id="1", datastore_id="d",
    image_set_id="i", image_set_version="1", label="NORMAL", findings="Jane Doe has a cough", verifier="dr-x",
)  # fmt: skip
INGESTED = Ingested(
    site="test-site", occurred_at=NOW, subject="image_set", datastore_id="d", image_set_id="i"
)
EVALUATION = Evaluation("arn", {"accuracy": 0.9}, 0.85, 100)


def raising(error: BaseException) -> Callable[..., Any]:
    """An observer that fails."""

    def observe(event: Event) -> None:
        raise error

    return observe


def noting(calls: list[str], name: str) -> Callable[..., Any]:
    """An observer that works."""

    def observe(event: Event) -> None:
        calls.append(name)

    return observe


def deciding(answer: object) -> Callable[..., Any]:
    """A screening that answers, or fails with, what it is given."""

    def screen_instance(instance: Instance) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return screen_instance


def policy(on_failure: Any, order: int = 100, *, sees_phi: bool = False) -> Policy:
    return Policy(on_failure=on_failure, order=order, sees_phi=sees_phi)


# -- observers


@pytest.mark.parametrize(
    ("on_failure", "state"), [("retry", "failed"), ("reject", "rejected"), ("ignore", "ignored")]
)
def test_a_failing_observer_ends_by_its_policy_and_its_siblings_run(on_failure: str, state: str) -> None:
    calls: list[str] = []
    bench = Bench(
        Plugin("a-first", on_uploaded=noting(calls, "first")),
        Plugin("broken", {"on_uploaded": policy(on_failure)}, on_uploaded=raising(KeyError("Doe^Jane"))),
        Plugin("z-last", on_uploaded=noting(calls, "last")),
    )
    outcome = bench.observe(UPLOADED)
    assert calls == ["first", "last"]
    assert bench.states(UPLOADED) == {
        "on_uploaded:a-first": "done",
        "on_uploaded:broken": state,
        "on_uploaded:z-last": "done",
    }
    assert bool(outcome.failure) is (state == "failed")
    assert outcome.finished is (state != "failed")
    assert bench.reasons(UPLOADED)["on_uploaded:broken"] == (
        "PLUGIN_FAILED: broken: the plugin failed with KeyError"
    )


def test_what_ended_is_not_run_again_when_a_sibling_is_retried_and_after_an_upgrade() -> None:
    calls: list[str] = []
    bench = Bench(
        Plugin("good", on_uploaded=noting(calls, "good")),
        Plugin("ignored", {"on_uploaded": policy("ignore")}, on_uploaded=raising(ValueError())),
        Plugin("broken", on_uploaded=raising(ValueError())),
    )
    assert bench.observe(UPLOADED).failure
    bench.reload(
        Plugin("good", on_uploaded=noting(calls, "good")),
        Plugin("ignored", on_uploaded=noting(calls, "ignored")),
        Plugin("broken", on_uploaded=noting(calls, "mended")),
        version="2.0",
    )
    assert bench.observe(UPLOADED).finished
    assert bench.observe(UPLOADED).finished
    assert calls == ["good", "mended"]
    assert bench.effects.states(bench.identity(UPLOADED))["on_uploaded:good"].version == "1.0"


def test_waiting_is_kept_apart_from_failing() -> None:
    bench = Bench(Plugin("pacs", on_ingested=raising(RetryableError("the PACS is down"))))
    waits = [bench.observe(INGESTED) for _ in range(12)]
    assert not any(outcome.failure for outcome in waits)
    assert [outcome.waiting_seconds for outcome in waits] == [
        2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0, 300.0, 300.0,
    ]  # fmt: skip
    assert bench.states(INGESTED) == {"on_ingested:pacs": "waiting"}


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (aws_error("ThrottlingException"), True),
        (aws_error("InternalError", 500), True),
        (EndpointConnectionError(endpoint_url="http://x"), True),
        (aws_error("AccessDeniedException"), False),
        (aws_error("ValidationException"), False),
        (WrongParameter(report="no key"), False),
    ],
)
def test_trouble_of_a_service_is_waited_for_and_a_mistake_is_not(error: Exception, waits: bool) -> None:
    bench = Bench(Plugin("caller", on_uploaded=raising(error)))
    outcome = bench.observe(UPLOADED)
    assert (outcome.waiting_seconds is not None) is waits
    assert bool(outcome.failure) is not waits


def test_order_is_by_policy_then_by_plugin_name_and_the_site_may_change_it() -> None:
    calls: list[str] = []
    plugins = [
        Plugin("b", {"on_uploaded": policy("retry", 5)}, on_uploaded=noting(calls, "b")),
        Plugin("c", {"on_uploaded": policy("retry", -1)}, on_uploaded=noting(calls, "c")),
        Plugin("a", {"on_uploaded": policy("retry", 5)}, on_uploaded=noting(calls, "a")),
    ]
    Bench(*plugins).observe(UPLOADED)
    assert calls == ["c", "a", "b"]


def test_an_observer_may_refuse_its_input_and_the_others_are_told() -> None:
    told: list[tuple[str, Rejection]] = []

    def on_rejected(event: Event, rejection: Rejection) -> None:
        told.append((event.kind, rejection))

    bench = Bench(
        Plugin("gate", on_uploaded=raising(RejectedEvent("TOO_LATE", "the site closed: for good"))),
        Plugin("mailer", on_rejected=on_rejected),
    )
    outcome = bench.observe(UPLOADED)
    refusal = Rejection("TOO_LATE", "the site closed: for good")
    assert outcome.rejection == refusal
    assert outcome.finished
    assert bench.observe(UPLOADED).rejection == refusal
    assert told == [("uploaded", refusal)]


def test_nobody_is_told_of_a_rejection_before_every_observer_has_ended() -> None:
    told: list[str] = []

    def on_rejected(event: Event) -> None:
        told.append(event.kind)

    bench = Bench(
        Plugin("gate", on_uploaded=raising(RejectedEvent("NO", "no"))),
        Plugin("pacs", on_uploaded=raising(RetryableError("down"))),
        Plugin("mailer", on_rejected=on_rejected),
    )
    assert not bench.observe(UPLOADED).finished
    assert told == []


def test_a_failing_on_rejected_observer_is_retried_by_itself() -> None:
    calls: list[str] = []
    broken = Plugin("mailer", on_rejected=raising(ValueError()))
    gate = Plugin("gate", on_uploaded=raising(RejectedEvent("NO", "no")))
    bench = Bench(gate, broken)
    assert bench.observe(UPLOADED).failure
    bench.reload(gate, Plugin("mailer", on_rejected=noting(calls, "mailed")))
    assert bench.observe(UPLOADED).finished
    assert calls == ["mailed"]


@pytest.mark.parametrize("sees_phi", [True, False])
def test_a_plugin_that_may_not_see_phi_gets_events_without_it(sees_phi: bool) -> None:
    seen: list[Any] = []

    def observe(event: Event) -> None:
        seen.append(event)

    def accept_verification(event: Verified) -> None:
        seen.append(event)

    policies = {
        hook: policy("retry", sees_phi=sees_phi)
        for hook in ("on_uploaded", "on_verified", "on_rejected", "accept_verification")
    }
    plugin = Plugin(
        "plugin",
        policies,
        on_uploaded=observe,
        on_verified=observe,
        on_rejected=lambda event: seen.append(event),
        accept_verification=accept_verification,
    )
    bench = Bench(plugin, Plugin("gate", on_uploaded=raising(RejectedEvent("NO", "no"))))
    bench.observe(UPLOADED)
    bench.observe(VERIFIED)
    bench.dispatcher.accept_verification(VERIFIED)
    told = repr([event.model_dump() for event in seen])
    assert len(seen) == 4
    assert ("DOE^JANE" in told) is sees_phi
    assert ("Jane Doe" in told) is sees_phi


def test_a_failure_is_logged_with_its_plugin_and_without_its_message() -> None:
    bench = Bench(Plugin("broken", on_uploaded=raising(ValueError("Doe^Jane"))))
    with structlog.testing.capture_logs() as lines:
        bench.observe(UPLOADED)
    (line,) = [line for line in lines if line["event"] == "hook_failed"]
    assert (line["plugin"], line["hook"], line["error_type"]) == ("broken", "on_uploaded", "ValueError")
    assert "Doe" not in repr(lines)


# -- claims of other workers


def test_an_event_that_another_worker_has_in_hand_comes_back_when_its_lease_is_over() -> None:
    calls: list[str] = []
    bench = Bench(Plugin("plugin", on_uploaded=noting(calls, "done")))
    bench.effects.claim(bench.identity(UPLOADED), [("on_uploaded:plugin", "1.0")])
    outcome = bench.observe(UPLOADED)
    assert not outcome.finished
    assert outcome.busy_seconds == LEASE_SECONDS + SKEW_SECONDS
    bench.clock.pass_time(LEASE_SECONDS + SKEW_SECONDS + 1)
    assert bench.observe(UPLOADED).finished
    assert calls == ["done"]


def test_an_event_whose_claim_was_never_granted_is_not_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(Plugin("plugin", on_uploaded=noting([], "")))
    claim = bench.effects.claim

    def lose_every_race(identity: EventIdentity, effects: Any, **_: Any) -> Any:
        return claim(identity, [])

    monkeypatch.setattr(bench.effects, "claim", lose_every_race)
    assert not bench.observe(UPLOADED).finished


def test_a_worker_that_stalled_past_its_lease_records_nothing_and_its_siblings_run() -> None:
    calls: list[str] = []
    bench: Bench

    def stall(event: Event) -> None:
        bench.clock.pass_time(LEASE_SECONDS + SKEW_SECONDS + 1)
        bench.effects.claim(bench.identity(UPLOADED), [("on_uploaded:staller", "1.0")])

    bench = Bench(Plugin("staller", on_uploaded=stall), Plugin("z-sibling", on_uploaded=noting(calls, "ran")))
    outcome = bench.observe(UPLOADED)
    assert calls == ["ran"]
    assert bench.states(UPLOADED)["on_uploaded:staller"] == "in_progress"
    assert not outcome.finished
    assert not outcome.failure


def test_an_end_that_cannot_be_recorded_starves_nobody_and_is_claimable_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    bench = Bench(Plugin("a", on_uploaded=noting(calls, "a")), Plugin("b", on_uploaded=noting(calls, "b")))
    finish = bench.effects.finish

    def throttled(identity: EventIdentity, effect: str, *arguments: Any, **more: Any) -> None:
        if effect == "on_uploaded:a" and calls.count("a") == 1:
            raise aws_error("ThrottlingException")
        finish(identity, effect, *arguments, **more)

    monkeypatch.setattr(bench.effects, "finish", throttled)
    outcome = bench.observe(UPLOADED)
    assert outcome.waiting_seconds is not None
    assert calls == ["a", "b"]
    bench.clock.pass_time(SKEW_SECONDS + 1)
    assert bench.observe(UPLOADED).finished
    assert calls == ["a", "b", "a"]


def test_a_lease_lost_within_a_stage_is_no_failure() -> None:
    bench = Bench(Plugin("stage", on_uploaded=raising(LeaseLost("held by another worker"))))
    outcome = bench.observe(UPLOADED)
    assert not outcome.failure
    assert not outcome.finished


# -- plugins that killed their worker


def died(bench: Bench, effect: str, reason: str, times: int = 1) -> None:
    """A supervisor recorded that workers died in a call."""
    for _ in range(times):
        bench.effects.record_failure(bench.identity(UPLOADED), effect, reason, token="a dead worker's")


@pytest.mark.parametrize(("on_failure", "state"), [("reject", "rejected"), ("ignore", "ignored")])
def test_an_observer_that_was_killed_at_its_timeout_is_not_called_again(on_failure: str, state: str) -> None:
    calls: list[str] = []
    bench = Bench(Plugin("stuck", {"on_uploaded": policy(on_failure)}, on_uploaded=noting(calls, "called")))
    died(bench, "on_uploaded:stuck", PLUGIN_TIMEOUT)
    assert bench.observe(UPLOADED).finished
    assert calls == []
    assert bench.states(UPLOADED) == {"on_uploaded:stuck": state}


def test_an_observer_whose_policy_is_to_retry_runs_again_however_often_its_worker_died() -> None:
    calls: list[str] = []
    bench = Bench(Plugin("unlucky", on_uploaded=noting(calls, "called")))
    died(bench, "on_uploaded:unlucky", PLUGIN_CRASHED, times=10)
    assert bench.observe(UPLOADED).finished
    assert calls == ["called"]


def test_a_crash_counts_from_the_third_and_waiting_does_not_count_as_crashing() -> None:
    bench = Bench(
        Plugin("plugin", {"on_uploaded": policy("reject")}, on_uploaded=raising(RetryableError("down")))
    )
    for _ in range(10):
        bench.observe(UPLOADED)
    for _ in range(MAX_CRASHES - 1):
        died(bench, "on_uploaded:plugin", PLUGIN_CRASHED)
        assert bench.observe(UPLOADED).waiting_seconds is not None
    died(bench, "on_uploaded:plugin", PLUGIN_CRASHED)
    assert bench.observe(UPLOADED).rejection == Rejection(
        PLUGIN_CRASHED, "plugin: the plugin was stopped in this call"
    )


class Intake(Plugin):
    """An observer that screens and transforms, as the built-in one does."""

    def __init__(self) -> None:
        self.bench: Bench

        def on_uploaded(event: Event) -> None:
            rejection = self.bench.dispatcher.screen(image_instance())
            if rejection is not None:
                raise RejectedEvent(rejection.reason, rejection.explanation)
            self.bench.dispatcher.transform(image_instance())

        super().__init__("intake", on_uploaded=on_uploaded)


def with_intake(*plugins: Plugin) -> Bench:
    intake = Intake()
    intake.bench = Bench(intake, *plugins)
    return intake.bench


def test_a_screening_that_was_killed_at_its_timeout_rejects_on_redelivery() -> None:
    calls: list[str] = []

    def screen_instance(instance: Instance) -> None:
        calls.append("called")

    bench = with_intake(Plugin("stuck", screen_instance=screen_instance))
    died(bench, "screen_instance:stuck", PLUGIN_TIMEOUT)
    outcome = bench.observe(UPLOADED)
    assert outcome.rejection == Rejection(PLUGIN_TIMEOUT, "stuck: the plugin was stopped in this call")
    assert calls == []


def test_a_screening_whose_worker_was_killed_twice_by_something_else_runs_again() -> None:
    bench = with_intake(Plugin("unlucky", screen_instance=deciding(None)))
    died(bench, "screen_instance:unlucky", PLUGIN_CRASHED, times=2)
    assert bench.observe(UPLOADED).rejection is None
    died(bench, "screen_instance:unlucky", PLUGIN_CRASHED)
    assert bench.observe(UPLOADED.model_copy(update={"version_id": "v2"})).rejection is None


# -- screening and transforming


def test_the_first_rejection_counts_and_later_screenings_are_not_asked() -> None:
    asked: list[str] = []

    def screen_instance(instance: Instance) -> None:
        asked.append("later")

    bench = Bench(
        Plugin(
            "strict",
            {"screen_instance": policy("reject", 1, sees_phi=True)},
            screen_instance=deciding(Rejection("LOCALIZER", "no localizers")),
        ),
        Plugin("later", screen_instance=screen_instance),
    )
    assert bench.dispatcher.screen(image_instance()) == Rejection("LOCALIZER", "no localizers")
    assert asked == []


@pytest.mark.parametrize("answer", [ValueError("Doe^Jane"), "no", False])
def test_a_screening_that_fails_or_answers_nonsense_rejects(answer: object) -> None:
    bench = Bench(Plugin("broken", screen_instance=deciding(answer)))
    with pytest.raises(RejectedEvent) as caught:
        bench.dispatcher.screen(image_instance())
    assert caught.value.reason == PLUGIN_FAILED
    assert "broken" in caught.value.explanation
    assert "Doe" not in str(caught.value)


def test_a_screening_that_may_be_ignored_is() -> None:
    plugin = Plugin(
        "broken", {"screen_instance": policy("ignore", sees_phi=True)}, screen_instance=deciding(ValueError())
    )
    assert Bench(plugin).dispatcher.screen(image_instance()) is None


def test_an_unexpected_failure_under_the_policy_to_retry_counts_and_a_wait_does_not() -> None:
    policies = {"screen_instance": policy("retry", sees_phi=True)}
    broken = with_intake(Plugin("broken", policies, screen_instance=deciding(ValueError())))
    assert broken.observe(UPLOADED).failure
    with pytest.raises(PluginFailed, match="broken"):
        broken.dispatcher.screen(image_instance())
    waiting = with_intake(Plugin("waiting", policies, screen_instance=deciding(RetryableError("not yet"))))
    assert waiting.observe(UPLOADED).waiting_seconds is not None
    throttled = with_intake(Plugin("caller", screen_instance=deciding(aws_error("ThrottlingException"))))
    assert throttled.observe(UPLOADED).waiting_seconds is not None


def test_a_wrong_configuration_refuses_no_image() -> None:
    bench = with_intake(Plugin("deid", screen_instance=deciding(ConfigurationError("no secret"))))
    outcome = bench.observe(UPLOADED)
    assert outcome.rejection is None
    assert outcome.failure


def transforming(change: Callable[[Instance], Any]) -> Callable[..., Any]:
    def transform_instance(instance: Instance) -> Any:
        return change(instance)

    return transform_instance


def test_transformers_form_a_chain_in_order() -> None:
    def appending(text: bytes) -> Callable[..., Any]:
        return transforming(lambda instance: instance.with_content(instance.content + text))

    bench = Bench(
        Plugin(
            "a",
            {"transform_instance": policy("reject", 2, sees_phi=True)},
            transform_instance=appending(b"a"),
        ),
        Plugin(
            "b",
            {"transform_instance": policy("reject", 1, sees_phi=True)},
            transform_instance=appending(b"b"),
        ),
        Plugin("none", transform_instance=transforming(lambda instance: None)),
    )
    assert bench.dispatcher.transform(Instance(b"x")).content == b"xba"


def test_a_transformer_that_fails_or_hands_on_no_instance_rejects() -> None:
    def fail(instance: Instance) -> None:
        raise ValueError("Doe^Jane")

    for change in (fail, lambda instance: b"bytes"):
        bench = Bench(Plugin("broken", transform_instance=transforming(change)))
        with pytest.raises(RejectedEvent, match="PLUGIN_FAILED"):
            bench.dispatcher.transform(image_instance())


def test_a_transformer_that_may_not_see_phi_gets_only_what_is_deidentified() -> None:
    receipt = Receipt("deid", "digest", "key")
    blind = Plugin(
        "blind",
        {"transform_instance": policy("reject", 200)},
        transform_instance=transforming(lambda instance: instance),
    )
    deid = Plugin(
        "deid", transform_instance=transforming(lambda instance: instance.with_content(b"clean", receipt))
    )
    assert Bench(deid, blind).dispatcher.transform(image_instance()).content == b"clean"
    with pytest.raises(RejectedEvent, match="may not see PHI"):
        Bench(blind).dispatcher.transform(image_instance())


def test_the_deciders_that_ran_are_on_record_with_their_observer() -> None:
    bench = with_intake(Plugin("strict", screen_instance=deciding(None)))
    bench.observe(UPLOADED)
    end = bench.effects.ends[bench.identity(UPLOADED), "on_uploaded:intake"]
    assert end.calls == ("screen_instance:strict",)


# -- other deciders


def approving(answer: object) -> Callable[..., Any]:
    def approve_model(evaluation: Evaluation) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return approve_model


@pytest.mark.parametrize(
    ("answers", "decision"),
    [
        ([], "ask_human"),
        ([None], "ask_human"),
        ([None, Approval("approve", "good")], "approve"),
        ([Approval("reject", "poor"), Approval("approve", "good")], "reject"),
        ([ValueError(), Approval("approve", "good")], "ask_human"),
        (["approve", Approval("approve", "good")], "ask_human"),
    ],
)
def test_the_first_answer_on_a_model_counts_and_doubt_asks_a_human(
    answers: Sequence[object], decision: str
) -> None:
    bench = Bench(
        *(Plugin(f"p{index}", approve_model=approving(answer)) for index, answer in enumerate(answers))
    )
    assert bench.dispatcher.approve_model(EVALUATION).decision == decision


def test_destinations_of_all_plugins_are_joined() -> None:
    one, two = Destination("one", "ONE", "host", 104), Destination("two", "TWO", "host", 104)

    def naming(*answers: Destination) -> Callable[..., Any]:
        def destinations(event: Ingested) -> list[Destination]:
            return list(answers)

        return destinations

    def silent(event: Ingested) -> None:
        return None

    bench = Bench(
        Plugin("b", destinations=naming(two)),
        Plugin("a", destinations=naming(one)),
        Plugin("c", destinations=silent),
    )
    assert bench.dispatcher.destinations(INGESTED) == [one, two]


# -- what the supervisor hears


class RecordingWatch:
    """Keeps what a dispatcher reports."""

    def __init__(self) -> None:
        self.held: list[tuple[str, ...]] = []
        self.ahead: list[Holding] = []
        self.calls: list[tuple[str, float]] = []
        self.depth = 0

    def holding(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        self.held.append(tuple(effects))

    def holding_ahead(self, holdings: Sequence[Holding]) -> None:
        self.ahead += holdings

    @contextmanager
    def calling(self, effect: str, timeout_seconds: float) -> Iterator[None]:
        self.calls.append((effect, timeout_seconds))
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def filling(self, batch_id: str | None) -> None:
        raise AssertionError("a dispatcher fills no batch")


def test_the_supervisor_hears_of_each_claim_and_of_each_call() -> None:
    watch = RecordingWatch()
    bench = Bench(
        Plugin("a", on_uploaded=raising(ValueError())),
        Plugin(
            "b",
            {"on_uploaded": Policy(on_failure="retry", timeout_seconds=7)},
            on_uploaded=noting([], ""),
        ),
        watch=watch,
    )
    bench.observe(UPLOADED)
    assert watch.calls == [("on_uploaded:a", 60.0), ("on_uploaded:b", 7.0)]
    assert watch.depth == 0
    assert watch.held == [("on_uploaded:a", "on_uploaded:b")]


def test_the_heartbeat_renews_what_is_held_and_forgives_what_is_not() -> None:
    bench: Bench

    def slow(event: Event) -> None:
        for _ in range(10):
            bench.clock.pass_time(LEASE_SECONDS - 1)
            bench.dispatcher.renew()
        rival = bench.effects.claim(bench.identity(UPLOADED), [("on_uploaded:slow", "1.0")])
        assert not rival.granted

    bench = Bench(Plugin("slow", on_uploaded=slow))
    bench.dispatcher.renew()
    assert bench.observe(UPLOADED).finished
    bench.dispatcher.renew()
    assert bench.states(UPLOADED) == {"on_uploaded:slow": "done"}


def test_backoff_doubles_and_is_capped() -> None:
    attempts = (0, 1, 2, 3, 9, 10_000)
    longest = [2.0, 2.0, 4.0, 8.0, 300.0, 300.0]
    assert [backoff_seconds(each, lambda: 1.0) for each in attempts] == longest
    assert [backoff_seconds(each, lambda: 0.0) for each in attempts] == [each / 2 for each in longest]
    drawn = {backoff_seconds(9) for _ in range(50)}
    assert len(drawn) > 1
    assert all(150 <= each <= 300 for each in drawn)


# -- memory

GREEDY_MIB = 32


def devour(**_: Any) -> None:
    """Need far more memory than the policy allows, though not more than a machine has."""
    bytearray(GREEDY_MIB * 8 * 1024 * 1024)


@pytest.mark.parametrize(
    ("on_failure", "state"), [("reject", "rejected"), ("retry", "failed"), ("ignore", "ignored")]
)
def test_a_plugin_that_needs_too_much_memory_fails_by_its_policy_and_its_worker_is_worn_out(
    on_failure: str, state: str
) -> None:
    calls: list[str] = []
    limited = Policy(on_failure=on_failure, memory_mb=GREEDY_MIB)  # type: ignore[arg-type]
    bench = Bench(
        Plugin("greedy", {"on_uploaded": limited}, on_uploaded=lambda event: devour()),
        Plugin("z-sibling", on_uploaded=noting(calls, "sibling")),
    )
    assert not bench.dispatcher.worn_out
    bench.observe(UPLOADED)
    assert calls == ["sibling"]
    assert bench.states(UPLOADED)["on_uploaded:greedy"] == state
    assert bench.reasons(UPLOADED)["on_uploaded:greedy"] == (
        f"PLUGIN_MEMORY: greedy: the plugin needed more than its {GREEDY_MIB} MiB of memory"
    )
    assert bench.dispatcher.worn_out


def test_a_screening_plugin_that_needs_too_much_memory_refuses_the_instance() -> None:
    limited = Policy(on_failure="reject", memory_mb=GREEDY_MIB, sees_phi=True)
    bench = with_intake(
        Plugin("greedy", {"screen_instance": limited}, screen_instance=lambda instance: devour())
    )
    outcome = bench.observe(UPLOADED)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "PLUGIN_MEMORY"


def test_memory_within_the_limit_is_granted_and_limits_nest() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with memory_limit(256):
        outer = resource.getrlimit(resource.RLIMIT_AS)
        with memory_limit(16), pytest.raises(MemoryError):
            bytearray(64 * 1024 * 1024)
        assert resource.getrlimit(resource.RLIMIT_AS) == outer
        assert len(bytearray(64 * 1024 * 1024)) == 64 * 1024 * 1024
    assert resource.getrlimit(resource.RLIMIT_AS) == before
