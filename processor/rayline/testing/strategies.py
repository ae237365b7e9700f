"""Hypothesis strategies for every event, and for the messages that carry them.

``envelopes()`` gives what a queue would: EventBridge envelopes with extra fields, as AWS adds them.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from rayline.events import Evaluated, Event, Ingested, Trained, Uploaded, Verified

SITE = "test-site"

_TIMES = st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
_KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64).map(
    lambda tail: f"upload/{tail}"
)
_ENDED = st.sampled_from(["Succeeded", "Failed", "Stopped"])
_ARNS = _IDS.map(
    lambda tail: f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/training/execution/{tail[:12]}"
)
_SHORT_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

uploaded = st.builds(
    Uploaded,
    site=st.just(SITE),
    occurred_at=_TIMES,
    bucket=st.just("uploads"),
    key=_KEYS,
    version_id=_IDS,
    size_bytes=st.integers(0, 2**40),
)
import_jobs = st.builds(
    Ingested,
    site=st.just(SITE),
    occurred_at=_TIMES,
    subject=st.just("import_job"),
    datastore_id=_IDS,
    job_id=_IDS,
    job_status=st.sampled_from(["COMPLETED", "FAILED"]),
    input_s3_uri=_IDS.map(lambda batch: f"s3://imports/imports/{batch}/"),
    output_s3_uri=_IDS.map(lambda job: f"s3://imports/import-results/{job}/"),
)
image_sets = st.builds(
    Ingested,
    site=st.just(SITE),
    occurred_at=_TIMES,
    subject=st.just("image_set"),
    datastore_id=_IDS,
    image_set_id=_IDS,
    image_set_version=st.integers(1, 99).map(str),
    image_set_workflow_status=st.sampled_from(["CREATED", "UPDATED"]),
    is_primary=st.booleans(),
)
verified = st.builds(
    Verified,
    site=st.just(SITE),
    occurred_at=_TIMES,
    action=st.sampled_from(["verified", "revoked"]),
    verification_id=st.uuids().map(str),
    datastore_id=_IDS,
    image_set_id=_IDS,
    image_set_version=st.integers(1, 99).map(str),
    label=st.sampled_from(["NORMAL", "PNEUMONIA"]),
    findings=_SHORT_TEXT,
    verifier=_SHORT_TEXT,
)
trained = st.builds(
    Trained,
    site=st.just(SITE),
    occurred_at=_TIMES,
    pipeline_execution_arn=_ARNS,
    step_name=st.just("Train"),
    step_status=_ENDED,
    failure_reason=_SHORT_TEXT,
)
evaluated = st.builds(
    Evaluated, site=st.just(SITE), occurred_at=_TIMES, pipeline_execution_arn=_ARNS, status=_ENDED
)
events: st.SearchStrategy[Event] = st.one_of(uploaded, import_jobs, image_sets, verified, trained, evaluated)


def envelope_of(event: Event) -> dict[str, Any]:
    """The EventBridge envelope that announces an event, as its producer writes it."""
    source, detail_type, detail = _announcement(event)
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": detail_type,
        "source": source,
        "account": "123456789012",
        "time": event.occurred_at.isoformat(),
        "region": "us-east-1",
        "resources": [],
        "detail": {**detail, "a-field-that-aws-added-later": True},
    }


def _announcement(event: Event) -> tuple[str, str, Mapping[str, Any]]:
    match event:
        case Uploaded():
            return (
                "aws.s3",
                "Object Created",
                {
                    "bucket": {"name": event.bucket},
                    "object": {"key": event.key, "size": event.size_bytes, "version-id": event.version_id},
                },
            )
        case Ingested(subject="import_job"):
            return (
                "aws.medical-imaging",
                f"Import Job {(event.job_status or '').capitalize()}",
                {
                    "datastoreId": event.datastore_id,
                    "jobId": event.job_id,
                    "jobStatus": event.job_status,
                    "inputS3Uri": event.input_s3_uri,
                    "outputS3Uri": event.output_s3_uri,
                },
            )
        case Ingested():
            return (
                "aws.medical-imaging",
                f"Image Set {(event.image_set_workflow_status or '').capitalize()}",
                {
                    "datastoreId": event.datastore_id,
                    "imagesetId": event.image_set_id,
                    "imageSetVersion": event.image_set_version,
                    "imageSetWorkflowStatus": event.image_set_workflow_status,
                    "isPrimary": event.is_primary,
                },
            )
        case Verified():
            return (
                "rayline.api",
                "Verification Revoked" if event.action == "revoked" else "Image Verified",
                {
                    "schemaVersion": 1,
                    "site": event.site,
                    "verificationId": event.verification_id,
                    "datastoreId": event.datastore_id,
                    "imageSetId": event.image_set_id,
                    "imageSetVersion": event.image_set_version,
                    "label": event.label,
                    "findings": event.findings,
                    "verifier": event.verifier,
                },
            )
        case Trained():
            return (
                "aws.sagemaker",
                "SageMaker Model Building Pipeline Execution Step Status Change",
                {
                    "pipelineExecutionArn": event.pipeline_execution_arn,
                    "stepName": event.step_name,
                    "currentStepStatus": event.step_status,
                    "failureReason": event.failure_reason,
                },
            )
        case Evaluated():
            return (
                "aws.sagemaker",
                "SageMaker Model Building Pipeline Execution Status Change",
                {
                    "pipelineExecutionArn": event.pipeline_execution_arn,
                    "currentPipelineExecutionStatus": event.status,
                },
            )


def envelopes() -> st.SearchStrategy[str]:
    """Message bodies that announce events."""
    return events.map(lambda event: json.dumps(envelope_of(event)))
