"""Operators bring events back from the dead-letter queue, quarantine and the archives, with no more than their role."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from support.own_estate import OwnEstate, accepted, eventually, json_lines

from rayline.reminders import PROCESSOR_SOURCE
from rayline_local.samples import Sample, generate

SAMPLES = generate(seed=31, patients=3, ct_slices=2)
GOOD = accepted(SAMPLES.samples)
LETTER = Sample("broken/letter.dcm", b"Dear colleague")


class Queues:
    """What lies in the estate's queues."""

    def __init__(self, estate: OwnEstate) -> None:
        self._sqs = estate.account.client("sqs")
        self.url = self._sqs.get_queue_url(QueueName="rayline-local-events")["QueueUrl"]
        self.dead_url = self._sqs.get_queue_url(QueueName="rayline-local-events-dlq")["QueueUrl"]

    def dead(self) -> int:
        """Dead letters that can be received now."""
        names = ["ApproximateNumberOfMessages"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self.dead_url, AttributeNames=names)
        return int(answer["Attributes"][names[0]])

    def bury_all(self) -> None:
        """Move every event to the dead-letter queue, as SQS's own redrive does: without a reason."""
        for body in self.lose_all():
            self._sqs.send_message(QueueUrl=self.dead_url, MessageBody=body)

    def lose_all(self) -> list[str]:
        """Lose every message; answers the events among them, without what a schedule may send at any time."""
        lost = []
        while messages := self._sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get(
            "Messages", []
        ):
            for message in messages:
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                if json.loads(message["Body"])["source"] != PROCESSOR_SOURCE:
                    lost.append(message["Body"])
        return lost


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEstate]:
    """An estate whose processor does not run yet."""
    estate = OwnEstate(
        tmp_path_factory.mktemp("replay"), batchQuietSeconds="1", leaseSeconds="5", clockSkewSeconds="0"
    )
    with estate:
        yield estate


def replay(estate: OwnEstate, *arguments: str) -> dict[str, Any]:
    """Run the verb as an operator; returns its report."""
    (report,) = json_lines(estate.operator("replay", "--json", *arguments).stdout)
    return report


def settled(estate: OwnEstate, files: int) -> None:
    """Let the processor come to rest."""
    eventually(lambda: estate.everything_settled(files), "every file settled")


# The tests are one story: each begins where the one before ended.


def test_dead_letters_are_shown_then_sent_again_and_handled(estate: OwnEstate) -> None:
    queues = Queues(estate)
    estate.upload([*GOOD, LETTER])
    files = len(GOOD) + 1

    def all_are_dead() -> bool:
        queues.bury_all()
        return queues.dead() == files

    eventually(all_are_dead, "all events are dead letters")

    shown = replay(estate, "--from", "dlq", "--dry-run")
    assert (shown["found"], shown["sent"]) == (files, None)
    assert {(each["event"], each["reason"], each["would_run"]) for each in shown["effects"]} == {
        ("uploaded", "UNKNOWN: SQS moved it", True)
    }
    assert queues.dead() == files
    assert replay(estate, "--from", "dlq", "--event", "trained")["found"] == 0

    sent = replay(estate, "--from", "dlq", "--event", "uploaded")
    assert (sent["sent"], sent["left"]) == (files, 0)
    assert queues.dead() == 0
    estate.processor.start()
    settled(estate, files)
    assert estate.account.stages() == {"imported": len(GOOD), "quarantined": 1}


def test_the_archive_brings_back_what_was_lost_and_repeats_nothing(estate: OwnEstate) -> None:
    queues = Queues(estate)
    eventually(estate.queue_is_empty, "the queue is empty")
    estate.processor.stop()
    late = [
        Sample(f"late/{Path(each.name).name}", _other(each.content, index))
        for index, each in enumerate(GOOD[:2])
    ]
    estate.upload(late)
    lost: list[str] = []

    def both_are_lost() -> bool:
        lost.extend(queues.lose_all())
        return len(lost) == len(late)

    eventually(both_are_lost, "the events came and are lost")
    imported_before = estate.account.import_successes()

    shown = replay(estate, "--from", "archive", "--since", "1h", "--event", "uploaded", "--dry-run")
    assert shown["found"] == len(GOOD) + 1  # what the ledger knows; what was lost it cannot
    assert not any(each["would_run"] for each in shown["effects"])
    assert queues.lose_all() == []

    report = replay(estate, "--from", "archive", "--since", "1h")
    assert report["sent"] == report["found"] > len(GOOD)
    estate.processor.start()
    files = len(GOOD) + 1 + len(late)
    settled(estate, files)
    eventually(estate.queue_is_empty, "the queue is empty")
    assert estate.account.stages() == {"imported": len(GOOD) + len(late), "quarantined": 1}
    after = estate.account.import_successes()
    assert len(after) == len(imported_before) + len(late)
    assert set(after.values()) == {1}


def test_quarantine_is_screened_anew(estate: OwnEstate) -> None:
    estate.send_message("no event at all")
    eventually(lambda: len(estate.account.quarantine()) == 2, "both are in quarantine")
    shown = replay(estate, "--from", "quarantine", "--dry-run")
    assert sorted((each["event"], each["reason"]) for each in shown["effects"]) == [
        ("unreadable", "UNPARSABLE_MESSAGE"),
        ("uploaded", "NOT_DICOM"),
    ]
    before = set(estate.account.quarantine())
    report = replay(estate, "--from", "quarantine")
    assert (report["sent"], report["left"]) == (2, 0)

    def refused_again() -> bool:
        records = estate.account.quarantine()
        return (
            sorted(each["reason"] for each in records.values()) == ["NOT_DICOM", "UNPARSABLE_MESSAGE"]
            and set(records) != before
        )

    eventually(refused_again, "both were refused again")
    assert estate.account.stages()["released"] == 1


def test_a_plugin_runs_again_on_the_events_that_are_chosen(estate: OwnEstate) -> None:
    batches = estate.account.batches()
    shown = replay(
        estate,
        "--from",
        "archive",
        "--since",
        "1h",
        "--event",
        "ingested",
        "--plugin",
        "rayline.ingested",
        "--dry-run",
    )
    assert {each["state"] for each in shown["effects"]} == {"done"}
    jobs = [each for each in shown["effects"] if each["would_run"]]
    assert {each["plugin"] for each in jobs} == {"rayline.ingested"}
    assert len(jobs) == shown["found"] >= len(batches)
    successes = estate.account.import_successes()
    report = replay(
        estate, "--from", "archive", "--since", "1h", "--event", "ingested", "--plugin", "rayline.ingested"
    )
    assert report["reopened"] == len(jobs)

    def all_done_again() -> bool:
        effects = [item for item in estate.account.items("effects") if item["pk"].split("#")[1] == "ingested"]
        assert all(len(item["replays"]) == 1 for item in effects)
        return all(item["on_ingested:rayline.ingested"]["state"] == "done" for item in effects)

    eventually(all_done_again, "the plugin ran again")
    assert estate.account.import_successes() == successes


def test_what_a_plugin_never_did_is_said_and_a_wrong_kind_is_refused(estate: OwnEstate) -> None:
    finished = estate.operator("replay", "--from", "archive", "--plugin", "nobody", check=False)
    assert finished.returncode == 1
    assert "no ended effect of the plugin nobody" in finished.stderr
    finished = estate.operator("replay", "--from", "dlq", "--event", "nothing", check=False)
    assert finished.returncode == 2
    assert "use one of uploaded" in finished.stderr


def _other(content: bytes, index: int) -> bytes:
    """The same image as an instance of its own."""
    dataset = pydicom.dcmread(BytesIO(content))
    uid = f"{dataset.SOPInstanceUID}"[:50] + f".99.{index}"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
