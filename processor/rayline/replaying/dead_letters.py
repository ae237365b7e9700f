"""The dead-letter queue as a source: looking loses nothing, and a message goes once its copy is in the event queue."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from rayline.aws import is_service_trouble
from rayline.hashing import KeyedHash
from rayline.replaying.candidates import Candidate, of_body

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

MOST = 10_000  # messages looked at in one run
HIDDEN_SECONDS = 900  # time to decide; after it a message that was looked at is there again by itself
_EMPTY_ANSWERS = 2  # SQS may answer that a queue is empty while it is not ("short polling")


class DeadLetters:
    """Reads and replays the messages of the dead-letter queue."""

    name = "dlq"

    def __init__(
        self,
        sqs: "SQSClient",
        *,
        queue_url: str,
        dead_letter_queue_url: str,
        site: str,
        keyed_hash: KeyedHash | None,
        wait_seconds: int = 1,
    ) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._dead_letter_queue_url = dead_letter_queue_url
        self._site = site
        self._hash = keyed_hash
        self._wait_seconds = wait_seconds
        self._looked_at: dict[str, str] = {}

    def find(self, kind: str | None) -> list[Candidate]:
        """Receive all messages, which hides them until they are sent or left."""
        found: dict[str, Candidate] = {}
        empty = 0
        while empty < _EMPTY_ANSWERS and len(self._looked_at) < MOST:
            messages = self._receive()
            empty = 0 if messages else empty + 1
            for message in messages:
                self._looked_at[message["MessageId"]] = message["ReceiptHandle"]
                candidate = self._candidate(message)
                if kind in (None, candidate.kind):
                    found[message["MessageId"]] = candidate
        return list(found.values())

    def _receive(self) -> "list[MessageTypeDef]":
        response = self._sqs.receive_message(
            QueueUrl=self._dead_letter_queue_url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=self._wait_seconds,
            VisibilityTimeout=HIDDEN_SECONDS,
            MessageAttributeNames=["All"],
        )
        return response.get("Messages", [])

    def _candidate(self, message: "MessageTypeDef") -> Candidate:
        told = {
            name: attribute.get("StringValue", "")
            for name, attribute in message.get("MessageAttributes", {}).items()
        }
        kind, identity = of_body(message["Body"], self._site, self._hash, told.get("identity", ""))
        return Candidate(
            kind=kind,
            identity=identity,
            entry=message["MessageId"],
            reason=_reason(told),
            handle=(message["MessageId"], message["Body"]),
        )

    def send(self, candidates: Sequence[Candidate]) -> int:
        """Send each to the event queue, and only then delete it here: a crash in between sends it twice."""
        for candidate in candidates:
            message_id, body = candidate.handle
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=body)
            self._sqs.delete_message(
                QueueUrl=self._dead_letter_queue_url, ReceiptHandle=self._looked_at.pop(message_id)
            )
        return len(candidates)

    def leave(self) -> None:
        """Make what was looked at and not sent visible again."""
        while self._looked_at:
            _, receipt_handle = self._looked_at.popitem()
            try:
                self._sqs.change_message_visibility(
                    QueueUrl=self._dead_letter_queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=0
                )
            except ClientError as error:
                # Somebody took his time to answer: the message is there again already, or was received by another.
                if is_service_trouble(error):
                    raise


def _reason(told: dict[str, str]) -> str:
    """Why a message is in the dead-letter queue, from the attributes that whoever moved it gave."""
    if "reason" in told:
        explanation = told.get("explanation", "")
        return f"{told['reason']}: {explanation}" if explanation else told["reason"]
    if "ERROR_CODE" in told:
        # EventBridge user guide, "Using dead-letter queues": its own attributes, here of an event no target took.
        return f"NOT_DELIVERED: EventBridge says {told['ERROR_CODE']}"
    return "UNKNOWN: SQS moved it"
