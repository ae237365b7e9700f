"""What other systems are told: once for what happened, with the state that it announces, and nothing of a patient."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer
from support.image_set_documents import image_set_document
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate, aws_error
from typer.testing import CliRunner

from rayline.cli import events as events_verbs
from rayline.dispatcher import Outcome
from rayline.effects import event_identity
from rayline.events import Evaluated, Event, Ingested, Uploaded
from rayline.imports import file_key
from rayline.notifications import NOTIFICATIONS, ImageIngested, ImageRejected, ModelApproved, outbox_entries
from rayline.outbox import Outbox
from rayline.plugin import Approval
from rayline.runtime import Runtime
from rayline.testing import ImageSpec, image_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGE = timedelta(seconds=30)
EXECUTION = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/training/execution/abc"
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/pneumonia/1"


class Bus:
    """The custom bus: keeps what it takes, and refuses what a test says."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.refuse: set[int] = set()
        self.down = False
        self._seen = 0

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Answer 200 with failed entries, as AWS does; `refuse` numbers the details that are put, from 0."""
        if self.down:
            raise aws_error("ServiceUnavailable", 503)
        answers = []
        for entry in Entries:
            if self._seen in self.refuse:
                answers.append({"ErrorCode": "InternalFailure", "ErrorMessage": "sorry"})
            else:
                assert entry["Source"] == "rayline.processor"
                self.told.append({"type": entry["DetailType"], **json.loads(entry["Detail"])})
                answers.append({"EventId": "x"})
            self._seen += 1
        return {"FailedEntryCount": sum("ErrorCode" in each for each in answers), "Entries": answers}


class Site:
    """One worker, with a bus that listens."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock) -> None:
        self.estate = estate
        self.bus = Bus()
        estate.clients.__dict__["events"] = self.bus
        self.runtime: Runtime = estate.runtime(clock)
        self.outbox: Outbox = self.runtime.services.outbox

    def observe(self, event: Event) -> Outcome:
        """Deliver an event."""
        return self.runtime.dispatcher.observe(event, event_identity(event, self.runtime.services.keyed_hash))

    def take(self, content: bytes, key: str = "upload/DOE^JANE") -> Uploaded:
        """Upload an object and deliver its event."""
        bucket = self.estate.settings.uploads_bucket
        event = Uploaded(
            site=SITE, occurred_at=NOW, bucket=bucket, key=key, size_bytes=len(content),
            version_id=self.estate.upload(key, content),
        )  # fmt: skip
        self.observe(event)
        return event

    def job_ends(self, refused: int = 0) -> Ingested:
        """Seal the batch and let its job import all files but some, each into an image set of its own."""
        self.runtime.services.batches.seal_current()
        (batch_id,) = self.estate.health_imaging.jobs
        bucket = self.estate.settings.imports_bucket
        instances = sorted(
            item["instance_id"] for item in self.estate.tracked("instance") if item["stage"] == "batched"
        )
        keys = [file_key(batch_id, each) for each in instances]
        lines = []
        for number, key in enumerate(keys[refused:]):
            image_set = f"{number:032x}"
            self.estate.health_imaging.metadata[image_set, "1"] = image_set_document(image_set)
            lines.append({"inputFile": key, "importResponse": {"imageSetId": image_set}})
        self.estate.s3.put_object(
            Bucket=bucket, Key="import-results/job/SUCCESS/success.ndjson",
            Body="".join(json.dumps(each) + "\n" for each in lines).encode(),
        )  # fmt: skip
        event = Ingested(
            site=SITE, occurred_at=NOW, subject="import_job", datastore_id=self.estate.settings.datastore_id,
            job_id="j" * 32, job_status="COMPLETED", input_s3_uri=f"s3://{bucket}/imports/{batch_id}/",
            output_s3_uri=f"s3://{bucket}/import-results/job/",
        )  # fmt: skip
        self.observe(event)
        return event

    def waiting(self) -> int:
        """Entries that have not left."""
        items = [*self.estate.tracked("outbox"), *self.estate.tracked("instance")]
        return sum("outbox_shard" in item for item in items)


class ItemWrites:
    """Counts the items that a DynamoDB client writes, as AWS bills them: conditions that are checked are not writes."""

    def __init__(self, dynamodb: Any, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for name in ("put_item", "update_item", "delete_item"):
            patch.setattr(dynamodb, name, self._counting(getattr(dynamodb, name), lambda _: 1))
        patch.setattr(
            dynamodb, "transact_write_items",
            self._counting(
                dynamodb.transact_write_items,
                lambda request: sum("ConditionCheck" not in item for item in request["TransactItems"]),
            ),
        )  # fmt: skip
        patch.setattr(
            dynamodb, "batch_write_item",
            self._counting(
                dynamodb.batch_write_item,
                lambda request: sum(map(len, request["RequestItems"].values())),
            ),
        )  # fmt: skip

    def _counting(self, act: Any, size: Any) -> Any:
        def counted(**request: Any) -> Any:
            self.count += size(request)
            return act(**request)

        return counted


@pytest.fixture
def at_site(estate: ProcessorEstate, clock: ManualClock) -> Site:
    return Site(estate, clock)


def test_each_image_set_of_a_job_is_told_of_and_by_one_outbox_entry(at_site: Site) -> None:
    for number in range(12):
        at_site.take(image_content(ImageSpec(instance=number)), f"upload/{number}")
    event = at_site.job_ends()
    told = [
        ImageIngested.model_validate({k: v for k, v in each.items() if k != "type"})
        for each in at_site.bus.told
    ]
    assert [each.image_set_id for each in told] == [f"{number:032x}" for number in range(12)]
    assert {(each.job_id, each.image_set_version, each.modality, each.frames) for each in told} == {
        (event.job_id, "1", "DX", 1)
    }
    assert len({each.id for each in told}) == 12
    assert len(at_site.estate.tracked("outbox")) == 1
    at_site.observe(event)
    assert len(at_site.bus.told) == 12


def test_what_healthimaging_refused_is_told_of_with_its_quarantine_entry(at_site: Site) -> None:
    for number in range(3):
        at_site.take(image_content(ImageSpec(instance=number)), f"upload/{number}")
    at_site.job_ends(refused=2)
    assert Counter(each["type"] for each in at_site.bus.told) == {"ImageIngested": 1, "ImageRejected": 2}
    refused = [each for each in at_site.bus.told if each["type"] == "ImageRejected"]
    assert {(each["stage"], each["reason"]) for each in refused} == {("ingested", "IMPORT_RESULT_MISSING")}
    assert {each["entryId"] for each in refused} == {
        record["entry_id"] for record in at_site.estate.quarantine_records()
    }


def test_a_refused_upload_is_told_of_once_and_says_nothing_of_the_patient(at_site: Site) -> None:
    event = at_site.take(b"no image, Doe^Jane")
    at_site.observe(event)
    (told,) = at_site.bus.told
    assert (told["type"], told["stage"], told["reason"]) == ("ImageRejected", "uploaded", "NOT_DICOM")
    (record,) = at_site.estate.quarantine_records()
    assert told["entryId"] == record["entry_id"]
    assert "DOE" not in json.dumps(told).upper()
    (item,) = at_site.estate.tracked("instance")
    assert "expires_at" not in item
    assert "details" not in item
    assert at_site.waiting() == 0


def test_a_refused_upload_is_told_of_though_the_bus_was_down(at_site: Site, clock: ManualClock) -> None:
    at_site.bus.down = True
    event = at_site.take(b"no image")
    assert at_site.waiting() == 1
    at_site.bus.down = False
    clock.pass_time(31)
    assert at_site.outbox.drain(AGE) == 1
    (told,) = at_site.bus.told
    assert told["type"] == "ImageRejected"
    (item,) = at_site.estate.tracked("instance")
    assert (item["stage"], "expires_at" in item) == ("quarantined", False)
    assert at_site.outbox.drain(AGE) == 0
    assert at_site.observe(event).finished


def test_of_an_entry_that_was_taken_in_part_only_the_rest_is_sent_again(
    at_site: Site, clock: ManualClock
) -> None:
    for number in range(12):
        at_site.take(image_content(ImageSpec(instance=number)), f"upload/{number}")
    at_site.bus.refuse = {0, 7, 11}
    at_site.job_ends()
    assert len(at_site.bus.told) == 9
    assert at_site.waiting() == 1
    clock.pass_time(31)
    at_site.bus.refuse = {12}  # the first of those that are sent again
    assert at_site.outbox.drain(AGE) == 0
    assert at_site.outbox.drain(AGE) == 1
    assert Counter(each["imageSetId"] for each in at_site.bus.told) == Counter(
        f"{number:032x}" for number in range(12)
    )
    assert at_site.waiting() == 0


def test_two_workers_that_drain_the_same_entry_bring_nothing_back(
    at_site: Site, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        at_site.take(image_content(ImageSpec(instance=number)), f"upload/{number}")
    at_site.bus.down = True
    at_site.job_ends()
    at_site.bus.down = False
    clock.pass_time(31)
    real = at_site.bus.put_events

    def other_first(Entries: list[dict[str, Any]]) -> dict[str, Any]:
        monkeypatch.setattr(at_site.bus, "put_events", real)
        at_site.outbox.drain(AGE)
        at_site.bus.refuse = {2}
        return real(Entries)

    monkeypatch.setattr(at_site.bus, "put_events", other_first)
    assert at_site.outbox.drain(AGE) == 0
    assert at_site.waiting() == 0
    assert {each["imageSetId"] for each in at_site.bus.told} == {f"{number:032x}" for number in range(2)}


def test_an_uploaded_instance_costs_at_most_six_writes_until_it_is_viewable(
    at_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = 40
    contents = [image_content(ImageSpec(instance=number)) for number in range(images)]
    writes = ItemWrites(at_site.estate.clients.dynamodb, monkeypatch)
    for number, content in enumerate(contents):
        at_site.take(content, f"upload/{number}")
    at_site.runtime.services.batches.seal_current()
    # Everything but the image sets' own items, of which a chest X-ray has one and a CT slice a five-hundredth.
    at_site.job_ends()
    image_sets = len(at_site.estate.tracked("image_set"))
    assert (writes.count - image_sets) / images <= 6


def test_a_refused_upload_costs_at_most_six_writes(at_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = ItemWrites(at_site.estate.clients.dynamodb, monkeypatch)
    at_site.take(b"no image")
    assert [each["type"] for each in at_site.bus.told] == ["ImageRejected"]
    assert writes.count <= 6


def test_notifications_of_five_thousand_files_fit_into_one_transaction() -> None:
    told = [
        ImageRejected(site="s" * 32, occurred_at=NOW, stage="ingested", reason="IMPORT_RESULT_MISSING",
                      entry_id=f"{number:032x}")
        for number in range(5_000)
    ]  # fmt: skip
    entries = outbox_entries(told)
    sizes = [len(json.dumps(entry.details)) for entry in entries]
    assert [detail["entryId"] for entry in entries for detail in entry.details] == [
        each.entry_id for each in told
    ]
    assert max(sizes) < 400_000
    assert sum(sizes) < 4_000_000
    assert len(entries) < 99


@pytest.mark.parametrize("model", NOTIFICATIONS, ids=lambda model: model.__name__)
def test_a_schema_names_all_fields_as_they_are_on_the_bus(model: Any) -> None:
    printed = CliRunner().invoke(app_with_verbs(), ["events", "schema", model.__name__])
    schema = json.loads(printed.stdout)
    assert {"schemaVersion", "id", "site", "occurredAt"} <= set(schema["required"])
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert all(each.get("description") for each in schema["properties"].values())


def test_schemas_of_all_events_are_listed_and_printed() -> None:
    verbs = app_with_verbs()
    names = [
        line.split()[0]
        for line in CliRunner().invoke(verbs, ["events", "schema", "--list"]).stdout.splitlines()
    ]
    assert names == [
        "ImageIngested", "ImageRejected", "PipelineTriggered", "ModelRegistered", "ModelApproved", "StudyCompleted",
        "uploaded", "ingested", "verified", "trained", "evaluated",
    ]  # fmt: skip
    assert list(json.loads(CliRunner().invoke(verbs, ["events", "schema"]).stdout)) == names
    assert CliRunner().invoke(verbs, ["events", "schema", "Nothing"]).exit_code != 0


def app_with_verbs() -> typer.Typer:
    """A command with the verb alone."""
    app = typer.Typer()
    app.callback()(lambda: None)
    events_verbs.register(app)
    return app


# -- models


class Registry:
    """SageMaker with one execution that registered one package."""

    def __init__(self, status: str = "PendingManualApproval") -> None:
        self.status = status

    def describe_pipeline_execution(self, PipelineExecutionArn: str) -> dict[str, Any]:
        """An execution that has ended."""
        return {"LastModifiedTime": NOW}

    def get_paginator(self, _name: str) -> Any:
        """Steps, of which one registered."""
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        """One page."""
        return [{"PipelineExecutionSteps": [{}, {"Metadata": {"RegisterModel": {"Arn": PACKAGE}}}]}]

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        """Its approval."""
        return {"ModelApprovalStatus": self.status}

    def update_model_package(self, ModelApprovalStatus: str, **_: Any) -> None:
        """Decide."""
        self.status = ModelApprovalStatus


@pytest.mark.parametrize(
    ("status", "decision", "told", "reason"),
    [
        ("PendingManualApproval", "approve", True, "good"),
        ("PendingManualApproval", "ask_human", False, ""),
        ("PendingManualApproval", "reject", False, ""),
        ("Approved", "approve", True, "good"),  # by an earlier delivery
        ("Approved", "ask_human", True, ""),  # by a human
        ("Rejected", "approve", False, ""),  # a human was first, and is not overruled
    ],
)
def test_a_model_is_told_of_as_registered_and_as_approved_only_if_it_is(
    at_site: Site, monkeypatch: pytest.MonkeyPatch, status: str, decision: Any, told: bool, reason: str
) -> None:
    at_site.estate.clients.__dict__["sagemaker"] = Registry(status)
    monkeypatch.setattr(at_site.runtime.dispatcher, "approve_model", lambda _: Approval(decision, "good"))
    report = {"metrics": {"accuracy": 0.9, "roc_auc": float("nan")}, "threshold": 0.85, "images": {"test": 9}}
    at_site.estate.s3.put_object(
        Bucket=at_site.estate.settings.reports_bucket,
        Key="evaluations/abc/evaluation.json",
        Body=json.dumps(report).encode(),
    )
    event = Evaluated(site=SITE, occurred_at=NOW, pipeline_execution_arn=EXECUTION, status="Succeeded")
    assert at_site.observe(event).finished
    registered, *approved = at_site.bus.told
    assert (registered["type"], registered["modelPackageArn"]) == ("ModelRegistered", PACKAGE)
    assert registered["metrics"] == {"accuracy": 0.9}
    assert [each["type"] for each in approved] == ["ModelApproved"] * told
    assert [each["reason"] for each in approved] == [reason] * told


def test_the_same_happening_has_the_same_id_whenever_it_is_told() -> None:
    def told(**fields: Any) -> str:
        return ModelApproved(
            **{
                "site": SITE, "occurred_at": NOW, "model_package_arn": PACKAGE, "reason": "",
                "pipeline_execution_arn": EXECUTION, "metrics": {}, **fields,
            }
        ).id  # fmt: skip

    assert told() == told(occurred_at=NOW + timedelta(days=1), reason="other")
    assert told() != told(model_package_arn=PACKAGE + "2")
    assert told() != told(site="elsewhere")
