"""HealthImaging: import jobs by client token, their manifests, image sets and their versions."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.healthimaging_account import Account
from support.in_memory_cloud.cloud import InMemoryCloud
from support.local_cloud import LocalCloud

from rayline.healthimaging.frames import frame_pins, instances_in
from rayline.healthimaging.job_results import read_job_results
from rayline.healthimaging.reader import FrameReader
from rayline.testing import ImageSpec, image_content

ROLE = "arn:aws:iam::123456789012:role/import"


class Datastore:
    """A data store, a bucket, and a way to let jobs end."""

    def __init__(self, cloud: InMemoryCloud | LocalCloud) -> None:
        self.imaging = cloud.client("medical-imaging")
        self.s3 = cloud.client("s3")
        self.role_arn = ROLE
        self._end: Callable[[str], None]
        if isinstance(cloud, InMemoryCloud):
            self.datastore_id, self.bucket = "d" * 32, "imports"
            self.s3.create_bucket(Bucket=self.bucket)
            self._end = lambda job_id: (cloud.health_imaging.end_job(job_id), None)[1]
        else:
            account = Account(cloud).create()
            self.datastore_id, self.bucket, self.role_arn = (
                account.datastore_id,
                account.bucket,
                account.role_arn,
            )
            self._end = self._wait

    def put(self, batch: str, *contents: bytes) -> None:
        for number, content in enumerate(contents):
            self.s3.put_object(Bucket=self.bucket, Key=f"in/{batch}/{number}.dcm", Body=content)

    def start(self, batch: str) -> str:
        answer = self.imaging.start_dicom_import_job(
            jobName=batch,
            dataAccessRoleArn=self.role_arn,
            clientToken=batch,
            datastoreId=self.datastore_id,
            inputS3Uri=f"s3://{self.bucket}/in/{batch}/",
            outputS3Uri=f"s3://{self.bucket}/out/",
        )
        assert answer["jobStatus"] in ("SUBMITTED", "IN_PROGRESS", "COMPLETED")
        return str(answer["jobId"])

    def end(self, job_id: str) -> dict[str, Any]:
        """A job's properties once it has ended."""
        self._end(job_id)
        return self.properties(job_id)

    def properties(self, job_id: str) -> dict[str, Any]:
        answer = self.imaging.get_dicom_import_job(datastoreId=self.datastore_id, jobId=job_id)
        found: dict[str, Any] = answer["jobProperties"]
        return found

    def _wait(self, job_id: str) -> None:
        deadline = time.monotonic() + 60
        while self.properties(job_id)["jobStatus"] not in ("COMPLETED", "FAILED"):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def datastore(cloud: Any) -> Datastore:
    return Datastore(cloud)


def test_jobs_image_sets_and_versions(datastore: Datastore) -> None:
    batch, later, empty = (uuid.uuid4().hex for _ in range(3))
    datastore.put(batch, *[image_content(ImageSpec(patient=71, instance=number)) for number in (1, 2)])
    job_id = datastore.start(batch)
    assert datastore.start(batch) == job_id
    job = datastore.end(job_id)
    assert (job["jobStatus"], job["jobName"], job["jobId"]) == ("COMPLETED", batch, job_id)
    assert job["outputS3Uri"].endswith(f"{datastore.datastore_id}-DicomImport-{job_id}/")
    results = read_job_results(datastore.s3, job["outputS3Uri"])
    assert set(results.image_set_of) == {f"in/{batch}/0.dcm", f"in/{batch}/1.dcm"}
    assert results.failures == {}
    (image_set_id,) = set(results.image_set_of.values())
    described = datastore.imaging.get_image_set(datastoreId=datastore.datastore_id, imageSetId=image_set_id)
    assert described["versionId"] == "1"
    metadata = FrameReader(datastore.imaging).metadata(datastore.datastore_id, image_set_id, "1")
    assert len(list(instances_in(metadata))) == len(frame_pins(metadata)) == 2
    assert metadata["Patient"]["DICOM"]["PatientID"] == "PID000071"

    datastore.put(later, image_content(ImageSpec(patient=71, instance=3)))
    job = datastore.end(datastore.start(later))
    assert set(read_job_results(datastore.s3, job["outputS3Uri"]).image_set_of.values()) == {image_set_id}
    described = datastore.imaging.get_image_set(datastoreId=datastore.datastore_id, imageSetId=image_set_id)
    assert described["versionId"] == "2"
    metadata = FrameReader(datastore.imaging).metadata(datastore.datastore_id, image_set_id, "2")
    assert len(list(instances_in(metadata))) == 3

    assert datastore.end(datastore.start(empty))["jobStatus"] == "FAILED"
    listed = datastore.imaging.get_paginator("list_dicom_import_jobs").paginate(
        datastoreId=datastore.datastore_id
    )
    found = {each["jobName"]: each["jobStatus"] for page in listed for each in page["jobSummaries"]}
    assert found == {batch: "COMPLETED", later: "COMPLETED", empty: "FAILED"}


def test_what_is_not_there(datastore: Datastore) -> None:
    for ask in (
        lambda: datastore.imaging.get_image_set(datastoreId=datastore.datastore_id, imageSetId="a" * 32),
        lambda: datastore.imaging.get_image_set_metadata(
            datastoreId=datastore.datastore_id, imageSetId="a" * 32, versionId="1"
        ),
        lambda: datastore.properties("b" * 32),
    ):
        with pytest.raises(ClientError) as error:
            ask()
        assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"
