"""One site on the local cloud with HealthImaging's stand-in behind it, whose messages a test may lose."""

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.healthimaging_account import policy, trust
from support.local_cloud import ACCOUNT_ID, LocalCloud
from support.manual_clock import ManualClock
from support.own_estate import eventually
from support.processor_estate import SITE, ProcessorEstate, aws_error

from rayline.effects import event_identity
from rayline.envelopes import message_body
from rayline.events import Event, EventIdentity, Ingested, Uploaded
from rayline.handler import DELETE, MessageHandler
from rayline.reconciler import Reconciler
from rayline.reconciling.report import Report
from rayline.testing import ImageSpec, image_content
from rayline.verification import Verification, Verifier

PATIENT = "Doe^Jane"
EXECUTION = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abcdef012345"


class SageMakerWithExecutions:
    """Executions as a test puts them in; each answers as SageMaker does of one that has ended."""

    def __init__(self) -> None:
        self.executions: dict[str, dict[str, Any]] = {}
        self.fail_with: Exception | None = None

    def put(self, arn: str, status: str, *, train: str | None, at: datetime) -> None:
        """An execution, and how its training step ended."""
        self.executions[arn] = {"status": status, "train": train, "at": at}

    def describe_pipeline_execution(self, PipelineExecutionArn: str) -> dict[str, Any]:
        """As far as the processor reads it."""
        execution = self.executions[PipelineExecutionArn]
        return {"PipelineExecutionStatus": execution["status"], "LastModifiedTime": execution["at"]}

    def get_paginator(self, operation: str) -> "_Pages":
        """One page."""
        if self.fail_with is not None:
            raise self.fail_with
        return _Pages(self, operation)


class _Pages:
    def __init__(self, sagemaker: SageMakerWithExecutions, operation: str) -> None:
        self._executions = sagemaker.executions
        self._operation = operation

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        if self._operation == "list_pipeline_executions":
            yield {
                "PipelineExecutionSummaries": [
                    {"PipelineExecutionArn": arn, "PipelineExecutionStatus": each["status"]}
                    for arn, each in self._executions.items()
                    if each["at"] > request["CreatedAfter"]
                ]
            }
            return
        execution = self._executions[request["PipelineExecutionArn"]]
        yield {
            "PipelineExecutionSteps": [
                {"StepName": "Preprocess", "StepStatus": "Succeeded", "EndTime": execution["at"]},
                *(
                    [{"StepName": "Train", "StepStatus": execution["train"], "EndTime": execution["at"]}]
                    if execution["train"]
                    else []
                ),
            ]
        }


class ReconciledSite:
    """An estate of the test's own, one worker, and no EventBridge: the test sends what is to arrive.

    The clock starts at the real time, since S3 and HealthImaging have no other, and an hour later everything should
    have ended.
    """

    def __init__(self, cloud: LocalCloud, folder: Path, **settings: Any) -> None:
        self.clock = ManualClock(datetime.now(UTC))
        imaging = cloud.client("medical-imaging")
        self.estate = ProcessorEstate(
            cloud,
            folder,
            lease_seconds=60,
            clock_skew_seconds=20,
            batch_quiet_seconds=10,
            park_after_seconds=4,
            **settings,
        )
        self.estate.settings = self.estate.settings.model_copy(
            update={
                "datastore_id": imaging.create_datastore(datastoreName=self.estate.name)["datastoreId"],
                "import_role_arn": self._import_role(cloud),
            }
        )
        del self.estate.clients.__dict__["medical_imaging"]  # the stand-in instead of the fake
        self.imaging = self.estate.clients.medical_imaging
        self.sagemaker = SageMakerWithExecutions()
        self.estate.clients.__dict__["sagemaker"] = self.sagemaker
        self.start_worker()

    def _import_role(self, cloud: LocalCloud) -> str:
        name, bucket = f"{self.estate.name}-import", self.estate.settings.imports_bucket
        iam = cloud.client("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("medical-imaging.amazonaws.com"))
        statements = policy(
            (["s3:ListBucket"], [f"arn:aws:s3:::{bucket}"]),
            (["s3:GetObject", "s3:PutObject"], [f"arn:aws:s3:::{bucket}/*"]),
        )
        iam.put_role_policy(RoleName=name, PolicyName="import", PolicyDocument=statements)
        return f"arn:aws:iam::{ACCOUNT_ID}:role/{name}"

    def start_worker(self) -> None:
        """A worker, in place of the one before."""
        self.runtime = self.estate.runtime(self.clock)
        self.handler = MessageHandler(self.runtime, jitter=lambda: 1.0)
        self.services = self.runtime.services
        # No study is opened: nobody would deliver its tick here, and tests/processor/test_studies.py has them.
        self.services.studies.touch = lambda *_, **__: None  # type: ignore[method-assign]

    # -- what happens ------------------------------------------------------------------------------------------

    def upload(self, name: str, content: bytes | None = None) -> Uploaded:
        """An uploaded image whose message did not come yet."""
        number = len(self.estate.keys(self.estate.settings.uploads_bucket)) + 1
        body = content if content is not None else image_content(ImageSpec(patient=number, series=number))
        key = f"upload/{name}"
        return Uploaded(
            site=SITE,
            occurred_at=self.clock.now,
            bucket=self.estate.settings.uploads_bucket,
            key=key,
            version_id=self.estate.upload(key, body),
            size_bytes=len(body),
        )

    def handle(self, event: Event) -> None:
        """Let an event's message arrive."""
        assert self.handler.handle(message_body(event), 1) == DELETE

    def batch(self) -> str:
        """The only batch that is not accounted for."""
        (item,) = [each for each in self.estate.tracked("batch") if each["state"] != "accounted"]
        return str(item["batch_id"])

    def seal(self) -> Ingested:
        """Seal the open batch, let its job end, and return that event, whose message did not come yet."""
        self.services.batches.seal_current()
        (item,) = [each for each in self.estate.tracked("batch") if each["state"] == "started"]
        return self.job_ended(item["job_id"])

    def job_ended(self, job_id: str) -> Ingested:
        """The event of a job, once it has ended."""
        deadline = time.monotonic() + 60
        while True:
            job = self.imaging.get_dicom_import_job(
                datastoreId=self.estate.settings.datastore_id, jobId=job_id
            )["jobProperties"]
            if job["jobStatus"] in ("COMPLETED", "FAILED"):
                break
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return Ingested(
            site=SITE,
            occurred_at=job["endedAt"],
            subject="import_job",
            datastore_id=self.estate.settings.datastore_id,
            job_id=job_id,
            job_status=job["jobStatus"],
            input_s3_uri=job["inputS3Uri"],
            output_s3_uri=job["outputS3Uri"],
        )

    def imported(self, name: str = "image") -> str:
        """An image all the way to its image set. Returns the image set's id."""
        known = {item["image_set_id"] for item in self.estate.tracked("image_set")}
        self.handle(self.upload(name))
        self.handle(self.seal())
        (image_set_id,) = {item["image_set_id"] for item in self.estate.tracked("image_set")} - known
        return str(image_set_id)

    def delete(self, image_set_id: str) -> None:
        """Delete an image set, which HealthImaging begins at once and ends when it can."""
        image_set = {"datastoreId": self.estate.settings.datastore_id, "imageSetId": image_set_id}
        self.imaging.delete_image_set(**image_set)

        def gone() -> bool:
            try:
                return bool(self.imaging.get_image_set(**image_set)["imageSetState"] == "DELETED")
            except self.imaging.exceptions.ResourceNotFoundException:
                return True

        eventually(gone, "the image set is deleted")

    def verify(self, image_set_id: str) -> str:
        """Verify an image set, whose message did not come yet. Returns the verification's id."""
        settings = self.estate.settings
        verifier = Verifier(
            self.estate.clients.dynamodb,
            self.services.ledger,
            self.services.outbox,
            site=SITE,
            datastore_id=settings.datastore_id,
            clock=self.clock,
        )
        return verifier.verify([Verification(image_set_id, "1", "NORMAL", f"of {PATIENT}")], "dr-x")[0]

    def everything_arrives(self) -> None:
        """Handle what is in the queue and what that brings about, the ends of import jobs included, to the end."""
        for _ in range(20):
            for body in self.estate.messages():
                disposition = self.handler.handle(body, 1)
                if disposition != DELETE:
                    self.clock.pass_time(disposition.seconds)
                    self.estate.sqs.send_message(QueueUrl=self.estate.settings.queue_url, MessageBody=body)
            self.services.batches.seal_current()
            started = [item for item in self.estate.tracked("batch") if item["state"] == "started"]
            for item in started:
                self.handle(self.job_ended(item["job_id"]))
            if not started and self.queued("Messages") == 0:
                return
        raise AssertionError("messages keep coming")

    def queued(self, *kinds: str) -> int:
        """Messages in the queue, delayed ones too unless ``kinds`` says otherwise."""
        names: Any = [f"ApproximateNumberOf{kind}" for kind in kinds or ("Messages", "MessagesDelayed")]
        answer = self.estate.sqs.get_queue_attributes(
            QueueUrl=self.estate.settings.queue_url, AttributeNames=names
        )
        return sum(int(answer["Attributes"][name]) for name in names)

    def upload_tags(self) -> dict[str, str]:
        """Of the current version of each upload, the tag that the bucket's lifecycle looks at; empty without one."""
        s3, bucket = self.estate.s3, self.estate.settings.uploads_bucket
        return {
            key: next(
                (
                    tag["Value"]
                    for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
                    if tag["Key"] == "rayline-state"
                ),
                "",
            )
            for key in self.estate.keys(bucket)
        }

    @contextlib.contextmanager
    def counted(self, operation: str) -> Iterator[list[str]]:
        """The keys that the worker names in calls of an operation of S3 while this lasts."""
        s3 = self.estate.clients.s3
        real = getattr(s3, operation)
        keys: list[str] = []

        def call(**request: Any) -> Any:
            keys.append(request["Key"])
            return real(**request)

        setattr(s3, operation, call)
        try:
            yield keys
        finally:
            setattr(s3, operation, real)

    @contextlib.contextmanager
    def s3_in_trouble(self) -> Iterator[None]:
        """While it lasts, S3 gives no upload out, so that what needs one waits."""
        s3 = self.estate.clients.s3
        real = s3.get_object

        def refuse(**request: Any) -> Any:
            if request["Bucket"] == self.estate.settings.uploads_bucket:
                raise aws_error("SlowDown", 503)
            return real(**request)

        s3.get_object = refuse  # type: ignore[method-assign]
        try:
            yield
        finally:
            s3.get_object = real  # type: ignore[method-assign]

    # -- what is seen ------------------------------------------------------------------------------------------

    def identity(self, event: Event) -> EventIdentity:
        """The effect ledger's key of an event."""
        return event_identity(event, self.services.keyed_hash)

    def reconcile(self, *, repair: bool = True, after: float = 3600, **arguments: Any) -> Report:
        """Look, an hour later."""
        self.clock.pass_time(after)
        return Reconciler(self.runtime, **arguments).run(repair)

    def found(self, **arguments: Any) -> list[tuple[str, str]]:
        """Stage and code of each gap; nothing is repaired."""
        report = self.reconcile(repair=False, **arguments)
        return [(gap.stage.value, gap.what.value) for gap in report.gaps]

    def everything(self) -> str:
        """All that a run could change: tables, queue and quarantine."""
        settings = self.estate.settings
        tables = [
            sorted(map(json.dumps, self.estate.dynamodb.scan(TableName=name)["Items"]))
            for name in (settings.effects_table, settings.image_tracking_table)
        ]
        kept = self.estate.s3.list_object_versions(Bucket=settings.quarantine_bucket)
        versions = [(each["Key"], each["VersionId"]) for each in kept.get("Versions", [])]
        jobs = self.imaging.list_dicom_import_jobs(datastoreId=settings.datastore_id)["jobSummaries"]
        return json.dumps([tables, self.queued(), versions, len(jobs)])
