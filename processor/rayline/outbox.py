"""Our own events leave through an outbox that is written with the state they announce.

An entry is an item of the tracking table, or a few attributes of the very item that changes, written in the
transaction that changes the state. It is published right after, and leaves the index of waiting entries once
EventBridge has taken it; what a crash leaves behind, :meth:`Outbox.drain` finds.
A consumer may so see an event twice, and tells by its id.
"""

import json
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from rayline.dynamodb import (
    Item,
    TransactItem,
    is_condition_failure,
    query,
    timestamp,
    to_attribute,
    to_attributes,
)
from rayline.observability.logs import failure_fields
from rayline.observability.traces import Traces, Untraced, trace_header

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SHARDS = 4
_TRAIL = timedelta(days=30)
_ENTRIES_A_CALL = 10  # PutEvents takes ten entries a call

_log = structlog.get_logger()


@dataclass(frozen=True)
class OutboxEntry:
    """Events of ours, of one detail type, on their way to the custom bus; ``details`` carry no PHI.

    Attributes:
        key: key of the item that carries the entry; empty for an item of its own.
        traceparent: of the span that wrote it, where there is one.
    """

    entry_id: str
    source: str
    detail_type: str
    details: tuple[Mapping[str, Any], ...]
    key: str = ""
    traceparent: str = ""

    @classmethod
    def new(cls, source: str, detail_type: str, *details: Mapping[str, Any]) -> "OutboxEntry":
        """An entry with a random id."""
        return cls(str(uuid.uuid4()), source, detail_type, details)

    def carried_by(self, key: str) -> "OutboxEntry":
        """The entry as attributes of another item, which saves a write (see :meth:`Outbox.fields`)."""
        return replace(self, key=key)

    @property
    def item_key(self) -> str:
        """Key of the item that the entry is in."""
        return self.key or f"OUTBOX#{self.entry_id}"


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
        traces: Traces | None = None,
    ) -> None:
        self._dynamodb = dynamodb
        self._events = events
        self._table = table
        self._event_bus = event_bus
        self._clock = clock
        self._traces = traces or Untraced()
        #: Age of the oldest entry that the last :meth:`drain` found left behind; 0 where there was none.
        self.lag_seconds = 0.0

    def fields(self, entry: OutboxEntry) -> Item:
        """The attributes that an entry adds to the item which carries it, in the write of that item."""
        traceparent = self._traces.traceparent()
        return {
            **({"traceparent": traceparent} if traceparent else {}),
            "entry_id": entry.entry_id,
            "source": entry.source,
            "detail_type": entry.detail_type,
            "details": _text(entry.details),
            "created_at": timestamp(self._clock()),
            # Ids are random, so the shards fill evenly and no partition of the index takes every write.
            "outbox_shard": str(zlib.crc32(entry.entry_id.encode()) % SHARDS),
        }

    def write(self, entry: OutboxEntry) -> TransactItem:
        """The write that goes into the transaction of the state that the entry announces."""
        item = {"pk": entry.item_key, "type": "outbox", **self.fields(entry)}
        return {"Put": {"TableName": self._table, "Item": to_attributes(item)}}

    def publish(self, entries: Iterable[OutboxEntry]) -> int:
        """Send entries that are already written; those that EventBridge took are marked so. Returns their number."""
        pending = list(entries)
        refused: dict[str, list[Mapping[str, Any]]] = {entry.item_key: [] for entry in pending}
        unsent = [(entry, detail) for entry in pending for detail in entry.details]
        for start in range(0, len(unsent), _ENTRIES_A_CALL):
            chunk = unsent[start : start + _ENTRIES_A_CALL]
            for (entry, detail), taken in zip(chunk, self._put_events(chunk), strict=True):
                if not taken:
                    refused[entry.item_key].append(detail)
        for entry in pending:
            remaining = refused[entry.item_key]
            if not remaining:
                self._mark_sent(entry)
            elif len(remaining) < len(entry.details):
                self._keep(entry, remaining)
        return sum(not remaining for remaining in refused.values())

    def _put_events(self, chunk: Sequence[tuple[OutboxEntry, Mapping[str, Any]]]) -> list[bool]:
        """Send details. Returns which of them EventBridge took; the others leave with a later drain."""
        try:
            response = self._events.put_events(Entries=[self._entry(*each) for each in chunk])
        except (BotoCoreError, ClientError) as error:
            _log.warning("outbox_not_sent", **failure_fields(error))
            return [False] * len(chunk)
        # PutEvents answers 200 with failed entries (EventBridge API reference), so each is looked at.
        for (entry, _), answer in zip(chunk, response["Entries"], strict=True):
            if answer.get("ErrorCode"):
                _log.warning("outbox_entry_refused", error_code=answer["ErrorCode"], entry_id=entry.entry_id)
        return [not answer.get("ErrorCode") for answer in response["Entries"]]

    def _entry(self, entry: OutboxEntry, detail: Mapping[str, Any]) -> "PutEventsRequestEntryTypeDef":
        sent: PutEventsRequestEntryTypeDef = {
            "EventBusName": self._event_bus,
            "Source": entry.source,
            "DetailType": entry.detail_type,
            "Detail": json.dumps(detail, sort_keys=True),
        }
        # EventBridge hands it on, so whoever handles the event finds the span that brought it about.
        header = trace_header(entry.traceparent or self._traces.traceparent())
        if header:
            sent["TraceHeader"] = header
        return sent

    def _mark_sent(self, entry: OutboxEntry) -> None:
        """Take an entry off the index of those to send; without its details, it stays a while as a trail."""
        now = self._clock()
        values = {":now": to_attribute(timestamp(now))}
        update = "SET sent_at = :now"
        if not entry.key:
            # An item that carries an entry beside its own state never expires.
            values[":expires"] = to_attribute(int((now + _TRAIL).timestamp()))
            update += ", expires_at = :expires"
        self._update(entry, f"{update} REMOVE outbox_shard, details", values)

    def _keep(self, entry: OutboxEntry, remaining: Sequence[Mapping[str, Any]]) -> None:
        """Leave only what EventBridge refused to be sent later."""
        self._update(entry, "SET details = :details", {":details": to_attribute(_text(remaining))})

    def _update(self, entry: OutboxEntry, update: str, values: Mapping[str, Any]) -> None:
        # Another worker may have sent the entry meanwhile; it must not come back.
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={"pk": {"S": entry.item_key}},
                UpdateExpression=update,
                ConditionExpression="attribute_exists(outbox_shard)",
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if not is_condition_failure(error):
                raise

    def drain(self, older_than: timedelta) -> int:
        """Publish entries that a crash left behind. Returns how many were sent."""
        before = timestamp(self._clock() - older_than)
        stale = [
            (_entry(item), str(item["created_at"]))
            for shard in range(SHARDS)
            for item in query(self._dynamodb, self._table, "by_outbox", "outbox_shard", str(shard))
            if item["created_at"] < before
        ]
        now = self._clock()
        self.lag_seconds = max(
            ((now - datetime.fromisoformat(created_at)).total_seconds() for _, created_at in stale),
            default=0.0,
        )
        return self.publish(entry for entry, _ in stale)


def _text(details: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps(list(details), sort_keys=True)


def _entry(item: Item) -> OutboxEntry:
    entry = OutboxEntry(
        item["entry_id"],
        item["source"],
        item["detail_type"],
        tuple(json.loads(item["details"])),
        traceparent=item.get("traceparent", ""),
    )
    return entry if item["pk"] == entry.item_key else entry.carried_by(item["pk"])
