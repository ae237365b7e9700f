"""Side a: the leanest boto3 loop with the same guarantee; one process of it.

Receive ten, claim each by a conditional put, call, mark it done, delete the ten at once. What a claim left in
progress by a process that died would need (a lease, a heartbeat, fencing) it does not have.
"""

import argparse
import json
import signal
import time
from pathlib import Path

from botocore.exceptions import ClientError

from benchmarks.dispatch.hook_trail import TrailWriter
from benchmarks.dispatch.training_events import name_of
from rayline.aws import Clients

KEY_PREFIX = "lean#"
LONG_POLL_SECONDS = 5
VISIBILITY_SECONDS = 120


class LeanLoop:
    """Receives and handles until stopped."""

    def __init__(self, queue_url: str, table: str, trail: Path) -> None:
        clients = Clients()  # the same clients that Rayline uses, so that loops are compared and not options
        self._sqs = clients.sqs
        self._dynamodb = clients.dynamodb
        self._queue_url = queue_url
        self._table = table
        self._trail = TrailWriter(trail)
        self.stopping = False

    def run(self) -> None:
        """The loop."""
        while not self.stopping:
            messages = self._sqs.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=LONG_POLL_SECONDS,
                VisibilityTimeout=VISIBILITY_SECONDS,
            ).get("Messages", [])
            for message in messages:
                self._handle(message["Body"])
            if messages:
                answer = self._sqs.delete_message_batch(
                    QueueUrl=self._queue_url,
                    Entries=[
                        {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                        for index, message in enumerate(messages)
                    ],
                )
                assert not answer.get("Failed"), answer

    def _handle(self, body: str) -> None:
        name = name_of(json.loads(body)["detail"]["pipelineExecutionArn"])
        key = {"pk": {"S": KEY_PREFIX + name}}
        now = time.time()
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    **key,
                    "state": {"S": "in_progress"},
                    "at": {"N": str(now)},
                    "expires_at": {"N": str(int(now) + 86_400)},
                },
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return
            raise
        self._trail.hook_runs(name)
        self._dynamodb.update_item(
            TableName=self._table,
            Key=key,
            UpdateExpression="SET #state = :done, #at = :at",
            ExpressionAttributeNames={"#state": "state", "#at": "at"},
            ExpressionAttributeValues={":done": {"S": "done"}, ":at": {"N": str(time.time())}},
        )


def main() -> None:
    """Command line of one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--table", required=True)
    parser.add_argument("--trail", type=Path, required=True)
    arguments = parser.parse_args()
    loop = LeanLoop(arguments.queue_url, arguments.table, arguments.trail)

    def stop(*_: object) -> None:
        loop.stopping = True

    signal.signal(signal.SIGTERM, stop)
    loop.run()


if __name__ == "__main__":
    main()
