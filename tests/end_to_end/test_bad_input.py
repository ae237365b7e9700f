"""Bad input ends in quarantine with a reason code, and stops nothing else."""

import json
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from support.own_estate import Account, OwnEstate, accepted, eventually, frame_checksum, json_lines

from rayline_local.samples import Sample, generate

# What the intake must say of each file, by name.
REASONS = {
    "letter.txt": "NOT_DICOM",
    "empty.dcm": "EMPTY_OBJECT",
    "truncated.dcm": "TRUNCATED",
    "report.dcm": "SOP_CLASS_NOT_ALLOWED",
    "headless.dcm": "NOT_DICOM",
}
MESSAGES = {
    "not json": "UNPARSABLE_MESSAGE",
    "[1, 2]": "UNPARSABLE_MESSAGE",
    '{"source": "aws.s3"}': "UNPARSABLE_MESSAGE",
    '{"source": "aws.ec2", "detail-type": "x", "time": "2025-01-01T00:00:00Z", "detail": {}}': "UNKNOWN_EVENT",
    '{"source": "aws.s3", "detail-type": "Object Created", "time": "2025-01-01T00:00:00Z",'
    ' "detail": {"bucket": {"name": "b"}}}': "INVALID_EVENT",
    json.dumps(
        {
            "source": "rayline.api",
            "detail-type": "Image Verified",
            "time": "2025-01-01T00:00:00Z",
            "detail": {
                "schemaVersion": 1,
                "site": "another-site",
                "verificationId": "v",
                "datastoreId": "d" * 32,
                "imageSetId": "i" * 32,
                "imageSetVersion": "1",
                "label": "NORMAL",
                "verifier": "somebody",
            },
        }
    ): "OTHER_SITE",
}
GOOD = generate(seed=11, patients=4, ct_slices=3)


def broken() -> list[Sample]:
    """Broken files that are so by themselves, whatever came before."""
    found = [each for each in GOOD.samples if Path(each.name).name in REASONS]
    without_prefix = accepted(GOOD.samples)[0].content[132:]
    return [*found, Sample("broken/headless.dcm", without_prefix)]


def conflicting() -> Sample:
    """A known UID with other content."""
    (found,) = [each for each in GOOD.samples if each.name.endswith("known-uid-other-content.dcm")]
    return found


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEstate]:
    """An estate that was sent good files, bad files and junk messages, all at once, and came to rest."""
    estate = OwnEstate(
        tmp_path_factory.mktemp("bad-input"), batchQuietSeconds="1", leaseSeconds="5", clockSkewSeconds="0"
    )
    with estate:
        for body in MESSAGES:
            estate.send_message(body)
        estate.processor.start()
        sent = estate.upload([*broken(), *accepted(GOOD.samples)])
        assert sent == len(REASONS) + len(accepted(GOOD.samples))
        eventually(lambda: estate.everything_settled(sent), "every file settled")
        eventually(
            lambda: len(estate.account.quarantine()) >= len(REASONS) + len(MESSAGES), "all in quarantine"
        )
        yield estate


def reasons_by_file(account: Account) -> dict[str, str]:
    """Reason by the file name that the sender chose."""
    return {
        record["origin_key"].rsplit("/", 1)[-1]: record["reason"]
        for record in account.quarantine().values()
        if record["origin_key"]
    }


def entry_of(account: Account, file_name: str) -> str:
    """The quarantine entry of a file."""
    (found,) = [
        entry_id
        for entry_id, record in account.quarantine().items()
        if record["origin_key"].endswith(f"/{file_name}")
    ]
    return found


def test_each_bad_file_is_in_quarantine_with_its_reason(estate: OwnEstate) -> None:
    assert reasons_by_file(estate.account).items() >= REASONS.items()
    held = estate.account.objects("quarantine")
    for sample in broken():
        entry_id = entry_of(estate.account, Path(sample.name).name)
        assert held[f"hospital-a/{entry_id}/object"] == sample.content


def test_each_junk_message_is_in_quarantine_with_its_reason(estate: OwnEstate) -> None:
    held = estate.account.objects("quarantine")
    found = {
        held[f"hospital-a/{entry_id}/object"].decode(): record["reason"]
        for entry_id, record in estate.account.quarantine().items()
        if record["stage"] == "message"
    }
    assert found == MESSAGES


def test_every_good_file_is_imported_nevertheless(estate: OwnEstate) -> None:
    frames = Counter(crc for image_set in estate.account.image_sets() for crc in image_set.checksums)
    assert frames == Counter(frame_checksum(each.content) for each in accepted(GOOD.samples))


def test_nothing_is_retried_for_ever(estate: OwnEstate) -> None:
    eventually(estate.queue_is_empty, "the queue is empty")
    sqs = estate.account.client("sqs")
    url = sqs.get_queue_url(QueueName="rayline-local-events-dlq")["QueueUrl"]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    assert answer["Attributes"]["ApproximateNumberOfMessages"] == "0"


def test_operators_see_what_is_in_quarantine_and_no_senders_key(estate: OwnEstate) -> None:
    listed = json_lines(estate.operator("quarantine", "list", "--json").stdout)
    held = estate.account.quarantine()
    assert {each["entry_id"]: each["reason"] for each in listed} == {
        entry_id: record["reason"] for entry_id, record in held.items()
    }
    assert Counter(each["reason"] for each in listed) >= Counter([*REASONS.values(), *MESSAGES.values()])
    assert not any(key.startswith("origin_") for each in listed for key in each)
    only = json_lines(estate.operator("quarantine", "list", "--json", "--reason", "EMPTY_OBJECT").stdout)
    assert [(each["reason"], each["size_bytes"]) for each in only] == [("EMPTY_OBJECT", 0)]
    entry_id = entry_of(estate.account, "letter.txt")
    shown = json.loads(estate.operator("quarantine", "show", "--json", entry_id).stdout)
    assert shown.pop("header")["stopped_because"] == "the prefix DICM is not at byte 128"
    assert shown == next(each for each in listed if each["entry_id"] == entry_id)
    with_origin = json.loads(estate.operator("quarantine", "show", "--phi", "--json", entry_id).stdout)
    assert with_origin["origin_key"] == "upload/hospital-a/letter.txt"
    table = estate.operator("quarantine", "list").stdout
    assert all(each["entry_id"] in table for each in listed)
    groups = json_lines(estate.operator("quarantine", "list", "--group-by", "reason", "--json").stdout)
    assert {each["value"]: each["entries"] for each in groups} == Counter(each["reason"] for each in listed)


def test_a_patient_is_shown_only_where_that_was_asked_for_and_then_it_is_on_record(estate: OwnEstate) -> None:
    """The truncated file is whole as far as its header goes, and full of its patient."""
    entry_id = entry_of(estate.account, "truncated.dcm")
    content = estate.account.objects("quarantine")[f"hospital-a/{entry_id}/object"]
    name = str(pydicom.dcmread(BytesIO(content), stop_before_pixels=True).PatientName)
    before = len(estate.account.items("image-tracking", "audit"))
    hidden = estate.operator("quarantine", "show", entry_id)
    assert "PatientName" in hidden.stdout
    assert "are left" in hidden.stdout.splitlines()[-1]
    family = name.split("^")[0]
    assert family not in hidden.stdout + hidden.stderr
    assert len(estate.account.items("image-tracking", "audit")) == before
    shown = estate.operator("quarantine", "show", "--phi", entry_id)
    assert name in shown.stdout
    assert family not in shown.stderr
    (item,) = [
        each for each in estate.account.items("image-tracking", "audit") if each["entry_id"] == entry_id
    ]
    assert item["action"] == "phi_viewed"
    assert "rayline-local-operator" in item["by"]


def test_an_unknown_entry_is_a_plain_error(estate: OwnEstate) -> None:
    refused = estate.operator("quarantine", "show", "0" * 32, check=False)
    assert refused.returncode == 1
    assert "quarantine list" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_released_message_is_read_anew_and_is_no_upload(estate: OwnEstate) -> None:
    before = estate.account.object_versions("uploads")
    entry_id = next(each for each in estate.account.quarantine() if each.startswith("message-"))
    first = estate.account.quarantine()[entry_id]
    estate.operator("quarantine", "release", entry_id)
    again = eventually(
        lambda: [
            record
            for key, record in estate.account.quarantine().items()
            if key == entry_id and record["quarantined_at"] > first["quarantined_at"]
        ],
        "the message is back",
    )
    assert [each["reason"] for each in again] == [first["reason"]]
    assert estate.account.object_versions("uploads") == before


def test_a_known_uid_with_other_content_is_refused_and_leaves_no_batch_open(estate: OwnEstate) -> None:
    sample = conflicting()
    name = Path(sample.name).name
    imported = estate.account.stages()["imported"]
    estate.upload([sample])
    eventually(lambda: reasons_by_file(estate.account).get(name) == "UID_CONFLICT", "the conflict is seen")
    # Its file opened a batch of its own, and was taken out of it again: the batch must not stay open for ever.
    eventually(lambda: set(estate.account.batches().values()) == {"accounted"}, "no batch stays open")
    assert estate.account.stages()["imported"] == imported
    kept = [crc for image_set in estate.account.image_sets() for crc in image_set.checksums]
    assert frame_checksum(sample.content) not in kept


def test_the_same_file_twice_is_a_duplicate_and_no_second_import(estate: OwnEstate) -> None:
    sample = accepted(GOOD.samples)[0]
    before = {each.image_set_id: each.version for each in estate.account.image_sets()}
    duplicates = estate.account.stages()["duplicate"]
    estate.upload([sample])
    eventually(lambda: estate.account.stages()["duplicate"] == duplicates + 1, "the duplicate is seen")
    eventually(lambda: set(estate.account.batches().values()) == {"accounted"}, "no batch stays open")
    assert {each.image_set_id: each.version for each in estate.account.image_sets()} == before


def test_a_released_file_is_screened_anew(estate: OwnEstate) -> None:
    """What still is bad comes back under a new id; the old entry is gone, and the ledger says what became of it."""
    old = entry_of(estate.account, "report.dcm")
    content = estate.account.objects("quarantine")[f"hospital-a/{old}/object"]
    estate.operator("quarantine", "release", old)
    entries: dict[str, Any] = eventually(
        lambda: {
            key: record
            for key, record in estate.account.quarantine().items()
            if record["origin_key"] == f"upload/hospital-a/released/{old}"
        },
        "the released file is back",
    )
    ((new, record),) = entries.items()
    assert new != old
    assert record["reason"] == "SOP_CLASS_NOT_ALLOWED"
    assert estate.account.objects("quarantine")[f"hospital-a/{new}/object"] == content
    assert old not in estate.account.quarantine()
    stages = {
        item["instance_id"]: item["stage"] for item in estate.account.items("image-tracking", "instance")
    }
    assert (stages[old], stages[new]) == ("released", "quarantined")


def test_a_file_that_healthimaging_refused_is_imported_once_it_is_released(estate: OwnEstate) -> None:
    sample = next(each for each in generate(seed=12, patients=1, ct_slices=1).samples if each.label)
    estate.faults(fail_files=1)
    estate.upload([sample])
    (entry_id,) = eventually(
        lambda: [
            entry_id
            for entry_id, record in estate.account.quarantine().items()
            if record["reason"] == "IMPORT_FAILED"
        ],
        "the refused file is in quarantine",
    )
    # What is kept is what HealthImaging was given, so it names nobody.
    held = estate.account.objects("quarantine")[f"hospital-a/{entry_id}/object"]
    name = str(pydicom.dcmread(BytesIO(sample.content)).PatientName).encode()
    assert name in sample.content
    assert name not in held
    # Its de-identified file goes into a batch again, with nobody having to send the image.
    estate.operator("quarantine", "release", entry_id)
    checksum = frame_checksum(sample.content)
    eventually(
        lambda: [each for each in estate.account.image_sets() if each.checksums == [checksum]],
        "the file is imported",
    )
    eventually(lambda: entry_id not in estate.account.quarantine(), "its entry is gone")
    duplicates = estate.account.stages()["duplicate"]
    estate.upload([sample])
    eventually(lambda: estate.account.stages()["duplicate"] == duplicates + 1, "the same image is known")


def test_what_is_old_is_purged_on_record_and_s3_says_for_how_long_it_keeps_it(estate: OwnEstate) -> None:
    held = estate.account.quarantine()
    shown = json.loads(estate.operator("quarantine", "purge", "--older-than", "0001-01-01", "--json").stdout)
    assert shown == {"dry_run": True, "found": 0, "reasons": {}}
    arguments = ("quarantine", "purge", "--older-than", "2999-01-01", "--reason", "UID_CONFLICT", "--json")
    shown = json.loads(estate.operator(*arguments).stdout)
    assert shown == {"dry_run": True, "found": 1, "reasons": {"UID_CONFLICT": 1}}
    assert estate.account.quarantine() == held
    done = json.loads(estate.operator(*arguments, "--yes").stdout)
    assert (done["entries"], done["kept_versions"], done["noncurrent_days"]) == (1, True, 30)
    left = estate.account.quarantine()
    (purged,) = held.keys() - left.keys()
    assert held[purged]["reason"] == "UID_CONFLICT"
    stages = {
        item["instance_id"]: item["stage"] for item in estate.account.items("image-tracking", "instance")
    }
    assert stages[purged] == "purged"
    # No role of the estate deletes versions, so all of them can be got back for a while.
    arguments = ("quarantine", "purge", "--older-than", "2999-01-01", "--reason", "EMPTY_OBJECT")
    refused = estate.operator(*arguments, "--every-version", "--yes", check=False)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert estate.account.quarantine() == left
