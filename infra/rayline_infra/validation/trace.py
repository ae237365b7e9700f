"""What the ledgers, the batches and HealthImaging know of the made-up study, read as who deploys may."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rayline.dynamodb import Item, batch_get, query, timestamp
from rayline.imports import batch_key, batch_listing, batch_prefix, instance_id_of
from rayline.instances import Stage
from rayline_infra.validation.account import Account
from rayline_infra.validation.study import ProbeStudy

# A batch may have been open for a while before the first slice came.
BEFORE = timedelta(hours=1)


@dataclass
class Seen:
    """What was found so far.

    Attributes:
        instances: items of the instance ledger by their key.
        batches: items of the batches that hold the slices, by batch id.
    """

    instances: dict[str, Item] = field(default_factory=dict)
    batches: dict[str, Item] = field(default_factory=dict)

    @property
    def refused(self) -> list[str]:
        """Reason codes of slices that went to quarantine."""
        return sorted(
            str(each["reason"]) for each in self.instances.values() if each["stage"] == Stage.QUARANTINED
        )

    @property
    def image_set_ids(self) -> set[str]:
        """Image sets that the ledger knows the slices in."""
        return {str(each["image_set_id"]) for each in self.instances.values() if "image_set_id" in each}


class Trace:
    """Follows the slices of one study."""

    def __init__(self, account: Account, study: ProbeStudy, sent_at: datetime) -> None:
        self._account = account
        self._study = study
        self._since = timestamp(sent_at - BEFORE)
        self._sent = sent_at
        self._site = str(account.graph.outputs["site"])
        self._table = str(account.graph.outputs["image_tracking_table"])
        self._imports = str(account.graph.outputs["imports_bucket"])
        self._dynamodb = account.client("dynamodb")
        self._imaging = account.client("medical-imaging")
        self._looked_at: set[str] = set()
        self.seen = Seen()

    def look(self) -> Seen:
        """Read again what the ledgers say."""
        for batch in self._open_batches():
            self._look_into(batch)
        for item in self._quarantined():
            self.seen.instances[item["pk"]] = item
        self._refresh(self.seen.instances)
        batches = {batch_key(each): each for each in self.seen.batches}
        for item in batch_get(self._dynamodb, self._table, batches):
            self.seen.batches[batches[item["pk"]]] = item
        return self.seen

    def _open_batches(self) -> Iterator[str]:
        listing = batch_listing(self._site)
        items = query(
            self._dynamodb,
            self._table,
            "by_listing",
            "listing",
            listing,
            since=("listed_at", self._since),
        )
        yield from [str(each["batch_id"]) for each in items]

    def _look_into(self, batch_id: str) -> None:
        # Who deploys may list the bucket; no key is needed to read names.
        pages = self._account.client("s3").get_paginator("list_objects_v2")
        keys = [
            f"INSTANCE#{self._site}#{instance_id_of(each['Key'])}"
            for page in pages.paginate(Bucket=self._imports, Prefix=batch_prefix(batch_id))
            for each in page.get("Contents", ())
        ]
        fresh = set(keys) - self._looked_at
        for item in batch_get(self._dynamodb, self._table, fresh):
            self._looked_at.add(item["pk"])
            if item.get("content_sha256") in self._study.sha256s:
                self.seen.instances[item["pk"]] = item
                self.seen.batches.setdefault(batch_id, {})

    def _quarantined(self) -> list[Item]:
        found = query(
            self._dynamodb,
            self._table,
            "by_quarantined",
            "quarantined_site",
            self._site,
            since=("quarantined_at", timestamp(self._sent)),
        )
        return [each for each in found if each.get("content_sha256") in self._study.sha256s]

    def _refresh(self, known: dict[str, Item]) -> None:
        for item in batch_get(self._dynamodb, self._table, list(known)):
            known[item["pk"]] = item

    def job_states(self) -> list[str]:
        """Status of each batch's import job, ``NONE`` before there is one."""
        return [self._job_state(batch) for batch in self.seen.batches.values()]

    def _job_state(self, batch: Item) -> str:
        if "job_id" not in batch:
            # A batch whose only file was a late copy is accounted for without a job.
            return "NONE"
        job = self._imaging.get_dicom_import_job(datastoreId=self.datastore_id, jobId=batch["job_id"])
        return str(job["jobProperties"]["jobStatus"])

    @property
    def datastore_id(self) -> str:
        """The data store as AWS calls it."""
        return str(self._account.expected(self._account.graph.outputs["datastore_id"]))

    def frames(self) -> set[int]:
        """Checksums of the frames that HealthImaging serves of the known image sets, each of them fetched."""
        return {
            int(checksum)
            for image_set_id in self.seen.image_set_ids
            for frame_id, checksum in self._frames_of(image_set_id)
            if self._serves(image_set_id, frame_id)
        }

    def image_sets(self) -> set[str]:
        """Every image set that holds a slice, whether the ledger knows of it or not."""
        wanted = {each.checksum for each in self._study.slices}
        pages = self._imaging.get_paginator("search_image_sets").paginate(
            datastoreId=self.datastore_id,
            searchCriteria={
                "filters": [
                    {
                        "operator": "BETWEEN",
                        "values": [{"createdAt": self._sent}, {"createdAt": datetime.now(UTC) + BEFORE}],
                    }
                ]
            },
        )
        found = {each["imageSetId"] for page in pages for each in page["imageSetsMetadataSummaries"]}
        return {each for each in found if wanted & {checksum for _, checksum in self._frames_of(each)}}

    def _serves(self, image_set_id: str, frame_id: str) -> bool:
        answer = self._imaging.get_image_frame(
            datastoreId=self.datastore_id,
            imageSetId=image_set_id,
            imageFrameInformation={"imageFrameId": frame_id},
        )
        return bool(answer["imageFrameBlob"].read(1))

    def _frames_of(self, image_set_id: str) -> Iterator[tuple[str, int]]:
        """Id and full resolution's checksum of each frame."""
        blob = self._imaging.get_image_set_metadata(datastoreId=self.datastore_id, imageSetId=image_set_id)
        document = json.loads(gzip.decompress(blob["imageSetMetadataBlob"].read()))
        for series in document["Study"]["Series"].values():
            for instance in series["Instances"].values():
                for frame in instance["ImageFrames"]:
                    full = frame["PixelDataChecksumFromBaseToFullResolution"][-1]
                    yield str(frame["ID"]), int(full["Checksum"])
