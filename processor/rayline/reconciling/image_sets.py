"""HealthImaging's image sets: the ledger knows each of them, in its current version."""

from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from rayline.events import Ingested
from rayline.instances import image_set_key
from rayline.reconciling.repairs import Repairs
from rayline.reconciling.report import GapCode, WayStage
from rayline.reconciling.survey import Found, Survey

REMEMBERED = 200_000  # 16 bytes each; an image set beyond these is asked for by itself


class ImageSetCheck:
    """Searches what changed since, and remembers what exists."""

    def __init__(self, survey: Survey, repairs: Repairs) -> None:
        self._survey = survey
        self._repairs = repairs
        self._client = survey.services.clients.medical_imaging
        self._datastore_id = survey.services.settings.datastore_id
        self._existing: set[bytes] = set()

    def gaps(self) -> Iterator[Found]:
        """Image sets that the ledger does not know, or only in an earlier version."""
        pages = self._client.get_paginator("search_image_sets").paginate(
            datastoreId=self._datastore_id,
            searchCriteria={
                "filters": [
                    {
                        "operator": "BETWEEN",
                        "values": [{"updatedAt": self._survey.since}, {"updatedAt": self._survey.now}],
                    }
                ],
                "sort": {"sortField": "updatedAt", "sortOrder": "ASC"},
            },
        )
        for page in pages:
            summaries = page["imageSetsMetadataSummaries"]
            for summary in summaries:
                self._remember(summary["imageSetId"])
            settled = [each for each in summaries if each["updatedAt"] < self._survey.before]
            self._survey.looked_at(WayStage.IMPORTED, len(settled))
            yield from self._page(settled)

    def _page(self, summaries: Sequence[Any]) -> Iterator[Found]:
        keys = {
            each["imageSetId"]: image_set_key(self._datastore_id, each["imageSetId"]) for each in summaries
        }
        items = self._survey.tracked(keys.values())
        for summary in summaries:
            image_set_id = summary["imageSetId"]
            item = items.get(keys[image_set_id])
            if item is not None and int(item["version"]) >= summary["version"]:
                continue
            what = GapCode.IMAGE_SET_UNKNOWN if item is None else GapCode.IMAGE_SET_OUTDATED
            yield Found(
                WayStage.IMPORTED,
                what,
                image_set_id,
                lambda each=image_set_id: self._send_again(each),  # type: ignore[misc]
            )

    def _send_again(self, image_set_id: str) -> str:
        """Send the event of an image set as HealthImaging has it now."""
        found = self._client.get_image_set(datastoreId=self._datastore_id, imageSetId=image_set_id)
        event = Ingested(
            site=self._survey.services.settings.site,
            occurred_at=found["updatedAt"],
            subject="image_set",
            datastore_id=self._datastore_id,
            image_set_id=image_set_id,
            image_set_version=found["versionId"],
            image_set_workflow_status=found.get("imageSetWorkflowStatus", ""),
            is_primary=found.get("isPrimary"),
        )
        return self._repairs.send_event(event)

    def exists(self, image_set_id: str) -> bool:
        """Whether HealthImaging has an image set."""
        if bytes.fromhex(image_set_id) in self._existing:
            return True
        try:
            found = self._client.get_image_set(datastoreId=self._datastore_id, imageSetId=image_set_id)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                return False
            raise
        if found["imageSetState"] == "DELETED":
            return False
        self._remember(image_set_id)
        return True

    def _remember(self, image_set_id: str) -> None:
        if len(self._existing) < REMEMBERED:
            self._existing.add(bytes.fromhex(image_set_id))
