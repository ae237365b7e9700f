"""The world that the processor's state machine lives in: one account, its producers of events, and what leaves it."""

import json
import os
import random
import secrets
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from support.in_memory_cloud.cloud import InMemoryCloud
from support.in_memory_cloud.health_imaging import ImageSet, InMemoryHealthImaging, Job
from support.in_memory_cloud.sagemaker import Execution, InMemorySageMaker
from support.local_backed_cloud import LocalBackedCloud, now
from support.local_cloud import LocalCloud
from support.manual_clock import ManualClock
from support.processor_estate import SECRETS, ProcessorEstate
from support.simulated_processor import World
from support.simulated_site import EntryPoint, Site

from rayline import discovery
from rayline.dynamodb import Item, from_attributes
from rayline.observability.logs import redact

LEASE_SECONDS = 60
SKEW_SECONDS = 20
VISIBILITY_SECONDS = 120
QUIET_SECONDS = 10
MAX_RECEIVES = 5
START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = {
    "lease_seconds": LEASE_SECONDS,
    "clock_skew_seconds": SKEW_SECONDS,
    "visibility_seconds": VISIBILITY_SECONDS,
    "batch_quiet_seconds": QUIET_SECONDS,
    "study_quiet_seconds": 30,
    "park_after_seconds": 3,
    "max_receive_count": MAX_RECEIVES,
    "verified_per_training": 2,
}


def envelope(source: str, detail_type: str, detail: Mapping[str, Any], at: datetime) -> str:
    """An EventBridge envelope as SQS delivers it."""
    return json.dumps(
        {
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "source": source,
            "detail-type": detail_type,
            "time": at.isoformat(),
            "region": "us-east-1",
            "resources": [],
            "detail": dict(detail),
        }
    )


class MachineWorld:
    """One account with its producers, in memory or on a local cloud.

    Attributes:
        wire: events that happened and whose messages have not been delivered yet.
        told: what left on the custom bus for other systems.
        logs: every line that was logged.
    """

    def __init__(self, folder: Path, site: Site, profile: str, local: LocalCloud | None = None) -> None:
        self.clock = ManualClock(START if local is None else now())
        self.site = site
        self.cloud = InMemoryCloud(self.clock) if local is None else LocalBackedCloud(local, self.clock)
        self.health_imaging: InMemoryHealthImaging = self.cloud.health_imaging
        self.sagemaker: InMemorySageMaker = self.cloud.sagemaker
        self.estate = ProcessorEstate(
            self.cloud,
            folder,
            profile=profile,
            # On the local cloud names must differ from run to run, which the seeded ids do not.
            name="machine" if local is None else f"machine-{os.urandom(6).hex()}",
            **SETTINGS,
        )
        self.settings = self.estate.settings
        queue = self.cloud.sqs.queue(self.settings.queue_url)  # only the one in memory redrives by itself
        queue.dead_letters = self.cloud.sqs.queue(self.settings.dead_letter_queue_url)
        queue.max_receive_count = MAX_RECEIVES
        self.wire: list[str] = []
        self.told: list[dict[str, Any]] = []
        self._taken = 0
        self.processor = World(self.settings, SECRETS, self.cloud.clients, self.clock)

    # -- producers -----------------------------------------------------------------------------------------------

    def upload(self, key: str, content: bytes) -> str:
        """S3 has a new object version and announces it. Returns its version id."""
        version = self.estate.upload(key, content)
        detail = {
            "bucket": {"name": self.settings.uploads_bucket},
            "object": {"key": key, "size": len(content), "version-id": version},
        }
        self.wire.append(envelope("aws.s3", "Object Created", detail, self.clock()))
        return version

    def running_jobs(self) -> list[Job]:
        """Import jobs that have not ended."""
        return [job for job in self.health_imaging.jobs.values() if not job.ended]

    def end_job(self, job: Job, *, fails: bool, omit: int = 0) -> None:
        """An import job ends and is announced, its image sets too."""
        changed = self.health_imaging.end_job(job.job_id, "FAILED" if fails else "COMPLETED", omit=omit)
        detail = {
            "imagingVersion": "1.0",
            "datastoreId": self.settings.datastore_id,
            "jobId": job.job_id,
            "jobName": job.request["jobName"],
            "jobStatus": job.status,
            "inputS3Uri": job.request["inputS3Uri"],
            "outputS3Uri": job.output_uri,
        }
        self._announce_imaging(f"Import Job {job.status.capitalize()}", detail)
        for image_set in changed:
            self._announce_image_set(image_set)

    def _announce_image_set(self, image_set: ImageSet) -> None:
        version = len(image_set.versions)
        status = "CREATED" if version == 1 else "UPDATED"
        detail = {
            "datastoreId": self.settings.datastore_id,
            "imagesetId": image_set.image_set_id,
            "imageSetVersion": version,
            "imageSetWorkflowStatus": status,
            "isPrimary": True,
        }
        self._announce_imaging(f"Image Set {status.capitalize()}", detail)

    def _announce_imaging(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        self.wire.append(envelope("aws.medical-imaging", detail_type, detail, self.clock()))

    def running_executions(self) -> list[Execution]:
        """Pipeline executions that have not ended."""
        return [each for each in self.sagemaker.executions.values() if each.status == "Executing"]

    def end_execution(self, execution: Execution, status: Any) -> None:
        """A pipeline execution ends and is announced, its training step too."""
        self.sagemaker.end_execution(execution.arn, status)
        step = {
            "pipelineExecutionArn": execution.arn,
            "stepName": "Train",
            "currentStepStatus": status,
            "failureReason": "",
        }
        prefix = "SageMaker Model Building Pipeline Execution"
        self.wire.append(envelope("aws.sagemaker", f"{prefix} Step Status Change", step, self.clock()))
        ended = {"pipelineExecutionArn": execution.arn, "currentPipelineExecutionStatus": status}
        self.wire.append(envelope("aws.sagemaker", f"{prefix} Status Change", ended, self.clock()))

    def route(self) -> None:
        """The custom bus: the processor's rule takes what the API announced, others hear the rest."""
        for entry in self.taken():
            detail = json.loads(entry["Detail"])
            if entry["Source"] == "rayline.api":
                self.wire.append(envelope(entry["Source"], entry["DetailType"], detail, self.clock()))
            else:
                self.told.append({"type": entry["DetailType"], **detail})

    def taken(self) -> list[dict[str, Any]]:
        """What EventBridge took since the last time."""
        new = self.cloud.events.taken[self._taken :]
        self._taken += len(new)
        return new

    def send(self, body: str) -> None:
        """A rule or a schedule delivers to the queue."""
        self.estate.sqs.send_message(QueueUrl=self.settings.queue_url, MessageBody=body)

    # -- looking -------------------------------------------------------------------------------------------------

    def queued(self) -> list[str]:
        """Bodies in the queue, visible or not."""
        return [each.body for each in self.cloud.sqs.queue(self.settings.queue_url).messages]

    def dead(self) -> list[str]:
        """Bodies in the dead-letter queue."""
        return [each.body for each in self.cloud.sqs.queue(self.settings.dead_letter_queue_url).messages]

    def redrive(self) -> None:
        """An operator brings back what was dead-lettered."""
        for body in self.cloud.sqs.drain(self.settings.dead_letter_queue_url):
            self.send(body)

    def rows(self, table: str) -> list[Item]:
        """Every item of a table."""
        return [from_attributes(item) for item in self.cloud.dynamodb.items(table)]


@contextmanager
def deterministic(monkeypatch: pytest.MonkeyPatch, site: Site) -> Iterator[None]:
    """Random ids follow Hypothesis's seed, and the site's plugins are the installed ones."""

    def installed() -> dict[str, Any]:
        return {
            name: EntryPoint(plugin, site.versions.get(name, "1.0"))
            for name, plugin in site.plugins().items()
        }

    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=random.getrandbits(128), version=4))
    monkeypatch.setattr(secrets, "token_hex", lambda size=32: f"{random.getrandbits(8 * size):0{2 * size}x}")
    monkeypatch.setattr(discovery, "installed_plugins", installed)
    yield


@contextmanager
def captured_logs() -> Iterator[list[str]]:
    """Every line that would be logged, as it would be."""
    lines: list[str] = []

    def keep(_logger: Any, _method: str, event: Any) -> Any:
        lines.append(str(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            redact,
            structlog.processors.JSONRenderer(sort_keys=True),
            keep,
        ],
        cache_logger_on_first_use=False,
    )
    try:
        yield lines
    finally:
        structlog.configure(**before)
