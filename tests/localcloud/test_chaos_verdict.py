"""The chaos run's judgement sees each kind of trouble, and none where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rayline_local.chaos.inputs import Upload
from rayline_local.chaos.killer import Kill
from rayline_local.chaos.ledger_view import Ledger, LedgerInstance, count_effects
from rayline_local.chaos.pacs import Arrival
from rayline_local.chaos.receivers import (
    Execution,
    ImportedFile,
    ImportJob,
    QuarantineEntry,
    Receivers,
    StoredImage,
)
from rayline_local.chaos.summary import Summary
from rayline_local.chaos.verdict import Comparison, SentUpload, Verdict

MOMENT = "2026-11-21T14:00:10+00:00"
EPOCH = 1_795_269_610.0
KILLS = [
    Kill(1, "worker", 0, "any", 3, EPOCH - 20),
    Kill(2, "task", 1, "any", 1, EPOCH - 5),
    Kill(3, "worker", 0, "any", 2, EPOCH + 9),
]


def upload(name: str, refused_for: str | None = None, contests: str | None = None) -> SentUpload:
    return SentUpload(Upload(name, b"", name, None, refused_for, contests), EPOCH - 30)


@dataclass
class World:
    """A run that ended well: two files imported and forwarded, one refused, one training run."""

    sent: list[SentUpload] = field(
        default_factory=lambda: [upload("a"), upload("b"), upload("bad", "NOT_DICOM")]
    )
    receivers: Receivers = field(
        default_factory=lambda: Receivers(
            stored=[StoredImage("1.1", "set-a", "a"), StoredImage("1.2", "set-b", "b")],
            jobs=[ImportJob("job", "s3://imports/imports/batch/", MOMENT)],
            files=[ImportedFile("job", "id-a", "1.1", MOMENT), ImportedFile("job", "id-b", "1.2", MOMENT)],
            failed_files=frozenset(),
            quarantined=[QuarantineEntry("id-bad", ("bad",), ("NOT_DICOM",))],
            arrivals=[Arrival("1.1", "a", "x", EPOCH), Arrival("1.2", "b", "y", EPOCH)],
            executions=[Execution("arn:run", "s3://data/manifest.json", MOMENT)],
            packages={"run": ["arn:package"]},
        )
    )
    ledger: Ledger = field(
        default_factory=lambda: Ledger(
            instances={
                "id-a": LedgerInstance("id-a", "imported", "1.1", "set-a", "", "batch"),
                "id-b": LedgerInstance("id-b", "imported", "1.2", "set-b", "", "batch"),
                "id-bad": LedgerInstance("id-bad", "quarantined", reason="NOT_DICOM"),
            },
            batches={"batch": "accounted"},
            trainings=["arn:run"],
            evaluated=["arn:run"],
        )
    )

    def received(self, **changes: Any) -> None:
        self.receivers = replace(self.receivers, **changes)

    def recorded(self, **changes: Any) -> None:
        self.ledger = replace(self.ledger, **changes)

    def known(self, instance: LedgerInstance) -> None:
        self.recorded(instances={**self.ledger.instances, instance.instance_id: instance})

    def verdict(self) -> Verdict:
        return Comparison(self.sent, self.receivers, self.ledger, KILLS).verdict()


def troubles(world: World) -> set[tuple[str, str]]:
    return {(each.trouble, each.subject) for each in world.verdict().findings}


def test_a_run_that_ended_well_is_good() -> None:
    verdict = World().verdict()
    assert verdict.findings == []
    assert (verdict.instances, verdict.imported, verdict.quarantined, verdict.forwarded, verdict.resent) == (
        3,
        2,
        1,
        2,
        0,
    )
    assert Summary.of(verdict, kills=3, seconds=1.0, seed=1).good


def lose_an_import(world: World) -> None:
    kept, ledger = world.receivers, dict(world.ledger.instances)
    del ledger["id-b"]
    world.received(stored=kept.stored[:1], files=kept.files[:1], arrivals=kept.arrivals[:1])
    world.recorded(instances=ledger)


def forget_to_forward(world: World) -> None:
    world.received(arrivals=world.receivers.arrivals[:1])


def import_an_object_again(world: World) -> None:
    world.received(files=[*world.receivers.files, ImportedFile("job-2", "id-a", "1.1", MOMENT)])


def start_a_second_job(world: World) -> None:
    world.received(jobs=[*world.receivers.jobs, ImportJob("job-2", "s3://imports/imports/batch/", MOMENT)])


def store_a_pixel_twice(world: World) -> None:
    world.received(stored=[*world.receivers.stored, StoredImage("1.9", "set-c", "a")])


def change_the_mind_on_a_refusal(world: World) -> None:
    world.received(quarantined=[QuarantineEntry("id-bad", ("bad",), ("TRUNCATED", "NOT_DICOM"))])


def forward_something_else(world: World) -> None:
    world.received(arrivals=[*world.receivers.arrivals, Arrival("1.1", "a", "other", EPOCH)])


def train_twice(world: World) -> None:
    world.received(
        executions=[*world.receivers.executions, Execution("arn:second", "s3://data/manifest.json", MOMENT)]
    )
    world.recorded(trainings=["arn:run", "arn:second"], evaluated=["arn:run", "arn:second"])


def register_twice(world: World) -> None:
    world.received(packages={"run": ["arn:package", "arn:package-2"]})


def import_and_quarantine_one_upload(world: World) -> None:
    entries = [*world.receivers.quarantined, QuarantineEntry("id-a", ("a",), ("IMPORT_FAILED",))]
    world.received(quarantined=entries, failed_files=frozenset({"id-a"}))


def refuse_without_need(world: World) -> None:
    world.sent.append(upload("good"))
    world.received(
        quarantined=[*world.receivers.quarantined, QuarantineEntry("id-good", ("good",), ("PLUGIN_CRASHED",))]
    )
    world.known(LedgerInstance("id-good", "quarantined", reason="PLUGIN_CRASHED"))


def accept_what_is_broken(world: World) -> None:
    world.received(
        stored=[*world.receivers.stored, StoredImage("1.3", "set-d", "bad")],
        arrivals=[*world.receivers.arrivals, Arrival("1.3", "bad", "z", EPOCH)],
        quarantined=[],
    )
    world.known(LedgerInstance("id-bad", "imported", "1.3", "set-d"))


def hold_a_stranger(world: World) -> None:
    world.received(
        quarantined=[*world.receivers.quarantined, QuarantineEntry("id-x", ("x",), ("NOT_DICOM",))]
    )
    world.known(LedgerInstance("id-x", "quarantined", reason="NOT_DICOM"))


def leave_an_import_out_of_the_ledger(world: World) -> None:
    world.known(LedgerInstance("id-a", "batched", "1.1", "", "", "batch"))


def record_an_import_that_is_not(world: World) -> None:
    world.sent.append(upload("bad", "NOT_DICOM"))
    world.known(LedgerInstance("id-ghost", "imported", "1.7", "set-z"))


def record_another_reason(world: World) -> None:
    world.known(LedgerInstance("id-bad", "quarantined", reason="TRUNCATED"))


def leave_an_execution_unrecorded(world: World) -> None:
    world.recorded(trainings=[], evaluated=["arn:run"])


def leave_an_end_unrecorded(world: World) -> None:
    world.recorded(evaluated=[])


def leave_an_effect_open(world: World) -> None:
    world.recorded(open_effects={"on_ingested:pacs_forward waiting": 1})


def leave_a_batch_open(world: World) -> None:
    world.recorded(batches={"batch": "accounted", "other": "started"})


def leave_an_event_unsent(world: World) -> None:
    world.recorded(unsent=1)


def leave_a_message(world: World) -> None:
    world.recorded(messages=2)


def give_a_message_up(world: World) -> None:
    world.recorded(dead_letters=1)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lose_an_import, {("lost", "b"), ("unexplained", "ledger")}),
        (forget_to_forward, {("lost", "b")}),
        (import_an_object_again, {("duplicated", "id-a")}),
        (start_a_second_job, {("duplicated", "batch")}),
        (
            store_a_pixel_twice,
            {("duplicated", "a"), ("lost", "a"), ("unexplained", "a")},
        ),
        (change_the_mind_on_a_refusal, {("duplicated", "id-bad")}),
        (forward_something_else, {("duplicated", "a")}),
        (train_twice, {("duplicated", "arn:run")}),
        (register_twice, {("duplicated", "run")}),
        (import_and_quarantine_one_upload, {("duplicated", "a"), ("unexplained", "id-a")}),
        (refuse_without_need, {("unexplained", "good")}),
        (accept_what_is_broken, {("unexplained", "bad")}),
        (hold_a_stranger, {("unexplained", "x"), ("unexplained", "ledger")}),
        (leave_an_import_out_of_the_ledger, {("unexplained", "a"), ("unexplained", "id-a")}),
        (record_an_import_that_is_not, {("unexplained", "id-ghost")}),
        (record_another_reason, {("unexplained", "id-bad")}),
        (leave_an_execution_unrecorded, {("unexplained", "arn:run")}),
        (leave_an_end_unrecorded, {("unexplained", "arn:run")}),
        (leave_an_effect_open, {("unexplained", "ledger")}),
        (leave_a_batch_open, {("unexplained", "ledger")}),
        (leave_an_event_unsent, {("unexplained", "ledger")}),
        (leave_a_message, {("unexplained", "ledger")}),
        (give_a_message_up, {("unexplained", "ledger")}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_trouble_is_seen(harm: Callable[[World], None], expected: set[tuple[str, str]]) -> None:
    world = World()
    harm(world)
    assert troubles(world) == expected
    assert not Summary.of(world.verdict(), kills=3, seconds=1.0, seed=1).good


def test_a_second_copy_is_no_instance_and_causes_nothing() -> None:
    world = World()
    world.sent.append(upload("a"))
    world.known(LedgerInstance("id-a2", "duplicate"))
    assert world.verdict().findings == []
    assert world.verdict().instances == 3


def test_a_copy_may_be_imported_where_the_first_failed_in_its_job() -> None:
    world = World()
    world.sent.append(upload("a"))
    world.received(
        quarantined=[*world.receivers.quarantined, QuarantineEntry("id-a0", ("a",), ("IMPORT_FAILED",))],
        failed_files=frozenset({"id-a0"}),
    )
    world.known(LedgerInstance("id-a0", "quarantined", reason="IMPORT_FAILED", batch_id="batch"))
    assert world.verdict().findings == []
    assert (world.verdict().imported, world.verdict().quarantined) == (2, 1)


@pytest.mark.parametrize("batch_id", ["batch", "never-started", ""])
def test_an_import_failure_that_healthimaging_does_not_know_is_no_reason(batch_id: str) -> None:
    world = World()
    fail_to_import(world, batch_id)
    assert troubles(world) == {("unexplained", "c")}


def test_a_job_that_failed_as_a_whole_is_a_reason() -> None:
    world = World()
    fail_to_import(world, "failed-batch")
    failed = ImportJob("failed-job", "s3://imports/imports/failed-batch/", MOMENT)
    world.received(jobs=[*world.receivers.jobs, failed])
    assert world.verdict().findings == []


def fail_to_import(world: World, batch_id: str) -> None:
    world.sent.append(upload("c"))
    entry = QuarantineEntry("id-c", ("c",), ("IMPORT_FAILED",))
    world.received(quarantined=[*world.receivers.quarantined, entry])
    world.known(LedgerInstance("id-c", "quarantined", reason="IMPORT_FAILED", batch_id=batch_id))


def test_of_two_contents_with_one_uid_either_may_win() -> None:
    world = World()
    world.sent += [upload("late", contests="a")]
    world.received(
        stored=[StoredImage("1.1", "set-a", "late"), world.receivers.stored[1]],
        quarantined=[*world.receivers.quarantined, QuarantineEntry("id-a0", ("a",), ("UID_CONFLICT",))],
        arrivals=[Arrival("1.1", "late", "x", EPOCH), world.receivers.arrivals[1]],
    )
    world.known(LedgerInstance("id-a0", "quarantined", reason="UID_CONFLICT"))
    assert world.verdict().findings == []
    assert (world.verdict().imported, world.verdict().quarantined) == (2, 2)


def test_an_identical_second_send_is_resent_and_no_trouble() -> None:
    world = World()
    world.received(arrivals=[*world.receivers.arrivals, Arrival("1.1", "a", "x", EPOCH + 1)])
    verdict = world.verdict()
    assert (verdict.findings, verdict.resent, verdict.forwarded) == ([], 1, 2)


def test_a_finding_names_the_kill_before_it() -> None:
    world = World()
    import_an_object_again(world)
    (finding,) = world.verdict().findings
    assert finding.after_kill == 2


def test_what_is_left_open_can_be_written_down(tmp_path: Path) -> None:
    world = World()
    leave_an_effect_open(world)
    verdict = world.verdict()
    details = {"findings": [asdict(each) for each in verdict.findings], "ledger": asdict(world.ledger)}
    Summary.of(verdict, kills=3, seconds=1.0, seed=1).write(tmp_path, details)
    written = json.loads((tmp_path / "details.json").read_text())
    assert written["ledger"]["open_effects"] == {"on_ingested:pacs_forward waiting": 1}
    assert json.loads((tmp_path / "summary.json").read_text())["unexplained"] == 1


def test_effects_are_open_until_they_end_and_a_crash_mark_is_none() -> None:
    items = [
        {"pk": "a", "on_uploaded:x": {"state": "done"}, "on_ingested:y": {"state": "waiting"}},
        {"pk": "b", "on_uploaded:x": {"state": "in_progress"}, "screen_instance:x": {"state": "failed"}},
        {"pk": "c", "on_uploaded:x": {"state": "rejected"}, "on_rejected:z": {"state": "ignored"}},
    ]
    assert count_effects(items) == ({"on_ingested:y waiting": 1, "on_uploaded:x in_progress": 1}, 5)
