"""What a radiologist does: verify an image set version as ground truth, or take that back.

The act is written together with the event that announces it; the processor pins it to frames later.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rayline.dynamodb import timestamp, to_attributes
from rayline.envelopes import API_SOURCE
from rayline.errors import RaylineError
from rayline.events import SCHEMA_VERSION, Label
from rayline.instances import (
    InstanceLedger,
    VerificationState,
    verification_key,
    verification_listing,
)
from rayline.outbox import Outbox, OutboxEntry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class UnknownImageSet(RaylineError):
    """The ledger holds no such image set."""


@dataclass(frozen=True)
class Verification:
    """One label given to one image set; the version is the one that the radiologist saw."""

    image_set_id: str
    image_set_version: str
    label: Label
    findings: str = ""


class Verifier:
    """Records verifications of one site."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        ledger: InstanceLedger,
        outbox: Outbox,
        *,
        site: str,
        datastore_id: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._dynamodb = dynamodb
        self._ledger = ledger
        self._outbox = outbox
        self._site = site
        self._datastore_id = datastore_id
        self._clock = clock

    def current_version(self, image_set_id: str) -> str:
        """The version of an image set that a radiologist would see now.

        Raises:
            UnknownImageSet: the ledger holds none by that id.
        """
        item = self._ledger.image_set(self._datastore_id, image_set_id)
        if item is None or not item.get("viewable"):
            raise UnknownImageSet(
                f"no viewable image set {image_set_id}; `rayline status` shows what is imported"
            )
        return str(item["version"])

    def verify(
        self, verifications: Sequence[Verification], verifier: str, *, revoke: bool = False
    ) -> list[str]:
        """Record verifications and announce them, each in one transaction. Returns their ids.

        Args:
            verifier: the radiologist's account name, not a patient's.
            revoke: take the label back instead.
        """
        entries = []
        for verification in verifications:
            verification_id = str(uuid.uuid4())
            verified_at = timestamp(self._clock())
            detail = {
                "schemaVersion": SCHEMA_VERSION,
                "site": self._site,
                "verificationId": verification_id,
                "datastoreId": self._datastore_id,
                "imageSetId": verification.image_set_id,
                "imageSetVersion": verification.image_set_version,
                "label": verification.label,
                "findings": verification.findings,
                "verifier": verifier,
                "verifiedAt": verified_at,
            }
            detail_type = "Verification Revoked" if revoke else "Image Verified"
            entry = OutboxEntry(verification_id, API_SOURCE, detail_type, (detail,))
            item = {
                "pk": verification_key(verification_id),
                "type": "verification",
                "site": self._site,
                "verification_id": verification_id,
                # Not `image_set_id`: that attribute is the index of instances by image set.
                "of_image_set": verification.image_set_id,
                "image_set_version": verification.image_set_version,
                "label": verification.label,
                "verifier": verifier,
                "action": "revoked" if revoke else "verified",
                "state": VerificationState.ANNOUNCED,
                "created_at": verified_at,
                "listing": verification_listing(self._site),
                "listed_at": verified_at,
            }
            put = {
                "Put": {
                    "TableName": self._ledger.table,
                    "Item": to_attributes(item),
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }
            self._dynamodb.transact_write_items(TransactItems=[put, self._outbox.write(entry)])  # type: ignore[list-item]
            entries.append(entry)
        self._outbox.publish(entries)
        return [entry.entry_id for entry in entries]
