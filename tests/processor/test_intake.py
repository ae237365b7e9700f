"""uploaded: an object ends in a batch or in quarantine, whatever is repeated, lost or late on the way."""

import hashlib
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pydicom
import pytest
from botocore.exceptions import ReadTimeoutError
from support.in_memory_cloud.cloud import InMemoryCloud
from support.local_cloud import LocalCloud
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate

from benchmarks.intake.enhanced_ct import IDENTIFYING, write_enhanced_ct
from rayline import fingerprints
from rayline.dispatcher import Outcome
from rayline.effects import event_identity
from rayline.events import Uploaded
from rayline.plugin import Rejection
from rayline.runtime import Runtime
from rayline.testing import ImageSpec, image_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Intake:
    """One worker that takes uploads in."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock, owner: str = "worker") -> None:
        self.estate = estate
        self.runtime: Runtime = estate.runtime(clock, owner=owner)

    def upload(self, content: bytes, key: str = "upload/test-site/DOE^JANE.dcm") -> Uploaded:
        """Put an object into the bucket. Returns the event of it."""
        version = self.estate.upload(key, content)
        return Uploaded(
            site=SITE, occurred_at=NOW, bucket=self.estate.settings.uploads_bucket, key=key,
            version_id=version, size_bytes=len(content),
        )  # fmt: skip

    def observe(self, event: Uploaded) -> Outcome:
        """Deliver an event."""
        identity = event_identity(event, self.runtime.services.keyed_hash)
        return self.runtime.dispatcher.observe(event, identity)

    def take(self, content: bytes, key: str = "upload/test-site/DOE^JANE.dcm") -> Outcome:
        """Upload and deliver."""
        return self.observe(self.upload(content, key))

    def seal(self) -> list[str]:
        """Seal the open batch. Returns the keys that its job was started on."""
        self.runtime.services.batches.seal_current()
        return self.estate.keys(self.estate.settings.imports_bucket, "imports/")

    def stages(self) -> list[str]:
        """The stage of every instance in the ledger."""
        return sorted(item["stage"] for item in self.estate.tracked("instance"))

    def effects(self, event: Uploaded) -> dict[str, str]:
        """Each effect's state."""
        identity = event_identity(event, self.runtime.services.keyed_hash)
        return {name: each.state for name, each in self.runtime.effects.states(identity).items()}


@pytest.fixture
def intake(estate: ProcessorEstate, clock: ManualClock) -> Intake:
    return Intake(estate, clock)


def test_an_image_is_stored_in_a_batch_and_recorded(intake: Intake) -> None:
    content = image_content()
    outcome = intake.take(content)
    assert outcome == Outcome()
    (item,) = intake.estate.tracked("instance")
    assert item["stage"] == "batched"
    (key,) = intake.seal()
    assert key == f"imports/{item['batch_id']}/{item['instance_id']}.dcm"
    stored = intake.estate.s3.get_object(Bucket=intake.estate.settings.imports_bucket, Key=key)
    assert stored["Body"].read() == content


def test_what_nobody_deidentified_is_not_described_in_the_ledger(intake: Intake) -> None:
    intake.take(image_content())
    (item,) = intake.estate.tracked("instance")
    assert item["stage"] == "batched"
    assert "metadata" not in item


def test_a_site_has_its_intake_mend_and_limit_as_its_profile_says(
    local_cloud: LocalCloud, tmp_path: Path, clock: ManualClock
) -> None:
    dataset = pydicom.dcmread(BytesIO(image_content()))
    del dataset.Modality
    lacking = BytesIO()
    dataset.save_as(lacking)
    rules = "limits: {object_bytes: 20000}, coercion: [modality_of_sop_class, uid_blanks]"
    estate = ProcessorEstate(local_cloud, tmp_path, profile=f"{{identity: original, intake: {{{rules}}}}}")
    intake = Intake(estate, clock)
    assert intake.take(lacking.getvalue(), "upload/lacking").rejection is None
    (item,) = estate.tracked("instance")
    assert item["coerced"] == ["modality_of_sop_class"]
    assert item["modality"] == "CT"
    large = intake.take(image_content() + bytes(20_000), "upload/large").rejection
    assert large is not None
    assert large.reason == "LIMIT_EXCEEDED"


def test_a_redelivered_event_stores_nothing_again(intake: Intake) -> None:
    event = intake.upload(image_content())
    assert intake.observe(event).finished
    assert intake.observe(event).finished
    assert intake.stages() == ["batched"]
    assert len(intake.seal()) == 1


def test_the_ledgers_item_says_nothing_of_the_patient_or_the_senders_key(intake: Intake) -> None:
    intake.take(image_content(ImageSpec(patient=7)))
    told = repr(intake.estate.tracked("instance")) + repr(intake.estate.tracked("uid"))
    assert "DOE" not in told
    assert "Testcase" not in told
    assert "PID000007" not in told


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "EMPTY_OBJECT"), (b"no image", "NOT_DICOM"), (image_content()[:-100], "TRUNCATED")],
)
def test_what_is_no_image_is_kept_in_quarantine_as_it_came(
    intake: Intake, content: bytes, reason: str
) -> None:
    event = intake.upload(content)
    outcome = intake.observe(event)
    assert outcome.finished
    assert outcome.rejection is not None
    assert outcome.rejection.reason == reason
    (record,) = intake.estate.quarantine_records()
    (item,) = intake.estate.tracked("instance")
    assert record["reason"] == item["reason"] == reason
    assert record["entry_id"] == item["instance_id"]
    assert (record["origin_key"], record["origin_version_id"]) == (event.key, event.version_id)
    kept = intake.estate.s3.get_object(
        Bucket=intake.estate.settings.quarantine_bucket, Key=f"{SITE}/{record['entry_id']}/object"
    )
    assert kept["Body"].read() == content
    assert intake.observe(event) == outcome
    assert len(intake.estate.quarantine_records()) == 1


def test_an_object_that_is_gone_is_a_rejection_and_no_retry(intake: Intake) -> None:
    event = intake.upload(image_content())
    intake.estate.s3.delete_object(Bucket=event.bucket, Key=event.key, VersionId=event.version_id)
    outcome = intake.observe(event)
    assert outcome.finished
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "OBJECT_GONE"


def test_the_same_content_twice_is_stored_once_and_other_content_under_its_uid_is_refused(
    intake: Intake,
) -> None:
    assert intake.take(image_content(), "upload/a").rejection is None
    assert intake.take(image_content(), "upload/b").rejection is None
    conflict = intake.take(image_content(ImageSpec(pixel=9)), "upload/c").rejection
    assert conflict is not None
    assert conflict.reason == "UID_CONFLICT"
    assert intake.stages() == ["batched", "duplicate", "quarantined"]
    assert len(intake.seal()) == 1


def test_an_image_without_a_receipt_is_refused_where_the_site_wants_deidentified_images(
    local_cloud: LocalCloud, tmp_path: Path, clock: ManualClock
) -> None:
    profile = "plugins: [{name: deid}]"
    estate = ProcessorEstate(local_cloud, tmp_path, profile=profile)
    intake = Intake(estate, clock)
    assert intake.take(image_content()).rejection is None
    (item,) = estate.tracked("instance")
    assert [receipt["plugin"] for receipt in item["receipts"]] == ["deid"]
    assert item["sop_instance_uid"] != "1.2.826.0.1.3680043.8.498.1.1.1"
    described = pydicom.dcmread(BytesIO(image_content()))
    assert item["metadata"]["image"]["rows"] == described.Rows
    assert item["metadata"]["image"]["photometric_interpretation"] == described.PhotometricInterpretation
    (key,) = intake.seal()
    stored = estate.s3.get_object(Bucket=estate.settings.imports_bucket, Key=key)["Body"].read()
    assert b"Testcase" not in stored
    object.__setattr__(intake.runtime.services, "hooks", lambda: Passing())
    refused = intake.take(image_content(ImageSpec(instance=2))).rejection
    assert refused is not None
    assert refused.reason == "NOT_DEIDENTIFIED"


class Passing:
    """Hooks that let everything through untouched."""

    def screen(self, instance: Any) -> Any:
        """No objection."""

    def transform(self, instance: Any) -> Any:
        """No change."""
        return instance


# -- answers that get lost


def losing_answers(monkeypatch: pytest.MonkeyPatch, client: Any, operation: str) -> list[str]:
    """Make the next call do its work and lose the answer, as botocore reports it after its retries."""
    real = getattr(client, operation)
    lost: list[str] = []

    def call(**request: Any) -> Any:
        answer = real(**request)
        if not lost:
            lost.append(operation)
            raise ReadTimeoutError(endpoint_url="http://dynamodb")
        return answer

    monkeypatch.setattr(client, operation, call)
    return lost


def test_a_commit_whose_answer_was_lost_loses_no_image(
    intake: Intake, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = intake.upload(image_content())
    assert losing_answers(monkeypatch, intake.estate.clients.dynamodb, "transact_write_items") == []
    outcome = intake.observe(event)
    assert not outcome.failure
    clock.pass_time(10)
    assert intake.observe(event).finished
    assert intake.effects(event) == {"on_uploaded:rayline.intake": "done"}
    assert intake.stages() == ["batched"]
    assert len(intake.seal()) == 1


def test_a_claim_whose_answer_was_lost_is_not_waited_for_until_its_lease_ends(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What botocore does below us: it sends the write again, and that meets what the first one wrote.
    dynamodb = intake.estate.clients.dynamodb
    real = dynamodb.update_item

    def sent_twice(**request: Any) -> Any:
        if "ReturnValuesOnConditionCheckFailure" in request:
            real(**request)
        return real(**request)

    monkeypatch.setattr(dynamodb, "update_item", sent_twice)
    assert intake.take(image_content()) == Outcome()


# -- batches that are sealed by others


def test_an_image_whose_batch_was_sealed_meanwhile_goes_into_the_next(
    intake: Intake, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = intake.upload(image_content(ImageSpec(instance=1)), "upload/1")
    second = intake.upload(image_content(ImageSpec(instance=2)), "upload/2")
    assert intake.observe(first).finished
    rescuer = Intake(intake.estate, clock, "rescuer").runtime.services.batches
    batches = intake.runtime.services.batches
    store = batches.store

    def stall_after_storing(instance_id: str, content: bytes) -> str:
        batch_id = store(instance_id, content)
        clock.pass_time(60 + 20 + 1)
        rescuer.look_after(batch_id)
        monkeypatch.setattr(batches, "store", store)
        return batch_id

    monkeypatch.setattr(batches, "store", stall_after_storing)
    outcome = intake.observe(second)
    assert outcome.waiting_seconds is not None
    assert intake.observe(second).finished
    batch_ids = {item["batch_id"] for item in intake.estate.tracked("instance")}
    assert len(batch_ids) == 2
    assert len(intake.seal()) == 2
    assert set(intake.estate.health_imaging.starts) == batch_ids


# -- large objects

LARGE = 12_000_000
HEADER_BYTES = 1_000_000  # more than the header of such an object and what is read beside it
LEAST_PART = 5 * 1024 * 1024


@cache
def large(*, encapsulated: bool = False) -> bytes:
    """A multi-frame image that is too large to be read whole."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "large.dcm"
        write_enhanced_ct(path, LARGE, encapsulated=encapsulated)
        return path.read_bytes()


def pixel_data(content: bytes) -> bytes:
    """The pixel data element up to its end, without what stands behind it in :func:`large`."""
    begin = content.index(b"\xe0\x7f\x10\x00O")
    behind = content.rfind(b"\xfc\xff\xfc\xffOB")
    return content[begin : behind if behind > begin else len(content)]


class Traffic:
    """What passes the processor's S3 client meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, client: Any) -> None:
        self.read = self.sent = self.copied = 0
        self.operations: list[str] = []
        for operation in (
            "get_object",
            "head_object",
            "put_object",
            "upload_part",
            "upload_part_copy",
            "create_multipart_upload",
            "complete_multipart_upload",
        ):
            monkeypatch.setattr(client, operation, self._noting(operation, getattr(client, operation)))

    def _noting(self, operation: str, real: Any) -> Any:
        def call(**request: Any) -> Any:
            answer = real(**request)
            self.operations.append(operation)
            if operation == "get_object":
                self.read += answer["ContentLength"]
            body = request.get("Body", b"")
            self.sent += len(body)
            if operation == "upload_part_copy":
                first, last = request["CopySourceRange"].removeprefix("bytes=").split("-")
                self.copied += int(last) - int(first) + 1
            return answer

        return call


@pytest.fixture(params=["in-memory", "local"])
def deid_intake(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Intake:
    """A worker of a site that de-identifies."""
    cloud = InMemoryCloud(clock) if request.param == "in-memory" else request.getfixturevalue("local_cloud")
    return Intake(ProcessorEstate(cloud, tmp_path, profile="plugins: [{name: deid}]"), clock)


@pytest.mark.parametrize("encapsulated", [False, True], ids=["native", "encapsulated"])
def test_a_large_image_is_deidentified_and_stored_without_its_pixels_passing_by(
    deid_intake: Intake, monkeypatch: pytest.MonkeyPatch, encapsulated: bool
) -> None:
    monkeypatch.setattr(fingerprints, "HASHED_BYTES", 0)
    intake, content = deid_intake, large(encapsulated=encapsulated)
    event = intake.upload(content)
    traffic = Traffic(monkeypatch, intake.estate.clients.s3)
    assert intake.observe(event) == Outcome()
    # Copied parts begin and end somewhere in the pixels, so that the part before them is large enough for S3.
    assert traffic.sent <= LEAST_PART + HEADER_BYTES
    assert traffic.copied >= LARGE - LEAST_PART - HEADER_BYTES
    assert traffic.read <= LEAST_PART + 2 * HEADER_BYTES + (len(content) if encapsulated else 0)
    (item,) = intake.estate.tracked("instance")
    assert item["stage"] == "batched"
    assert item["size_bytes"] == len(content)
    assert item["metadata"]["image"]["rows"] == 512
    assert "content_sha256" not in item
    (key,) = intake.seal()
    stored = intake.estate.s3.get_object(Bucket=intake.estate.settings.imports_bucket, Key=key)["Body"].read()
    assert pixel_data(stored) == pixel_data(content)
    assert all(value in content and value not in stored for value in IDENTIFYING)
    assert pydicom.dcmread(BytesIO(stored)).SOPInstanceUID == item["sop_instance_uid"]


def test_a_large_object_is_kept_in_quarantine_as_it_came_without_passing_by(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "HASHED_BYTES", 0)
    content = large()[:-1000]
    event = intake.upload(content)
    traffic = Traffic(monkeypatch, intake.estate.clients.s3)
    rejection = intake.observe(event).rejection
    assert rejection is not None
    assert rejection.reason == "TRUNCATED"
    assert traffic.copied == len(content)
    assert traffic.read + traffic.sent <= 3 * HEADER_BYTES
    (record,) = intake.estate.quarantine_records()
    kept = intake.estate.s3.get_object(
        Bucket=intake.estate.settings.quarantine_bucket, Key=f"{SITE}/{record['entry_id']}/object"
    )
    assert kept["Body"].read() == content


def test_an_event_that_says_nothing_of_the_size_is_no_reason_to_read_a_large_object(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "HASHED_BYTES", 0)
    event = intake.upload(large()).model_copy(update={"size_bytes": 0})
    traffic = Traffic(monkeypatch, intake.estate.clients.s3)
    assert intake.observe(event) == Outcome()
    assert traffic.operations[:2] == ["get_object", "head_object"]
    assert traffic.copied == intake.upload(large()).size_bytes


def test_a_large_object_of_up_to_64_mb_is_hashed(intake: Intake) -> None:
    content = large()
    intake.take(content)
    (item,) = intake.estate.tracked("instance")
    assert item["content_sha256"] == hashlib.sha256(content).hexdigest()


def test_the_same_large_content_twice_is_stored_once_and_other_content_under_its_uid_is_refused(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "HASHED_BYTES", 0)
    content = large()
    other = content[:-1_000_000] + bytes(1_000) + content[-999_000:]
    assert len(other) == len(content)
    assert intake.take(content, "upload/a").rejection is None
    assert intake.take(content, "upload/b").rejection is None
    conflict = intake.take(other, "upload/c").rejection
    assert conflict is not None
    assert conflict.reason == "UID_CONFLICT"
    assert intake.stages() == ["batched", "duplicate", "quarantined"]


@pytest.mark.parametrize("refused", [False, True], ids=["while it is read", "after it was refused"])
def test_a_large_object_that_is_deleted_on_the_way_is_gone_and_no_retry(
    intake: Intake, refused: bool
) -> None:
    event = intake.upload(large())
    estate = intake.estate

    class Deleting(Passing):
        def screen(self, instance: Any) -> Any:
            estate.s3.delete_object(Bucket=event.bucket, Key=event.key, VersionId=event.version_id)
            if refused:
                return Rejection("NOT_WANTED", "for no reason")
            return instance.source.whole()

    object.__setattr__(intake.runtime.services, "hooks", Deleting)
    outcome = intake.observe(event)
    assert outcome.finished
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "OBJECT_GONE"
    (item,) = estate.tracked("instance")
    assert (item["stage"], item["reason"], item["size_bytes"]) == ("quarantined", "OBJECT_GONE", 0)
    assert [each["reason"] for each in estate.quarantine_records()] == ["OBJECT_GONE"]
    assert estate.s3.list_multipart_uploads(Bucket=estate.settings.quarantine_bucket).get("Uploads") is None
