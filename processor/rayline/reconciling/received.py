"""S3: every object version that was uploaded has an instance, wherever its way has taken it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rayline.dynamodb import Item, timestamp
from rayline.events import Uploaded
from rayline.imports import batch_key
from rayline.instances import Stage
from rayline.names import UPLOAD_PREFIX
from rayline.reconciling.events import EventCheck, Happened
from rayline.reconciling.image_sets import ImageSetCheck
from rayline.reconciling.judgement import has_ended
from rayline.reconciling.originals import Originals
from rayline.reconciling.report import GapCode, WayStage
from rayline.reconciling.survey import Found, Survey


class ReceivedCheck:
    """Lists object versions, a page at a time: S3 cannot list by age.

    A run that repairs also tags the originals of what was imported since a moment.
    """

    def __init__(
        self, survey: Survey, events: EventCheck, image_sets: ImageSetCheck, *, imported_since: datetime
    ) -> None:
        self._survey = survey
        self._imported_since = timestamp(imported_since)
        self._originals = Originals(survey.services.clients.s3)
        self._events = events
        self._image_sets = image_sets
        self._ledger = survey.services.ledger

    def gaps(self) -> Iterator[Found]:
        """What was uploaded and has not come as far as it should have."""
        services = self._survey.services
        pages = services.clients.s3.get_paginator("list_object_versions").paginate(
            Bucket=services.settings.uploads_bucket, Prefix=UPLOAD_PREFIX
        )
        for page in pages:
            versions = [each for each in page.get("Versions", []) if self._survey.spans(each["LastModified"])]
            self._survey.looked_at(WayStage.RECEIVED, len(versions))
            yield from self._page([self._happened(version) for version in versions])

    def _happened(self, version: Any) -> Happened:
        settings = self._survey.services.settings
        event = Uploaded(
            site=settings.site,
            occurred_at=version["LastModified"],
            bucket=settings.uploads_bucket,
            key=version["Key"],
            version_id=version["VersionId"],
            size_bytes=version["Size"],
        )
        instance_id = self._ledger.instance_id(event.bucket, event.key, event.version_id)
        return Happened(event, event.occurred_at, instance_id)

    def _page(self, happened: Sequence[Happened]) -> Iterator[Found]:
        ended: list[str] = []
        for each, item, found in self._events.unfinished(happened, lambda _: WayStage.RECEIVED):
            if found is not None:
                yield found
            elif has_ended(item, self._survey.effect_names):
                ended.append(each.subject_hash)
        instances = self._instances(ended)
        for instance_id in ended:
            if instance_id not in instances:
                yield Found(WayStage.RECEIVED, GapCode.INSTANCE_MISSING, instance_id)
        yield from self._left_batched(instances)
        without = list(self._without_image_set(instances))
        if self._survey.report.repairs:
            for gap in without:
                del instances[gap.subject_hash]
            self._tag_imported(happened, instances)
        yield from without

    def _instances(self, instance_ids: Sequence[str]) -> dict[str, Item]:
        items = self._survey.tracked([self._ledger.instance_key(each) for each in instance_ids])
        return {item["instance_id"]: item for item in items.values()}

    def _left_batched(self, instances: dict[str, Item]) -> Iterator[Found]:
        """Instances that are in a batch, though the batch is accounted for or does not exist."""
        batched = {key: item["batch_id"] for key, item in instances.items() if item["stage"] == Stage.BATCHED}
        batches = self._survey.tracked([batch_key(each) for each in batched.values()])
        states = {
            batch_id: batches.get(batch_key(batch_id), {}).get("state") for batch_id in batched.values()
        }
        suspects = [key for key, batch_id in batched.items() if states[batch_id] in (None, "accounted")]
        # Read again: the batch may have been accounted for between the two readings.
        for instance_id, item in self._instances(suspects).items():
            if item["stage"] == Stage.BATCHED:
                yield Found(WayStage.IMPORTED, GapCode.INSTANCE_LEFT_BATCHED, instance_id)

    def _tag_imported(self, happened: Sequence[Happened], instances: dict[str, Item]) -> None:
        imported = {
            instance_id
            for instance_id, item in instances.items()
            if item["stage"] == Stage.IMPORTED and item["updated_at"] >= self._imported_since
        }
        uploads = [each.event for each in happened if each.subject_hash in imported]
        self._originals.tag_imported([each for each in uploads if isinstance(each, Uploaded)])

    def _without_image_set(self, instances: dict[str, Item]) -> Iterator[Found]:
        for instance_id, item in instances.items():
            if item["stage"] == Stage.IMPORTED and not self._image_sets.exists(item["image_set_id"]):
                yield Found(WayStage.IMPORTED, GapCode.IMAGE_SET_MISSING, instance_id)
