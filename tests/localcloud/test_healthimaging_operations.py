"""The rest of the API through an unmodified boto3 client: search, versions, edits, tags, limits, survival."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.healthimaging_account import Account, instances
from support.local_cloud import ACCOUNT_ID, REGION, LocalCloud
from support.p10_files import ct_file, new_uid, pixels


@pytest.fixture
def account(local_cloud: LocalCloud) -> Iterator[Account]:
    local_cloud.faults()
    yield Account(local_cloud).create()
    local_cloud.faults()


def error_code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    """Code and HTTP status."""
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def equal(**value: Any) -> dict[str, Any]:
    """A search filter for one value."""
    return {"operator": "EQUAL", "values": [value]}


def between(name: str, first: Any, last: Any) -> dict[str, Any]:
    """A search filter for a range."""
    return {"operator": "BETWEEN", "values": [{name: first}, {name: last}]}


def one_image_set(account: Account, batch: str = "b1", **attributes: Any) -> str:
    """Import one instance; returns its image set's id."""
    known = {str(summary["imageSetId"]) for summary in account.image_sets()}
    account.import_batch(
        batch, one=ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid(), **attributes)
    )
    [new] = {str(summary["imageSetId"]) for summary in account.image_sets()} - known
    return new


def test_search_filters_sort_and_pages(account: Account) -> None:
    study = new_uid()
    series = [new_uid() for _ in range(5)]
    files = {
        f"f{i}": ct_file(pixels(i), study_uid=study, series_uid=uid, StudyDate="20240501")
        for i, uid in enumerate(series)
    }
    other = new_uid()
    files["g"] = ct_file(
        pixels(9),
        study_uid=other,
        series_uid=new_uid(),
        PatientID="P-9",
        StudyDate="20230101",
        StudyTime="235900",
    )
    account.import_batch("b1", **files)
    assert len(account.image_sets()) == 6
    assert len(account.image_sets(filters=[equal(DICOMStudyInstanceUID=study)])) == 5
    [found] = account.image_sets(filters=[equal(DICOMSeriesInstanceUID=series[2])])
    assert found["DICOMTags"]["DICOMSeriesInstanceUID"] == series[2]
    [found] = account.image_sets(filters=[equal(DICOMPatientId="P-9")])
    assert found["DICOMTags"]["DICOMStudyInstanceUID"] == other
    assert account.image_sets(filters=[equal(DICOMPatientId="P")]) == []
    moments = between(
        "DICOMStudyDateAndTime",
        {"DICOMStudyDate": "20230101", "DICOMStudyTime": "235800"},
        {"DICOMStudyDate": "20230102"},
    )
    assert [item["DICOMTags"]["DICOMPatientId"] for item in account.image_sets(filters=[moments])] == ["P-9"]
    now = datetime.now(UTC)
    assert len(account.image_sets(filters=[between("updatedAt", now - timedelta(hours=1), now)])) == 6
    assert account.image_sets(filters=[between("createdAt", now + timedelta(1), now + timedelta(2))]) == []
    assert len(account.image_sets(filters=[equal(isPrimary=True), equal(DICOMPatientId="P-1")])) == 5

    sort = {"sortField": "DICOMStudyDateAndTime", "sortOrder": "ASC"}
    first = account.imaging.search_image_sets(
        datastoreId=account.datastore_id, maxResults=2, searchCriteria={"sort": sort}
    )
    assert first["sort"] == sort
    assert first["imageSetsMetadataSummaries"][0]["DICOMTags"]["DICOMPatientId"] == "P-9"
    pages = account.imaging.get_paginator("search_image_sets").paginate(
        datastoreId=account.datastore_id, PaginationConfig={"PageSize": 2}
    )
    ids = [item["imageSetId"] for page in pages for item in page["imageSetsMetadataSummaries"]]
    assert (len(ids), len(set(ids))) == (6, 6)
    with pytest.raises(ClientError) as error:
        account.imaging.search_image_sets(
            datastoreId=account.datastore_id, maxResults=3, nextToken=first["nextToken"]
        )
    assert error_code(error) == ("ValidationException", 400), "a token is good for its own query only"


@pytest.mark.parametrize(
    "search_filter",
    [
        {"operator": "EQUAL", "values": [{"DICOMPatientId": "a"}, {"DICOMPatientId": "b"}]},
        {"operator": "BETWEEN", "values": [{"DICOMPatientId": "a"}, {"DICOMPatientId": "b"}]},
        {"operator": "BETWEEN", "values": [{"createdAt": datetime(2024, 1, 1, tzinfo=UTC)}]},
        {"operator": "EQUAL", "values": [{"createdAt": datetime(2024, 1, 1, tzinfo=UTC)}]},
        between("DICOMStudyDateAndTime", {"DICOMStudyDate": "May"}, {"DICOMStudyDate": "20240501"}),
        between("createdAt", datetime(2025, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_search_refuses_filters_that_aws_refuses(account: Account, search_filter: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        account.image_sets(filters=[search_filter])
    assert error_code(error) == ("ValidationException", 400)


def test_update_makes_a_version_and_revert_makes_another(account: Account) -> None:
    image_set = one_image_set(account)
    account.received()
    changes = {
        "SchemaVersion": "1.1",
        "Study": {"DICOM": {"StudyDescription": "CHEST"}},
    }
    answer = account.imaging.update_image_set_metadata(
        datastoreId=account.datastore_id,
        imageSetId=image_set,
        latestVersionId="1",
        updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": json.dumps(changes).encode()}},
    )
    assert (answer["imageSetState"], answer["imageSetWorkflowStatus"]) == ("LOCKED", "UPDATING")
    settled = account.settled(image_set)
    assert (settled["versionId"], settled["imageSetWorkflowStatus"]) == ("2", "UPDATED")
    assert account.metadata(image_set)["Study"]["DICOM"]["StudyDescription"] == "CHEST"
    assert "StudyDescription" not in account.metadata(image_set, versionId="1")["Study"]["DICOM"]

    with pytest.raises(ClientError) as error:
        account.imaging.update_image_set_metadata(
            datastoreId=account.datastore_id,
            imageSetId=image_set,
            latestVersionId="1",
            updateImageSetMetadataUpdates={"revertToVersionId": "1"},
        )
    assert error_code(error) == ("ConflictException", 409)
    account.imaging.update_image_set_metadata(
        datastoreId=account.datastore_id,
        imageSetId=image_set,
        latestVersionId="2",
        updateImageSetMetadataUpdates={"revertToVersionId": "1"},
    )
    assert account.settled(image_set)["versionId"] == "3"
    assert "StudyDescription" not in account.metadata(image_set)["Study"]["DICOM"]
    versions = account.imaging.list_image_set_versions(datastoreId=account.datastore_id, imageSetId=image_set)
    listed = [item["versionId"] for item in versions["imageSetPropertiesList"]]
    assert listed == ["3", "2", "1"]
    assert versions["imageSetPropertiesList"][0]["ImageSetWorkflowStatus"] == "UPDATED"
    titles = [event["detail-type"] for event in account.received()]
    assert titles == ["Image Set Updating", "Image Set Updated"] * 2


def test_identifying_attributes_change_only_by_force(account: Account) -> None:
    image_set = one_image_set(account)
    changes = {"SchemaVersion": "1.1", "Patient": {"DICOM": {"PatientID": "P-2"}}}
    request = {
        "datastoreId": account.datastore_id,
        "imageSetId": image_set,
        "latestVersionId": "1",
        "updateImageSetMetadataUpdates": {
            "DICOMUpdates": {"updatableAttributes": json.dumps(changes).encode()}
        },
    }
    with pytest.raises(ClientError) as error:
        account.imaging.update_image_set_metadata(**request)
    assert error_code(error) == ("ValidationException", 400)
    account.imaging.update_image_set_metadata(**request, force=True)
    assert account.settled(image_set)["overrides"] == {"forced": True}
    [found] = account.image_sets(filters=[equal(DICOMPatientId="P-2")])
    assert found["imageSetId"] == image_set


def test_removed_attributes_are_gone(account: Account) -> None:
    image_set = one_image_set(account)
    removals = {"SchemaVersion": "1.1", "Patient": {"DICOM": {"PatientSex": None}}}
    account.imaging.update_image_set_metadata(
        datastoreId=account.datastore_id,
        imageSetId=image_set,
        latestVersionId="1",
        updateImageSetMetadataUpdates={
            "DICOMUpdates": {"removableAttributes": json.dumps(removals).encode()}
        },
    )
    account.settled(image_set)
    assert "PatientSex" not in account.metadata(image_set)["Patient"]["DICOM"]


def test_delete_leaves_a_tombstone_and_removes_the_content(account: Account) -> None:
    image_set = one_image_set(account)
    [instance] = instances(account.metadata(image_set)).values()
    frame_id = instance["ImageFrames"][0]["ID"]
    answer = account.imaging.delete_image_set(datastoreId=account.datastore_id, imageSetId=image_set)
    assert (answer["imageSetState"], answer["imageSetWorkflowStatus"]) == ("LOCKED", "DELETING")
    assert account.settled(image_set)["imageSetState"] == "DELETED"
    assert account.image_sets() == []
    with pytest.raises(ClientError) as error:
        account.metadata(image_set)
    assert error_code(error) == ("ResourceNotFoundException", 404)
    with pytest.raises(ClientError) as error:
        account.frame(image_set, frame_id)
    assert error_code(error) == ("ResourceNotFoundException", 404)


def test_copy_makes_a_new_set_with_frames_of_its_own(account: Account) -> None:
    source = one_image_set(account)
    answer = account.imaging.copy_image_set(
        datastoreId=account.datastore_id,
        sourceImageSetId=source,
        copyImageSetInformation={"sourceImageSet": {"latestVersionId": "1"}},
    )
    target = answer["destinationImageSetProperties"]["imageSetId"]
    assert account.settled(target)["isPrimary"] is False
    assert account.settled(source)["imageSetWorkflowStatus"] == "COPIED"
    [original] = instances(account.metadata(source)).values()
    [copied] = instances(account.metadata(target)).values()
    assert copied["DICOM"] == original["DICOM"]
    assert copied["ImageFrames"][0]["ID"] != original["ImageFrames"][0]["ID"]
    content = account.frame(source, original["ImageFrames"][0]["ID"])
    account.imaging.delete_image_set(datastoreId=account.datastore_id, imageSetId=source)
    account.settled(source)
    assert account.frame(target, copied["ImageFrames"][0]["ID"]) == content, "the copy outlives its source"


def test_tags(account: Account) -> None:
    arn = f"arn:aws:medical-imaging:{REGION}:{ACCOUNT_ID}:datastore/{account.datastore_id}"
    account.imaging.tag_resource(resourceArn=arn, tags={"site": "a", "zone": "deidentified"})
    account.imaging.untag_resource(resourceArn=arn, tagKeys=["site"])
    assert account.imaging.list_tags_for_resource(resourceArn=arn)["tags"] == {"zone": "deidentified"}


def test_datastore_life(account: Account) -> None:
    token = new_uid()
    first = account.imaging.create_datastore(datastoreName="spare", clientToken=token)
    again = account.imaging.create_datastore(datastoreName="spare", clientToken=token)
    assert first["datastoreId"] == again["datastoreId"]
    described = account.imaging.get_datastore(datastoreId=first["datastoreId"])["datastoreProperties"]
    assert (described["datastoreStatus"], described["losslessStorageFormat"]) == ("ACTIVE", "HTJ2K")
    account.imaging.delete_datastore(datastoreId=first["datastoreId"])
    described = account.imaging.get_datastore(datastoreId=first["datastoreId"])["datastoreProperties"]
    assert described["datastoreStatus"] == "DELETED"
    one_image_set(account)
    with pytest.raises(ClientError) as error:
        account.imaging.delete_datastore(datastoreId=account.datastore_id)
    assert error_code(error) == ("ConflictException", 409)


def test_a_page_of_more_than_50_is_refused(account: Account) -> None:
    with pytest.raises(ClientError) as error:
        account.imaging.list_dicom_import_jobs(datastoreId=account.datastore_id, maxResults=51)
    assert error_code(error) == ("ValidationException", 400)


def test_unknown_things_are_not_found(account: Account) -> None:
    unknown = "0" * 32
    with pytest.raises(ClientError) as error:
        account.imaging.get_dicom_import_job(datastoreId=account.datastore_id, jobId=unknown)
    assert error_code(error) == ("ResourceNotFoundException", 404)
    with pytest.raises(ClientError) as error:
        account.imaging.get_image_set(datastoreId=account.datastore_id, imageSetId=unknown)
    assert error_code(error) == ("ResourceNotFoundException", 404)
    with pytest.raises(ClientError) as error:
        account.imaging.search_image_sets(datastoreId=unknown)
    assert error_code(error) == ("ResourceNotFoundException", 404)


def test_throttling_and_late_metadata_can_be_provoked(account: Account) -> None:
    image_set = one_image_set(account)
    account.cloud.faults(throttle=1, metadata_conflicts=1)
    with pytest.raises(ClientError) as error:
        account.metadata(image_set)
    assert error_code(error) == ("ThrottlingException", 429)
    with pytest.raises(ClientError) as error:
        account.metadata(image_set)
    assert error_code(error) == ("ConflictException", 409)
    assert account.metadata(image_set)["ImageSetID"] == image_set


def test_image_sets_survive_a_restart(own_local_cloud: LocalCloud) -> None:
    account = Account(own_local_cloud).create()
    image_set = one_image_set(account)
    document = account.metadata(image_set)
    [instance] = instances(document).values()
    content = account.frame(image_set, instance["ImageFrames"][0]["ID"])
    assert own_local_cloud.stop() == 0
    own_local_cloud.start()
    assert account.metadata(image_set) == document
    assert account.frame(image_set, instance["ImageFrames"][0]["ID"]) == content
    # MiniStack's own state came back too: roles, objects, rules and the queue.
    account.received()
    one_image_set(account, "b2")
    assert "Import Job Completed" in [event["detail-type"] for event in account.received()]


def test_an_interrupted_job_ends_after_the_restart_with_the_same_counts(own_local_cloud: LocalCloud) -> None:
    account = Account(own_local_cloud).create()
    study, series = new_uid(), new_uid()
    files = {f"f{i}": ct_file(pixels(i), study_uid=study, series_uid=series) for i in range(12)}
    account.put("b1", **files)
    own_local_cloud.faults(job_delay_seconds=30)
    job_id = account.start("b1")["jobId"]
    assert own_local_cloud.stop() == 0
    own_local_cloud.start()
    properties = account.wait(job_id)
    assert properties["jobStatus"] == "COMPLETED"
    summary = json.loads(account.output(properties, "job-output-manifest.json"))["jobSummary"]
    assert summary["numberOfImportedFiles"] == 12
    [image_set] = account.image_sets()
    assert len(instances(account.metadata(image_set["imageSetId"]))) == 12


def test_image_sets_survive_a_kill_and_no_worker_is_left(own_local_cloud: LocalCloud) -> None:
    account = Account(own_local_cloud).create()
    image_set = one_image_set(account)
    document = account.metadata(image_set)
    server = json.loads((own_local_cloud.state_dir / "server.json").read_text())
    workers = children(server["pid"])
    assert workers, "the import started worker processes"
    own_local_cloud.kill()
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if alive(pid)]
    own_local_cloud.start()
    assert account.metadata(image_set) == document


def children(pid: int) -> list[int]:
    """Processes whose parent is this one (Linux)."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and stat_fields(int(entry.name))[1:2] == [str(pid)]
    ]


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie does not."""
    return stat_fields(pid)[:1] not in ([], ["Z"])


def stat_fields(pid: int) -> list[str]:
    """State, parent and so on of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
