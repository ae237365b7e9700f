"""verified: pin the label to the image set's version and the checksums of its frames."""

from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from rayline.context import HookContext
from rayline.dicom.reasons import ReasonCode
from rayline.dynamodb import Item, TransactItem, timestamp, to_attribute
from rayline.effects import CommitConflict
from rayline.errors import RejectedEvent, RetryableError
from rayline.events import Verified
from rayline.healthimaging.frames import frame_pins, pins_digest
from rayline.instances import VerificationState, image_set_key, verification_key
from rayline.observability.metrics import VERIFICATIONS
from rayline.plugin import API_VERSION, Policy, hookimpl
from rayline.services import Services

PATIENCE = timedelta(days=7)  # for the import of an image set that was verified already
MAX_PINS_KEPT = 64  # beyond these the digest alone is kept: an item holds 400 KB


class VerifiedStage:
    """Makes a verification hold for exactly the pixels that were looked at."""

    api = API_VERSION
    name = "rayline.verified"
    policies = {  # noqa: RUF012 - the plugin contract's shape
        # The free text of a verification goes on to those deciders that may see it.
        "on_verified": Policy(on_failure="retry", timeout_seconds=120, order=0, sees_phi=True)
    }

    def __init__(self, services: Services) -> None:
        self._services = services

    @hookimpl
    def on_verified(self, event: Verified, context: HookContext) -> None:
        """Accept or refuse a verification, and record it on the image set."""
        assert context.effect is not None
        try:
            item = self._accept(event)
        except RejectedEvent as rejected:
            # Kept in the effect's own transaction, so that whoever verified can see it.
            context.effect.commit(
                [self._conclude(event, VerificationState.REFUSED, rejected.reason)],
                state="rejected",
                reason=str(rejected),
            )
            self._count(VerificationState.REFUSED)
            return
        if item.get("decided_by", "") >= _decision(event):
            # Deliveries come in any order; a later act of a radiologist was recorded first, and stands.
            context.effect.commit([self._conclude(event, VerificationState.SUPERSEDED), *self._counts(event)])
            self._count(VerificationState.SUPERSEDED)
            return
        write = self._revoke(event) if event.action == "revoked" else self._pin(event)
        try:
            context.effect.commit(
                [write, self._conclude(event, VerificationState.RECORDED), *self._counts(event)]
            )
        except CommitConflict:
            raise RetryableError("the image set changed while its verification was recorded") from None
        self._count("revoked" if event.action == "revoked" else VerificationState.RECORDED)

    def _count(self, outcome: str) -> None:
        self._services.meter.record(VERIFICATIONS, 1, str(outcome))

    def _accept(self, event: Verified) -> Item:
        """The image set's item, where the verification may be recorded on it.

        Raises:
            RejectedEvent: a plugin refused it, or the image set has changed since, or never came.
            RetryableError: the image set is not in the ledger yet.
        """
        refusal = self._services.hooks().accept_verification(event)
        if refusal is not None:
            raise RejectedEvent(refusal.reason, refusal.explanation)
        item = self._services.ledger.image_set(event.datastore_id, event.image_set_id)
        if item is None or not item.get("viewable") or int(item["version"]) < int(event.image_set_version):
            # An event with a wrong id must not wait for ever; one from the future, by a wrong clock, neither.
            if abs(self._services.clock() - event.occurred_at) > PATIENCE:
                raise RejectedEvent(
                    ReasonCode.IMAGE_SET_UNKNOWN, "no image set of that id and version came within a week"
                )
            raise RetryableError("the image set is not in the ledger yet")
        if str(item["version"]) != event.image_set_version:
            raise RejectedEvent(
                ReasonCode.STALE_VERIFICATION, "the image set changed after the radiologist looked at it"
            )
        return item

    def _pin(self, event: Verified) -> TransactItem:
        try:
            metadata = self._services.frames.metadata(
                event.datastore_id, event.image_set_id, event.image_set_version
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ConflictException":
                raise RetryableError("the image set's metadata is not readable yet") from None
            raise
        pins = frame_pins(metadata)
        kept = [
            {"sop_instance_uid": pin.sop_instance_uid, "frame_id": pin.frame_id, "checksum": pin.checksum}
            for pin in pins[:MAX_PINS_KEPT]
        ]
        return self._update(
            event,
            "SET verified_site = :site, verified_at = :now, verified_version = :version, "
            "verification_id = :id, label = :label, verified_frames = :frames, verified_digest = :digest, "
            "decided_by = :decision",
            {
                ":site": event.site,
                ":now": timestamp(event.occurred_at),
                ":id": event.verification_id,
                ":label": event.label,
                ":frames": kept,
                ":digest": pins_digest(pins),
            },
        )

    def _revoke(self, event: Verified) -> TransactItem:
        return self._update(
            event,
            "REMOVE verified_site, verified_at, verified_version, label, verified_frames, verified_digest "
            "SET decided_by = :decision",
            {},
        )

    def _update(self, event: Verified, expression: str, values: dict[str, Any]) -> TransactItem:
        given = {**values, ":version": int(event.image_set_version), ":decision": _decision(event)}
        return {
            "Update": {
                "TableName": self._services.ledger.table,
                "Key": {"pk": {"S": image_set_key(event.datastore_id, event.image_set_id)}},
                "UpdateExpression": expression,
                "ConditionExpression": "#version = :version AND "
                "(attribute_not_exists(decided_by) OR decided_by < :decision)",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {name: to_attribute(value) for name, value in given.items()},
            }
        }

    def _conclude(self, event: Verified, state: VerificationState, reason: str = "") -> TransactItem:
        return {
            "Update": {
                "TableName": self._services.ledger.table,
                "Key": {"pk": {"S": verification_key(event.verification_id)}},
                "UpdateExpression": "SET #state = :state, reason = :reason",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {":state": {"S": state.value}, ":reason": {"S": reason}},
            }
        }

    def _counts(self, event: Verified) -> list[TransactItem]:
        """Verifications come at a person's pace, so one counter a site is not a hot item."""
        if event.action == "revoked":
            return []
        update = {
            "TableName": self._services.ledger.table,
            "Key": {"pk": {"S": f"COUNTER#{event.site}"}},
            "UpdateExpression": "ADD verified :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        return [{"Update": update}]


def _decision(event: Verified) -> str:
    """Orders the acts on one image set by when the radiologist did them; of two at once, by their ids."""
    return f"{timestamp(event.occurred_at)} {event.verification_id}"
