"""Messages that the processor sends to itself, or that a schedule or an operator sends: look after what is due.

A reminder carries no identity and no state: whoever handles it reads the ledgers, so a second one does no harm.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rayline.errors import RejectedEvent

PROCESSOR_SOURCE = "rayline.processor"


class _Reminder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    site: str


class BatchDue(_Reminder):
    """Look after an import batch: it may be abandoned, or sealed without a job."""

    batch_id: str


class StudyDue(_Reminder):
    """See whether a study has fallen quiet. The UID is the one after de-identification."""

    study_instance_uid: str


class ImportAgain(_Reminder):
    """Put a file that HealthImaging refused into an import batch again; an operator has released it.

    Attributes:
        quarantined_at: of the entry that was released, since the file may be refused once more.
    """

    entry_id: str
    quarantined_at: str


class RetriesDue(_Reminder):
    """Bring back the events whose effects wait in the ledger and are due; sent by a schedule."""


class ReconcileDue(_Reminder):
    """Compare the ledgers with S3, HealthImaging and SageMaker, and repair what differs; sent by a schedule."""


class DriftDue(_Reminder):
    """Compare the endpoint's answers with the model's on its test images; sent by a schedule."""


Reminder = BatchDue | StudyDue | ImportAgain | RetriesDue | ReconcileDue | DriftDue

DETAIL_TYPES: Mapping[type[Reminder], str] = {
    BatchDue: "Import Batch Due",
    StudyDue: "Study Due",
    ImportAgain: "Import Again",
    RetriesDue: "Retries Due",
    ReconcileDue: "Reconcile Due",
    DriftDue: "Drift Due",
}
_BY_DETAIL_TYPE = {detail_type: kind for kind, detail_type in DETAIL_TYPES.items()}


def reminder_body(reminder: Reminder) -> str:
    """The SQS message body of a reminder; a schedule's constant input is the same text."""
    return json.dumps(
        {
            "source": PROCESSOR_SOURCE,
            "detail-type": DETAIL_TYPES[type(reminder)],
            "detail": reminder.model_dump(mode="json"),
        }
    )


def parse_reminder(document: Any, site: str) -> Reminder | None:
    """Read a message's JSON document as a reminder, None where it is none.

    Raises:
        RejectedEvent: ``INVALID_EVENT`` or ``OTHER_SITE``.
    """
    if not isinstance(document, dict) or document.get("source") != PROCESSOR_SOURCE:
        return None
    detail_type = document.get("detail-type")
    kind = _BY_DETAIL_TYPE.get(detail_type) if isinstance(detail_type, str) else None
    if kind is None:
        return None
    try:
        reminder = kind.model_validate(document.get("detail"))
    except ValidationError:
        raise RejectedEvent("INVALID_EVENT", "the reminder does not say what is due") from None
    if reminder.site != site:
        raise RejectedEvent("OTHER_SITE", "the reminder belongs to another site's processor")
    return reminder
