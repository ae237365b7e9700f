"""A file that HealthImaging refused goes into a batch again once it is released, and only such a file does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.crashing_clients import Crash, Fuse, crashing
from support.in_memory_cloud.cloud import InMemoryCloud
from support.manual_clock import ManualClock
from support.processor_estate import SECRETS, SITE, ProcessorEstate
from support.quarantined_site import QuarantinedSite

from rayline.envelopes import message_body
from rayline.events import Ingested
from rayline.handler import MessageHandler
from rayline.imports import instance_id_of
from rayline.quarantining.entries import Selection
from rayline.reminders import ImportAgain, reminder_body
from rayline.runtime import build_runtime
from rayline.testing import ImageSpec, image_content
from rayline.watch import Unwatched


class Refusing(QuarantinedSite):
    """A site whose HealthImaging refuses files."""

    def seal(self) -> str:
        """Start the open batch's job. Returns the batch's id."""
        self.runtime.services.batches.seal_current()
        return self.estate.health_imaging.starts[-1]

    def job_ends(self, batch_id: str, refused: dict[str, str]) -> None:
        """End a batch's job, whose failure manifest names some files."""
        settings = self.estate.settings
        job = self.estate.health_imaging.jobs[batch_id]
        folder = f"import-results/job-{job['jobId']}/"
        for name, lines in (
            ("SUCCESS/success.ndjson", []),
            (
                "FAILURE/failure.ndjson",
                [
                    {"inputFile": f"imports/{batch_id}/{each}.dcm", "exception": {"exceptionType": kind}}
                    for each, kind in refused.items()
                ],
            ),
        ):
            body = "".join(json.dumps(line) + "\n" for line in lines).encode()
            self.estate.s3.put_object(Bucket=settings.imports_bucket, Key=folder + name, Body=body)
        event = Ingested(
            site=SITE, occurred_at=self.clock(), subject="import_job", datastore_id=settings.datastore_id,
            job_id=job["jobId"], job_status="COMPLETED",
            input_s3_uri=f"s3://{settings.imports_bucket}/imports/{batch_id}/",
            output_s3_uri=f"s3://{settings.imports_bucket}/{folder}",
        )  # fmt: skip
        assert self.handler.handle(message_body(event), 1).action == "delete"

    def refuse_import(self, content: bytes, name: str = "a") -> str:
        """Take a file in and have HealthImaging refuse it. Returns its id."""
        entry_id = self.send(content, name)
        self.job_ends(self.seal(), {entry_id: "ValidationException"})
        assert self.stage_of(entry_id) == "quarantined"
        self.estate.messages()
        return entry_id

    def reminders(self) -> list[str]:
        """What was sent to the processor, without what looks after batches and studies."""
        return [body for body in self.estate.messages() if "Import Again" in body]

    def batched(self, batch_id: str) -> dict[str, bytes]:
        """Files of a batch."""
        bucket = self.estate.settings.imports_bucket
        return {
            instance_id_of(key): self.estate.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in self.estate.keys(bucket, f"imports/{batch_id}/")
        }  # fmt: skip


@pytest.fixture
def site(estate: ProcessorEstate, clock: ManualClock) -> Refusing:
    return Refusing(estate, clock)


def test_a_refused_file_is_listed_with_the_study_as_it_was_received(site: Refusing) -> None:
    entry_id = site.refuse_import(image_content())
    truncated = site.send(image_content(ImageSpec(instance=2))[:-10], "b")
    by_id = {each.entry_id: each for each in site.listed()}
    assert by_id[entry_id].reason == "IMPORT_FAILED"
    assert by_id[entry_id].study == by_id[truncated].study != ""
    assert by_id[entry_id].series == by_id[truncated].series != ""


def test_a_released_file_goes_into_a_new_batch_and_is_tracked_there(
    site: Refusing, clock: ManualClock
) -> None:
    content = image_content()
    entry_id = site.refuse_import(content)
    clock.pass_time(3600)
    site.triage.emptying.release(entry_id, "anna")
    (body,) = site.reminders()
    assert [each.entry_id for each in site.listed()] == [entry_id]  # until the processor has it
    assert site.handler.handle(body, 1).action == "delete"
    assert site.listed() == []
    assert site.stage_of(entry_id) == "batched"
    item = site.runtime.services.ledger.instance(entry_id)
    assert item is not None
    assert "quarantined_site" not in item
    assert "reason" not in item
    batch_id = site.seal()
    assert batch_id == item["batch_id"]
    assert site.batched(batch_id) == {entry_id: content}
    # The UID is held again: the same file is a duplicate, and no second import.
    duplicate = site.send(content, "again")
    assert site.stage_of(duplicate) == "duplicate"
    assert site.handler.handle(body, 1).action == "delete"  # a second reminder
    assert site.batched(batch_id) == {entry_id: content}


def test_a_file_that_is_refused_once_more_comes_back_and_is_released_once_more(
    site: Refusing, clock: ManualClock
) -> None:
    entry_id = site.refuse_import(image_content())
    first = site.listed()
    clock.pass_time(3600)
    site.triage.emptying.release(entry_id, "anna")
    (body,) = site.reminders()
    site.handler.handle(body, 1)
    site.job_ends(site.seal(), {entry_id: "ValidationException"})
    (again,) = site.listed()
    assert again.quarantined_at > first[0].quarantined_at
    site.estate.messages()
    site.handler.handle(body, 1)  # the reminder of the first release comes late
    assert site.listed() == [again]
    assert site.stage_of(entry_id) == "quarantined"
    site.triage.emptying.release(entry_id, "anna")
    (second,) = site.reminders()
    site.handler.handle(second, 1)
    assert site.stage_of(entry_id) == "batched"


def test_a_file_that_was_sent_again_meanwhile_is_a_duplicate(site: Refusing) -> None:
    content = image_content()
    entry_id = site.refuse_import(content)
    sent = site.send(content, "again")
    assert site.stage_of(sent) == "batched"
    site.triage.emptying.release(entry_id, "anna")
    (body,) = site.reminders()
    site.handler.handle(body, 1)
    assert (site.stage_of(entry_id), site.stage_of(sent)) == ("duplicate", "batched")
    assert site.listed() == []
    assert set(site.batched(site.seal())) == {sent}


def test_a_file_whose_uid_went_to_another_image_stays_and_says_so(site: Refusing, clock: ManualClock) -> None:
    entry_id = site.refuse_import(image_content())
    site.send(image_content(ImageSpec(pixel=9)), "other")
    clock.pass_time(60)
    site.triage.emptying.release(entry_id, "anna")
    (body,) = site.reminders()
    site.handler.handle(body, 1)
    (entry,) = site.listed()
    assert (entry.entry_id, entry.reason) == (entry_id, "UID_CONFLICT")
    item = site.runtime.services.ledger.instance(entry_id)
    assert item is not None
    assert (item["stage"], item["reason"]) == ("quarantined", "UID_CONFLICT")


@pytest.mark.parametrize("what", ["an upload", "nothing", "another time", "no instance"])
def test_a_reminder_alone_imports_nothing(site: Refusing, what: str) -> None:
    entry_id = site.refuse_import(image_content())
    (entry,) = site.listed()
    again = ImportAgain(site=SITE, entry_id=entry_id, quarantined_at=entry.quarantined_at)
    match what:
        case "an upload":
            refused = site.send(image_content(ImageSpec(instance=2))[:-10], "b")
            (other,) = site.triage.entries(Selection(reason="TRUNCATED"))
            again = ImportAgain(site=SITE, entry_id=refused, quarantined_at=other.quarantined_at)
        case "nothing":
            again = again.model_copy(update={"entry_id": "0" * 32})
        case "another time":
            again = again.model_copy(update={"quarantined_at": "2020-01-01T00:00:00.000000Z"})
        case "no instance":
            kept: dict[str, Any] = {"stage": "ingested", "reason": "IMPORT_FAILED", "explanation": "x"}
            record = site.quarantine.keep("f" * 32, image_content(), **kept)
            again = ImportAgain(site=SITE, entry_id="f" * 32, quarantined_at=record.quarantined_at)
    before = site.listed()
    assert site.handler.handle(reminder_body(again), 1).action == "delete"
    assert site.listed() == before
    assert site.estate.tracked("batch")[-1]["state"] != "open" or len(site.estate.tracked("batch")) == 1


def test_what_has_no_receipt_is_not_imported_where_the_site_wants_one(
    estate: ProcessorEstate, clock: ManualClock
) -> None:
    site = Refusing(estate, clock)
    entry_id = site.refuse_import(image_content())  # as received: the profile said identity: original
    estate.settings.site_profile.write_text("plugins: [{name: deid}]")
    strict = Refusing(estate, clock)
    strict.triage.emptying.release(entry_id, "anna")
    (body,) = strict.reminders()
    assert strict.handler.handle(body, 1).action == "delete"
    assert strict.stage_of(entry_id) == "quarantined"
    assert len(strict.listed()) == 1


def test_a_batch_that_was_sealed_meanwhile_is_no_loss(
    site: Refusing, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_id = site.refuse_import(image_content())
    site.triage.emptying.release(entry_id, "anna")
    (body,) = site.reminders()
    batches = site.runtime.services.batches
    store = batches.store
    rescuer = site.estate.runtime(clock, owner="rescuer").services.batches

    def stall(instance_id: str, content: Any) -> str:
        batch_id = store(instance_id, content)
        clock.pass_time(81)
        rescuer.look_after(batch_id)
        monkeypatch.setattr(batches, "store", store)
        return batch_id

    monkeypatch.setattr(batches, "store", stall)
    assert site.handler.handle(body, 1).action == "postpone"
    assert site.stage_of(entry_id) == "quarantined"
    assert site.handler.handle(body, 1).action == "delete"
    assert site.stage_of(entry_id) == "batched"
    assert set(site.batched(site.seal())) == {entry_id}


def crashes() -> Iterator[int]:
    """Every call that a worker may die before."""
    yield from range(1, 40)


def test_a_crash_anywhere_neither_loses_the_file_nor_imports_it_twice(
    clock: ManualClock, tmp_path: Any
) -> None:
    for at_call in crashes():
        site = Refusing(ProcessorEstate(InMemoryCloud(clock), tmp_path), clock)
        entry_id = site.refuse_import(image_content())
        site.triage.emptying.release(entry_id, "anna")
        (body,) = site.reminders()
        fuse = Fuse(at_call)
        dying = MessageHandler(
            build_runtime(
                site.estate.settings, SECRETS, clients=crashing(site.estate.clients, fuse), watch=Unwatched(),
                owner="dying", clock=clock,
            )
        )  # fmt: skip
        try:
            dying.handle(body, 1)
        except Crash:
            site.handler.handle(body, 1)
        died = fuse.blown
        assert site.stage_of(entry_id) == "batched", f"after call {at_call}"
        assert site.listed() == [], f"after call {at_call}"
        clock.pass_time(3600)
        for item in site.estate.tracked("batch"):
            site.runtime.services.batches.look_after(item["batch_id"])
        holding = [each for each in site.estate.health_imaging.starts[1:] if site.batched(each)]
        assert len(holding) == 1, f"after call {at_call}"
        if not died:
            assert at_call > 8
            return
    raise AssertionError("handling the reminder takes more calls than were tried")
