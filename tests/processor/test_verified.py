"""verified: a label holds for the pixels that were looked at, in whatever order its acts arrive; many start a run."""

import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.image_set_documents import image_set_document
from support.local_cloud import LocalCloud
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate, aws_error

from rayline.dispatcher import Outcome
from rayline.effects import event_identity
from rayline.events import Verified
from rayline.healthimaging.frames import FramePin, pins_digest

START = datetime(2026, 1, 1, tzinfo=UTC)
EACH_TRAINING = 3


class Reading:
    """One worker, and image sets that can be verified."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock) -> None:
        self.estate = estate
        self.runtime = estate.runtime(clock)
        self.datastore_id = estate.settings.datastore_id

    def image_set(self, name: str, *, version: int = 1, frames: int = 1) -> str:
        """An image set that is in the ledger and viewable."""
        image_set_id = name * 32
        document = image_set_document(image_set_id, version=version, frames=frames, checksum=100)
        self.estate.health_imaging.metadata[image_set_id, str(version)] = document
        self.runtime.services.ledger.record_image_sets(
            [
                {
                    "datastore_id": self.datastore_id,
                    "image_set_id": image_set_id,
                    "version": version,
                    "site": SITE,
                    "viewable": True,
                    "patient_key": f"P-{name}",
                }
            ]
        )
        return image_set_id

    def act(self, image_set_id: str, verification_id: str, **fields: Any) -> Verified:
        """A radiologist's act."""
        given = {
            "site": SITE, "occurred_at": START, "action": "verified", "verification_id": verification_id,
            "datastore_id": self.datastore_id, "image_set_id": image_set_id, "image_set_version": "1",
            "label": "PNEUMONIA", "verifier": "dr-x",
        }  # fmt: skip
        return Verified.model_validate({**given, **fields})

    def observe(self, event: Verified) -> Outcome:
        """Deliver an act."""
        return self.runtime.dispatcher.observe(event, event_identity(event, self.runtime.services.keyed_hash))

    def item(self, image_set_id: str) -> dict[str, Any]:
        """The ledger's item of an image set."""
        item = self.runtime.services.ledger.image_set(self.datastore_id, image_set_id)
        assert item is not None
        return item

    def state(self, verification_id: str) -> Any:
        """What became of an act."""
        item = self.runtime.services.ledger.item(f"VERIFICATION#{verification_id}")
        return item and item["state"]

    def counted(self) -> int:
        """Verifications that the batch rule has seen."""
        item = self.runtime.services.ledger.item(f"COUNTER#{SITE}")
        return int(item["verified"]) if item else 0


@pytest.fixture
def reading(local_cloud: LocalCloud, tmp_path: Path, clock: ManualClock) -> Reading:
    estate = ProcessorEstate(
        local_cloud, tmp_path, lease_seconds=60, clock_skew_seconds=20, verified_per_training=EACH_TRAINING
    )
    return Reading(estate, clock)


def test_a_label_is_pinned_to_version_and_frame_checksums(reading: Reading) -> None:
    image_set = reading.image_set("a", frames=2)
    assert reading.observe(reading.act(image_set, "v1")) == Outcome()
    item = reading.item(image_set)
    instance = f"1.2.3.{int(image_set, 16) % 1000}"
    pins = [FramePin(instance, f"frame{number}-of-{image_set}", 100 + number) for number in range(2)]
    assert (item["label"], item["verified_version"], item["verification_id"]) == ("PNEUMONIA", 1, "v1")
    assert item["verified_frames"] == [
        {"sop_instance_uid": pin.sop_instance_uid, "frame_id": pin.frame_id, "checksum": pin.checksum}
        for pin in pins
    ]
    assert item["verified_digest"] == pins_digest(pins)
    assert reading.state("v1") == "recorded"


def test_a_verification_of_a_version_that_is_not_in_the_ledger_yet_waits(reading: Reading) -> None:
    unknown = reading.act("e" * 32, "v1")
    assert reading.observe(unknown).waiting_seconds is not None
    image_set = reading.image_set("a")
    newer = reading.act(image_set, "v2", image_set_version="2")
    assert reading.observe(newer).waiting_seconds is not None
    reading.image_set("a", version=2)
    assert reading.observe(newer).finished
    assert reading.item(image_set)["verified_version"] == 2


@pytest.mark.parametrize("days", [8, -15], ids=["a week later", "said to be of the far future"])
def test_a_verification_of_what_never_comes_is_refused_in_the_end(
    reading: Reading, clock: ManualClock, days: int
) -> None:
    event = reading.act("e" * 32, "v1")
    assert reading.observe(event).waiting_seconds is not None
    clock.pass_time(days * 86_400)
    outcome = reading.observe(event)
    assert outcome.finished
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "IMAGE_SET_UNKNOWN"
    assert reading.state("v1") == "refused"


def test_a_stale_verification_is_refused_visibly(reading: Reading) -> None:
    image_set = reading.image_set("a", version=2)
    outcome = reading.observe(reading.act(image_set, "v1", findings="Jane Doe coughs"))
    assert outcome.finished
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "STALE_VERIFICATION"
    assert reading.state("v1") == "refused"
    assert "label" not in reading.item(image_set)
    (record,) = reading.estate.quarantine_records()
    assert (record["stage"], record["reason"]) == ("verified", "STALE_VERIFICATION")
    assert reading.counted() == 0


FIELDS = ("label", "verified_version", "verification_id", "verified_digest", "verified_site", "decided_by")


def test_the_final_state_is_independent_of_the_order_of_deliveries(reading: Reading) -> None:
    def acts(image_set: str, tag: str) -> list[Verified]:
        later = [START + timedelta(milliseconds=number) for number in range(3)]
        return [
            reading.act(image_set, f"{tag}-1", occurred_at=later[0], label="NORMAL"),
            reading.act(image_set, f"{tag}-2", occurred_at=later[1], action="revoked"),
            reading.act(image_set, f"{tag}-3", occurred_at=later[2], label="PNEUMONIA"),
        ]

    finals = []
    for name, order in zip("abcdef", itertools.permutations(range(3)), strict=True):
        image_set = reading.image_set(name)
        todo = acts(image_set, name)
        for index in order:
            reading.observe(todo[index])
        item = {field: str(reading.item(image_set).get(field)) for field in FIELDS}
        finals.append(
            {**item, "decided_by": item["decided_by"].replace(f" {name}-", " "), "verified_digest": ""}
        )
        assert item["verification_id"] == f"{name}-3"
        del finals[-1]["verification_id"]
    assert finals == [finals[0]] * 6
    assert finals[0]["label"] == "PNEUMONIA"
    assert reading.counted() == 6 * 2


def test_a_revocation_stands_though_it_arrives_before_what_it_revokes(reading: Reading) -> None:
    image_set = reading.image_set("a")
    verified = reading.act(image_set, "v1")
    revoked = reading.act(image_set, "v2", action="revoked", occurred_at=START + timedelta(microseconds=1))
    assert reading.observe(revoked).finished
    assert reading.observe(verified).finished
    assert "verified_site" not in reading.item(image_set)
    assert (reading.state("v1"), reading.state("v2")) == ("superseded", "recorded")


# -- the batch rule


def verify_some(reading: Reading, names: str) -> Sequence[Verified]:
    return [reading.act(reading.image_set(name), f"v-{name}") for name in names]


def test_every_so_many_verifications_start_one_run(reading: Reading) -> None:
    executions = reading.estate.sagemaker.executions
    for number, act in enumerate(verify_some(reading, "abcdef"), start=1):
        assert reading.observe(act).finished
        assert len(executions) == number // EACH_TRAINING
    first, second = executions.values()
    assert first["PipelineExecutionDisplayName"] == f"{SITE}-000001"
    (uri,) = [each["Value"] for each in second["PipelineParameters"]]
    manifest = json.loads(
        reading.estate.s3.get_object(
            Bucket=reading.estate.settings.preprocessed_bucket,
            Key=uri.removeprefix(f"s3://{reading.estate.settings.preprocessed_bucket}/"),
        )["Body"].read()
    )
    assert {image["patient_key"] for image in manifest["images"]} == {f"P-{name}" for name in "abcdef"}
    assert {image["label"] for image in manifest["images"]} == {"PNEUMONIA"}
    assert [run["images"] for run in reading.estate.tracked("training")] in ([3, 6], [6, 3])


def test_a_redelivery_starts_nothing_twice(reading: Reading) -> None:
    for act in verify_some(reading, "abc"):
        reading.observe(act)
        reading.observe(act)
    assert len(reading.estate.sagemaker.executions) == 1
    assert reading.counted() == 3


def test_the_last_verification_of_a_run_starts_it_even_if_it_had_to_wait(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    *before, last = verify_some(reading, "abc")
    for act in before:
        reading.observe(act)

    def conflict(**_: Any) -> Any:
        raise aws_error("ConflictException", 409)

    with monkeypatch.context() as patch:
        patch.setattr(reading.estate.health_imaging, "get_image_set_metadata", conflict)
        assert reading.observe(last).waiting_seconds is not None
    assert reading.estate.sagemaker.executions == {}
    assert reading.observe(last).finished
    assert len(reading.estate.sagemaker.executions) == 1


def test_a_crash_between_start_and_record_starts_the_same_run_again(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    *before, last = verify_some(reading, "abc")
    for act in before:
        reading.observe(act)
    dynamodb = reading.estate.clients.dynamodb
    real = dynamodb.transact_write_items

    def crash(**request: Any) -> Any:
        if any("TRAINING#" in repr(item.get("Put")) for item in request["TransactItems"]):
            raise aws_error("InternalServerError", 500)
        return real(**request)

    with monkeypatch.context() as patch:
        patch.setattr(dynamodb, "transact_write_items", crash)
        assert reading.observe(last).waiting_seconds is not None
    assert reading.estate.tracked("training") == []
    assert reading.observe(last).finished
    (run,) = reading.estate.tracked("training")
    assert run["training_id"] == f"{SITE}-000001"
    assert len(reading.estate.sagemaker.executions) == 1


def test_an_image_whose_label_lapsed_or_that_has_many_frames_is_not_trained_on(reading: Reading) -> None:
    acts = [*verify_some(reading, "ab"), reading.act(reading.image_set("c", frames=2), "v-c")]
    reading.observe(acts[0])
    reading.image_set("a", version=2)
    for act in acts[1:]:
        outcome = reading.observe(act)
    # Fewer images than verifications: the index may lag, so it waits a little, and then goes on with what there is.
    for _ in range(3):
        assert outcome.waiting_seconds is not None
        outcome = reading.observe(acts[2])
    assert outcome.finished
    (run,) = reading.estate.tracked("training")
    assert run["images"] == 1
