"""Long waits live in the ledger, not in the queue: a parked event has a due time, and no message.

::

    it waits:  1 due time on the effect item ─▶ 2 body into the identified zone ─▶ 3 message deleted
    it is due: 4 body sent as a message ─▶ 5 due time removed
    it ended:  6 body deleted ─▶ 7 marks removed ─▶ 8 message deleted

A crash after any of these loses nothing. After 1 and 2 the message is still there and returns; a sweep that meets
a due time without a body leaves it alone. After 4 the body is sent once more: a second message of an event whose
effects are claimed finds nothing to do. After 5 the message is in the queue. After 6 and 7 the message returns,
finds the event ended, and repeats them. The body is the message's own: its key may name a patient, so it lies in the
quarantine bucket, and no table holds more than the event's keyed hash.
"""

import heapq
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

import structlog
from botocore.exceptions import ClientError

from rayline.aws import is_service_trouble
from rayline.dynamodb import Item, is_condition_failure, query, timestamp, to_attribute
from rayline.errors import RetryableError
from rayline.events import EventIdentity
from rayline.observability.logs import failure_fields

if TYPE_CHECKING:
    from rayline.aws import Clients
    from rayline.settings import Settings

SHARDS = 4
PARKED_FOLDER = "parked"
SENDS_A_SWEEP = 500  # then the sweep comes again, so that no worker is kept for long
_GONE = frozenset({"NoSuchKey", "404"})

_log = structlog.get_logger()


def body_key(identity: EventIdentity) -> str:
    """Key of a parked event's body in the quarantine bucket; it tells no more than the identity does."""
    site, kind, digest = identity.split("#", 2)
    return f"{site}/{PARKED_FOLDER}/{kind}-{digest}.json"


def parked_identity(key: str) -> EventIdentity:
    """The event whose body lies under a key."""
    site, _, name = key.split("/", 2)
    kind, _, digest = name.removesuffix(".json").partition("-")
    return EventIdentity(f"{site}#{kind}#{digest}")


class Parking:
    """Parks events, sends those that are due, and forgets those that have ended."""

    def __init__(self, clients: "Clients", settings: "Settings", *, clock: Callable[[], datetime]) -> None:
        self._clients = clients
        self._settings = settings
        self._clock = clock

    def park(self, identity: EventIdentity, body: str, wait_seconds: float) -> None:
        """Let an event wait without a message; the caller deletes the message once this has returned.

        Raises:
            RetryableError: the body was written and deleted at the same time.
        """
        now = self._clock()
        self._clients.dynamodb.update_item(
            TableName=self._settings.effects_table,
            Key={"pk": {"S": identity}},
            UpdateExpression="SET due_shard = :shard, due_at = :due, parked_at = if_not_exists(parked_at, :now)",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={
                # Identities are hashes, so the shards fill evenly and no partition of the index takes every write.
                ":shard": to_attribute(str(zlib.crc32(identity.encode()) % SHARDS)),
                ":due": to_attribute(timestamp(now + timedelta(seconds=wait_seconds))),
                ":now": to_attribute(timestamp(now)),
            },
        )
        try:
            self._clients.s3.put_object(
                Bucket=self._settings.quarantine_bucket,
                Key=body_key(identity),
                Body=body.encode("utf-8", "surrogatepass"),
                ContentType="application/json",
                # A night of waiting is one version of the object, not one for each time that it was tried again.
                IfNoneMatch="*",
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code == "ConditionalRequestConflict":
                raise RetryableError("the parked message was written and deleted at the same time") from None
            if code not in ("PreconditionFailed", "412"):
                raise

    def body(self, identity: EventIdentity) -> str | None:
        """The message that announced a parked event; None where there is none."""
        try:
            response = self._clients.s3.get_object(
                Bucket=self._settings.quarantine_bucket, Key=body_key(identity)
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _GONE:
                return None
            raise
        return response["Body"].read().decode("utf-8", "surrogatepass")

    def due(self, before: datetime) -> Iterator[Item]:
        """Effect items that were due before a moment, the longest due first."""
        end = timestamp(before)
        shards = [
            takewhile(
                lambda item: item["due_at"] <= end,
                query(
                    self._clients.dynamodb,
                    self._settings.effects_table,
                    "by_due",
                    "due_shard",
                    str(shard),
                    PaginationConfig={"PageSize": 100},
                ),
            )
            for shard in range(SHARDS)
        ]
        return heapq.merge(*shards, key=lambda item: str(item["due_at"]))

    def send_due(self) -> bool:
        """Send the messages of the events that are due, in that order. Returns whether more may be due.

        One that cannot be sent keeps none of the others from it, and stays due.
        """
        sent = 0
        for item in self.due(self._clock()):
            if sent == SENDS_A_SWEEP:
                return True
            try:
                sent += self._send(item)
            except Exception as error:
                if is_service_trouble(error):
                    raise
                _log.error("parked_event_not_sent", identity=item["pk"], **failure_fields(error))
        return False

    def _send(self, item: Item) -> bool:
        identity = EventIdentity(item["pk"])
        body = self.body(identity)
        if body is None:
            # Its message is still in the queue, or the reconciler tells of it.
            _log.warning("parked_body_missing", identity=identity)
            return False
        self.resend(identity, body, item.get("due_at"))
        return True

    def resend(self, identity: EventIdentity, body: str, due_at: str | None) -> None:
        """Send a parked event's message, then take it off the index, unless it was parked anew meanwhile."""
        self._clients.sqs.send_message(QueueUrl=self._settings.queue_url, MessageBody=body)
        if due_at is None:
            return
        try:
            self._clients.dynamodb.update_item(
                TableName=self._settings.effects_table,
                Key={"pk": {"S": identity}},
                UpdateExpression="REMOVE due_shard, due_at",
                ConditionExpression="due_at = :due",
                ExpressionAttributeValues={":due": to_attribute(due_at)},
            )
        except ClientError as error:
            if not is_condition_failure(error):
                raise

    def forget(self, identity: EventIdentity, *, always: bool = False) -> None:
        """Remove what parking left of an event that has ended; the caller deletes its message afterwards.

        Args:
            always: also where nothing marks the event as parked.
        """
        key = {"pk": {"S": identity}}
        response = self._clients.dynamodb.get_item(
            TableName=self._settings.effects_table,
            Key=key,
            ConsistentRead=True,
            ProjectionExpression="parked_at",
        )
        if "parked_at" not in response.get("Item", {}) and not always:
            return
        self._clients.s3.delete_object(Bucket=self._settings.quarantine_bucket, Key=body_key(identity))
        self._clients.dynamodb.update_item(
            TableName=self._settings.effects_table,
            Key=key,
            UpdateExpression="REMOVE due_shard, due_at, parked_at",
        )
