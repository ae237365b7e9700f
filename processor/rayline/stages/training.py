"""verified, then: start a training run once enough image sets were verified since the last."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from rayline.context import HookContext
from rayline.dynamodb import Item, timestamp, to_attributes
from rayline.effects import CommitConflict
from rayline.errors import RetryableError
from rayline.events import Verified
from rayline.instances import VerificationState, training_id, training_key, verification_key
from rayline.names import DATASET_PREFIX
from rayline.notifications import PipelineTriggered, outbox_entries
from rayline.observability.metrics import TRAININGS_STARTED
from rayline.plugin import API_VERSION, Policy, hookimpl
from rayline.services import Services

_INDEX_PATIENCE = 3  # deliveries that wait for the index of verified image sets to catch up


class TrainingStage:
    """The batch rule: every ``verified_per_training`` verifications start one run.

    Run *n* has the client request token of its site and number, and its manifest is written once, so whatever
    is repeated starts nothing twice.
    """

    api = API_VERSION
    name = "rayline.training"
    policies = {  # noqa: RUF012 - the plugin contract's shape
        "on_verified": Policy(on_failure="retry", timeout_seconds=300, order=10)
    }

    def __init__(self, services: Services) -> None:
        self._services = services

    @hookimpl
    def on_verified(self, event: Verified, context: HookContext) -> None:
        """Start the run that is due, if one is."""
        ledger = self._services.ledger
        verification = ledger.item(verification_key(event.verification_id))
        if verification is None or verification["state"] == VerificationState.ANNOUNCED:
            # Else a verification that counts only later would never start the run that it makes due.
            raise RetryableError("the verification is not recorded yet")
        counter = ledger.item(f"COUNTER#{event.site}")
        verified = int(counter["verified"]) if counter else 0
        generation = verified // self._services.settings.verified_per_training
        if generation == 0 or ledger.item(training_key(event.site, generation)) is not None:
            return
        items = list(self._verified())
        images = [self._image(item) for item in items]
        assert context.effect is not None
        if (
            len(images) < self._services.settings.verified_per_training
            and context.effect.attempts <= _INDEX_PATIENCE
        ):
            raise RetryableError("the index of verified image sets has not caught up")
        name = training_id(event.site, generation)
        manifest_uri = self._write_manifest(name, event, images)
        execution_arn = self._start(name, manifest_uri)
        now = self._services.clock()
        triggered = PipelineTriggered(
            site=event.site,
            occurred_at=now,
            training_id=name,
            pipeline_execution_arn=execution_arn,
            images=len(images),
        )
        entries = outbox_entries([triggered])
        run = {
            "pk": training_key(event.site, generation),
            "type": "training",
            "site": event.site,
            "training_id": name,
            "manifest_uri": manifest_uri,
            "execution_arn": execution_arn,
            "images": len(images),
            "newest_verified_at": max((item["verified_at"] for item in items), default=None),
            "created_at": timestamp(now),
        }
        put = {
            "Put": {
                "TableName": ledger.table,
                "Item": to_attributes(run),
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }
        try:
            context.effect.commit(
                [put, *map(self._services.outbox.write, entries)], result={"execution_arn": execution_arn}
            )
        except CommitConflict:
            # Another verification started the same run; the client request token made it the same execution.
            return
        self._services.meter.record(TRAININGS_STARTED)
        self._services.outbox.publish(entries)
        context.log.info("training_started", execution_arn=execution_arn, files=len(images))

    def _verified(self) -> Iterator[Item]:
        """Verified single-frame image sets whose pixels are still those that were verified."""
        return (
            item
            for item in self._services.ledger.verified_image_sets()
            if item.get("verified_version") == item.get("version")
            and len(item.get("verified_frames", [])) == 1
        )

    def _image(self, item: Item) -> dict[str, Any]:
        frame = item["verified_frames"][0]
        return {
            "datastore_id": item["datastore_id"],
            "image_set_id": item["image_set_id"],
            "image_set_version": str(item["verified_version"]),
            "sop_instance_uid": frame["sop_instance_uid"],
            "image_frame_id": frame["frame_id"],
            "frame_checksum": frame["checksum"],
            # An image without a patient is a patient of its own, never one shared with all others.
            "patient_key": item.get("patient_key") or f"image-set:{item['image_set_id']}",
            "label": item["label"],
            "verification_id": item["verification_id"],
        }

    def _write_manifest(self, name: str, event: Verified, images: list[dict[str, Any]]) -> str:
        bucket = self._services.settings.preprocessed_bucket
        key = f"{DATASET_PREFIX}{name}/manifest.json"
        manifest = {
            "schema_version": 1,
            "training_id": name,
            "site": event.site,
            "created_at": timestamp(self._services.clock()),
            "images": images,
        }
        try:
            self._services.clients.s3.put_object(
                Bucket=bucket,
                Key=key,
                Body=json.dumps(manifest, sort_keys=True).encode(),
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except ClientError as error:
            # Written by an attempt that crashed after it: that one counts, since the run may read it already.
            if error.response.get("Error", {}).get("Code") not in ("PreconditionFailed", "412"):
                raise
        return f"s3://{bucket}/{key}"

    def _start(self, name: str, manifest_uri: str) -> str:
        token = hashlib.sha256(f"{self._services.settings.pipeline_name}/{name}".encode()).hexdigest()
        response = self._services.clients.sagemaker.start_pipeline_execution(
            PipelineName=self._services.settings.pipeline_name,
            PipelineExecutionDisplayName=name,
            PipelineParameters=[{"Name": "DatasetManifestUri", "Value": manifest_uri}],
            ClientRequestToken=token,
        )
        return response["PipelineExecutionArn"]
