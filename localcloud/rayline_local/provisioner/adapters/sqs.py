"""SQS queues and their policies."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tolerate
from rayline_local.provisioner.clients import Clients

GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
ATTRIBUTES = {
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "delaySeconds": "DelaySeconds",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "redrivePolicy": "RedrivePolicy",
    "redriveAllowPolicy": "RedriveAllowPolicy",
}


class QueueAdapter:
    """``aws:sqs/queue:Queue``."""

    replaced_by = frozenset({"name", "fifoQueue"})

    def __init__(self, clients: Clients) -> None:
        self._sqs = clients.get("sqs")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        url = self._url(inputs["name"])
        if url is None:
            url = str(self._sqs.create_queue(QueueName=inputs["name"])["QueueUrl"])
        attributes = {theirs: _text(inputs[ours]) for ours, theirs in ATTRIBUTES.items() if ours in inputs}
        self._sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return Made(url, {"url": url, "arn": found["Attributes"]["QueueArn"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        # Another port of the local cloud means another URL; the state's would be stale.
        return self._url(inputs["name"]) == resource_id

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._sqs.delete_queue(QueueUrl=resource_id))

    def _url(self, name: str) -> str | None:
        found = tolerate(GONE, lambda: self._sqs.get_queue_url(QueueName=name))
        return None if found is None else str(found["QueueUrl"])


class QueuePolicyAdapter:
    """``aws:sqs/queuePolicy:QueuePolicy``; its id is the queue's URL."""

    replaced_by = frozenset({"queueUrl"})

    def __init__(self, clients: Clients) -> None:
        self._sqs = clients.get("sqs")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        url = inputs["queueUrl"]
        self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": inputs["policy"]})
        return Made(url)

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        found = tolerate(
            GONE,
            lambda: self._sqs.get_queue_attributes(QueueUrl=resource_id, AttributeNames=["Policy"]),
        )
        return bool(found and found.get("Attributes", {}).get("Policy"))

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(
            GONE, lambda: self._sqs.set_queue_attributes(QueueUrl=resource_id, Attributes={"Policy": ""})
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(int(value))
