"""ingested: account for every file of an import job, record image sets, mark them viewable."""

from collections.abc import Iterable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from rayline.context import HookContext
from rayline.dicom.reasons import ReasonCode, metric_label
from rayline.dynamodb import TransactItem, timestamp
from rayline.errors import RetryableError
from rayline.events import Ingested
from rayline.healthimaging.frames import instances_in
from rayline.healthimaging.job_results import JobResults, read_job_results, split_s3_uri
from rayline.imports import instance_id_of
from rayline.instances import Stage, store_key
from rayline.names import IMPORT_PREFIX
from rayline.notifications import ImageIngested, ImageRejected, outbox_entries
from rayline.objects import stored_object
from rayline.observability.metrics import INSTANCES_IMPORTED, INSTANCES_QUARANTINED
from rayline.plugin import API_VERSION, Policy, hookimpl
from rayline.services import Services


class IngestedStage:
    """Believes HealthImaging's manifests, file by file, and nothing else."""

    api = API_VERSION
    name = "rayline.ingested"
    policies = {  # noqa: RUF012 - the plugin contract's shape
        "on_ingested": Policy(on_failure="retry", timeout_seconds=900, memory_mb=2048, order=0)
    }

    def __init__(self, services: Services) -> None:
        self._services = services

    @hookimpl
    def on_ingested(self, event: Ingested, context: HookContext) -> None:
        """Account for a job's files, or note an image set's new version."""
        if event.datastore_id != self._services.settings.datastore_id:
            return
        if event.subject == "import_job":
            self._account(event, context)
        else:
            self._note_version(event)

    def _note_version(self, event: Ingested) -> None:
        self._services.ledger.record_image_sets(
            [
                {
                    "datastore_id": event.datastore_id,
                    "image_set_id": event.image_set_id,
                    "version": int(event.image_set_version or 1),
                    "is_primary": event.is_primary,
                    "site": event.site,
                    "updated_at": timestamp(self._services.clock()),
                }
            ]
        )

    def _account(self, event: Ingested, context: HookContext) -> None:
        assert event.input_s3_uri is not None
        assert event.output_s3_uri is not None
        bucket, prefix = split_s3_uri(event.input_s3_uri)
        if bucket != self._services.settings.imports_bucket or not prefix.startswith(IMPORT_PREFIX):
            context.log.warning("import_job_not_ours", job_id=event.job_id)
            return
        batch_id = prefix.removeprefix(IMPORT_PREFIX).rstrip("/")
        results = read_job_results(self._services.clients.s3, event.output_s3_uri)
        # Image sets first: an instance that is imported has an image set that can be looked at.
        image_set_ids = sorted(set(results.image_set_of.values()))
        image_sets = list(self._described(event.datastore_id, image_set_ids))
        self._services.ledger.record_image_sets(image_sets)
        self._services.ledger.mark_imported(
            {instance_id_of(key): image_set for key, image_set in results.image_set_of.items()}
        )
        refused, imported_bytes = self._quarantine_refused(bucket, prefix, results, event)
        counts = {"imported": len(results.image_set_of), "refused": len(refused)}
        self._services.batches.mark_accounted(batch_id, counts)
        # Told with the end of the effect: until then all of this is repeated, and so is what is told of it.
        entries = outbox_entries([*self._ingested(event, image_sets), *refused])
        assert context.effect is not None
        counted = self._counted(len(results.image_set_of), imported_bytes)
        context.effect.commit([*map(self._services.outbox.write, entries), counted])
        self._services.meter.record(INSTANCES_IMPORTED, len(results.image_set_of))
        for each in refused:
            self._services.meter.record(INSTANCES_QUARANTINED, 1, metric_label(each.reason))
        self._services.outbox.publish(entries)
        context.log.info(
            "import_job_accounted",
            batch_id=batch_id,
            job_id=event.job_id,
            job_status=event.job_status,
            files=len(results.image_set_of),
            image_sets=len(image_set_ids),
            failed=len(refused),
        )

    def _counted(self, instances: int, size_bytes: int) -> TransactItem:
        """The write that counts what HealthImaging has; one a job, so that no item is hot."""
        return {
            "Update": {
                "TableName": self._services.ledger.table,
                "Key": {"pk": {"S": store_key(self._services.settings.site)}},
                "UpdateExpression": "SET #type = :type ADD #instances :instances, #bytes :bytes",
                "ExpressionAttributeNames": {"#type": "type", "#instances": "instances", "#bytes": "bytes"},
                "ExpressionAttributeValues": {
                    ":type": {"S": "store"},
                    ":instances": {"N": str(instances)},
                    ":bytes": {"N": str(size_bytes)},
                },
            }
        }

    def _described(self, datastore_id: str, image_set_ids: list[str]) -> Iterator[dict[str, Any]]:
        """What the ledger keeps of each image set, from HealthImaging's own metadata."""
        for image_set_id in image_set_ids:
            try:
                properties = self._services.clients.medical_imaging.get_image_set(
                    datastoreId=datastore_id, imageSetId=image_set_id
                )
                metadata = self._services.frames.metadata(datastore_id, image_set_id, properties["versionId"])
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "ConflictException":
                    raise RetryableError("the image set's metadata is not readable yet") from None
                raise
            instances = list(instances_in(metadata))
            series_uid, _, first = instances[0]
            yield {
                "datastore_id": datastore_id,
                "image_set_id": image_set_id,
                "version": int(properties["versionId"]),
                "is_primary": properties.get("isPrimary"),
                "site": self._services.settings.site,
                "viewable": True,
                "patient_key": str(metadata["Patient"]["DICOM"].get("PatientID") or ""),
                "study_instance_uid": str(metadata["Study"]["DICOM"].get("StudyInstanceUID") or ""),
                "series_instance_uid": series_uid,
                "modality": str(
                    metadata["Study"]["Series"][series_uid]["DICOM"].get("Modality")
                    or first["DICOM"].get("Modality")
                    or ""
                ),
                "instances": len(instances),
                "frames": sum(len(instance.get("ImageFrames", [])) for _, _, instance in instances),
                "updated_at": timestamp(self._services.clock()),
            }

    def _ingested(self, event: Ingested, image_sets: Iterable[dict[str, Any]]) -> Iterator[ImageIngested]:
        for image_set in image_sets:
            yield ImageIngested(
                site=event.site,
                occurred_at=event.occurred_at,
                datastore_id=event.datastore_id,
                image_set_id=image_set["image_set_id"],
                image_set_version=str(image_set["version"]),
                job_id=event.job_id or "",
                is_primary=image_set["is_primary"],
                modality=image_set["modality"],
                instances=image_set["instances"],
                frames=image_set["frames"],
            )

    def _quarantine_refused(
        self, bucket: str, prefix: str, results: JobResults, event: Ingested
    ) -> tuple[list[ImageRejected], int]:
        """Quarantine what the job refused, and what it did not mention at all.

        Returns:
            What to tell of that, and the bytes of the files that were imported.
        """
        told = []
        imported_bytes = 0
        pages = self._services.clients.s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix
        )
        for page in pages:
            for entry in page.get("Contents", []):
                key = entry["Key"]
                if key in results.image_set_of:
                    imported_bytes += entry["Size"]
                    continue
                reason, explanation = _refusal(results.failures.get(key), event)
                self._quarantine(bucket, key, reason, explanation)
                told.append(
                    ImageRejected(
                        site=event.site,
                        occurred_at=event.occurred_at,
                        stage="ingested",
                        reason=reason,
                        entry_id=instance_id_of(key),
                    )
                )
        return told, imported_bytes

    def _quarantine(self, bucket: str, key: str, reason: ReasonCode, explanation: str) -> None:
        instance_id = instance_id_of(key)
        item = self._services.ledger.instance(instance_id) or {}
        s3 = self._services.clients.s3
        self._services.quarantine.keep(
            instance_id,
            stored_object(s3, s3.head_object(Bucket=bucket, Key=key), bucket, key, ""),
            stage="ingested",
            reason=reason,
            explanation=explanation,
            study=item.get("received_study", ""),
            series=item.get("received_series", ""),
        )
        if item.get("stage") != Stage.BATCHED:
            return
        writes = self._services.ledger.import_refused_writes(item, reason)
        self._services.clients.dynamodb.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]


def _refusal(exception_type: str | None, event: Ingested) -> tuple[ReasonCode, str]:
    """Why a file of a job was not imported, by the job's manifest and its end."""
    if exception_type is not None:
        return ReasonCode.IMPORT_FAILED, f"HealthImaging refused it: {exception_type}"
    if event.job_status == "FAILED":
        return ReasonCode.IMPORT_FAILED, "its whole import job failed"
    return ReasonCode.IMPORT_RESULT_MISSING, "the import job says nothing of this file"
