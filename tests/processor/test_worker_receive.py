"""What a worker does with one receive: claims together, ends recorded together, messages deleted together."""

import json
import threading
import time
from pathlib import Path

import pytest
from support.in_memory_cloud.cloud import InMemoryCloud
from support.manual_clock import ManualClock
from support.processor_estate import SECRETS, SITE, ProcessorEstate
from support.simulated_processor import SupervisorProcess, WorkerProcess, World

from rayline.effects import EffectState, event_identity
from rayline.envelopes import parse_message
from rayline.events import Trained
from rayline.hashing import KeyedHash

LEASE_SECONDS = 60
SKEW_SECONDS = 20
EFFECT = "on_trained:rayline.trained"


class Receiving:
    """A queue in memory, and workers that take from it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.cloud = InMemoryCloud(self.clock)
        self.estate = ProcessorEstate(
            self.cloud,  # type: ignore[arg-type]
            folder,
            lease_seconds=LEASE_SECONDS,
            clock_skew_seconds=SKEW_SECONDS,
        )
        self.world = World(self.estate.settings, SECRETS, self.cloud.clients, self.clock)
        self.queue = self.cloud.sqs.queue(self.estate.settings.queue_url)

    def worker(self, name: str = "one") -> WorkerProcess:
        """A worker that has not polled yet."""
        return WorkerProcess(name, self.world)

    def send(self, *numbers: int) -> None:
        """Put the ends of training steps into the queue."""
        for number in numbers:
            self.estate.sqs.send_message(
                QueueUrl=self.estate.settings.queue_url, MessageBody=self.body(number)
            )

    def body(self, number: int) -> str:
        """One message."""
        return json.dumps(
            {
                "source": "aws.sagemaker",
                "detail-type": "SageMaker Model Building Pipeline Execution Step Status Change",
                "time": "2026-01-02T03:04:05Z",
                "detail": {
                    "pipelineExecutionArn": f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/{number}",
                    "stepName": "Train",
                    "currentStepStatus": "Succeeded",
                },
            }
        )

    def state(self, worker: WorkerProcess, number: int) -> EffectState | None:
        """What the ledger says of the built-in stage's effect."""
        event = parse_message(self.body(number), SITE)
        assert isinstance(event, Trained)
        identity = event_identity(event, KeyedHash.from_secrets(dict(SECRETS)))
        ledger = self.worker("reader").runtime.effects
        return ledger.states(identity).get(EFFECT)

    def executions(self) -> list[str]:
        """What the stage wrote."""
        return [item["pk"].rsplit("/", 1)[-1] for item in self.estate.tracked("execution")]


@pytest.fixture
def receiving(tmp_path: Path) -> Receiving:
    return Receiving(tmp_path)


def calls(worker: WorkerProcess) -> list[str]:
    """What the worker asked of AWS in one turn, without what it does between receives."""
    trace = [call.split(".", 1)[1].lower().replace("_", "") for call in worker.faults.trace]
    return trace[trace.index("receivemessage") :]


def test_a_full_receive_takes_four_requests(receiving: Receiving) -> None:
    receiving.send(*range(10))
    worker = receiving.worker()
    worker.turn()
    assert calls(worker) == [
        "receivemessage",
        "transactwriteitems",
        "transactwriteitems",
        "deletemessagebatch",
    ]
    for number in range(10):
        state = receiving.state(worker, number)
        assert state is not None
        assert (state.state, state.attempts) == ("done", 1)
    assert sorted(receiving.executions()) == [str(number) for number in range(10)]
    assert not receiving.queue.messages


def test_a_message_that_comes_alone_is_claimed_alone(receiving: Receiving) -> None:
    receiving.send(1)
    worker = receiving.worker()
    worker.turn()
    assert calls(worker) == ["receivemessage", "updateitem", "transactwriteitems", "deletemessagebatch"]


def test_an_event_that_comes_twice_in_a_receive_runs_once(receiving: Receiving) -> None:
    receiving.send(1, 2, 1)
    worker = receiving.worker()
    worker.turn()
    state = receiving.state(worker, 1)
    assert state is not None
    assert (state.state, state.attempts) == ("done", 1)
    assert not receiving.queue.messages


def test_an_event_that_is_known_does_not_keep_the_others_from_being_claimed_together(
    receiving: Receiving,
) -> None:
    receiving.send(1)
    receiving.worker("before").turn()
    receiving.send(0, 1, 2)
    worker = receiving.worker()
    worker.turn()
    assert calls(worker)[:3] == ["receivemessage", "transactwriteitems", "transactwriteitems"]
    assert calls(worker).count("updateitem") == 1  # the known one's own claim, which is not granted
    assert sorted(receiving.executions()) == ["0", "1", "2"]
    assert not receiving.queue.messages


def test_what_a_dead_worker_had_claimed_and_not_begun_was_never_tried(receiving: Receiving) -> None:
    receiving.send(1)
    receiving.worker("before").turn()
    receiving.send(1, 0, 2)
    worker = receiving.worker()
    # Dead in the claim of the first, which is known and so was not claimed ahead as the others were.
    worker.faults.plan(_call_number_of_claim(receiving, 1, 0, 2), "crash before")
    worker.turn()
    held = receiving.state(worker, 0)
    assert held is not None
    assert held.state == "in_progress"
    SupervisorProcess(receiving.world).bury(worker)
    assert [receiving.state(worker, number) for number in (0, 2)] == [None, None]
    assert sorted(each.received for each in receiving.queue.messages) == [0, 0, 1]
    receiving.worker("two").turn()
    for number in (0, 2):
        state = receiving.state(worker, number)
        assert state is not None
        assert (state.state, state.attempts, state.crashes) == ("done", 1, 0)
    assert not receiving.queue.messages


def test_what_ran_and_was_not_recorded_when_a_worker_died_runs_again(receiving: Receiving) -> None:
    receiving.send(*range(3))
    worker = receiving.worker()
    worker.faults.plan(_call_number(receiving, "transactwriteitems", 2), "crash before")
    worker.turn()
    assert worker.dead
    assert len(receiving.queue.messages) == 3
    SupervisorProcess(receiving.world).bury(worker)
    second = receiving.worker("two")
    for _ in range(3):
        second.turn()
    assert sorted(receiving.executions()) == ["0", "1", "2"]
    states = [receiving.state(worker, number) for number in range(3)]
    assert [each and (each.state, each.attempts) for each in states] == [("done", 2)] * 3
    assert not receiving.queue.messages


def _call_number(receiving: Receiving, operation: str, occurrence: int) -> int:
    """Which call of a worker's turn that is, counted in a world of its own with the same messages."""
    other = Receiving(receiving.estate.settings.site_profile.parent)
    other.send(*range(len(receiving.queue.messages)))
    worker = other.worker()
    worker.turn()
    names = [call.split(".", 1)[1].lower().replace("_", "") for call in worker.faults.trace]
    found = [index for index, name in enumerate(names) if name == operation]
    return found[occurrence - 1] + 1


def test_a_stop_gives_back_what_was_claimed_and_not_begun_as_if_it_had_not_been(receiving: Receiving) -> None:
    receiving.send(*range(3))
    worker = receiving.worker()
    # The stop comes while the three are claimed.
    number = _call_number(receiving, "transactwriteitems", 1)
    worker.faults.plan(number, "meanwhile", worker.worker.stop)
    worker.turn()
    assert not receiving.executions()
    assert [receiving.state(worker, each) for each in range(3)] == [None, None, None]
    assert [each.received for each in receiving.queue.messages] == [0, 0, 0]


def test_an_end_that_another_worker_was_first_to_record_deletes_no_message(receiving: Receiving) -> None:
    receiving.send(0, 1)
    worker = receiving.worker()
    other = receiving.worker("two")

    def overtake() -> None:
        """The first worker stalls so long that its leases and its messages' visibility run out."""
        receiving.clock.pass_time(LEASE_SECONDS + SKEW_SECONDS + 60)
        other.turn()

    worker.faults.plan(_call_number(receiving, "transactwriteitems", 2), "meanwhile", overtake)
    worker.turn()
    for number in (0, 1):
        state = receiving.state(worker, number)
        assert state is not None
        assert (state.state, state.attempts) == ("done", 2)
    # What the first could not record comes back once more, and finds its end.
    for _ in range(2):
        receiving.clock.pass_time(10)
        worker.turn()
    assert not receiving.queue.messages


def test_what_is_finished_is_settled_while_the_next_message_takes_long(receiving: Receiving) -> None:
    receiving.send(1)
    receiving.worker("before").turn()
    receiving.send(0, 1)
    worker = receiving.worker()
    settled = threading.Event()

    def wait_for_the_settler() -> None:
        """The second message's work goes on until the first is out of the queue."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not settled.is_set():
            if [each.body for each in receiving.queue.messages] == [receiving.body(1)]:
                settled.set()
            time.sleep(0.01)

    # Its first call: the claim of an event that is known, which is not made ahead.
    worker.faults.plan(_call_number_of_claim(receiving, 0, 1), "meanwhile", wait_for_the_settler)
    settler = threading.Thread(target=worker.worker._settle_in_time, daemon=True)
    settler.start()
    worker.turn()
    worker.worker._ended.set()
    worker.worker._unsettled.set()
    settler.join(30)
    assert not settler.is_alive()
    assert settled.is_set()
    assert sorted(receiving.executions()) == ["0", "1"]
    assert not receiving.queue.messages


def _call_number_of_claim(receiving: Receiving, *numbers: int) -> int:
    """Which call of a worker's turn claims a known event, 1, by itself, counted in a world of its own."""
    other = Receiving(receiving.estate.settings.site_profile.parent)
    other.send(1)
    other.worker("before").turn()
    other.send(*numbers)
    worker = other.worker()
    worker.turn()
    return [call.split(".", 1)[1] for call in worker.faults.trace].index("update_item") + 1


def test_the_heartbeat_keeps_what_is_claimed_ahead(receiving: Receiving) -> None:
    receiving.send(0, 1)
    worker = receiving.worker()
    dispatcher = worker.runtime.dispatcher
    events = []
    for number in (0, 1):
        event = parse_message(receiving.body(number), SITE)
        assert isinstance(event, Trained)
        events.append((number, event, event_identity(event, KeyedHash.from_secrets(dict(SECRETS)))))
    dispatcher.claim_ahead(events)
    receiving.clock.pass_time(LEASE_SECONDS - 1)
    dispatcher.renew()
    receiving.clock.pass_time(LEASE_SECONDS + SKEW_SECONDS - 1)
    other = receiving.worker("two")
    _, event, identity = events[1]
    assert other.runtime.dispatcher.observe(event, identity).busy_seconds is not None
    receiving.clock.pass_time(2)
    assert other.runtime.dispatcher.observe(event, identity).finished
    # The first comes back to it late: it does not run what another has done meanwhile.
    assert dispatcher.observe(event, identity).seen_before
    assert dispatcher.observe(events[0][1], events[0][2]).finished
