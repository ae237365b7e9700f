"""One test's HealthImaging set-up on a local cloud: bucket, import role, queue of events, data store."""

from __future__ import annotations

import gzip
import json
import time
import uuid
from pathlib import Path
from typing import Any

from support.local_cloud import ACCOUNT_ID, REGION, LocalCloud

WAIT_SECONDS = 60.0


def trust(service: str) -> str:
    """A trust policy for a service principal."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def policy(*statements: tuple[list[str], list[str]]) -> str:
    """An identity policy of Allow statements."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": actions, "Resource": resources}
                for actions, resources in statements
            ],
        }
    )


class Account:
    """Boto3 clients and helpers over names that no other test uses."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.name = f"t{uuid.uuid4().hex[:12]}"
        self.s3 = cloud.client("s3")
        self.iam = cloud.client("iam")
        self.sqs = cloud.client("sqs")
        self.events = cloud.client("events")
        self.imaging = cloud.client("medical-imaging")
        self.bucket = self.name
        self.role_arn = f"arn:aws:iam::{ACCOUNT_ID}:role/{self.name}-import"
        self.datastore_id = ""
        self.queue_url = ""

    def create(self) -> Account:
        """Create everything."""
        self.s3.create_bucket(Bucket=self.bucket)
        self.iam.create_role(
            RoleName=f"{self.name}-import", AssumeRolePolicyDocument=trust("medical-imaging.amazonaws.com")
        )
        self.iam.put_role_policy(
            RoleName=f"{self.name}-import",
            PolicyName="import",
            PolicyDocument=policy(
                (["s3:ListBucket"], [f"arn:aws:s3:::{self.bucket}"]),
                (["s3:GetObject"], [f"arn:aws:s3:::{self.bucket}/in/*"]),
                (["s3:PutObject"], [f"arn:aws:s3:::{self.bucket}/out/*"]),
            ),
        )
        self.datastore_id = self.imaging.create_datastore(datastoreName=self.name)["datastoreId"]
        self.queue_url = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.events.put_rule(
            Name=self.name,
            EventPattern=json.dumps(
                {"source": ["aws.medical-imaging"], "detail": {"datastoreId": [self.datastore_id]}}
            ),
        )
        self.events.put_targets(
            Rule=self.name,
            Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{self.name}"}],
        )
        return self

    def put(self, batch: str, **files: bytes) -> None:
        """Put files under `in/{batch}/`."""
        for name, content in files.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"in/{batch}/{name}", Body=content)

    def start(self, batch: str, **changes: Any) -> dict[str, Any]:
        """Start a job over `in/{batch}/`."""
        request = {
            "datastoreId": self.datastore_id,
            "dataAccessRoleArn": self.role_arn,
            "clientToken": batch,
            "inputS3Uri": f"s3://{self.bucket}/in/{batch}/",
            "outputS3Uri": f"s3://{self.bucket}/out/",
            **changes,
        }
        answer: dict[str, Any] = self.imaging.start_dicom_import_job(**request)
        return answer

    def wait(self, job_id: str) -> dict[str, Any]:
        """The job's properties once it has ended."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            answer = self.imaging.get_dicom_import_job(datastoreId=self.datastore_id, jobId=job_id)
            properties: dict[str, Any] = answer["jobProperties"]
            if properties["jobStatus"] in ("COMPLETED", "FAILED"):
                return properties
            time.sleep(0.05)
        raise AssertionError(f"job {job_id} did not end: {self.cloud.log}")

    def import_batch(self, batch: str, **files: bytes) -> dict[str, Any]:
        """Put files, import them and return the job's properties."""
        self.put(batch, **files)
        return self.wait(self.start(batch)["jobId"])

    def output(self, properties: dict[str, Any], name: str) -> str:
        """A file of the job's output folder."""
        folder = properties["outputS3Uri"].removeprefix(f"s3://{self.bucket}/")
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=folder + name)["Body"].read()
        return body.decode()

    def image_sets(self, **criteria: Any) -> list[dict[str, Any]]:
        """Every image set that a search finds."""
        pages = self.imaging.get_paginator("search_image_sets").paginate(
            datastoreId=self.datastore_id, **({"searchCriteria": criteria} if criteria else {})
        )
        return [summary for page in pages for summary in page["imageSetsMetadataSummaries"]]

    def metadata(self, image_set_id: str, **version: str) -> dict[str, Any]:
        """An image set's metadata document."""
        answer = self.imaging.get_image_set_metadata(
            datastoreId=self.datastore_id, imageSetId=image_set_id, **version
        )
        assert answer["contentEncoding"] == "gzip"
        document: dict[str, Any] = json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))
        return document

    def frame(self, image_set_id: str, frame_id: str) -> bytes:
        """A frame's stored bytes."""
        answer = self.imaging.get_image_frame(
            datastoreId=self.datastore_id,
            imageSetId=image_set_id,
            imageFrameInformation={"imageFrameId": frame_id},
        )
        content: bytes = answer["imageFrameBlob"].read()
        return content

    def settled(self, image_set_id: str) -> dict[str, Any]:
        """GetImageSet once the set is no longer LOCKED."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            answer: dict[str, Any] = self.imaging.get_image_set(
                datastoreId=self.datastore_id, imageSetId=image_set_id
            )
            if answer["imageSetState"] != "LOCKED":
                return answer
            time.sleep(0.02)
        raise AssertionError(f"image set {image_set_id} stayed LOCKED")

    def received(self) -> list[dict[str, Any]]:
        """The events in the queue; they are deleted."""
        events: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                events.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return events


def instances(document: dict[str, Any]) -> dict[str, Any]:
    """All instances of a metadata document, by SOP Instance UID."""
    return {
        uid: instance
        for series in document["Study"]["Series"].values()
        for uid, instance in series["Instances"].items()
    }


def real_ct_files(data_root: Path) -> list[Path]:
    """The CT series of the shared data, or none."""
    return sorted((data_root / "ct_chest_lidc0314").glob("*.dcm"))
