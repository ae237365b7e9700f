"""What becomes of a message in the event queue: deleted, let return, put back as a copy, or dead-lettered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from rayline.aws import MAX_DELAY_SECONDS
from rayline.observability.traces import Traces, Untraced, trace_header
from rayline.watch import MessageInHand

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef, MessageTypeDef

_log = structlog.get_logger()


@dataclass(frozen=True)
class DeadLetter:
    """Why a message was given up; kept on it in the dead-letter queue, free of PHI.

    Attributes:
        reason: a reason code, e.g. ``PLUGIN_FAILED``.
        explanation: one sentence for people.
        identity: the event's, where it is one; a keyed hash, so that a replay can show what was done.
    """

    reason: str
    explanation: str
    identity: str = ""


class MessageQueue:
    """The event queue, as workers and their supervisor use it."""

    def __init__(
        self,
        sqs: "SQSClient",
        queue_url: str,
        dead_letter_queue_url: str,
        traces: Traces | None = None,
    ) -> None:
        self._traces = traces or Untraced()
        self._sqs = sqs
        self._queue_url = queue_url
        self._dead_letter_queue_url = dead_letter_queue_url

    def receive(self, *, most: int, wait_seconds: int, visibility_seconds: int) -> "list[MessageTypeDef]":
        """Long-poll for messages."""
        response = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=visibility_seconds,
            MessageSystemAttributeNames=[
                "ApproximateReceiveCount",
                "SentTimestamp",
                "AWSTraceHeader",
            ],
        )
        return response.get("Messages", [])

    def delete(self, message: MessageInHand) -> None:
        """Take a message out of the queue: all that it asked for is done."""
        self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message.receipt_handle)

    def delete_all(self, messages: Sequence[MessageInHand]) -> None:
        """Take up to ten messages out of the queue with one request.

        One that SQS could not take out comes back by itself, and finds its effects ended.
        """
        entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
            {"Id": str(index), "ReceiptHandle": message.receipt_handle}
            for index, message in enumerate(messages)
        ]
        response = self._sqs.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)
        for failed in response.get("Failed", []):
            _log.warning("message_not_deleted", error_code=failed.get("Code", ""))

    def hide(self, message: MessageInHand, seconds: float) -> None:
        """Let a message return after ``seconds``; its receipts count towards the dead-letter queue."""
        self._sqs.change_message_visibility(
            QueueUrl=self._queue_url, ReceiptHandle=message.receipt_handle, VisibilityTimeout=round(seconds)
        )

    def put_back(self, message: MessageInHand, seconds: float = 0.0) -> None:
        """Replace a message by a delayed copy without receipts. The copy is there before the original goes."""
        delay = min(MAX_DELAY_SECONDS, max(0, round(seconds)))
        header = trace_header(message.traceparent or self._traces.traceparent())
        if header:
            # So that all attempts are one trace.
            self._sqs.send_message(
                QueueUrl=self._queue_url,
                MessageBody=message.body,
                DelaySeconds=delay,
                MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": header}},
            )
        else:
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=message.body, DelaySeconds=delay)
        self.delete(message)

    def dead_letter(self, message: MessageInHand, why: DeadLetter) -> None:
        """Move a message to the dead-letter queue with its reason, which SQS's own redrive would not keep.

        The copy is there before the original goes.
        """
        attributes = {
            "reason": why.reason,
            "explanation": why.explanation,
            "identity": why.identity,
            "received": str(message.receive_count),
        }
        self._sqs.send_message(
            QueueUrl=self._dead_letter_queue_url,
            MessageBody=message.body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
                if value
            },
        )
        self.delete(message)
