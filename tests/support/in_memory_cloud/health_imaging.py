"""HealthImaging in memory: import jobs that end when a test says so, and one image set a series.

An image set gets a new version with each job that adds to it. What each job imported is kept for tests to judge.
"""

import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Literal

import pydicom
from botocore.response import StreamingBody
from support.in_memory_cloud.calls import aws_error
from support.in_memory_cloud.s3 import InMemoryS3


@dataclass
class Job:
    """One import job."""

    request: Mapping[str, Any]
    job_id: str
    submitted_at: datetime
    status: Literal["SUBMITTED", "IN_PROGRESS", "COMPLETED", "FAILED"] = "SUBMITTED"
    ended_at: datetime | None = None

    @property
    def output_uri(self) -> str:
        """The job's own folder."""
        name = f"{self.request['datastoreId']}-DicomImport-{self.job_id}"
        return f"{self.request['outputS3Uri'].rstrip('/')}/{name}/"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens."""
        return self.status in ("COMPLETED", "FAILED")


@dataclass
class ImageSet:
    """One series, by version: each version's instances by SOP Instance UID."""

    image_set_id: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    created_at: datetime
    updated_at: datetime
    versions: list[dict[str, int]] = field(default_factory=list)


class InMemoryHealthImaging:
    """The operations of the client that Rayline uses.

    Attributes:
        starts: the client token of each accepted start, repeated ones too.
        imported: how often each file was imported, by SOP Instance UID.
        refuses: whether a file of this content fails in its job.
    """

    def __init__(self, s3: InMemoryS3, clock: Callable[[], datetime]) -> None:
        self._s3 = s3
        self._clock = clock
        self._numbers = count(1)
        self.starts: list[str] = []
        self.jobs: dict[str, Job] = {}
        self.image_sets: dict[str, ImageSet] = {}
        self.imported: Counter[str] = Counter()
        self.refuses: Callable[[bytes], bool] = lambda content: False
        self._by_token: dict[str, str] = {}

    # -- what a test does ----------------------------------------------------------------------------------------

    def end_job(
        self,
        job_id: str,
        status: Literal["COMPLETED", "FAILED"] = "COMPLETED",
        *,
        omit: int = 0,
    ) -> list[ImageSet]:
        """Let a job end. Returns the image sets that it made or changed.

        Args:
            omit: so many of its files are in no manifest at all.
        """
        job = self.jobs[job_id]
        assert not job.ended
        bucket, prefix = _split(job.request["inputS3Uri"])
        files = sorted(key for key in self._s3.objects(bucket) if key.startswith(prefix))
        status = status if files else "FAILED"
        changed: dict[str, ImageSet] = {}
        lines: dict[str, list[dict[str, Any]]] = {"SUCCESS/success": [], "FAILURE/failure": []}
        if status == "COMPLETED":
            for index, key in enumerate(files):
                if index < omit:
                    continue
                content = self._s3.objects(bucket)[key]
                if self.refuses(content):
                    exception = {"exceptionType": "ValidationException", "message": "refused"}
                    lines["FAILURE/failure"].append({"inputFile": key, "exception": exception})
                    continue
                image_set = self._import(content, changed)
                response = {"imageSetId": image_set.image_set_id, "isPrimary": True}
                lines["SUCCESS/success"].append({"inputFile": key, "importResponse": response})
            out_bucket, folder = _split(job.output_uri)
            for name, documents in lines.items():
                content = "".join(json.dumps(each) + "\n" for each in documents)
                self._s3.put_object(Bucket=out_bucket, Key=f"{folder}{name}.ndjson", Body=content.encode())
        job.status, job.ended_at = status, self._clock()
        return list(changed.values())

    def _import(self, content: bytes, changed: dict[str, ImageSet]) -> ImageSet:
        dataset = pydicom.dcmread(io.BytesIO(content))
        series, sop = str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID)
        self.imported[sop] += 1
        image_set = next(
            (each for each in self.image_sets.values() if each.series_instance_uid == series), None
        )
        if image_set is None:
            image_set = ImageSet(
                f"{next(self._numbers):032x}",
                str(dataset.StudyInstanceUID),
                series,
                str(dataset.get("PatientID", "")),
                self._clock(),
                self._clock(),
            )
            self.image_sets[image_set.image_set_id] = image_set
        if image_set.image_set_id not in changed:
            changed[image_set.image_set_id] = image_set
            image_set.updated_at = self._clock()
            image_set.versions.append(dict(image_set.versions[-1]) if image_set.versions else {})
        image_set.versions[-1][sop] = zlib.crc32(dataset.PixelData)
        return image_set

    # -- operations ----------------------------------------------------------------------------------------------

    def start_dicom_import_job(self, **request: Any) -> dict[str, Any]:
        token = request["clientToken"]
        self.starts.append(token)
        if token not in self._by_token:
            job_id = f"{next(self._numbers):032x}"
            self._by_token[token] = job_id
            self.jobs[job_id] = Job(request, job_id, self._clock())
        job = self.jobs[self._by_token[token]]
        return {
            "datastoreId": request["datastoreId"],
            "jobId": job.job_id,
            "jobStatus": job.status,
            "submittedAt": job.submitted_at,
        }

    def get_dicom_import_job(self, *, datastoreId: str, jobId: str) -> dict[str, Any]:
        if jobId not in self.jobs:
            raise aws_error("ResourceNotFoundException", "no such job", "GetDICOMImportJob")
        job = self.jobs[jobId]
        return {
            "jobProperties": {
                **self._summary(job),
                "inputS3Uri": job.request["inputS3Uri"],
                "outputS3Uri": job.output_uri,
            }
        }

    def list_dicom_import_jobs(self, *, datastoreId: str, **request: Any) -> dict[str, Any]:
        wanted = request.get("jobStatus")
        jobs = [job for job in self.jobs.values() if wanted in (None, job.status)]
        return {"jobSummaries": [self._summary(job) for job in reversed(jobs)]}

    @staticmethod
    def _summary(job: Job) -> dict[str, Any]:
        summary: dict[str, Any] = {
            "jobId": job.job_id,
            "jobName": job.request.get("jobName", ""),
            "jobStatus": job.status,
            "datastoreId": job.request["datastoreId"],
            "dataAccessRoleArn": job.request["dataAccessRoleArn"],
            "submittedAt": job.submitted_at,
        }
        return {**summary, "endedAt": job.ended_at} if job.ended else summary

    def get_image_set(
        self, *, datastoreId: str, imageSetId: str, versionId: str | None = None
    ) -> dict[str, Any]:
        image_set, version = self._version(imageSetId, versionId, "GetImageSet")
        return {
            "datastoreId": datastoreId,
            "imageSetId": imageSetId,
            "versionId": str(version),
            "imageSetState": "ACTIVE",
            "imageSetWorkflowStatus": "CREATED" if version == 1 else "UPDATED",
            "createdAt": image_set.created_at,
            "updatedAt": image_set.updated_at,
            "isPrimary": True,
        }

    def get_image_set_metadata(
        self, *, datastoreId: str, imageSetId: str, versionId: str | None = None
    ) -> dict[str, Any]:
        image_set, version = self._version(imageSetId, versionId, "GetImageSetMetadata")
        document = {
            "SchemaVersion": "1.1",
            "DatastoreID": datastoreId,
            "ImageSetID": imageSetId,
            "VersionID": str(version),
            "Patient": {"DICOM": {"PatientID": image_set.patient_id}},
            "Study": {
                "DICOM": {"StudyInstanceUID": image_set.study_instance_uid},
                "Series": {
                    image_set.series_instance_uid: {
                        "DICOM": {"Modality": "CT", "SeriesInstanceUID": image_set.series_instance_uid},
                        "Instances": {
                            sop: {
                                "DICOM": {"SOPInstanceUID": sop},
                                "ImageFrames": [
                                    {
                                        "ID": f"{zlib.crc32(sop.encode()):032x}",
                                        "PixelDataChecksumFromBaseToFullResolution": [{"Checksum": checksum}],
                                    }
                                ],
                            }
                            for sop, checksum in image_set.versions[version - 1].items()
                        },
                    }
                },
            },
        }
        blob = gzip.compress(json.dumps(document).encode(), mtime=0)
        return {
            "imageSetMetadataBlob": StreamingBody(io.BytesIO(blob), len(blob)),
            "contentType": "application/json",
            "contentEncoding": "gzip",
        }

    def search_image_sets(self, *, datastoreId: str, **request: Any) -> dict[str, Any]:
        criteria = request.get("searchCriteria", {})
        found = sorted(self.image_sets.values(), key=lambda each: (each.updated_at, each.image_set_id))
        for wanted in criteria.get("filters", []):
            low, high = (value.get("updatedAt") for value in wanted["values"])
            if wanted["operator"] != "BETWEEN" or low is None or high is None:
                raise NotImplementedError(f"search by {wanted}")
            found = [each for each in found if low <= each.updated_at <= high]
        if criteria.get("sort", {}) not in ({}, {"sortField": "updatedAt", "sortOrder": "ASC"}):
            raise NotImplementedError("search order")
        return {
            "imageSetsMetadataSummaries": [
                {
                    "imageSetId": each.image_set_id,
                    "version": len(each.versions),
                    "createdAt": each.created_at,
                    "updatedAt": each.updated_at,
                    "isPrimary": True,
                    "DICOMTags": {"DICOMPatientId": each.patient_id},
                }
                for each in found
            ]
        }

    def list_image_set_versions(self, *, datastoreId: str, imageSetId: str, **_: Any) -> dict[str, Any]:
        image_set, _version = self._version(imageSetId, None, "ListImageSetVersions")
        return {
            "imageSetPropertiesList": [
                {
                    "imageSetId": imageSetId,
                    "versionId": str(number),
                    "imageSetState": "ACTIVE",
                    "ImageSetWorkflowStatus": "CREATED" if number == 1 else "UPDATED",
                    "createdAt": image_set.created_at,
                }
                for number in range(len(image_set.versions), 0, -1)
            ]
        }

    def _version(self, image_set_id: str, version: str | None, operation: str) -> tuple[ImageSet, int]:
        image_set = self.image_sets.get(image_set_id)
        number = int(version) if version is not None else len(image_set.versions) if image_set else 0
        if image_set is None or not 1 <= number <= len(image_set.versions):
            raise aws_error("ResourceNotFoundException", "no such image set", operation)
        return image_set, number


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
