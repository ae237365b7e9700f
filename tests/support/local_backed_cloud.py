"""The state machine's account on the local cloud: its DynamoDB, S3, SQS and EventBridge, on the machine's own clock.

SQS has a clock of its own, so delays are kept here until the machine's clock has reached them, and visibility ends by
ChangeMessageVisibility(0). HealthImaging and SageMaker stay in memory, for the machine says when their jobs end.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from support.in_memory_cloud.cloud import InMemoryCloud
from support.in_memory_cloud.health_imaging import InMemoryHealthImaging
from support.in_memory_cloud.sqs import Message, Queue
from support.local_cloud import LocalCloud

_HIDDEN_SECONDS = 43_200


class _Service:
    """A real client, with what the machine asks of its fake beside it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)


class LocalDynamoDB(_Service):
    """DynamoDB of the local cloud."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.written: list[Callable[..., object]] = []

    def items(self, table: str) -> list[dict[str, Any]]:
        """Everything in a table."""
        pages = self._client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def let_indexes_lag(self, lag: bool) -> None:
        """They do not."""


class LocalS3(_Service):
    """S3 of the local cloud."""

    def objects(self, bucket: str) -> dict[str, bytes]:
        """What a bucket holds now."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: self._client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


class LocalEventBridge(_Service):
    """EventBridge of the local cloud, and what it took."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.taken: list[dict[str, Any]] = []

    def put_events(self, *, Entries: list[dict[str, Any]]) -> Any:
        answer = self._client.put_events(Entries=Entries)
        self.taken += [
            entry for entry, each in zip(Entries, answer["Entries"], strict=True) if not each.get("ErrorCode")
        ]
        return answer


class LocalSQS(_Service):
    """SQS of the local cloud on the machine's clock."""

    def __init__(self, client: Any, clock: Callable[[], datetime]) -> None:
        super().__init__(client)
        self._clock = clock
        self._queues: dict[str, Queue] = {}
        self._numbers = count(1)

    def queue(self, url: str) -> Queue:
        """What was sent to a queue and has not been deleted."""
        return self._queues.setdefault(url, Queue(url, url))

    def _now(self) -> float:
        return self._clock().timestamp()

    def send_message(self, *, QueueUrl: str, MessageBody: str, **request: Any) -> dict[str, Any]:
        now, delay = self._now(), request.get("DelaySeconds", 0)
        attributes = request.get("MessageAttributes", {})
        message = Message(f"delayed-{next(self._numbers)}", MessageBody, attributes, now + delay, now)
        if not delay:
            self._send(QueueUrl, message)
        self.queue(QueueUrl).messages.append(message)
        return {"MessageId": message.message_id}

    def _send(self, url: str, message: Message) -> None:
        answer = self._client.send_message(
            QueueUrl=url, MessageBody=message.body, MessageAttributes=message.attributes
        )
        message.message_id = answer["MessageId"]

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        for entry in Entries:
            self.send_message(QueueUrl=QueueUrl, **{name: entry[name] for name in entry if name != "Id"})
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def receive_message(self, *, QueueUrl: str, **request: Any) -> dict[str, Any]:
        now, queue = self._now(), self.queue(QueueUrl)
        for message in queue.messages:
            if message.visible_at <= now and message.message_id.startswith("delayed-"):
                self._send(QueueUrl, message)
            elif message.visible_at <= now and message.receipt_handle:
                self._let_go(QueueUrl, message)
        seconds = request.pop("VisibilityTimeout", 30)
        request["WaitTimeSeconds"] = 0
        answer = self._client.receive_message(QueueUrl=QueueUrl, VisibilityTimeout=_HIDDEN_SECONDS, **request)
        known = {message.message_id: message for message in queue.messages}
        for received in answer.get("Messages", []):
            message = known[received["MessageId"]]
            message.receipt_handle = received["ReceiptHandle"]
            message.visible_at = now + seconds
            message.received += 1
        return dict(answer)

    def _let_go(self, url: str, message: Message) -> None:
        self._client.change_message_visibility(
            QueueUrl=url, ReceiptHandle=message.receipt_handle, VisibilityTimeout=0
        )
        message.receipt_handle = ""

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> Any:
        held = self._held(QueueUrl, ReceiptHandle)
        if held is None:
            return self._client.change_message_visibility(
                QueueUrl=QueueUrl, ReceiptHandle=ReceiptHandle, VisibilityTimeout=VisibilityTimeout
            )
        held.visible_at = self._now() + VisibilityTimeout
        return {}

    def _held(self, url: str, handle: str) -> Message | None:
        return next((each for each in self.queue(url).messages if each.receipt_handle == handle), None)

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> Any:
        held = self._held(QueueUrl, ReceiptHandle)
        answer = self._client.delete_message(QueueUrl=QueueUrl, ReceiptHandle=ReceiptHandle)
        if held is not None:
            self.queue(QueueUrl).messages.remove(held)
        return answer

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> Any:
        held = [self._held(QueueUrl, entry["ReceiptHandle"]) for entry in Entries]
        answer = self._client.delete_message_batch(QueueUrl=QueueUrl, Entries=Entries)
        done = {each["Id"] for each in answer.get("Successful", [])}
        for entry, message in zip(Entries, held, strict=True):
            if message is not None and entry["Id"] in done:
                self.queue(QueueUrl).messages.remove(message)
        return answer

    def drain(self, url: str) -> list[str]:
        """Take every message out of a queue. Returns their bodies."""
        messages, self.queue(url).messages = self.queue(url).messages, []
        while received := self._client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for each in received:
                self._client.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        return [message.body for message in messages]


class LocalBackedCloud(InMemoryCloud):
    """The machine's account."""

    def __init__(self, cloud: LocalCloud, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.dynamodb = LocalDynamoDB(cloud.client("dynamodb"))  # type: ignore[assignment]
        self.s3 = LocalS3(cloud.client("s3"))  # type: ignore[assignment]
        self.sqs = LocalSQS(cloud.client("sqs"), clock)  # type: ignore[assignment]
        self.events = LocalEventBridge(cloud.client("events"))  # type: ignore[assignment]
        self.health_imaging = InMemoryHealthImaging(self.s3, clock)


def now() -> datetime:
    """Where the machine's clock starts on the local cloud, which stamps objects with the real time."""
    return datetime.now(UTC)
