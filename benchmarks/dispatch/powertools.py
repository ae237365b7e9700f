"""Side c: Powertools for AWS Lambda, its batch processor and its idempotency layer; one process of it.

Powertools' handler gets ten messages at a time from the poller that AWS runs before a function; the loop here
does that poller's part and nothing else.
"""

import argparse
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

from benchmarks.dispatch.hook_trail import TrailWriter
from benchmarks.dispatch.lean import LONG_POLL_SECONDS, VISIBILITY_SECONDS
from benchmarks.dispatch.training_events import name_of
from rayline.aws import Clients

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

FUNCTION_NAME = "powertools"


@dataclass
class FunctionContext:
    """The part of Lambda's context object that Powertools reads."""

    function_name: str = FUNCTION_NAME

    def get_remaining_time_in_millis(self) -> int:
        """A time limit far off."""
        return VISIBILITY_SECONDS * 1_000


class PowertoolsLoop:
    """Receives, has Powertools handle, and deletes what it does not call failed."""

    def __init__(self, queue_url: str, table: str, trail: Path) -> None:
        clients = Clients()
        self._sqs = clients.sqs
        self._queue_url = queue_url
        self.stopping = False
        self._context = FunctionContext()
        self._processor = BatchProcessor(event_type=EventType.SQS)
        writer = TrailWriter(trail)
        config = IdempotencyConfig(event_key_jmespath="detail.pipelineExecutionArn")
        config.register_lambda_context(self._context)  # type: ignore[arg-type]

        @idempotent_function(  # type: ignore[untyped-decorator]
            data_keyword_argument="event",
            config=config,
            persistence_store=DynamoDBPersistenceLayer(
                table_name=table, key_attr="pk", expiry_attr="expires_at", boto3_client=clients.dynamodb
            ),
            key_prefix=FUNCTION_NAME,
        )
        def handle(*, event: Mapping[str, Any]) -> None:
            writer.hook_runs(name_of(event["detail"]["pipelineExecutionArn"]))

        def handle_record(record: SQSRecord) -> None:
            handle(event=record.json_body)

        self._handle_record = handle_record

    def run(self) -> None:
        """The loop."""
        while not self.stopping:
            messages = self._sqs.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=LONG_POLL_SECONDS,
                VisibilityTimeout=VISIBILITY_SECONDS,
            ).get("Messages", [])
            if messages:
                self._handle(messages)

    def _handle(self, messages: "list[MessageTypeDef]") -> None:
        answer = process_partial_response(
            event={"Records": [_record(message) for message in messages]},
            record_handler=self._handle_record,
            processor=self._processor,
            context=self._context,  # type: ignore[arg-type]
        )
        failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
        handles = [each["ReceiptHandle"] for each in messages if each["MessageId"] not in failed]
        deleted = self._sqs.delete_message_batch(
            QueueUrl=self._queue_url,
            Entries=[{"Id": str(index), "ReceiptHandle": handle} for index, handle in enumerate(handles)],
        )
        assert not deleted.get("Failed"), deleted


def _record(message: "MessageTypeDef") -> dict[str, Any]:
    """A message as Lambda's poller gives it to a function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {},
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:events",
        "awsRegion": "us-east-1",
    }


def main() -> None:
    """Command line of one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--table", required=True)
    parser.add_argument("--trail", type=Path, required=True)
    arguments = parser.parse_args()
    loop = PowertoolsLoop(arguments.queue_url, arguments.table, arguments.trail)

    def stop(*_: object) -> None:
        loop.stopping = True

    signal.signal(signal.SIGTERM, stop)
    loop.run()


if __name__ == "__main__":
    main()
