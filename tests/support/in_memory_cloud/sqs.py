"""SQS in memory: standard queues with visibility, delays, receive counts and redrive, on an injected clock.

A queue gives messages in the order in which they became visible, so that runs repeat; reordering is a test's own act.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from support.in_memory_cloud.calls import aws_error

MAX_BODY_BYTES = 1_048_576
MAX_DELAY_SECONDS = 900
MAX_VISIBILITY_SECONDS = 43_200
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # API reference, SendMessage


@dataclass
class Message:
    """One message; a new receipt handle each time that it is received."""

    message_id: str
    body: str
    attributes: dict[str, Any]
    visible_at: float
    sent_at: float
    received: int = 0
    receipt_handle: str = ""
    dead_letter_source: str = ""
    trace_header: str = ""


@dataclass
class Queue:
    """Messages in the order of their sending."""

    name: str
    url: str
    visibility_seconds: float = 30.0
    dead_letters: "Queue | None" = None
    max_receive_count: int = 0
    messages: list[Message] = field(default_factory=list)
    old_handles: set[str] = field(default_factory=set)

    @property
    def arn(self) -> str:
        """The queue's ARN."""
        return f"arn:aws:sqs:us-east-1:123456789012:{self.name}"


class InMemorySQS:
    """The operations of the client that Rayline uses; a long poll answers at once."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._queues: dict[str, Queue] = {}
        self._numbers = count(1)

    def queue(self, url: str) -> Queue:
        """A queue, for a test to look at and to shuffle."""
        return self._queues[url]

    def drain(self, url: str) -> list[str]:
        """Take every message out of a queue. Returns their bodies."""
        messages, self._queues[url].messages = self._queues[url].messages, []
        return [message.body for message in messages]

    def _now(self) -> float:
        return self._clock().timestamp()

    def _queue(self, url: str, operation: str) -> Queue:
        if url not in self._queues:
            raise aws_error(
                "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.", operation
            )
        return self._queues[url]

    # -- operations ----------------------------------------------------------------------------------------------

    def create_queue(self, *, QueueName: str, Attributes: Mapping[str, str] | None = None) -> dict[str, Any]:
        url = f"https://sqs.us-east-1.amazonaws.com/123456789012/{QueueName}"
        queue = self._queues.setdefault(url, Queue(QueueName, url))
        for name, value in (Attributes or {}).items():
            match name:
                case "VisibilityTimeout":
                    queue.visibility_seconds = float(value)
                case "RedrivePolicy":
                    policy = json.loads(value)
                    queue.dead_letters = next(
                        each for each in self._queues.values() if each.arn == policy["deadLetterTargetArn"]
                    )
                    queue.max_receive_count = int(policy["maxReceiveCount"])
                case _:
                    raise NotImplementedError(f"queue attribute {name}")
        return {"QueueUrl": url}

    def send_message(self, *, QueueUrl: str, MessageBody: str, **request: Any) -> dict[str, Any]:
        return self._send(self._queue(QueueUrl, "SendMessage"), MessageBody, request)

    def _send(self, queue: Queue, body: str, request: dict[str, Any]) -> dict[str, Any]:
        operation = "SendMessage"
        delay = request.get("DelaySeconds", 0)
        if not 0 <= delay <= MAX_DELAY_SECONDS:
            raise aws_error("InvalidParameterValue", "DelaySeconds must be between 0 and 900", operation)
        attributes = request.get("MessageAttributes", {})
        size = len(body.encode("utf-8", "surrogatepass")) + sum(
            len(name) + len(value["DataType"]) + len(value.get("StringValue", "").encode())
            for name, value in attributes.items()
        )
        if not body or size > MAX_BODY_BYTES:
            raise aws_error("InvalidParameterValue", "a message has 1 to 1048576 bytes", operation)
        if _FORBIDDEN.search(body):
            raise aws_error("InvalidMessageContents", "a character that is not allowed", operation)
        now = self._now()
        message = Message(f"message-{next(self._numbers)}", body, dict(attributes), now + delay, now)
        header = request.get("MessageSystemAttributes", {}).get("AWSTraceHeader", {})
        message.trace_header = header.get("StringValue", "")
        queue.messages.append(message)
        return {"MessageId": message.message_id, "MD5OfMessageBody": _digest(body)}

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        queue = self._queue(QueueUrl, "SendMessageBatch")
        _check_entries(Entries, "SendMessageBatch")
        sent = [{"Id": entry["Id"], **self._send(queue, entry["MessageBody"], entry)} for entry in Entries]
        return {"Successful": sent, "Failed": []}

    def receive_message(self, *, QueueUrl: str, **request: Any) -> dict[str, Any]:
        queue = self._queue(QueueUrl, "ReceiveMessage")
        most = request.get("MaxNumberOfMessages", 1)
        if not 1 <= most <= 10:
            raise aws_error(
                "InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10", "ReceiveMessage"
            )
        now = self._now()
        found: list[dict[str, Any]] = []
        for message in sorted(queue.messages, key=lambda each: each.visible_at):
            if len(found) == most or message.visible_at > now:
                break
            if queue.dead_letters is not None and message.received >= queue.max_receive_count:
                queue.messages.remove(message)
                message.visible_at, message.received = now, 0
                message.dead_letter_source = queue.arn
                queue.dead_letters.messages.append(message)
                continue
            message.received += 1
            message.visible_at = now + request.get("VisibilityTimeout", queue.visibility_seconds)
            queue.old_handles.add(message.receipt_handle)
            message.receipt_handle = f"{message.message_id}/{message.received}/{next(self._numbers)}"
            found.append(_answer(message, request))
        return {"Messages": found} if found else {}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:
        queue = self._queue(QueueUrl, "DeleteMessage")
        self._delete(queue, ReceiptHandle)
        return {}

    def _delete(self, queue: Queue, handle: str) -> None:
        # A handle that is no longer the newest deletes nothing, and says so to nobody (API reference).
        queue.messages = [each for each in queue.messages if each.receipt_handle != handle]
        queue.old_handles.add(handle)

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        queue = self._queue(QueueUrl, "DeleteMessageBatch")
        _check_entries(Entries, "DeleteMessageBatch")
        for entry in Entries:
            self._delete(queue, entry["ReceiptHandle"])
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries], "Failed": []}

    def change_message_visibility(
        self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int
    ) -> dict[str, Any]:
        operation = "ChangeMessageVisibility"
        queue = self._queue(QueueUrl, operation)
        if not 0 <= VisibilityTimeout <= MAX_VISIBILITY_SECONDS:
            raise aws_error("InvalidParameterValue", "VisibilityTimeout must be 0 to 43200", operation)
        now = self._now()
        for message in queue.messages:
            if message.receipt_handle == ReceiptHandle:
                if message.visible_at <= now:
                    raise aws_error("MessageNotInflight", "the message is not in flight", operation)
                message.visible_at = now + VisibilityTimeout
                return {}
        if ReceiptHandle in queue.old_handles:
            raise aws_error(
                "InvalidParameterValue", "the message does not exist or is not available", operation
            )
        raise aws_error("ReceiptHandleIsInvalid", "The input receipt handle is invalid.", operation)

    def change_message_visibility_batch(
        self, *, QueueUrl: str, Entries: list[dict[str, Any]]
    ) -> dict[str, Any]:
        _check_entries(Entries, "ChangeMessageVisibilityBatch")
        done, failed = [], []
        for entry in Entries:
            try:
                self.change_message_visibility(
                    QueueUrl=QueueUrl,
                    ReceiptHandle=entry["ReceiptHandle"],
                    VisibilityTimeout=entry["VisibilityTimeout"],
                )
                done.append({"Id": entry["Id"]})
            except Exception as error:
                code = getattr(error, "response", {}).get("Error", {}).get("Code", "InternalError")
                failed.append({"Id": entry["Id"], "Code": code, "SenderFault": True})
        return {"Successful": done, "Failed": failed}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        queue = self._queue(QueueUrl, "GetQueueAttributes")
        now = self._now()
        delayed = sum(each.visible_at > now and not each.received for each in queue.messages)
        hidden = sum(each.visible_at > now and each.received > 0 for each in queue.messages)
        counts = {
            "ApproximateNumberOfMessages": str(len(queue.messages) - hidden - delayed),
            "ApproximateNumberOfMessagesNotVisible": str(hidden),
            "ApproximateNumberOfMessagesDelayed": str(delayed),
            "QueueArn": queue.arn,
        }
        wanted = set(AttributeNames)
        return {
            "Attributes": {name: value for name, value in counts.items() if name in wanted or "All" in wanted}
        }


def _check_entries(entries: list[dict[str, Any]], operation: str) -> None:
    ids = [entry["Id"] for entry in entries]
    if not entries:
        raise aws_error("AWS.SimpleQueueService.EmptyBatchRequest", "no entries", operation)
    if len(entries) > 10:
        raise aws_error("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "more than 10", operation)
    if len(set(ids)) != len(ids):
        raise aws_error("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "ids repeat", operation)


def _answer(message: Message, request: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "MessageId": message.message_id,
        "ReceiptHandle": message.receipt_handle,
        "MD5OfBody": _digest(message.body),
        "Body": message.body,
    }
    known = {
        "ApproximateReceiveCount": str(message.received),
        "SentTimestamp": str(int(message.sent_at * 1000)),
        "DeadLetterQueueSourceArn": message.dead_letter_source,
        "AWSTraceHeader": message.trace_header,
    }
    wanted = {*request.get("MessageSystemAttributeNames", []), *request.get("AttributeNames", [])}
    attributes = {
        name: value for name, value in known.items() if value and (name in wanted or "All" in wanted)
    }
    if attributes:
        answer["Attributes"] = attributes
    names = request.get("MessageAttributeNames", [])
    given = {name: value for name, value in message.attributes.items() if "All" in names or name in names}
    if given:
        answer["MessageAttributes"] = given
    return answer


def _digest(body: str) -> str:
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
