"""What Rayline tells other systems on its custom bus: one model a detail type, and none of it identifies a patient.

A notification leaves through the outbox, so a consumer may get one twice, and tells by its ``id``: that is made from
what happened, so the same happening has the same id whenever it is told. Models grow by optional fields only.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from rayline.outbox import OutboxEntry
from rayline.reminders import PROCESSOR_SOURCE

_NAMESPACE = uuid.UUID("6f0e5a34-8c0b-5d0f-9f6e-2b6f3c1d7a10")
_BYTES_AN_ENTRY = 200_000  # an item of DynamoDB holds 400 KB (Amazon DynamoDB quotas)
MAX_IMAGE_SETS_TOLD = 500  # ten such notifications fit into the 256 KB of one PutEvents call


class Notification(BaseModel):
    """What every notification says. Field names on the bus are in camelCase."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )

    identified_by: ClassVar[tuple[str, ...]]

    schema_version: Literal[1] = Field(default=1, description="grows with incompatible changes only")
    site: str = Field(description="the hospital site whose processor says so")
    occurred_at: AwareDatetime = Field(description="when it happened, in UTC")
    id: str = Field(default="", description="the same for each telling of the same happening")

    def model_post_init(self, _context: object) -> None:
        """Make the id from what happened, where none was given."""
        if not self.id:
            parts = [
                type(self).__name__,
                self.site,
                *(str(getattr(self, name)) for name in self.identified_by),
            ]
            object.__setattr__(self, "id", str(uuid.uuid5(_NAMESPACE, json.dumps(parts))))


class ImageIngested(Notification):
    """An image set can be read from HealthImaging: an import job created it, or added instances to it."""

    identified_by = ("job_id", "image_set_id")

    datastore_id: str = Field(description="HealthImaging data store")
    image_set_id: str = Field(description="HealthImaging image set")
    image_set_version: str = Field(description="its version when the job was accounted for")
    job_id: str = Field(description="HealthImaging import job")
    is_primary: bool | None = Field(
        default=None, description="false where its metadata conflicts with another's"
    )
    modality: str = Field(description="DICOM modality, e.g. CR")
    instances: int = Field(ge=0, description="instances in the image set")
    frames: int = Field(ge=0, description="frames in the image set")


class ImageRejected(Notification):
    """A received object was refused and lies in quarantine, with a reason."""

    identified_by = ("stage", "entry_id")

    stage: Literal["uploaded", "ingested"] = Field(description="at intake, or by HealthImaging's import")
    reason: str = Field(description="reason code, e.g. NOT_DICOM")
    entry_id: str = Field(description="id for `rayline quarantine show`; a keyed hash")


class PipelineTriggered(Notification):
    """Enough image sets were verified, so a training run was started."""

    identified_by = ("training_id",)

    training_id: str = Field(description="site and number of the run")
    pipeline_execution_arn: str = Field(description="SageMaker pipeline execution")
    images: int = Field(ge=0, description="verified images in its manifest")


class ModelRegistered(Notification):
    """A pipeline execution registered a model package."""

    identified_by = ("model_package_arn",)

    model_package_arn: str = Field(description="SageMaker model package")
    pipeline_execution_arn: str = Field(description="SageMaker pipeline execution")
    metrics: dict[str, float] = Field(description="accuracy, precision, recall, f1, roc_auc: each 0 to 1")


class ModelApproved(ModelRegistered):
    """A registered model was found approved when its evaluation was handled."""

    reason: str = Field(description="why the site's plugin approved it; empty where a human did")


class StudyCompleted(Notification):
    """A study has fallen quiet, and its images were imported or refused; or waiting for them was given up."""

    identified_by = ("study_key", "generation")

    study_key: str = Field(description="keyed hash of the de-identified Study Instance UID")
    generation: int = Field(ge=1, description="counts up where late instances re-opened the study")
    datastore_id: str = Field(description="HealthImaging data store")
    image_set_ids: Annotated[list[str], Field(max_length=MAX_IMAGE_SETS_TOLD)] = Field(
        description=f"the study's image sets, at most {MAX_IMAGE_SETS_TOLD}"
    )
    instances: int = Field(ge=0, description="instances of the study that were taken in")
    imported: int = Field(ge=0, description="of these, imported into HealthImaging")
    refused: int = Field(ge=0, description="of these, refused by HealthImaging")
    expected: int | None = Field(
        default=None, description="instances that the images' headers promise, if they do"
    )
    complete: bool = Field(description="false where expected or imported instances were still missing")


NOTIFICATIONS: tuple[type[Notification], ...] = (
    ImageIngested,
    ImageRejected,
    PipelineTriggered,
    ModelRegistered,
    ModelApproved,
    StudyCompleted,
)


def outbox_entries(notifications: Sequence[Notification]) -> list[OutboxEntry]:
    """Notifications as outbox entries: as few as hold them, each of one detail type."""
    entries = []
    for detail_type, told in groupby(notifications, key=lambda each: type(each).__name__):
        for details in _fitting([each.model_dump(mode="json", by_alias=True) for each in told]):
            entries.append(OutboxEntry.new(PROCESSOR_SOURCE, detail_type, *details))
    return entries


def _fitting(details: Sequence[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    chunk: list[dict[str, object]] = []
    size_bytes = 0
    for detail in details:
        added = len(json.dumps(detail))
        if chunk and size_bytes + added > _BYTES_AN_ENTRY:
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(detail)
        size_bytes += added
    if chunk:
        yield chunk
