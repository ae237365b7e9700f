"""The five events: frozen, typed, discriminated by ``kind``."""

from datetime import datetime
from typing import Annotated, Literal, NewType, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

SCHEMA_VERSION = 1

EventIdentity = NewType("EventIdentity", str)
Label = Literal["NORMAL", "PNEUMONIA"]
EndedStatus = Literal["Succeeded", "Failed", "Stopped"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: int = Field(default=SCHEMA_VERSION, alias="schemaVersion")
    site: str
    occurred_at: datetime

    def without_phi(self) -> Self:
        """The event with its identifying fields blanked."""
        return self


class Uploaded(_Event):
    """An object was created in the uploads bucket. The key is chosen by the sender and may identify a patient."""

    kind: Literal["uploaded"] = "uploaded"
    bucket: str
    key: str = Field(repr=False)
    version_id: str
    size_bytes: int = Field(ge=0)

    def identity_parts(self) -> tuple[str, ...]:
        """The object version, whatever message announced it."""
        return ("uploaded", self.bucket, self.key, self.version_id)

    def without_phi(self) -> Self:
        """The event with a blank key, since senders put names and numbers into keys."""
        return self.model_copy(update={"key": ""})


class Ingested(_Event):
    """HealthImaging ended an import job, or created or changed an image set."""

    kind: Literal["ingested"] = "ingested"
    subject: Literal["import_job", "image_set"]
    datastore_id: str
    job_id: str | None = None
    job_status: Literal["COMPLETED", "FAILED"] | None = None
    input_s3_uri: str | None = None
    output_s3_uri: str | None = None
    image_set_id: str | None = None
    image_set_version: str | None = None
    image_set_workflow_status: str | None = None
    is_primary: bool | None = None

    def identity_parts(self) -> tuple[str, ...]:
        """Job and status, or image set, version and workflow status."""
        if self.subject == "import_job":
            return ("ingested", self.datastore_id, "job", self.job_id or "", self.job_status or "")
        return (
            "ingested",
            self.datastore_id,
            "image_set",
            self.image_set_id or "",
            self.image_set_version or "",
            self.image_set_workflow_status or "",
        )


class Verified(_Event):
    """A radiologist verified an image set version as ground truth, or took that back."""

    kind: Literal["verified"] = "verified"
    action: Literal["verified", "revoked"]
    verification_id: str
    datastore_id: str
    image_set_id: str
    image_set_version: str
    label: Label
    findings: str = Field(default="", repr=False)
    verifier: str

    def identity_parts(self) -> tuple[str, ...]:
        """The producer's UUID and what it did."""
        return ("verified", self.verification_id, self.action)

    def without_phi(self) -> Self:
        """The event without its free text."""
        return self.model_copy(update={"findings": ""})


class Trained(_Event):
    """The pipeline's training step ended."""

    kind: Literal["trained"] = "trained"
    pipeline_execution_arn: str
    step_name: str
    step_status: EndedStatus
    failure_reason: str = ""

    def identity_parts(self) -> tuple[str, ...]:
        """Execution, step and status."""
        return ("trained", self.pipeline_execution_arn, self.step_name, self.step_status)


class Evaluated(_Event):
    """A pipeline execution ended; its evaluation and model package are read from SageMaker."""

    kind: Literal["evaluated"] = "evaluated"
    pipeline_execution_arn: str
    status: EndedStatus

    def identity_parts(self) -> tuple[str, ...]:
        """Execution and status."""
        return ("evaluated", self.pipeline_execution_arn, self.status)


Event = Annotated[Uploaded | Ingested | Verified | Trained | Evaluated, Field(discriminator="kind")]
EVENT_TYPES: tuple[type[Uploaded | Ingested | Verified | Trained | Evaluated], ...] = (
    Uploaded,
    Ingested,
    Verified,
    Trained,
    Evaluated,
)
EVENT_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def observer_hook(event: Event) -> str:
    """The observer hook that an event calls, e.g. ``on_uploaded``."""
    return f"on_{event.kind}"
