"""Imports through an unmodified boto3 client: what goes in comes out, and every file is accounted for."""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from botocore.exceptions import ClientError
from support.healthimaging_account import Account, instances, policy, real_ct_files, trust
from support.local_cloud import ACCOUNT_ID, LocalCloud
from support.p10_files import ct_file, new_uid, pixels

DATA_ROOT = Path(os.environ.get("RAYLINE_DATA", "../shared/data"))


@pytest.fixture
def account(local_cloud: LocalCloud) -> Iterator[Account]:
    local_cloud.faults()
    yield Account(local_cloud).create()
    local_cloud.faults()


def error_code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    """Code and HTTP status."""
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_import_search_metadata_frame(account: Account) -> None:
    study, series = new_uid(), new_uid()
    frames = {f"f{i}": pixels(i) for i in range(3)}
    files = {
        name: ct_file(frame, study_uid=study, series_uid=series, sop_uid=f"{series}.{index}")
        for index, (name, frame) in enumerate(frames.items())
    }
    properties = account.import_batch("b1", **files)
    assert properties["jobStatus"] == "COMPLETED"
    assert properties["outputS3Uri"].endswith(f"{account.datastore_id}-DicomImport-{properties['jobId']}/")

    [summary] = account.image_sets()
    assert (summary["version"], summary["isPrimary"]) == (1, True)
    tags = summary["DICOMTags"]
    assert (tags["DICOMPatientId"], tags["DICOMSeriesNumber"], tags["DICOMStudyDate"]) == (
        "P-1",
        3,
        "20240501",
    )
    assert (tags["DICOMNumberOfStudyRelatedSeries"], tags["DICOMNumberOfStudyRelatedInstances"]) == (1, 3)

    document = account.metadata(summary["imageSetId"])
    assert document["SchemaVersion"] == "1.1"
    assert document["DatastoreID"] == account.datastore_id
    assert document["ImageSetID"] == summary["imageSetId"]
    assert document["Patient"]["DICOM"]["PatientName"] == "Doe^Jane"
    assert document["Study"]["DICOM"]["StudyInstanceUID"] == study
    assert list(document["Study"]["Series"]) == [series]
    for index, frame in enumerate(frames.values()):
        instance = instances(document)[f"{series}.{index}"]
        assert instance["StoredTransferSyntaxUID"] == "1.2.840.10008.1.2.4.202"
        assert instance["DICOM"]["PixelData"] is None
        assert instance["DICOM"]["RescaleSlope"] == "1.0 ", "DS keeps its padding"
        assert instance["DICOM"]["ImageType"] == ["ORIGINAL", "PRIMARY", "AXIAL"]
        assert instance["DICOM"]["TransferSyntaxUID"] == "1.2.840.10008.1.2.1"
        [described] = instance["ImageFrames"]
        checksum = described["PixelDataChecksumFromBaseToFullResolution"][-1]
        # PS3.5: the pixel data of an uncompressed file are the decoded frame, so this is derived without a codec.
        assert checksum == {"Width": 64, "Height": 48, "Checksum": zlib.crc32(frame.astype("<i2").tobytes())}
        assert (described["MinPixelValue"], described["MaxPixelValue"]) == (frame.min(), frame.max())
        assert described["FrameSizeInBytes"] == frame.size * 2
        stored = account.frame(summary["imageSetId"], described["ID"])
        np.testing.assert_array_equal(imagecodecs.htj2k_decode(stored), frame)


def test_job_output_accounts_for_every_file(account: Account) -> None:
    study, series = new_uid(), new_uid()
    good = ct_file(pixels(1), study_uid=study, series_uid=series)
    account.cloud.faults(fail_files=1)
    properties = account.import_batch(
        "b1",
        a_unlucky=ct_file(pixels(2), study_uid=study, series_uid=series),
        b_good=good,
        c_text=b"not DICOM at all",
        d_empty=b"",
        e_truncated=good[: len(good) - 1000],
        f_no_uid=ct_file(pixels(3), study_uid=study, series_uid=series, StudyInstanceUID=""),
    )
    assert properties["jobStatus"] == "COMPLETED", "a job completes although files failed"
    summary = json.loads(account.output(properties, "job-output-manifest.json"))["jobSummary"]
    assert summary["numberOfScannedFiles"] == 6
    assert summary["numberOfImportedFiles"] == 1
    assert summary["numberOfFilesWithCustomerError"] == 4
    assert summary["numberOfFilesWithServerError"] == 1
    assert summary["numberOfGeneratedImageSets"] == 1
    [image_set] = account.image_sets()
    [success] = [
        json.loads(line) for line in account.output(properties, "SUCCESS/success.ndjson").splitlines()
    ]
    assert success == {
        "inputFile": "in/b1/b_good",
        "importResponse": {"imageSetId": image_set["imageSetId"], "isPrimary": True},
    }
    failures = [
        json.loads(line) for line in account.output(properties, "FAILURE/failure.ndjson").splitlines()
    ]
    assert {item["inputFile"].rsplit("/")[-1]: item["exception"]["exceptionType"] for item in failures} == {
        "a_unlucky": "InternalServerException",
        "c_text": "ValidationException",
        "d_empty": "ValidationException",
        "e_truncated": "ValidationException",
        "f_no_uid": "ValidationException",
    }
    assert account.output(properties, "WARNING/warning.ndjson") == ""


def test_events_tell_the_job_and_the_image_set(account: Account) -> None:
    account.received()
    properties = account.import_batch("b1", one=ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid()))
    events = account.received()
    assert [event["detail-type"] for event in events] == [
        "Import Job Submitted",
        "Import Job In Progress",
        "Image Set Created",
        "Import Job Completed",
    ]
    created, completed = events[2]["detail"], events[3]["detail"]
    [image_set] = account.image_sets()
    assert created == {
        "imagingVersion": "1.0",
        "isPrimary": True,
        "imageSetVersion": "1",
        "datastoreId": account.datastore_id,
        "imagesetId": image_set["imageSetId"],
        "imageSetState": "ACTIVE",
        "imageSetWorkflowStatus": "CREATED",
    }
    assert completed["jobId"] == properties["jobId"]
    assert completed["jobStatus"] == "COMPLETED"
    assert completed["outputS3Uri"] == properties["outputS3Uri"]
    assert {event["source"] for event in events} == {"aws.medical-imaging"}


def test_event_faults_drop_and_duplicate(account: Account) -> None:
    account.received()
    account.cloud.faults(drop_events=True)
    account.import_batch("b1", one=ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid()))
    assert account.received() == []
    account.cloud.faults(duplicate_events=True)
    account.import_batch("b2", one=ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid()))
    titles = [event["detail-type"] for event in account.received()]
    assert titles.count("Import Job Completed") == 2


def test_a_late_slice_joins_the_series_and_raises_the_version(account: Account) -> None:
    study, series = new_uid(), new_uid()
    account.import_batch(
        "b1", one=ct_file(pixels(1), study_uid=study, series_uid=series, sop_uid=f"{series}.1")
    )
    account.import_batch(
        "b2", two=ct_file(pixels(2), study_uid=study, series_uid=series, sop_uid=f"{series}.2")
    )
    [summary] = account.image_sets()
    assert summary["version"] == 2
    assert set(instances(account.metadata(summary["imageSetId"]))) == {f"{series}.1", f"{series}.2"}
    assert set(instances(account.metadata(summary["imageSetId"], versionId="1"))) == {f"{series}.1"}
    assert account.received()[-2]["detail-type"] == "Image Set Updated"


def test_reimport_replaces_the_instance(account: Account) -> None:
    study, series = new_uid(), new_uid()
    uid = f"{series}.1"
    account.import_batch("b1", one=ct_file(pixels(1), study_uid=study, series_uid=series, sop_uid=uid))
    account.import_batch("b2", one=ct_file(pixels(2), study_uid=study, series_uid=series, sop_uid=uid))
    [summary] = account.image_sets()
    [frame] = instances(account.metadata(summary["imageSetId"]))[uid]["ImageFrames"]
    expected = zlib.crc32(pixels(2).astype("<i2").tobytes())
    assert summary["version"] == 2
    assert frame["PixelDataChecksumFromBaseToFullResolution"][-1]["Checksum"] == expected


@pytest.mark.parametrize("change", [{"PatientID": "P-2"}, {"StudyDate": "20240502"}, {"SeriesNumber": 9}])
def test_a_conflict_makes_a_non_primary_image_set(account: Account, change: dict[str, Any]) -> None:
    study, series = new_uid(), new_uid()
    account.import_batch("b1", one=ct_file(pixels(1), study_uid=study, series_uid=series))
    account.import_batch("b2", two=ct_file(pixels(2), study_uid=study, series_uid=series, **change))
    found = {summary["isPrimary"]: summary for summary in account.image_sets()}
    assert set(found) == {True, False}
    filters = [{"operator": "EQUAL", "values": [{"isPrimary": False}]}]
    [other] = account.image_sets(filters=filters)
    assert other["imageSetId"] == found[False]["imageSetId"]


def test_attributes_that_differ_below_the_primary_elements_are_kept_with_their_instance(
    account: Account,
) -> None:
    study, series = new_uid(), new_uid()
    account.import_batch(
        "b1",
        a=ct_file(pixels(1), study_uid=study, series_uid=series, sop_uid=f"{series}.1", StationName="A"),
        b=ct_file(pixels(2), study_uid=study, series_uid=series, sop_uid=f"{series}.2", StationName="B"),
    )
    [summary] = account.image_sets()
    document = account.metadata(summary["imageSetId"])
    assert document["Study"]["Series"][series]["DICOM"]["StationName"] == "A"
    assert "StationName" not in instances(document)[f"{series}.1"]["DICOM"]
    assert instances(document)[f"{series}.2"]["DICOM"]["StationName"] == "B"


def test_client_token_is_idempotent(account: Account) -> None:
    account.put("b1", one=ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid()))
    first, second = account.start("b1"), account.start("b1")
    assert first["jobId"] == second["jobId"]
    account.wait(first["jobId"])
    assert account.start("b1")["jobId"] == first["jobId"]
    assert len(account.image_sets()) == 1
    with pytest.raises(ClientError) as error:
        account.start("b1", jobName="another")
    assert error_code(error) == ("ConflictException", 409)


def test_an_empty_prefix_fails_the_job(account: Account) -> None:
    properties = account.wait(account.start("nothing-here")["jobId"])
    assert properties["jobStatus"] == "FAILED"
    assert "no files" in properties["message"]


def test_a_role_that_cannot_read_fails_the_job(account: Account) -> None:
    name = f"{account.name}-blind"
    account.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("medical-imaging.amazonaws.com"))
    account.put("b1", one=ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid()))
    job = account.start("b1", dataAccessRoleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/{name}")
    properties = account.wait(job["jobId"])
    assert properties["jobStatus"] == "FAILED"
    assert "AccessDenied" in properties["message"]
    assert account.image_sets() == []


def test_a_role_that_does_not_trust_the_service_is_refused(account: Account) -> None:
    name = f"{account.name}-tasks"
    account.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("ecs-tasks.amazonaws.com"))
    with pytest.raises(ClientError) as error:
        account.start("b1", dataAccessRoleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/{name}")
    assert error_code(error) == ("AccessDeniedException", 403)


def test_passing_a_role_needs_iam_pass_role(account: Account) -> None:
    name = f"{account.name}-starter"
    account.iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            }
        ),
    )
    resource = f"arn:aws:medical-imaging:us-east-1:{ACCOUNT_ID}:datastore/{account.datastore_id}"
    starting = (["medical-imaging:StartDICOMImportJob"], [resource])
    account.iam.put_role_policy(RoleName=name, PolicyName="start", PolicyDocument=policy(starting))
    account.put("b1", one=ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid()))
    account.imaging = account.cloud.client("medical-imaging", name)
    with pytest.raises(ClientError) as error:
        account.start("b1")
    assert error_code(error) == ("AccessDeniedException", 403)
    assert "iam:PassRole" in error.value.response["Error"]["Message"]

    passing = (["iam:PassRole"], [account.role_arn])
    account.iam.put_role_policy(RoleName=name, PolicyName="start", PolicyDocument=policy(starting, passing))
    assert account.start("b1")["jobStatus"] == "SUBMITTED"
    with pytest.raises(ClientError) as error:
        account.imaging.search_image_sets(datastoreId=account.datastore_id)
    assert error_code(error) == ("AccessDeniedException", 403)


def test_a_tampered_request_is_refused(account: Account) -> None:
    name = f"{account.name}-reader"
    account.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("sagemaker.amazonaws.com"))
    client = account.cloud.client("medical-imaging", name)

    def tamper(request: Any, **_: Any) -> None:
        request.headers["X-Amz-Date"] = "20200101T000000Z"

    client.meta.events.register("before-send.medical-imaging", tamper)
    with pytest.raises(ClientError) as error:
        client.list_datastores()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert error.value.response["Error"]["Code"] != "AccessDeniedException"


def test_real_ct_series_is_stored_bit_exact(account: Account) -> None:
    paths = real_ct_files(DATA_ROOT)
    if not paths:
        pytest.skip(f"no CT series under {DATA_ROOT}: set RAYLINE_DATA to the folder of real images")
    for path in paths:
        account.s3.put_object(Bucket=account.bucket, Key=f"in/ct/{path.name}", Body=path.read_bytes())
    assert account.wait(account.start("ct")["jobId"])["jobStatus"] == "COMPLETED"
    [summary] = account.image_sets()
    document = account.metadata(summary["imageSetId"])
    by_uid = instances(document)
    assert len(by_uid) == len(paths)
    for path in paths:
        dataset = pydicom.dcmread(io.BytesIO(path.read_bytes()))
        [frame] = by_uid[str(dataset.SOPInstanceUID)]["ImageFrames"]
        checksum = frame["PixelDataChecksumFromBaseToFullResolution"][-1]["Checksum"]
        assert checksum == zlib.crc32(dataset.PixelData), path.name
        decoded = imagecodecs.htj2k_decode(account.frame(summary["imageSetId"], frame["ID"]))
        assert decoded.tobytes() == dataset.PixelData, path.name
