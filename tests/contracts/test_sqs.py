"""SQS: visibility, receive counts, delays and redrive, as the worker and its supervisor rely on them."""

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rayline.message_queue import DeadLetter, MessageQueue
from rayline.watch import MessageInHand


class Queue:
    """A queue of the test's own, with its dead-letter queue."""

    def __init__(self, client: Any) -> None:
        self.client = client
        name = f"contract-{uuid.uuid4().hex[:12]}"
        self.dead_url = client.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
        arn = self.attributes(self.dead_url)["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
        self.url = client.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]

    def attributes(self, url: str | None = None) -> dict[str, str]:
        answer = self.client.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=["All"])
        found: dict[str, str] = answer["Attributes"]
        return found

    def send(self, body: str = "a body", **more: Any) -> str:
        return str(self.client.send_message(QueueUrl=self.url, MessageBody=body, **more)["MessageId"])

    def receive(self, url: str | None = None, most: int = 10, visibility: int = 60) -> list[dict[str, Any]]:
        answer = self.client.receive_message(
            QueueUrl=url or self.url,
            MaxNumberOfMessages=most,
            VisibilityTimeout=visibility,
            WaitTimeSeconds=0,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        )
        return list(answer.get("Messages", []))

    def hide(self, message: dict[str, Any], seconds: int) -> None:
        self.client.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds
        )

    def delete(self, message: dict[str, Any]) -> None:
        """Delete; of an older handle AWS says nothing and does nothing, where the local cloud says so."""
        try:
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ReceiptHandleIsInvalid"


@pytest.fixture
def queue(cloud: Any) -> Queue:
    return Queue(cloud.client("sqs"))


def test_an_empty_queue_answers_without_messages(queue: Queue) -> None:
    assert queue.receive() == []


def test_a_received_message_is_hidden_until_it_is_let_go_and_counts_its_receipts(queue: Queue) -> None:
    sent = queue.send()
    (first,) = queue.receive()
    assert (first["MessageId"], first["Body"]) == (sent, "a body")
    assert first["Attributes"]["ApproximateReceiveCount"] == "1"
    assert queue.receive() == []
    queue.hide(first, 0)
    (second,) = queue.receive()
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    queue.delete(second)
    queue.delete(second)
    assert queue.receive() == []


def test_what_has_come_back_to_others_is_not_deleted_by_whoever_had_it_before(queue: Queue) -> None:
    queue.send()
    (first,) = queue.receive()
    queue.hide(first, 0)
    (second,) = queue.receive()
    queue.delete(first)
    queue.hide(second, 0)
    assert int(queue.attributes()["ApproximateNumberOfMessages"]) == 1


def test_a_message_that_is_not_in_hand_cannot_be_extended(queue: Queue) -> None:
    queue.send()
    (message,) = queue.receive()
    queue.delete(message)
    with pytest.raises(ClientError) as error:
        queue.hide(message, 30)
    assert error.value.response["Error"]["Code"] in ("InvalidParameterValue", "ReceiptHandleIsInvalid")
    with pytest.raises(ClientError) as error:
        queue.hide({"ReceiptHandle": "never given"}, 30)
    assert error.value.response["Error"]["Code"] in ("ReceiptHandleIsInvalid", "InvalidParameterValue")


def test_a_message_received_too_often_goes_to_the_dead_letter_queue_on_the_next_receive(queue: Queue) -> None:
    queue.send(MessageAttributes={"reason": {"DataType": "String", "StringValue": "X"}})
    for _ in range(2):
        (message,) = queue.receive()
        queue.hide(message, 0)
    assert queue.receive() == []
    (dead,) = queue.receive(queue.dead_url)
    assert dead["Body"] == "a body"
    assert dead["MessageAttributes"]["reason"]["StringValue"] == "X"


def test_a_delayed_message_is_there_but_not_yet_received(queue: Queue) -> None:
    queue.send(DelaySeconds=900)
    assert queue.receive() == []
    assert queue.attributes()["ApproximateNumberOfMessagesDelayed"] == "1"


def test_at_most_ten_are_received_and_all_in_the_end(queue: Queue) -> None:
    bodies = [f"body {number}" for number in range(13)]
    for body in bodies:
        queue.send(body)
    first = queue.receive()
    assert 1 <= len(first) <= 10
    found = first
    while more := queue.receive():
        found += more
    assert sorted(each["Body"] for each in found) == sorted(bodies)
    with pytest.raises(ClientError):
        queue.receive(most=11)


def test_a_batch_is_deleted_sent_and_hidden(queue: Queue) -> None:
    entries = [{"Id": str(number), "MessageBody": f"body {number}"} for number in range(3)]
    answer = queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert {each["Id"] for each in answer["Successful"]} == {"0", "1", "2"}
    messages = queue.receive()
    assert len(messages) == 3
    handles = {str(number): each["ReceiptHandle"] for number, each in enumerate(messages)}
    queue.client.change_message_visibility_batch(
        QueueUrl=queue.url,
        Entries=[{"Id": "0", "ReceiptHandle": handles["0"], "VisibilityTimeout": 0}],
    )
    queue.client.delete_message_batch(
        QueueUrl=queue.url, Entries=[{"Id": each, "ReceiptHandle": handles[each]} for each in ("1", "2")]
    )
    (left,) = queue.receive()
    assert left["Body"] == messages[0]["Body"]
    for mistake in ([], [{"Id": "x", "MessageBody": "a"}, {"Id": "x", "MessageBody": "b"}]):
        with pytest.raises(ClientError):
            queue.client.send_message_batch(QueueUrl=queue.url, Entries=mistake)


@pytest.mark.parametrize(
    "mistake",
    [
        {"MessageBody": "x", "DelaySeconds": 901},
        {"MessageBody": "x", "DelaySeconds": -1},
        {"MessageBody": "x" * (1_048_576 + 1)},
        {"MessageBody": "null \x00 character"},
    ],
    ids=["delay", "negative delay", "size", "characters"],
)
def test_what_sqs_refuses(queue: Queue, mistake: dict[str, Any]) -> None:
    with pytest.raises(ClientError):
        queue.client.send_message(QueueUrl=queue.url, **mistake)
    assert queue.receive() == []


def test_a_body_of_the_full_size_comes_back_as_it_was(queue: Queue) -> None:
    body = "ü" * (1_048_576 // 2)
    queue.send(body)
    (message,) = queue.receive()
    assert message["Body"] == body


def test_a_queue_that_is_not_there(queue: Queue) -> None:
    with pytest.raises(ClientError) as error:
        queue.receive(queue.url + "-gone")
    assert "NonExistentQueue" in error.value.response["Error"]["Code"]


# -- the processor's own adapter ------------------------------------------------------------------------------


@pytest.fixture
def events(queue: Queue) -> MessageQueue:
    return MessageQueue(queue.client, queue.url, queue.dead_url)


def received(events: MessageQueue) -> list[MessageInHand]:
    return [
        MessageInHand(
            each["MessageId"],
            each["ReceiptHandle"],
            int(each["Attributes"]["ApproximateReceiveCount"]),
            each["Body"],
        )
        for each in events.receive(most=10, wait_seconds=0, visibility_seconds=60)
    ]


def test_a_message_put_back_is_another_without_receipts(queue: Queue, events: MessageQueue) -> None:
    queue.send()
    (message,) = received(events)
    events.put_back(message)
    (again,) = received(events)
    assert again.message_id != message.message_id
    assert (again.body, again.receive_count) == ("a body", 1)


def test_a_hidden_message_returns_and_a_deleted_one_does_not(queue: Queue, events: MessageQueue) -> None:
    queue.send()
    (message,) = received(events)
    events.hide(message, 0)
    (message,) = received(events)
    assert message.receive_count == 2
    events.delete(message)
    assert received(events) == []


def test_a_dead_letter_carries_its_reason(queue: Queue, events: MessageQueue) -> None:
    queue.send()
    (message,) = received(events)
    events.dead_letter(message, DeadLetter("PLUGIN_FAILED", "some_plugin: it failed"))
    assert received(events) == []
    (dead,) = queue.receive(queue.dead_url)
    assert dead["Body"] == "a body"
    assert dead["MessageAttributes"]["reason"]["StringValue"] == "PLUGIN_FAILED"
    assert dead["MessageAttributes"]["received"]["StringValue"] == "1"
