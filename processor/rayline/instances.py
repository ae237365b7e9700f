"""The instance ledger: every received object version, image set, verification and training run.

One table, hash key ``pk``; the key says what an item is:

============================  =========================================================================
``INSTANCE#site#id``          one received object version; ``id`` is a keyed hash of bucket, key and version
``UID#site#hash``             which instance holds a received SOP Instance UID, and its content's digest
``BATCH#id``                  one import batch (see :mod:`rayline.imports`)
``IMAGESET#datastore#id``     one HealthImaging image set and its verification
``VERIFICATION#id``           one act of a radiologist
``TRAINING#site#n``           the n-th training run of a site
``EXECUTION#arn``             how the training step of a pipeline execution ended
``COUNTER#site``              verifications so far
``STORE#site``                instances and bytes that HealthImaging has imported so far
``STUDY#site#uid``            one study that is arriving or complete (see :mod:`rayline.studies`)
``OUTBOX#id``                 one event of ours that has not left yet (see :mod:`rayline.outbox`)
``RECONCILIATION#site``       when the last scheduled run of :mod:`rayline.reconciler` began
============================  =========================================================================

No item holds an identifying value: what the sender chose is stored as a keyed hash only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rayline.dicom.instance import Receipt
from rayline.dicom.metadata import InstanceMetadata
from rayline.dynamodb import (
    CONDITION_FAILED,
    Item,
    TransactItem,
    cancellation_codes,
    from_attributes,
    is_condition_failure,
    query,
    scan,
    timestamp,
    to_attribute,
    to_attributes,
)
from rayline.fingerprints import Fingerprint
from rayline.hashing import KeyedHash

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def store_key(site: str) -> str:
    """Key of the item that counts what HealthImaging has imported."""
    return f"STORE#{site}"


class Stage(StrEnum):
    """How far an instance has come."""

    BATCHED = "batched"
    IMPORTED = "imported"
    QUARANTINED = "quarantined"
    DUPLICATE = "duplicate"
    RELEASED = "released"
    PURGED = "purged"


class VerificationState(StrEnum):
    """What became of an act of a radiologist."""

    ANNOUNCED = "announced"
    RECORDED = "recorded"
    SUPERSEDED = "superseded"  # a later act on the same image set was recorded before it
    REFUSED = "refused"


@dataclass(frozen=True)
class Received:
    """A received object version, as the ledger may know it.

    Attributes:
        received_study: keyed hash of its Study Instance UID (see :mod:`rayline.quarantining.received`).
        received_series: keyed hash of its Series Instance UID.
    """

    instance_id: str
    received_uid_hash: str | None
    content: Fingerprint
    received_at: datetime
    received_study: str = ""
    received_series: str = ""


@dataclass(frozen=True)
class Stored:
    """What was written into an import batch: the identity after de-identification.

    Attributes:
        coerced: names of the rules that changed it before it was screened.
        metadata: typed attributes of the de-identified instance; None where nobody says that it is.
    """

    batch_id: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    sop_class_uid: str
    modality: str
    receipts: tuple[Receipt, ...]
    coerced: tuple[str, ...] = ()
    metadata: InstanceMetadata | None = None


class InstanceLedger:
    """Reads and writes the tracking table."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        site: str,
        keyed_hash: KeyedHash,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self.table = table
        self._site = site
        self._hash = keyed_hash
        self._clock = clock

    def instance_id(self, bucket: str, key: str, version_id: str) -> str:
        """The id of a received object version: 32 hex digits that say nothing about its key."""
        return self._hash.of("instance", bucket, key, version_id)

    def instance_key(self, instance_id: str) -> str:
        """Key of an instance's item."""
        return f"INSTANCE#{self._site}#{instance_id}"

    def _uid_key(self, received_uid_hash: str) -> str:
        return f"UID#{self._site}#{received_uid_hash}"

    def uid_hash(self, sop_instance_uid: str) -> str:
        """The keyed hash of a received SOP Instance UID."""
        return self._hash.of("uid", sop_instance_uid)

    def batched_writes(self, received: Received, stored: Stored) -> list[TransactItem]:
        """Writes that make an instance *batched*: its own item, and its hold on the received UID.

        The first fails on its condition where the instance is already recorded, the second where another
        instance holds the UID.
        """
        receipts = [
            {"plugin": each.plugin, "profile_digest": each.profile_digest, "key_id": each.key_id}
            for each in stored.receipts
        ]
        item = {
            **self._instance_item(received, Stage.BATCHED),
            "batch_id": stored.batch_id,
            "sop_instance_uid": stored.sop_instance_uid,
            "series_instance_uid": stored.series_instance_uid,
            "study_instance_uid": stored.study_instance_uid,
            "sop_class_uid": stored.sop_class_uid,
            "modality": stored.modality,
            "receipts": receipts,
            **({"coerced": list(stored.coerced)} if stored.coerced else {}),
            **({"metadata": stored.metadata.to_item()} if stored.metadata else {}),
        }
        hold = {
            "pk": self._uid_key(received.received_uid_hash or ""),
            "type": "uid",
            "instance_id": received.instance_id,
            **received.content.fields(),
        }
        return [
            self._put(item, "attribute_not_exists(pk)"),
            self._put(
                hold, "attribute_not_exists(pk) OR instance_id = :mine", {":mine": received.instance_id}
            ),
        ]

    def quarantined_write(
        self, received: Received, reason: str, announcement: Mapping[str, Any]
    ) -> TransactItem:
        """The write that makes an instance *quarantined* with a reason code, and announces it.

        Args:
            announcement: the outbox entry that the item carries.
        """
        item = {
            **self._instance_item(received, Stage.QUARANTINED),
            **announcement,
            "reason": reason,
            "quarantined_site": self._site,
            "quarantined_at": timestamp(self._clock()),
        }
        return self._put(item, "attribute_not_exists(pk)")

    def import_refused_writes(self, item: Item, reason: str) -> list[TransactItem]:
        """Writes that make a batched instance *quarantined*, and let go of its UID so that it may be sent again."""
        now = timestamp(self._clock())
        quarantined = {
            "TableName": self.table,
            "Key": {"pk": {"S": item["pk"]}},
            "UpdateExpression": "SET #stage = :quarantined, reason = :reason, quarantined_site = :site, "
            "quarantined_at = :now, updated_at = :now",
            "ConditionExpression": "#stage = :batched",
            "ExpressionAttributeNames": {"#stage": "stage"},
            "ExpressionAttributeValues": {
                ":quarantined": {"S": Stage.QUARANTINED.value},
                ":batched": {"S": Stage.BATCHED.value},
                ":reason": {"S": reason},
                ":site": {"S": self._site},
                ":now": {"S": now},
            },
        }
        hold = {
            "TableName": self.table,
            "Key": {"pk": {"S": self._uid_key(item["received_uid_hash"])}},
            "ConditionExpression": "instance_id = :mine",
            "ExpressionAttributeValues": {":mine": {"S": item["instance_id"]}},
        }
        return [{"Update": quarantined}, {"Delete": hold}]

    def import_again_writes(self, item: Item, batch_id: str) -> list[TransactItem]:
        """Writes that make an instance whose import was refused *batched* again, and hold its UID again.

        The first fails on its condition where the instance has left quarantine since ``item`` was read, the second
        where another instance holds the UID.
        """
        hold: dict[str, Any] = {
            name: item[name]
            for name in (
                "instance_id",
                "content_sha256",
                "content_checksum",
                "content_checksum_algorithm",
                "size_bytes",
            )
            if name in item
        }
        return [
            self._leaves_quarantine(
                item, Stage.BATCHED, "batch_id = :value REMOVE quarantined_site, reason", batch_id
            ),
            self._put(
                {**hold, "pk": self._uid_key(item["received_uid_hash"]), "type": "uid"},
                "attribute_not_exists(pk) OR instance_id = :mine",
                {":mine": item["instance_id"]},
            ),
        ]

    def duplicate_after_all_write(self, item: Item, of_instance_id: str) -> TransactItem:
        """The write that makes an instance in quarantine a second copy of one that was taken in since."""
        return self._leaves_quarantine(
            item, Stage.DUPLICATE, "duplicate_of = :value REMOVE quarantined_site", of_instance_id
        )

    def refused_after_all_write(self, item: Item, reason: str) -> TransactItem:
        """The write that gives an instance in quarantine another reason."""
        return self._leaves_quarantine(item, Stage.QUARANTINED, "reason = :value", reason)

    def _leaves_quarantine(self, item: Item, stage: Stage, change: str, value: str) -> TransactItem:
        return {
            "Update": {
                "TableName": self.table,
                "Key": {"pk": {"S": item["pk"]}},
                "UpdateExpression": f"SET #stage = :stage, updated_at = :now, {change}",
                "ConditionExpression": "#stage = :quarantined AND quarantined_at = :since",
                "ExpressionAttributeNames": {"#stage": "stage"},
                "ExpressionAttributeValues": {
                    ":stage": {"S": stage.value},
                    ":quarantined": {"S": Stage.QUARANTINED.value},
                    ":since": {"S": item["quarantined_at"]},
                    ":value": {"S": value},
                    ":now": {"S": timestamp(self._clock())},
                },
            }
        }

    def duplicate_write(self, received: Received, of_instance_id: str) -> TransactItem:
        """The write that records a received object as a second copy of one that is already here."""
        item = {**self._instance_item(received, Stage.DUPLICATE), "duplicate_of": of_instance_id}
        return self._put(item, "attribute_not_exists(pk)")

    def _instance_item(self, received: Received, stage: Stage) -> dict[str, Any]:
        return {
            "pk": self.instance_key(received.instance_id),
            "type": "instance",
            "site": self._site,
            "instance_id": received.instance_id,
            "stage": stage,
            "received_uid_hash": received.received_uid_hash,
            "received_study": received.received_study or None,
            "received_series": received.received_series or None,
            **received.content.fields(),
            "received_at": timestamp(received.received_at),
            "updated_at": timestamp(self._clock()),
        }

    def _put(
        self, item: Mapping[str, Any], condition: str, values: Mapping[str, str] | None = None
    ) -> TransactItem:
        put: dict[str, Any] = {
            "TableName": self.table,
            "Item": to_attributes(item),
            "ConditionExpression": condition,
        }
        if values:
            put["ExpressionAttributeValues"] = {name: {"S": str(value)} for name, value in values.items()}
        if "#stage" in condition:
            put["ExpressionAttributeNames"] = {"#stage": "stage"}
        return {"Put": put}

    def instance(self, instance_id: str) -> Item | None:
        """The ledger's item of one instance."""
        return self.item(self.instance_key(instance_id))

    def uid_holder(self, received_uid_hash: str) -> Item | None:
        """The item that says which instance holds a received SOP Instance UID."""
        return self.item(self._uid_key(received_uid_hash))

    def item(self, key: str) -> Item | None:
        """One item by its key, read consistently."""
        response = self._client.get_item(TableName=self.table, Key={"pk": {"S": key}}, ConsistentRead=True)
        return from_attributes(response["Item"]) if "Item" in response else None

    def mark_imported(self, image_set_of: Mapping[str, str]) -> None:
        """Record that instances were imported, ``{instance_id: image_set_id}``; safe to repeat."""
        now = timestamp(self._clock())
        self._write_all(
            {
                "Update": {
                    "TableName": self.table,
                    "Key": {"pk": {"S": self.instance_key(instance_id)}},
                    "UpdateExpression": "SET #stage = :imported, image_set_id = :image_set, updated_at = :now",
                    "ConditionExpression": "#stage IN (:batched, :imported)",
                    "ExpressionAttributeNames": {"#stage": "stage"},
                    "ExpressionAttributeValues": {
                        ":batched": {"S": Stage.BATCHED.value},
                        ":imported": {"S": Stage.IMPORTED.value},
                        ":image_set": {"S": image_set_id},
                        ":now": {"S": now},
                    },
                }
            }
            for instance_id, image_set_id in image_set_of.items()
        )

    def record_image_sets(self, image_sets: Iterable[Mapping[str, Any]]) -> None:
        """Create or bring up to date the items of image sets; an older version never replaces a newer one."""
        for image_set in image_sets:
            fields = {key: value for key, value in image_set.items() if value is not None}
            names = {f"#f{index}": name for index, name in enumerate(fields)}
            values = {f":f{index}": to_attribute(value) for index, value in enumerate(fields.values())}
            version = values[f":f{list(fields).index('version')}"]
            sets = ", ".join(f"#f{index} = :f{index}" for index in range(len(fields)))
            try:
                self._client.update_item(
                    TableName=self.table,
                    Key={"pk": {"S": image_set_key(fields["datastore_id"], fields["image_set_id"])}},
                    UpdateExpression=f"SET #type = :type, {sets}",
                    ConditionExpression="attribute_not_exists(pk) OR #version <= :version",
                    ExpressionAttributeNames={**names, "#type": "type", "#version": "version"},
                    ExpressionAttributeValues={**values, ":type": {"S": "image_set"}, ":version": version},
                )
            except ClientError as error:
                if not is_condition_failure(error):
                    raise

    def image_set(self, datastore_id: str, image_set_id: str) -> Item | None:
        """The ledger's item of one image set."""
        return self.item(image_set_key(datastore_id, image_set_id))

    def verified_image_sets(self) -> Iterator[Item]:
        """Image sets with a verification that stands, oldest first."""
        return query(self._client, self.table, "by_verified", "verified_site", self._site)

    def instances_of(self, image_set_id: str) -> Iterator[Item]:
        """Instances of one image set."""
        found = query(self._client, self.table, "by_image_set", "image_set_id", image_set_id)
        return (item for item in found if item.get("type") == "instance")

    def mark_released(self, instance_id: str) -> None:
        """Record that an instance left quarantine as a new upload."""
        self._client.update_item(
            TableName=self.table,
            Key={"pk": {"S": self.instance_key(instance_id)}},
            UpdateExpression="SET #stage = :released, updated_at = :now REMOVE quarantined_site",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames={"#stage": "stage"},
            ExpressionAttributeValues={
                ":released": {"S": Stage.RELEASED.value},
                ":now": {"S": timestamp(self._clock())},
            },
        )

    def mark_purged(self, instance_ids: Iterable[str]) -> None:
        """Record that instances in quarantine were deleted there; others stay as they are, and so does what is new."""
        now = timestamp(self._clock())
        self._write_all(
            {
                "Update": {
                    "TableName": self.table,
                    "Key": {"pk": {"S": self.instance_key(instance_id)}},
                    "UpdateExpression": "SET #stage = :purged, updated_at = :now REMOVE quarantined_site",
                    "ConditionExpression": "#stage = :quarantined",
                    "ExpressionAttributeNames": {"#stage": "stage"},
                    "ExpressionAttributeValues": {
                        ":quarantined": {"S": Stage.QUARANTINED.value},
                        ":purged": {"S": Stage.PURGED.value},
                        ":now": {"S": now},
                    },
                }
            }
            for instance_id in instance_ids
        )

    def quarantined(self) -> Iterator[Item]:
        """Instances in quarantine, oldest first."""
        return query(self._client, self.table, "by_quarantined", "quarantined_site", self._site)

    def everything(self, *attributes: str) -> Iterator[Item]:
        """Every item of the table, or these attributes of each: for status, not for the path of an event."""
        return scan(self._client, self.table, attributes=attributes)

    def _write_all(self, writes: Iterable[TransactItem]) -> None:
        pending = list(writes)
        for start in range(0, len(pending), 100):  # TransactWriteItems takes 100 items
            chunk = pending[start : start + 100]
            try:
                self._client.transact_write_items(TransactItems=chunk)  # type: ignore[arg-type]
            except ClientError as error:
                codes = cancellation_codes(error)
                if CONDITION_FAILED not in codes:
                    raise
                # An unknown instance id is a file that we did not batch; the rest of the chunk is still true.
                self._write_all(
                    write for write, code in zip(chunk, codes, strict=True) if code != CONDITION_FAILED
                )


def image_set_key(datastore_id: str, image_set_id: str) -> str:
    """Key of an image set's item."""
    return f"IMAGESET#{datastore_id}#{image_set_id}"


def training_key(site: str, generation: int) -> str:
    """Key of the item of a site's n-th training run."""
    return f"TRAINING#{site}#{generation}"


def training_id(site: str, generation: int) -> str:
    """The name of a site's n-th training run, which its execution is displayed by."""
    return f"{site}-{generation:06d}"


def training_key_of(site: str, name: str) -> str | None:
    """Key of the item of the run that an execution's name says; None where it is no name of ours."""
    prefix, _, number = name.rpartition("-")
    return training_key(site, int(number)) if prefix == site and number.isdecimal() else None


def verification_key(verification_id: str) -> str:
    """Key of a verification's item."""
    return f"VERIFICATION#{verification_id}"


def verification_listing(site: str) -> str:
    """Under what the index ``by_listing`` lists a site's verifications."""
    return f"{site}#verification"
