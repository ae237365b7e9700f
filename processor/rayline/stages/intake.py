"""uploaded: screen, transform, store into the open import batch; or quarantine with a reason."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from rayline.context import HookContext
from rayline.dicom.before_pixels import header_before_pixels
from rayline.dicom.coercion import coerce
from rayline.dicom.content import WHOLE_BYTES, Content, InMemory
from rayline.dicom.header import Header
from rayline.dicom.identity import InstanceIdentity
from rayline.dicom.instance import Instance
from rayline.dicom.metadata import metadata_of
from rayline.dicom.reasons import ReasonCode, metric_label
from rayline.dynamodb import CONDITION_FAILED
from rayline.effects import CommitConflict
from rayline.errors import RejectedEvent, RetryableError
from rayline.events import Uploaded
from rayline.fingerprints import NO_CONTENT, fingerprint
from rayline.instances import Received, Stored
from rayline.notifications import ImageRejected, outbox_entries
from rayline.objects import is_gone, stored_object
from rayline.observability.metrics import BYTES_RECEIVED, INSTANCES_QUARANTINED, INSTANCES_RECEIVED
from rayline.plugin import API_VERSION, Policy, hookimpl
from rayline.quarantining.received import received_keys, series_key, study_key
from rayline.services import Services

_MOST_PROMISED = 100_000  # beyond, the header is wrong
_NUMBER_OF_STUDY_RELATED_INSTANCES = 0x00201208


class IntakeStage:
    """Takes one object version from the uploads bucket to an import batch."""

    api = API_VERSION
    name = "rayline.intake"
    policies = {  # noqa: RUF012 - the plugin contract's shape
        "on_uploaded": Policy(on_failure="retry", timeout_seconds=900, memory_mb=4096, order=0, sees_phi=True)
    }

    def __init__(self, services: Services) -> None:
        self._services = services
        self._limits = services.profile.intake.limits.limits()

    @hookimpl
    def on_uploaded(self, event: Uploaded, context: HookContext) -> None:
        """Screen, transform and store; whatever is refused goes to quarantine as it came."""
        instance_id = self._services.ledger.instance_id(event.bucket, event.key, event.version_id)
        received = Received(
            instance_id=instance_id,
            received_uid_hash=None,
            content=NO_CONTENT,
            received_at=event.occurred_at,
        )
        instance = Instance(b"")
        try:
            content, described = self._fetch(event)
            instance = Instance(content, limits=self._limits)
            received = replace(received, content=fingerprint(content, described))
            self._accept(instance, received, context)
        except RejectedEvent as rejected:
            self._refuse(event, instance, received, rejected, context)

    def _refuse(
        self,
        event: Uploaded,
        instance: Instance,
        received: Received,
        rejected: RejectedEvent,
        context: HookContext,
    ) -> None:
        """Keep what was refused, or say that it is gone, which a large object may be at any moment."""
        if rejected.reason != ReasonCode.OBJECT_GONE:
            try:
                self._quarantine(event, instance, received, rejected, context)
                return
            except RejectedEvent as gone:
                rejected = gone
        nothing = replace(received, content=NO_CONTENT)
        self._quarantine(event, Instance(b""), nothing, rejected, context)

    def _fetch(self, event: Uploaded) -> tuple[Content, Mapping[str, Any]]:
        """The object, read where it is small, and what S3 says of it.

        Raises:
            RejectedEvent: it is gone.
        """
        s3 = self._services.clients.s3
        version: Any = {"Bucket": event.bucket, "Key": event.key, "VersionId": event.version_id}
        described: Any
        try:
            if event.size_bytes <= WHOLE_BYTES:
                described = s3.get_object(**version)
                # An event may say nothing of the size.
                if described["ContentLength"] <= WHOLE_BYTES:
                    return InMemory(described["Body"].read()), described
                described["Body"].close()
            described = s3.head_object(**version, ChecksumMode="ENABLED")
        except ClientError as error:
            if is_gone(error):
                raise RejectedEvent(
                    ReasonCode.OBJECT_GONE, "the object version was deleted before it was read"
                ) from None
            raise
        return stored_object(s3, described, event.bucket, event.key, event.version_id), described

    def _accept(self, instance: Instance, received: Received, context: HookContext) -> None:
        """Coerce, screen, transform and store an instance.

        Raises:
            RejectedEvent: screening, a transformer, the receipt rule or the UID rule refused it.
        """
        hooks = self._services.hooks()
        instance, coerced = coerce(instance, self._services.profile.intake.coercion)
        rejection = hooks.screen(instance)
        if rejection is not None:
            raise RejectedEvent(rejection.reason, rejection.explanation, "screen_instance")
        original = InstanceIdentity.of(instance.header)
        received = replace(
            received,
            received_uid_hash=self._services.ledger.uid_hash(original.sop_instance_uid),
            received_study=study_key(original.study_instance_uid, self._services.keyed_hash),
            received_series=series_key(original.series_instance_uid, self._services.keyed_hash),
        )
        try:
            changed = hooks.transform(instance)
        except RejectedEvent as rejected:
            raise RejectedEvent(rejected.reason, rejected.explanation, "transform_instance") from None
        if self._services.profile.identity == "deidentified" and not changed.receipts:
            raise RejectedEvent(
                ReasonCode.NOT_DEIDENTIFIED,
                "no plugin left a de-identification receipt, which this site's profile requires",
            )
        header = header_before_pixels(changed, instance)
        self._store(changed, header, received, coerced, _promised(instance.header), context)

    def _store(
        self,
        instance: Instance,
        header: Header,
        received: Received,
        coerced: tuple[str, ...],
        promised: int | None,
        context: HookContext,
    ) -> None:
        batches = self._services.batches
        identity = InstanceIdentity.of(header)
        batch_id = batches.store(received.instance_id, instance.source)
        stored = Stored(
            batch_id=batch_id,
            sop_instance_uid=identity.sop_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            study_instance_uid=identity.study_instance_uid,
            sop_class_uid=identity.sop_class_uid,
            modality=identity.modality,
            receipts=instance.receipts,
            coerced=coerced,
            # Without a receipt the header may name the patient, and the ledger names nobody.
            metadata=metadata_of(header) if instance.receipts else None,
        )
        assert context.effect is not None
        # Before the instance is recorded: a crash in between repeats the touch, and never leaves it out.
        self._services.studies.touch(
            identity.study_instance_uid, promised, in_doubt=context.effect.attempts > 1
        )
        writes = [*self._services.ledger.batched_writes(received, stored), batches.still_open(batch_id)]
        try:
            context.effect.commit(writes, result={"batch_id": batch_id})
        except CommitConflict as conflict:
            # The file stays behind: no instance claims it, so it is deleted before its batch is imported.
            self._resolve(conflict, batch_id, received, context)
        else:
            self._count(received)

    def _count(self, received: Received) -> None:
        """Measure an instance of which a delivery has just been recorded for the first time."""
        self._services.meter.record(INSTANCES_RECEIVED)
        self._services.meter.record(BYTES_RECEIVED, received.content.size_bytes)

    def _resolve(
        self, conflict: CommitConflict, batch_id: str, received: Received, context: HookContext
    ) -> None:
        """Say what it means that the instance, its UID or its batch is not as it was."""
        assert context.effect is not None
        known_instance, known_uid, lost_batch = (code == CONDITION_FAILED for code in conflict.codes)
        if lost_batch:
            self._services.batches.forget(batch_id)
        if known_instance:
            # Recorded by an earlier delivery whose effect was lost; there is nothing left to do.
            context.effect.commit()
            return
        if not known_uid:
            raise RetryableError("another worker sealed the import batch; the instance goes into the next")
        assert received.received_uid_hash is not None
        holder = self._services.ledger.uid_holder(received.received_uid_hash)
        if holder is None:
            raise RetryableError("the UID's holder changed while it was looked at")
        if received.content.is_of(holder):
            write = self._services.ledger.duplicate_write(received, holder["instance_id"])
            context.effect.commit([write], result={"duplicate_of": holder["instance_id"]})
            self._count(received)
            return
        raise RejectedEvent(
            ReasonCode.UID_CONFLICT, "this SOP Instance UID was received before with other content"
        )

    def _quarantine(
        self,
        event: Uploaded,
        instance: Instance,
        received: Received,
        rejected: RejectedEvent,
        context: HookContext,
    ) -> None:
        study, series = received_keys(instance.source, self._services.keyed_hash)
        # The object is kept before the ledger says so: a crash in between repeats the first, and loses nothing.
        self._services.quarantine.keep(
            received.instance_id,
            instance.source,
            stage=event.kind,
            reason=rejected.reason,
            explanation=rejected.explanation,
            hook=rejected.hook,
            study=study,
            series=series,
            origin=(event.bucket, event.key, event.version_id),
        )
        told = ImageRejected(
            site=event.site,
            occurred_at=self._services.clock(),
            stage=event.kind,
            reason=rejected.reason,
            entry_id=received.instance_id,
        )
        # The instance's own item carries what is told of it, since an entry of its own is one write too many.
        instance_key = self._services.ledger.instance_key(received.instance_id)
        (entry,) = (each.carried_by(instance_key) for each in outbox_entries([told]))
        write = self._services.ledger.quarantined_write(
            received, rejected.reason, self._services.outbox.fields(entry)
        )
        assert context.effect is not None
        reason = f"{rejected.reason}: {rejected.explanation}"
        try:
            context.effect.commit([write], state="rejected", reason=reason)
        except CommitConflict:
            # Quarantined by an earlier delivery already, which told of it too.
            context.effect.commit(state="rejected", reason=reason)
        else:
            self._count(received)
            self._services.meter.record(INSTANCES_QUARANTINED, 1, metric_label(rejected.reason))
            self._services.outbox.publish([entry])
        context.log.warning("instance_quarantined", reason=rejected.reason, instance_id=received.instance_id)


def _promised(header: Header) -> int | None:
    """How many instances the study has, where the sender says so: (0020,1208), PS3.4 §C.3.4."""
    value = header.integer(_NUMBER_OF_STUDY_RELATED_INSTANCES)
    return value if value is not None and 0 < value <= _MOST_PROMISED else None
