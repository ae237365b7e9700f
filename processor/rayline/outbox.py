"""Our own events leave through an outbox that is written with the state they announce.

An entry is an item of the tracking table, written in the transaction that changes the state. It is published
right after, and leaves the index of waiting entries once EventBridge has taken it; what a crash leaves behind,
:meth:`Outbox.drain` finds.
A consumer may so see an event twice, and tells by its id.
"""

import json
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from rayline.dynamodb import Item, TransactItem, query, timestamp, to_attribute, to_attributes
from rayline.observability.logs import failure_fields

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

SHARDS = 4
_TRAIL = timedelta(days=30)
_ENTRIES_A_CALL = 10  # PutEvents takes ten entries a call

_log = structlog.get_logger()


@dataclass(frozen=True)
class OutboxEntry:
    """One event of ours on its way to the custom bus; ``detail`` carries no PHI."""

    entry_id: str
    source: str
    detail_type: str
    detail: Mapping[str, Any]

    @classmethod
    def new(cls, source: str, detail_type: str, detail: Mapping[str, Any]) -> "OutboxEntry":
        """An entry with a random id."""
        return cls(str(uuid.uuid4()), source, detail_type, detail)


class Outbox:
    """Writes, publishes and drains outbox entries."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        events: "EventBridgeClient",
        *,
        table: str,
        event_bus: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._dynamodb = dynamodb
        self._events = events
        self._table = table
        self._event_bus = event_bus
        self._clock = clock

    def write(self, entry: OutboxEntry) -> TransactItem:
        """The write that goes into the transaction of the state that the entry announces."""
        item = {
            "pk": f"OUTBOX#{entry.entry_id}",
            "type": "outbox",
            "entry_id": entry.entry_id,
            "source": entry.source,
            "detail_type": entry.detail_type,
            "detail": json.dumps(entry.detail, sort_keys=True),
            "created_at": timestamp(self._clock()),
            # Ids are random, so the shards fill evenly and no partition of the index takes every write.
            "outbox_shard": str(zlib.crc32(entry.entry_id.encode()) % SHARDS),
        }
        return {"Put": {"TableName": self._table, "Item": to_attributes(item)}}

    def publish(self, entries: Iterable[OutboxEntry]) -> int:
        """Send entries that are already written; those that EventBridge took are marked so. Returns their number."""
        pending = list(entries)
        sent = 0
        for start in range(0, len(pending), _ENTRIES_A_CALL):
            chunk = pending[start : start + _ENTRIES_A_CALL]
            try:
                sent += self._send(chunk)
            except (BotoCoreError, ClientError) as error:
                # Nothing is lost: what is written leaves with the next drain.
                _log.warning("outbox_not_sent", **failure_fields(error))
        return sent

    def _send(self, entries: list[OutboxEntry]) -> int:
        response = self._events.put_events(
            Entries=[
                {
                    "EventBusName": self._event_bus,
                    "Source": entry.source,
                    "DetailType": entry.detail_type,
                    "Detail": json.dumps(entry.detail, sort_keys=True),
                }
                for entry in entries
            ]
        )
        sent = 0
        # PutEvents answers 200 with failed entries (EventBridge API reference), so each is looked at.
        for entry, answer in zip(entries, response["Entries"], strict=True):
            if answer.get("ErrorCode"):
                _log.warning("outbox_entry_refused", error_code=answer["ErrorCode"], entry_id=entry.entry_id)
                continue
            self._mark_sent(entry)
            sent += 1
        return sent

    def _mark_sent(self, entry: OutboxEntry) -> None:
        """Take an entry off the index of those to send; without its detail, the item stays a while as a trail."""
        now = self._clock()
        self._dynamodb.update_item(
            TableName=self._table,
            Key={"pk": {"S": f"OUTBOX#{entry.entry_id}"}},
            UpdateExpression="SET sent_at = :now, expires_at = :expires REMOVE outbox_shard, detail",
            ExpressionAttributeValues={
                ":now": to_attribute(timestamp(now)),
                ":expires": to_attribute(int((now + _TRAIL).timestamp())),
            },
        )

    def drain(self, older_than: timedelta) -> int:
        """Publish entries that a crash left behind. Returns how many were sent."""
        before = timestamp(self._clock() - older_than)
        stale = [
            _entry(item)
            for shard in range(SHARDS)
            for item in query(self._dynamodb, self._table, "by_outbox", "outbox_shard", str(shard))
            if item["created_at"] < before
        ]
        return self.publish(stale)


def _entry(item: Item) -> OutboxEntry:
    return OutboxEntry(item["entry_id"], item["source"], item["detail_type"], json.loads(item["detail"]))
