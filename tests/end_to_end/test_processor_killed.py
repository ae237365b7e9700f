"""The processor is killed at every stage of the job; the job ends as if it had not been."""

from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from support.own_estate import OwnEstate, accepted, eventually, frame_checksum

from rayline_local.samples import Sample, generate

SAMPLES = generate(seed=21, patients=30, ct_slices=16)
LABELS = {frame_checksum(each.content): each.label for each in SAMPLES.samples if each.label is not None}
# HealthImaging tells everything twice, as EventBridge may, and takes its time, so that a kill falls in between.
USUAL_FAULTS = {"duplicate_events": True, "job_delay_seconds": 3.0}


class Killing:
    """Kills the processor once a condition holds, sees that the stage was still under way, and starts it again."""

    def __init__(self, estate: OwnEstate) -> None:
        self._estate = estate
        self.stages: list[str] = []

    def when(self, stage: str, reached: Callable[[], object], unfinished: Callable[[], object]) -> None:
        """Kill at a stage."""

        def look() -> object:
            self._estate.processor.check()
            return reached()

        eventually(look, f"{stage} under way", every=0.01)
        self._estate.processor.kill()
        assert unfinished(), f"the kill came too late: {stage} was over"
        self.stages.append(stage)
        self._estate.processor.start()


def waves() -> tuple[list[Sample], list[Sample], list[Sample]]:
    """Most files; some that open a batch later; and the one that collides with an earlier file."""
    conflicting = [each for each in SAMPLES.samples if each.refused_for == "UID_CONFLICT"]
    late = [each for each in SAMPLES.samples if each.name.startswith("ct/")][:6]
    return (
        [each for each in SAMPLES.samples if each not in conflicting and each not in late],
        late,
        conflicting,
    )


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OwnEstate, list[str]]]:
    """An estate whose job is done, and the stages at which its processor was killed."""
    estate = OwnEstate(
        tmp_path_factory.mktemp("killed"),
        batchQuietSeconds="3",
        leaseSeconds="3",
        clockSkewSeconds="1",
        visibilitySeconds="5",
        verifiedPerTraining=str(len(LABELS)),
        imageSize="32",
        epochs="1",
    )
    with estate:
        yield estate, job_with_kills(estate)


def job_with_kills(estate: OwnEstate) -> list[str]:
    """The whole job, from upload to evaluation."""
    first, late, conflicting = waves()
    account, killing = estate.account, Killing(estate)
    estate.faults(**USUAL_FAULTS)

    estate.upload(first)
    estate.processor.start()
    killing.when(
        "screening",
        lambda: account.stages().total() >= 3,
        lambda: account.stages().total() < len(first),
    )

    eventually(lambda: account.stages().total() == len(first), "all of the first wave screened")
    screened = {each["instance_id"] for each in account.items("image-tracking", "instance")}
    estate.upload(late)

    def late_files_in_open_batches() -> bool:
        states = account.batches()
        found = [
            states[each["batch_id"]]
            for each in account.items("image-tracking", "instance", "instance_id", "batch_id")
            if each["instance_id"] not in screened
        ]
        return len(found) == len(late) and "open" in found

    killing.when("open batch", late_files_in_open_batches, late_files_in_open_batches)

    def jobs_unfinished() -> bool:
        return "started" in account.batches().values()

    killing.when("import", jobs_unfinished, jobs_unfinished)

    eventually(lambda: estate.everything_settled(len(first) + len(late)), "all imported")
    estate.upload(conflicting)
    eventually(lambda: estate.everything_settled(len(SAMPLES.samples)), "all files settled")

    image_sets = account.image_sets()
    labels = {
        each.image_set_id: LABELS[each.checksums[0]] for each in image_sets if each.checksums[0] in LABELS
    }
    settled, held_up = dict(list(labels.items())[:3]), dict(list(labels.items())[3:])

    def verified() -> int:
        items = account.items("image-tracking", "image_set", "verified_site")
        return sum("verified_site" in each for each in items)

    def handled() -> int:
        return sum(each["pk"].split("#")[1] == "verified" for each in account.items("effects", None, "pk"))

    estate.verify({key: str(label) for key, label in settled.items()})
    eventually(lambda: verified() == len(settled), "the first are verified")
    # However fast the processor is, none of the others can be recorded before the kill.
    estate.faults(**USUAL_FAULTS, metadata_conflicts=1_000_000)
    estate.verify({key: str(label) for key, label in held_up.items()})
    killing.when("verification", lambda: handled() > len(settled), lambda: verified() == len(settled))
    estate.faults(**USUAL_FAULTS)

    killing.when("training", account.executions, lambda: not account.items("model-metrics"))
    eventually(lambda: account.items("model-metrics"), "the evaluation is recorded", seconds=180)
    eventually(estate.queue_is_empty, "the queue is empty")
    return killing.stages


def test_it_was_killed_at_every_stage(killed: tuple[OwnEstate, list[str]]) -> None:
    assert killed[1] == ["screening", "open batch", "import", "verification", "training"]


def test_nothing_is_lost(killed: tuple[OwnEstate, list[str]]) -> None:
    account = killed[0].account
    good = accepted(SAMPLES.samples)
    assert account.stages() == {"imported": len(good), "quarantined": len(SAMPLES.refused)}
    reasons = {
        record["origin_key"].rsplit("/", 1)[-1]: record["reason"] for record in account.quarantine().values()
    }
    assert reasons == {Path(name).name: reason for name, reason in SAMPLES.refused.items()}
    frames = Counter(crc for image_set in account.image_sets() for crc in image_set.checksums)
    assert frames == Counter(frame_checksum(each.content) for each in good)


def test_nothing_is_imported_twice(killed: tuple[OwnEstate, list[str]]) -> None:
    account = killed[0].account
    good = accepted(SAMPLES.samples)
    series = {str(pydicom.dcmread(BytesIO(each.content)).SeriesInstanceUID) for each in good}
    image_sets = account.image_sets()
    assert len(image_sets) == len(series)
    # A second import of an instance would have made a new version of its image set, or a second image set.
    assert {each.version for each in image_sets if len(each.instances) == 1} == {"1"}
    instances = [uid for each in image_sets for uid in each.instances]
    assert len(instances) == len(set(instances)) == len(good)
    imported = {
        each["instance_id"]
        for each in account.items("image-tracking", "instance")
        if each["stage"] == "imported"
    }
    assert account.import_successes() == dict.fromkeys(imported, 1)
    # Nor does a file lie in a batch that no instance claims.
    files = [key.rsplit("/", 1)[-1] for key in account.objects("imports", "imports/")]
    assert sorted(files) == sorted(f"{each}.dcm" for each in imported)


def test_every_verification_counts_once(killed: tuple[OwnEstate, list[str]]) -> None:
    account = killed[0].account
    tracked = {each["image_set_id"]: each for each in account.items("image-tracking", "image_set")}
    for image_set in account.image_sets():
        assert tracked[image_set.image_set_id].get("label") == LABELS.get(image_set.checksums[0])
    (counter,) = (each for each in account.items("image-tracking") if each["pk"].startswith("COUNTER#"))
    assert counter["verified"] == len(LABELS)


def test_training_ran_once(killed: tuple[OwnEstate, list[str]]) -> None:
    account = killed[0].account
    (execution,) = account.executions()
    (training,) = account.items("image-tracking", "training")
    assert training["execution_arn"] == execution["PipelineExecutionArn"]
    assert training["images"] == len(LABELS)
    (ended,) = account.items("image-tracking", "execution")
    assert ended["train_status"] == "Succeeded"
    (metrics,) = account.items("model-metrics")
    assert metrics["images"]["train"] + metrics["images"]["test"] == len(LABELS)
    assert len(account.model_packages()) == (1 if metrics["metrics"]["accuracy"] >= 0.85 else 0)


def test_no_message_was_given_up(killed: tuple[OwnEstate, list[str]]) -> None:
    sqs = killed[0].account.client("sqs")
    url = sqs.get_queue_url(QueueName="rayline-local-events-dlq")["QueueUrl"]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    assert answer["Attributes"]["ApproximateNumberOfMessages"] == "0"
