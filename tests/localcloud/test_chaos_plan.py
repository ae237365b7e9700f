"""A chaos run is decided by its seed, kills only what is at work, and loses no message by its own disorder."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import replace

import pytest
from support.local_cloud import LocalCloud

from rayline_local.chaos.disorder import DisorderlyQueue
from rayline_local.chaos.inputs import fingerprint
from rayline_local.chaos.killer import Killer
from rayline_local.chaos.plan import Disorder, Plan, make_plan, phases_of
from rayline_local.front.emulated_faults import EMULATED
from rayline_local.front.faults import FaultSwitches, RequestFaults
from rayline_local.healthimaging.service import HealthImagingFaults
from rayline_local.sagemaker.service import SageMakerFaults


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(11, 100)


def test_one_seed_gives_one_plan() -> None:
    assert make_plan(11, 40) == make_plan(11, 40) != make_plan(12, 40)


def test_a_plan_sends_so_many_different_contents_and_copies_on_top(plan: Plan) -> None:
    firsts = [each for each in plan.uploads if not each.copy]
    assert len(firsts) == len({each.fingerprint for each in firsts}) == 100
    copied = [each for each in plan.uploads if each.copy]
    assert copied
    sent = [each.fingerprint for each in plan.uploads]
    for each in copied:
        assert each.fingerprint == fingerprint(each.content)
        assert sent.count(each.fingerprint) == 2
    assert {each.refused_for for each in firsts if each.refused_for} >= {"NOT_DICOM", "TRUNCATED"}
    assert any(each.contests for each in firsts)


def test_copies_are_sent_with_their_first_or_later(plan: Plan) -> None:
    round_of = {each.fingerprint: one.number for one in plan.rounds for each in one.uploads if not each.copy}
    for one in plan.rounds:
        for each in one.uploads:
            assert not each.copy or round_of[each.fingerprint] <= one.number


def test_every_round_kills_and_every_kind_of_trouble_comes(plan: Plan) -> None:
    assert [one.number for one in plan.rounds] == list(range(1, 21))
    assert {one.victim for one in plan.rounds} >= {"worker", "supervisor"}
    assert [one.number for one in plan.rounds if one.trains] == [18, 19, 20]
    assert sum(one.verified for one in plan.rounds if one.trains) >= plan.verified
    phases = [each for seed in range(20) for each in phases_of(seed, 20).values()]
    assert {each.pacs for each in phases} == {"up", "down", "refuses", "breaks off", "stalls"}
    faults = FaultSwitches()
    faults.register("healthimaging", "aws.medical-imaging", HealthImagingFaults())
    faults.register("sagemaker", "aws.sagemaker", SageMakerFaults())
    for service in EMULATED:
        faults.register(service, None, RequestFaults())
    seen = set()
    for each in phases:
        faults.replace(each.faults)
        seen |= {name for name, value in faults.document()["healthimaging"].items() if value}
    counted_ones_left_out = {"fail_files"}
    assert seen == set(HealthImagingFaults.model_fields) - counted_ones_left_out


class IdleTask:
    """A task with one worker, that counts its kills."""

    def __init__(self) -> None:
        self.killed = 0

    def check(self) -> None:
        pass

    def workers(self) -> list[int]:
        return []

    def kill(self) -> None:
        self.killed += 1

    def kill_supervisor(self) -> None:
        self.killed += 1

    def start(self) -> None:
        pass


def test_a_kill_waits_for_its_work_and_strikes_only_while_effects_are_unfinished(plan: Plan) -> None:
    looks = iter([0, 0, 4, 0, 0, 0, 2, 3])
    asked: list[str] = []

    def unfinished(target: str) -> int:
        asked.append(target)
        return next(looks)

    task = IdleTask()
    killer = Killer([task, task], unfinished, wall_clock=lambda: 5.0)  # type: ignore[list-item]
    one = replace(plan.rounds[0], victim="supervisor", target="on_ingested", pause_seconds=0.0)
    kill = killer.strike(one)
    # At work (4), over by the time of the kill (0, 0), idle (0), at work (2), and effects still unfinished (3).
    assert asked == ["on_ingested"] * 3 + ["any"] + ["on_ingested"] * 3 + ["any"]
    assert (kill.target, kill.unfinished, task.killed) == ("on_ingested", 3, 1)


def test_where_nothing_is_under_way_work_is_made(plan: Plan) -> None:
    made: list[bool] = []
    task = IdleTask()
    killer = Killer(
        [task, task],  # type: ignore[list-item]
        lambda target: len(made) if target == "any" else 0,
        lambda: made.append(True),
        target_seconds=0.05,
    )
    kill = killer.strike(replace(plan.rounds[0], victim="supervisor", target="on_ingested", pause_seconds=0))
    assert (made, kill.target, kill.unfinished, task.killed) == ([True], "any", 1, 1)


def test_disorder_moves_and_doubles_messages_and_loses_none(local_cloud: LocalCloud) -> None:
    sqs = local_cloud.client("sqs")
    url = sqs.create_queue(QueueName=f"disorder-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    bodies = [f"message {number}" for number in range(40)]
    for body in bodies:
        sqs.send_message(
            QueueUrl=url,
            MessageBody=body,
            MessageAttributes={"reason": {"DataType": "String", "StringValue": body}},
        )
    queue = DisorderlyQueue(sqs, url, seed=1)
    queue.stir(Disorder(moved=30, doubled=0.5, remembered=5, latest_seconds=0))
    queue.stir(Disorder(moved=10, doubled=0, remembered=5, latest_seconds=0))
    found: list[str] = []
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        for message in messages:
            found.append(message["Body"])
            repeated = "MessageAttributes" not in message
            assert repeated or message["MessageAttributes"]["reason"]["StringValue"] == message["Body"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    counts = Counter(found)
    assert set(counts) == set(bodies)
    assert queue.moved == 40
    assert len(found) == 40 + queue.copies
    assert 5 + 8 <= queue.copies <= 5 + 22
    assert found != sorted(found, key=bodies.index)
