"""What came out, as the receivers say it: HealthImaging, the PACS, SageMaker and the quarantine bucket.

Nothing here is read from the processor's ledgers.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rayline.healthimaging.frames import instances_in
from rayline.names import EstateNames
from rayline_local.chaos.inputs import fingerprint, of_frame
from rayline_local.chaos.pacs import Arrival
from rayline_local.demo.truth import image_set_documents
from rayline_local.running import RunningFront
from rayline_local.tasks import root_client

#: a machine at its limits answers late
_PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class StoredImage:
    """One instance in an image set."""

    sop_instance_uid: str
    image_set_id: str
    fingerprint: str


@dataclass(frozen=True)
class ImportedFile:
    """One file that an import job took; ``instance_id`` is the name that the sender of the job gave it."""

    job_id: str
    instance_id: str
    sop_instance_uid: str
    at: str


@dataclass(frozen=True)
class ImportJob:
    """One accepted job; a repeated start of it is no job of its own."""

    job_id: str
    prefix: str
    at: str


@dataclass(frozen=True)
class QuarantineEntry:
    """One entry with all of its versions: more than one content or reason is a second outcome."""

    entry_id: str
    fingerprints: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def reason(self) -> str:
        """The reason that stands."""
        return self.reasons[-1] if self.reasons else ""


@dataclass(frozen=True)
class Execution:
    """One pipeline execution and the data set that it was started on."""

    arn: str
    manifest_uri: str
    at: str


@dataclass(frozen=True)
class Receivers:
    """Everything that the receivers hold at the end."""

    stored: Sequence[StoredImage]
    jobs: Sequence[ImportJob]
    files: Sequence[ImportedFile]
    failed_files: frozenset[str]
    quarantined: Sequence[QuarantineEntry]
    arrivals: Sequence[Arrival]
    executions: Sequence[Execution]
    packages: Mapping[str, Sequence[str]]


class ReceiverView:
    """Asks the receivers, each by itself."""

    def __init__(self, front: RunningFront, datastore_id: str) -> None:
        self._front = front
        self._datastore_id = datastore_id
        self._names = EstateNames(front.stack, front.account_id, front.region)

    def ask(self, arrivals: Iterable[Arrival]) -> Receivers:
        """What all of them hold; arrivals are the PACS's files."""
        accepted = self._front.ask("requests/accepted", _PATIENCE_SECONDS)
        files = [each for each in accepted if each["operation"] == "FilesImported"]
        return Receivers(
            stored=list(self._stored()),
            jobs=[
                ImportJob(each["job_id"], each["input_s3_uri"], each["at"])
                for each in accepted
                if each["operation"] == "StartDICOMImportJob" and not each["repeated"]
            ],
            files=[
                ImportedFile(each["job_id"], _instance_id(key), uid, each["at"])
                for each in files
                for key, uid in each["files"].items()
            ],
            failed_files=frozenset(_instance_id(key) for each in files for key in each["failed"]),
            quarantined=list(self._quarantined()),
            arrivals=list(arrivals),
            executions=[
                Execution(each["execution_arn"], each["parameters"].get("DatasetManifestUri", ""), each["at"])
                for each in accepted
                if each["operation"] == "StartPipelineExecution" and not each["repeated"]
            ],
            packages=self._packages(accepted),
        )

    def _stored(self) -> Iterable[StoredImage]:
        client = root_client(self._front, "medical-imaging")
        for image_set_id, _, metadata in image_set_documents(client, self._datastore_id):
            for _, uid, instance in instances_in(metadata):
                (frame,) = instance["ImageFrames"]
                checksum = frame["PixelDataChecksumFromBaseToFullResolution"][-1]["Checksum"]
                yield StoredImage(uid, image_set_id, of_frame(checksum))

    def _packages(self, accepted: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
        """Package ARNs by the execution whose step registered them: its client token begins with its id."""
        found: dict[str, list[str]] = {}
        for each in accepted:
            if each["operation"] == "CreateModelPackage" and not each["repeated"]:
                found.setdefault(str(each["client_token"]).split("-")[0], []).append(each["package_arn"])
        return found

    def _quarantined(self) -> Iterable[QuarantineEntry]:
        s3, bucket = root_client(self._front, "s3"), self._names.bucket("quarantine")
        versions: dict[str, list[tuple[str, str, Any]]] = {}
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for each in page.get("Versions", []):
                parts = each["Key"].split("/")
                if len(parts) == 3 and parts[2] in ("object", "reason.json"):
                    found = (parts[2], each["VersionId"], each["LastModified"])
                    versions.setdefault("/".join(parts[:2]), []).append(found)
        for folder, entries in sorted(versions.items()):
            bodies: dict[str, list[bytes]] = {"object": [], "reason.json": []}
            for name, version_id, _ in sorted(entries, key=lambda each: each[2]):
                answer = s3.get_object(Bucket=bucket, Key=f"{folder}/{name}", VersionId=version_id)
                bodies[name].append(answer["Body"].read())
            yield QuarantineEntry(
                folder.split("/")[1],
                _distinct(fingerprint(body) for body in bodies["object"]),
                _distinct(str(json.loads(body)["reason"]) for body in bodies["reason.json"]),
            )


def _instance_id(key: str) -> str:
    return key.rsplit("/", 1)[-1].removesuffix(".dcm")


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
