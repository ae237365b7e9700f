"""ingested: every file of a job is accounted for, by what the job's own manifests say."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.image_set_documents import image_set_document
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate, aws_error

from rayline.dispatcher import Outcome
from rayline.effects import event_identity
from rayline.events import Ingested, Uploaded
from rayline.imports import batch_key, file_key
from rayline.testing import ImageSpec, image_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE_SET = "a" * 32


class Importing:
    """One worker with a batch whose job has been started."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock, images: int = 2) -> None:
        self.estate = estate
        self.runtime = estate.runtime(clock)
        self.settings = estate.settings
        for number in range(images):
            self.take(image_content(ImageSpec(instance=number)), f"upload/{number}")
        self.runtime.services.batches.seal_current()
        (self.batch_id,) = estate.health_imaging.jobs
        self.instances = sorted(item["instance_id"] for item in estate.tracked("instance"))
        estate.health_imaging.metadata[IMAGE_SET, "1"] = image_set_document(IMAGE_SET)

    def take(self, content: bytes, key: str) -> Outcome:
        """Upload an object and deliver its event."""
        version = self.estate.upload(key, content)
        return self.observe(
            Uploaded(
                site=SITE,
                occurred_at=NOW,
                bucket=self.settings.uploads_bucket,
                key=key,
                version_id=version,
                size_bytes=len(content),
            )
        )

    def observe(self, event: Any) -> Outcome:
        """Deliver an event."""
        return self.runtime.dispatcher.observe(event, event_identity(event, self.runtime.services.keyed_hash))

    def key(self, index: int) -> str:
        """Key of one of the batch's files."""
        return file_key(self.batch_id, self.instances[index])

    def job_ends(
        self, imported: list[str], refused: dict[str, str], status: Any = "COMPLETED", job_id: str = "j" * 32
    ) -> Outcome:
        """Write a job's manifests, as HealthImaging does, and deliver its event."""
        folder = f"import-results/{self.settings.datastore_id}-DicomImport-{job_id}/"
        lines = {
            "SUCCESS/success.ndjson": [
                {"inputFile": key, "importResponse": {"imageSetId": IMAGE_SET}} for key in imported
            ],
            "FAILURE/failure.ndjson": [
                {"inputFile": key, "exception": {"exceptionType": kind, "message": "Doe^Jane"}}
                for key, kind in refused.items()
            ],
        }
        for name, documents in lines.items():
            self.estate.s3.put_object(
                Bucket=self.settings.imports_bucket,
                Key=folder + name,
                Body="".join(json.dumps(each) + "\n" for each in documents).encode(),
            )
        bucket = self.settings.imports_bucket
        return self.observe(
            Ingested(
                site=SITE,
                occurred_at=NOW,
                subject="import_job",
                datastore_id=self.settings.datastore_id,
                job_id=job_id,
                job_status=status,
                input_s3_uri=f"s3://{bucket}/imports/{self.batch_id}/",
                output_s3_uri=f"s3://{bucket}/{folder}",
            )
        )

    def stages(self) -> dict[str, str]:
        """Stage by instance of the first batch."""
        return {
            item["instance_id"]: item["stage"]
            for item in self.estate.tracked("instance")
            if item["instance_id"] in self.instances
        }

    def batch(self) -> Any:
        """The batch's item."""
        return self.runtime.services.ledger.item(batch_key(self.batch_id))


@pytest.fixture
def importing(estate: ProcessorEstate, clock: ManualClock) -> Importing:
    return Importing(estate, clock)


def test_what_a_job_imported_is_recorded_with_its_image_set(importing: Importing) -> None:
    assert importing.job_ends([importing.key(0), importing.key(1)], {}) == Outcome()
    items = importing.estate.tracked("instance")
    assert [(item["stage"], item["image_set_id"]) for item in items] == [("imported", IMAGE_SET)] * 2
    (image_set,) = importing.estate.tracked("image_set")
    assert (image_set["viewable"], image_set["version"], image_set["frames"]) == (True, 1, 1)
    batch = importing.batch()
    assert (batch["state"], batch["imported"], batch["refused"]) == ("accounted", 2, 0)


def test_a_completed_job_can_hold_refused_and_forgotten_files(importing: Importing) -> None:
    importing.job_ends([], {importing.key(0): "ValidationException"})
    assert set(importing.stages().values()) == {"quarantined"}
    records = {record["entry_id"]: record for record in importing.estate.quarantine_records()}
    first, second = (records[instance] for instance in importing.instances)
    assert (first["reason"], first["stage"]) == ("IMPORT_FAILED", "ingested")
    assert "ValidationException" in first["explanation"]
    assert "Doe" not in first["explanation"]
    assert second["reason"] == "IMPORT_RESULT_MISSING"
    assert importing.batch()["refused"] == 2


def test_a_failed_job_leaves_no_file_unaccounted_for(importing: Importing) -> None:
    importing.job_ends([], {}, status="FAILED")
    assert set(importing.stages().values()) == {"quarantined"}
    assert {record["reason"] for record in importing.estate.quarantine_records()} == {"IMPORT_FAILED"}


def test_an_image_that_healthimaging_refused_may_be_sent_again(importing: Importing) -> None:
    importing.job_ends([importing.key(1)], {importing.key(0): "InternalServerException"})
    for number in range(2):
        importing.take(image_content(ImageSpec(instance=number)), f"upload/again/{number}")
    again = [
        item["stage"]
        for item in importing.estate.tracked("instance")
        if item["instance_id"] not in importing.instances
    ]
    # The refused one is taken in anew; the imported one is known, and a duplicate.
    assert sorted(again) == ["batched", "duplicate"]


def test_a_jobs_event_is_accounted_for_once_however_often_and_in_which_order_it_comes(
    importing: Importing,
) -> None:
    ends = ([importing.key(0)], {importing.key(1): "ValidationException"})
    importing.job_ends(*ends)
    before = (importing.stages(), importing.batch()["state"], len(importing.estate.quarantine_records()))
    importing.job_ends(*ends)
    importing.job_ends(*ends, status="FAILED")
    assert before == (
        importing.stages(),
        importing.batch()["state"],
        len(importing.estate.quarantine_records()),
    )


def test_a_crash_after_any_step_is_made_good_by_the_redelivery(
    importing: Importing, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = ([importing.key(0)], {importing.key(1): "ValidationException"})
    services = importing.runtime.services
    for target, name in (
        (services.ledger, "record_image_sets"),
        (services.ledger, "mark_imported"),
        (services.quarantine, "keep"),
        (services.ledger, "import_refused_writes"),
        (services.batches, "mark_accounted"),
    ):
        with monkeypatch.context() as patch:
            real = getattr(target, name)

            def crash(*arguments: Any, real: Any = real, **more: Any) -> Any:
                real(*arguments, **more)
                raise aws_error("InternalServerError", 500)

            patch.setattr(target, name, crash)
            assert importing.job_ends(*ends).waiting_seconds is not None
        clock.pass_time(5)
    assert importing.job_ends(*ends).finished
    assert sorted(importing.stages().values()) == ["imported", "quarantined"]
    assert importing.batch()["state"] == "accounted"
    assert len(importing.estate.quarantine_records()) == 1


def test_a_file_that_is_in_no_ledger_takes_nothing_along(importing: Importing) -> None:
    stranger = file_key(importing.batch_id, "f" * 32)
    assert importing.job_ends([importing.key(0), stranger, importing.key(1)], {}).finished
    assert set(importing.stages().values()) == {"imported"}


def test_a_job_of_somebody_else_is_left_alone(importing: Importing) -> None:
    other = Ingested(
        site=SITE, occurred_at=NOW, subject="import_job", datastore_id=importing.settings.datastore_id,
        job_id="k" * 32, job_status="COMPLETED", input_s3_uri="s3://somewhere/else/",
        output_s3_uri="s3://somewhere/out/",
    )  # fmt: skip
    assert importing.observe(other) == Outcome()
    assert set(importing.stages().values()) == {"batched"}


def note(importing: Importing, version: int) -> Outcome:
    return importing.observe(
        Ingested(
            site=SITE,
            occurred_at=NOW,
            subject="image_set",
            datastore_id=importing.settings.datastore_id,
            image_set_id=IMAGE_SET,
            image_set_version=str(version),
            image_set_workflow_status="UPDATED",
        )
    )


def test_an_older_version_of_an_image_set_never_replaces_a_newer_one(importing: Importing) -> None:
    importing.job_ends([importing.key(0), importing.key(1)], {})
    for version in (3, 2):
        assert note(importing, version).finished
    (image_set,) = importing.estate.tracked("image_set")
    assert image_set["version"] == 3
    assert image_set["viewable"]


def test_an_image_set_that_cannot_be_read_yet_is_waited_for(
    importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(**_: Any) -> Any:
        raise aws_error("ConflictException", 409)

    with monkeypatch.context() as patch:
        patch.setattr(importing.estate.health_imaging, "get_image_set_metadata", conflict)
        assert importing.job_ends([importing.key(0)], {}).waiting_seconds is not None
    assert importing.job_ends([importing.key(0)], {}).finished
