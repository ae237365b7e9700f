"""A study is complete once, when it has fallen quiet and its images are in; whatever is late, lost or repeated."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate, aws_error

from rayline.dynamodb import Item
from rayline.effects import event_identity
from rayline.events import Uploaded
from rayline.handler import DELETE, Disposition, MessageHandler
from rayline.instances import Stage
from rayline.reconciler import Reconciler
from rayline.reconciling.report import Gap, GapCode
from rayline.reminders import StudyDue, reminder_body
from rayline.studies import Studies
from rayline.testing import ImageSpec, image_content, image_instance

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUIET = 120.0
SOON = QUIET * 1.5


class Bus:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.down = False

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Take everything, or nothing."""
        if self.down:
            raise aws_error("ServiceUnavailable", 503)
        self.told += [
            json.loads(each["Detail"]) for each in Entries if each["DetailType"] == "StudyCompleted"
        ]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "x"} for _ in Entries]}


class Ward:
    """Workers that take the instances of one study in."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock, workers: int = 2) -> None:
        self.estate = estate
        self.clock = clock
        self.bus = Bus()
        estate.clients.__dict__["events"] = self.bus
        self.runtimes = [estate.runtime(clock, owner=f"worker-{number}") for number in range(workers)]
        self.handlers = [MessageHandler(each) for each in self.runtimes]
        self.study = str(image_instance(ImageSpec()).dataset.StudyInstanceUID)
        self.delays: list[int] = []
        self._listen()

    @property
    def studies(self) -> Studies:
        """Of the first worker."""
        return self.runtimes[0].services.studies

    def _listen(self) -> None:
        real = self.estate.clients.sqs.send_message

        def noting(**request: Any) -> Any:
            if "Study Due" in request["MessageBody"]:
                self.delays.append(request["DelaySeconds"])
            return real(**request)

        self.estate.clients.sqs.send_message = noting  # type: ignore[method-assign]

    def event(self, number: int, content: bytes | None = None) -> Uploaded:
        """Upload an instance of the study."""
        key = f"upload/{number}"
        content = content if content is not None else image_content(ImageSpec(instance=number))
        bucket = self.estate.settings.uploads_bucket
        return Uploaded(
            site=SITE, occurred_at=NOW, bucket=bucket, key=key, size_bytes=len(content),
            version_id=self.estate.upload(key, content),
        )  # fmt: skip

    def observe(self, event: Uploaded, worker: int = 0) -> bool:
        """Deliver an event to a worker. Returns whether it was finished."""
        runtime = self.runtimes[worker]
        return runtime.dispatcher.observe(event, event_identity(event, runtime.services.keyed_hash)).finished

    def take(self, number: int, worker: int = 0, content: bytes | None = None) -> None:
        """Take an instance in."""
        assert self.observe(self.event(number, content), worker)

    def import_all(self) -> None:
        """Let everything that is batched be imported."""
        self.runtimes[0].services.ledger.mark_imported(
            {
                item["instance_id"]: "a" * 32
                for item in self.estate.tracked("instance")
                if item["stage"] == "batched"
            }
        )

    def tick(self, worker: int = 0) -> Disposition:
        """Deliver a tick."""
        return self.handlers[worker].handle(
            reminder_body(StudyDue(site=SITE, study_instance_uid=self.study)), 1
        )

    def run_ticks(self, most: int = 50) -> int:
        """Let the tick come again until it has done its work. Returns how often it came."""
        for count in range(1, most + 1):
            disposition = self.tick()
            if disposition == DELETE:
                return count
            assert disposition.action == "postpone"
            self.clock.pass_time(min(900.0, disposition.seconds))
        raise AssertionError("the tick never ends")

    def forgotten(self) -> list[Gap]:
        """What the reconciler finds of studies, and repairs."""
        report = Reconciler(self.runtimes[1]).run(repair=True)
        return [gap for gap in report.gaps if gap.what is GapCode.STUDY_FORGOTTEN]

    def item(self) -> Item:
        """The study's item."""
        (item,) = self.estate.tracked("study")
        return item


@pytest.fixture
def ward(estate: ProcessorEstate, clock: ManualClock) -> Ward:
    return Ward(estate, clock)


def test_a_study_that_fell_quiet_is_complete_and_told_of_once(ward: Ward) -> None:
    for number in range(3):
        ward.take(number)
    assert ward.delays == [SOON]
    ward.import_all()
    ward.clock.pass_time(SOON)
    assert ward.tick() == DELETE
    (told,) = ward.bus.told
    assert (told["instances"], told["imported"], told["refused"], told["complete"]) == (3, 3, 0, True)
    assert (told["generation"], told["expected"]) == (1, None)
    assert ward.study not in json.dumps(told)
    assert told["studyKey"] == ward.runtimes[1].services.keyed_hash.of("study", ward.study)
    assert ward.item()["state"] == "complete"
    assert ward.tick(1) == DELETE
    assert len(ward.bus.told) == 1


def test_a_study_is_not_complete_while_either_worker_takes_instances(ward: Ward) -> None:
    ward.take(0, worker=0)
    for number in range(1, 7):
        ward.clock.pass_time(QUIET * 0.9)
        ward.take(number, worker=number % 2)
        ward.import_all()
        assert ward.tick().action == "postpone"
    assert ward.bus.told == []
    ward.clock.pass_time(QUIET * 1.5)
    ward.run_ticks()
    (told,) = ward.bus.told
    assert told["instances"] == 7


@pytest.mark.parametrize("after", [0.0, 0.3, 0.49, 0.51, 0.99])
def test_an_instance_that_the_memo_hides_is_still_a_quiet_period_before_completion(
    ward: Ward, after: float
) -> None:
    ward.take(0)
    ward.clock.pass_time(QUIET * after)
    ward.take(1)
    ward.import_all()
    ward.clock.pass_time(QUIET - 1)
    assert ward.tick().action == "postpone"
    assert ward.bus.told == []


def test_the_tick_waits_until_what_was_taken_in_is_imported(ward: Ward) -> None:
    ward.take(0)
    ward.clock.pass_time(SOON)
    assert ward.tick() == Disposition("postpone", QUIET)
    ward.clock.pass_time(QUIET)
    ward.import_all()
    assert ward.tick() == DELETE
    (told,) = ward.bus.told
    assert told["complete"] is True


def test_a_study_that_is_never_imported_is_told_of_as_incomplete_in_the_end(ward: Ward) -> None:
    ward.take(0)
    started = ward.clock.now
    ward.clock.pass_time(SOON)
    ward.run_ticks()
    (told,) = ward.bus.told
    assert (told["instances"], told["imported"], told["complete"]) == (1, 0, False)
    assert timedelta(seconds=QUIET * 10) <= ward.clock.now - started < timedelta(seconds=QUIET * 11.5)


def promising(number: int, count: str) -> bytes:
    """An instance whose header says how many the study has."""
    instance = image_instance(ImageSpec(instance=number))
    instance.dataset.add_new("NumberOfStudyRelatedInstances", "IS", count)
    return instance.with_dataset(instance.dataset).content


def test_promised_instances_are_waited_for(ward: Ward) -> None:
    ward.take(0, content=promising(0, "2"))
    ward.import_all()
    ward.clock.pass_time(SOON)
    assert ward.tick() == Disposition("postpone", QUIET)
    ward.clock.pass_time(QUIET * 4)
    ward.take(1, worker=1, content=promising(1, "2"))
    ward.import_all()
    ward.clock.pass_time(SOON)
    assert ward.tick() == DELETE
    (told,) = ward.bus.told
    assert (told["instances"], told["expected"], told["complete"], told["generation"]) == (2, 2, True, 1)


def test_promised_instances_that_never_come_are_waited_for_ten_quiet_periods(ward: Ward) -> None:
    ward.take(0, content=promising(0, "3"))
    ward.import_all()
    started = ward.clock.now
    ward.clock.pass_time(SOON)
    ward.run_ticks()
    assert timedelta(seconds=QUIET * 10) <= ward.clock.now - started < timedelta(seconds=QUIET * 11.5)
    (told,) = ward.bus.told
    assert (told["instances"], told["expected"], told["complete"]) == (1, 3, False)


@pytest.mark.parametrize("count", ["-1", "0", "99999999"])
def test_a_header_that_promises_nonsense_is_not_believed(ward: Ward, count: str) -> None:
    ward.take(0, content=promising(0, count))
    assert "expected" not in ward.item()


def test_a_late_instance_opens_the_study_again(ward: Ward) -> None:
    ward.take(0)
    ward.import_all()
    ward.clock.pass_time(SOON)
    ward.run_ticks()
    ward.clock.pass_time(3600)
    ward.take(1)
    assert ward.item()["state"] == "open"
    assert ward.delays == [SOON, SOON]
    ward.import_all()
    ward.clock.pass_time(SOON)
    ward.run_ticks()
    first, second = ward.bus.told
    assert [each["generation"] for each in (first, second)] == [1, 2]
    assert [each["instances"] for each in (first, second)] == [1, 2]
    assert first["id"] != second["id"]


def test_a_copy_of_a_known_instance_opens_nothing_that_is_told_of(ward: Ward) -> None:
    ward.take(0)
    ward.import_all()
    ward.clock.pass_time(SOON)
    ward.run_ticks()
    ward.clock.pass_time(3600)
    ward.take(7, content=image_content(ImageSpec(instance=0)))
    assert [item["stage"] for item in ward.estate.tracked("instance")].count(Stage.DUPLICATE) == 1
    ward.clock.pass_time(SOON)
    ward.run_ticks()
    assert ward.item()["state"] == "complete"
    assert len(ward.bus.told) == 1


def test_an_instance_that_was_refused_and_sent_again_counts_once(ward: Ward) -> None:
    ward.take(0)
    ledger = ward.runtimes[0].services.ledger
    (item,) = ward.estate.tracked("instance")
    ward.estate.clients.dynamodb.transact_write_items(
        TransactItems=ledger.import_refused_writes(item, "IMPORT_FAILED"),  # type: ignore[arg-type]
        ClientRequestToken="refused",
    )
    ward.take(1)
    ward.take(2, content=image_content(ImageSpec(instance=0)))
    ward.import_all()
    ward.clock.pass_time(SOON)
    ward.run_ticks()
    (told,) = ward.bus.told
    assert (told["instances"], told["imported"], told["refused"]) == (2, 2, 0)


def test_redelivered_ticks_tell_nothing_twice_and_end(ward: Ward) -> None:
    ward.take(0)
    ward.import_all()
    ward.clock.pass_time(SOON - 5)
    assert ward.tick(0) == ward.tick(1) == Disposition("postpone", 5.0)
    ward.clock.pass_time(5)
    assert ward.tick(0) == DELETE
    assert ward.tick(1) == DELETE
    assert len(ward.bus.told) == 1


def test_an_instance_that_arrives_while_the_tick_counts_keeps_the_study_open(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.take(0)
    ward.import_all()
    ward.clock.pass_time(SOON)
    count = ward.studies._count

    def counting(uid: str) -> Any:
        counts = count(uid)
        ward.take(1, worker=1)
        return counts

    with monkeypatch.context() as patch:
        patch.setattr(ward.studies, "_count", counting)
        assert ward.tick().action == "postpone"
    assert ward.bus.told == []
    ward.import_all()
    ward.run_ticks()
    (told,) = ward.bus.told
    assert told["instances"] == 2


def test_what_the_bus_did_not_take_is_told_later_though_the_study_opened_again(ward: Ward) -> None:
    ward.take(0)
    ward.import_all()
    ward.clock.pass_time(SOON)
    ward.bus.down = True
    ward.run_ticks()
    ward.take(1)
    ward.import_all()
    ward.clock.pass_time(SOON)
    assert ward.tick().action == "postpone"
    ward.bus.down = False
    assert ward.runtimes[0].services.outbox.drain(timedelta(seconds=30)) == 1
    ward.run_ticks()
    assert [each["generation"] for each in ward.bus.told] == [1, 2]
    assert "expires_at" not in ward.item()


# -- crashes


def test_a_crash_between_touch_and_tick_is_made_good_by_the_redelivery(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = ward.event(0)

    class Crash(BaseException):
        """The worker's end."""

    def crash(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(ward.studies, "remind", crash)
        with pytest.raises(Crash):
            ward.observe(event)
    assert ward.item()["state"] == "open"
    assert ward.delays == []
    # The other worker knows the study by then, and must not take a tick for granted.
    ward.take(1, worker=1)
    assert ward.delays == []
    ward.clock.pass_time(100)
    assert ward.observe(event, worker=1)
    assert ward.delays == [SOON]
    ward.import_all()
    ward.clock.pass_time(SOON)
    ward.run_ticks()
    assert [each["instances"] for each in ward.bus.told] == [2]


def test_many_instances_that_are_tried_again_send_one_tick_a_worker(ward: Ward) -> None:
    ward.take(0)
    for number in range(1, 6):
        ward.studies.touch(ward.study, None, in_doubt=True)
        ward.runtimes[1].services.studies.touch(ward.study, None, in_doubt=True)
        assert number
    assert ward.delays == [SOON, SOON]


def test_a_lost_tick_is_found_and_sent_again(ward: Ward) -> None:
    ward.take(0)
    ward.import_all()
    assert ward.forgotten() == []
    ward.clock.pass_time(SOON + 60)
    assert ward.forgotten() == []  # the queue may have a backlog
    ward.clock.pass_time(600)
    (gap,) = ward.forgotten()
    assert gap.subject_hash == ward.studies.study_hash(ward.study)
    assert gap.repaired
    assert ward.delays == [SOON, 0]
    assert ward.tick() == DELETE
    assert ward.forgotten() == []
    assert len(ward.bus.told) == 1


def test_a_lost_tick_is_sent_again_by_the_next_touch(ward: Ward) -> None:
    ward.take(0)
    ward.clock.pass_time(SOON + QUIET + ward.estate.settings.visibility_seconds + 1)
    ward.take(1)
    assert ward.delays == [SOON, SOON]


def test_a_study_that_waits_with_a_living_tick_is_not_overdue(ward: Ward) -> None:
    ward.take(0, content=promising(0, "9"))
    ward.import_all()
    ward.clock.pass_time(SOON)
    for _ in range(6):
        disposition = ward.tick()
        assert disposition.action == "postpone"
        ward.clock.pass_time(disposition.seconds)
        assert ward.studies.overdue(ward.clock.now - timedelta(seconds=1)) == []


# -- no item is hammered


def test_touches_are_bounded_by_workers_and_time_and_not_by_instances(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamodb = ward.estate.clients.dynamodb
    real = dynamodb.update_item
    touches = []

    def counting(**request: Any) -> Any:
        if request["Key"]["pk"]["S"].startswith("STUDY#"):
            touches.append(ward.clock.now)
        return real(**request)

    monkeypatch.setattr(dynamodb, "update_item", counting)
    lasts = 600.0
    instances = 2_000
    for number in range(instances):
        for runtime in ward.runtimes:
            runtime.services.studies.touch(ward.study, 2 * instances, in_doubt=False)
        ward.clock.pass_time(lasts / instances)
        assert number < instances
    assert len(touches) <= len(ward.runtimes) * (lasts / (QUIET / 2) + 1)
    assert len(touches) >= lasts / (QUIET / 2)


def test_a_quiet_period_longer_than_any_delay_of_a_message_is_waited_for_in_hops(
    estate: ProcessorEstate, clock: ManualClock
) -> None:
    slow = estate.settings.model_copy(update={"study_quiet_seconds": 3600.0})
    estate.settings = slow
    ward = Ward(estate, clock, workers=1)
    ward.take(0)
    ward.import_all()
    assert ward.delays == [900]
    started = clock.now
    clock.pass_time(900)
    assert ward.run_ticks() == 6
    assert clock.now - started == timedelta(seconds=5400)
    assert len(ward.bus.told) == 1
