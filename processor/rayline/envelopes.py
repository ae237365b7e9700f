"""From an SQS message body (an EventBridge envelope) to an event, and back.

Unknown fields of AWS envelopes are ignored; whatever cannot be read is a :class:`RejectedEvent`, never an
unexpected exception. Shapes: EventBridge user guide, "AWS service event metadata" and the services' own pages.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from rayline.errors import RejectedEvent
from rayline.events import (
    SCHEMA_VERSION,
    Evaluated,
    Event,
    Ingested,
    Label,
    Trained,
    Uploaded,
    Verified,
)
from rayline.reminders import Reminder, parse_reminder

API_SOURCE = "rayline.api"
STEP_CHANGE = "SageMaker Model Building Pipeline Execution Step Status Change"
EXECUTION_CHANGE = "SageMaker Model Building Pipeline Execution Status Change"

Message = Event | Reminder


class _AwsModel(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Envelope(_AwsModel):
    source: str
    detail_type: str = Field(alias="detail-type")
    time: AwareDatetime
    detail: dict[str, Any]


class _S3Bucket(_AwsModel):
    name: str


def _fits_a_key(key: str) -> str:
    if len(key.encode()) > 1024:
        raise ValueError("an object key has at most 1,024 bytes")
    return key


class _S3Object(_AwsModel):
    key: Annotated[str, AfterValidator(_fits_a_key)] = Field(min_length=1)
    size: int = Field(default=0, ge=0)
    version_id: str = Field(alias="version-id", min_length=1)


class _ObjectCreated(_AwsModel):
    bucket: _S3Bucket
    object: _S3Object


class _ImportJob(_AwsModel):
    datastore_id: str = Field(alias="datastoreId")
    job_id: str = Field(alias="jobId")
    job_status: Literal["COMPLETED", "FAILED"] = Field(alias="jobStatus")
    input_s3_uri: str = Field(alias="inputS3Uri")
    output_s3_uri: str = Field(alias="outputS3Uri")


_Version = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]


def _text_of_number(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


class _ImageSet(_AwsModel):
    datastore_id: str = Field(alias="datastoreId")
    image_set_id: str = Field(alias="imagesetId")
    version: Annotated[_Version, BeforeValidator(_text_of_number)] = Field(alias="imageSetVersion")
    workflow_status: str = Field(default="", alias="imageSetWorkflowStatus")
    is_primary: bool | None = Field(default=None, alias="isPrimary")


class _Verification(_AwsModel):
    schema_version: Literal[1] = Field(alias="schemaVersion")
    site: str
    verification_id: str = Field(alias="verificationId")
    datastore_id: str = Field(alias="datastoreId")
    image_set_id: str = Field(alias="imageSetId")
    image_set_version: _Version = Field(alias="imageSetVersion")
    label: Label
    findings: str = ""
    verifier: str
    # To the microsecond, where an envelope's time has whole seconds: two acts may follow each other quickly.
    verified_at: AwareDatetime | None = Field(default=None, alias="verifiedAt")


class _PipelineStep(_AwsModel):
    pipeline_execution_arn: str = Field(alias="pipelineExecutionArn")
    step_name: str = Field(alias="stepName")
    status: Literal["Succeeded", "Failed", "Stopped"] = Field(alias="currentStepStatus")
    failure_reason: str = Field(default="", alias="failureReason")


class _PipelineExecution(_AwsModel):
    pipeline_execution_arn: str = Field(alias="pipelineExecutionArn")
    status: Literal["Succeeded", "Failed", "Stopped"] = Field(alias="currentPipelineExecutionStatus")


def _uploaded(envelope: _Envelope, site: str) -> Event:
    detail = _ObjectCreated.model_validate(envelope.detail)
    return Uploaded(
        site=site,
        occurred_at=envelope.time,
        bucket=detail.bucket.name,
        key=detail.object.key,
        version_id=detail.object.version_id,
        size_bytes=detail.object.size,
    )


def _import_job(envelope: _Envelope, site: str) -> Event:
    job = _ImportJob.model_validate(envelope.detail)
    return Ingested(site=site, occurred_at=envelope.time, subject="import_job", **job.model_dump())


def _image_set(envelope: _Envelope, site: str) -> Event:
    image_set = _ImageSet.model_validate(envelope.detail)
    return Ingested(
        site=site,
        occurred_at=envelope.time,
        subject="image_set",
        datastore_id=image_set.datastore_id,
        image_set_id=image_set.image_set_id,
        image_set_version=image_set.version,
        image_set_workflow_status=image_set.workflow_status,
        is_primary=image_set.is_primary,
    )


def _verified(envelope: _Envelope, site: str) -> Event:
    detail = _Verification.model_validate(envelope.detail)
    if detail.site != site:
        raise RejectedEvent("OTHER_SITE", "the verification belongs to another site's processor")
    return Verified(
        occurred_at=detail.verified_at or envelope.time,
        action="revoked" if envelope.detail_type == "Verification Revoked" else "verified",
        **detail.model_dump(exclude={"schema_version", "verified_at"}),
    )


def _trained(envelope: _Envelope, site: str) -> Event:
    step = _PipelineStep.model_validate(envelope.detail)
    return Trained(
        site=site,
        occurred_at=envelope.time,
        pipeline_execution_arn=step.pipeline_execution_arn,
        step_name=step.step_name,
        step_status=step.status,
        failure_reason=step.failure_reason,
    )


def _evaluated(envelope: _Envelope, site: str) -> Event:
    execution = _PipelineExecution.model_validate(envelope.detail)
    return Evaluated(
        site=site,
        occurred_at=envelope.time,
        pipeline_execution_arn=execution.pipeline_execution_arn,
        status=execution.status,
    )


_READERS = {
    ("aws.s3", "Object Created"): _uploaded,
    ("aws.medical-imaging", "Import Job Completed"): _import_job,
    ("aws.medical-imaging", "Import Job Failed"): _import_job,
    ("aws.medical-imaging", "Image Set Created"): _image_set,
    ("aws.medical-imaging", "Image Set Updated"): _image_set,
    (API_SOURCE, "Image Verified"): _verified,
    (API_SOURCE, "Verification Revoked"): _verified,
    ("aws.sagemaker", STEP_CHANGE): _trained,
    ("aws.sagemaker", EXECUTION_CHANGE): _evaluated,
}


def parse_message(body: str, site: str) -> Message:
    """Read one SQS message body.

    Args:
        body: the message's text, an EventBridge envelope as JSON.
        site: the site that this queue serves; AWS services know none.

    Raises:
        RejectedEvent: ``UNPARSABLE_MESSAGE``, ``UNKNOWN_EVENT``, ``INVALID_EVENT`` or ``OTHER_SITE``.
    """
    try:
        document = json.loads(body)
        reminder = parse_reminder(document, site)
        if reminder is not None:
            return reminder
        envelope = _Envelope.model_validate(document)
    except (ValueError, RecursionError):
        # ValidationError is a ValueError; its text may quote the input, so it is not passed on.
        raise RejectedEvent("UNPARSABLE_MESSAGE", "the message is not an EventBridge envelope") from None
    reader = _READERS.get((envelope.source, envelope.detail_type))
    if reader is None:
        raise RejectedEvent("UNKNOWN_EVENT", "no event is known by this source and detail type")
    try:
        return reader(envelope, site)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
        raise RejectedEvent("INVALID_EVENT", f"missing or wrong in the event's detail: {fields}") from None


def envelope(event: Event) -> dict[str, Any]:
    """The EventBridge envelope that announces an event, with what :func:`parse_message` reads of it."""
    source, detail_type, detail = _announcement(event)
    return {
        "source": source,
        "detail-type": detail_type,
        "time": event.occurred_at.isoformat(),
        "detail": detail,
    }


def message_body(event: Event) -> str:
    """The SQS message body that announces an event, as EventBridge would have sent it."""
    return json.dumps(envelope(event))


def _announcement(event: Event) -> tuple[str, str, dict[str, Any]]:
    match event:
        case Uploaded():
            s3_object = {"key": event.key, "size": event.size_bytes, "version-id": event.version_id}
            return "aws.s3", "Object Created", {"bucket": {"name": event.bucket}, "object": s3_object}
        case Ingested(subject="import_job"):
            job = {
                "datastoreId": event.datastore_id,
                "jobId": event.job_id,
                "jobStatus": event.job_status,
                "inputS3Uri": event.input_s3_uri,
                "outputS3Uri": event.output_s3_uri,
            }
            return "aws.medical-imaging", f"Import Job {(event.job_status or '').capitalize()}", job
        case Ingested():
            image_set = {
                "datastoreId": event.datastore_id,
                "imagesetId": event.image_set_id,
                "imageSetVersion": event.image_set_version,
                "imageSetWorkflowStatus": event.image_set_workflow_status,
                "isPrimary": event.is_primary,
            }
            created = event.image_set_workflow_status == "CREATED"
            return "aws.medical-imaging", f"Image Set {'Created' if created else 'Updated'}", image_set
        case Verified():
            verification = {
                "schemaVersion": SCHEMA_VERSION,
                "site": event.site,
                "verificationId": event.verification_id,
                "datastoreId": event.datastore_id,
                "imageSetId": event.image_set_id,
                "imageSetVersion": event.image_set_version,
                "label": event.label,
                "findings": event.findings,
                "verifier": event.verifier,
                "verifiedAt": event.occurred_at.isoformat(),
            }
            revoked = event.action == "revoked"
            return API_SOURCE, "Verification Revoked" if revoked else "Image Verified", verification
        case Trained():
            step = {
                "pipelineExecutionArn": event.pipeline_execution_arn,
                "stepName": event.step_name,
                "currentStepStatus": event.step_status,
                "failureReason": event.failure_reason,
            }
            return "aws.sagemaker", STEP_CHANGE, step
        case Evaluated():
            execution = {
                "pipelineExecutionArn": event.pipeline_execution_arn,
                "currentPipelineExecutionStatus": event.status,
            }
            return "aws.sagemaker", EXECUTION_CHANGE, execution
