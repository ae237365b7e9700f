"""Readers of queues, topics and EventBridge."""

import json
from collections.abc import Iterable
from typing import Any

from rayline_infra.policies.graph import Resource
from rayline_infra.validation.account import Account, differing, present


def _attributes(account: Account, name: str) -> dict[str, str]:
    sqs = account.client("sqs")
    url = present(lambda: sqs.get_queue_url(QueueName=name))["QueueUrl"]
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def queue(account: Account, resource: Resource) -> Iterable[str]:
    found, inputs = _attributes(account, resource.inputs["name"]), resource.inputs
    numbers = {
        "VisibilityTimeout": inputs.get("visibilityTimeoutSeconds"),
        "MessageRetentionPeriod": inputs.get("messageRetentionSeconds"),
    }
    yield from differing(
        found, **{name: str(int(value)) for name, value in numbers.items() if value is not None}
    )
    yield from differing(found, KmsMasterKeyId=account.expected(inputs["kmsMasterKeyId"]))
    for declared, name in (("redrivePolicy", "RedrivePolicy"), ("redriveAllowPolicy", "RedriveAllowPolicy")):
        if declared in inputs and not account.same_document(inputs[declared], found.get(name)):
            yield f"its {name} is {found.get(name, 'missing')}"


def queue_policy(account: Account, resource: Resource) -> Iterable[str]:
    name = str(resource.inputs["queueUrl"]).rsplit("/", 1)[-1]
    found = _attributes(account, name).get("Policy")
    if not found:
        yield "it has no policy, so that EventBridge cannot deliver to it"
    elif not account.same_document(resource.inputs["policy"], found):
        yield "its policy is not the declared one"


def topic(account: Account, resource: Resource) -> Iterable[str]:
    found = _topic(account, resource.outputs["arn"])
    return differing(found, KmsMasterKeyId=account.expected(resource.inputs["kmsMasterKeyId"]))


def topic_policy(account: Account, resource: Resource) -> Iterable[str]:
    if not account.same_document(
        resource.inputs["policy"], _topic(account, resource.inputs["arn"]).get("Policy")
    ):
        yield "its policy is not the declared one"


def _topic(account: Account, arn: str) -> dict[str, str]:
    found: dict[str, str] = present(lambda: account.client("sns").get_topic_attributes(TopicArn=arn))[
        "Attributes"
    ]
    return found


def subscription(account: Account, resource: Resource) -> Iterable[str]:
    found = present(
        lambda: account.client("sns").list_subscriptions_by_topic(TopicArn=resource.inputs["topic"])
    )["Subscriptions"]
    for each in found:
        if (each["Protocol"], each["Endpoint"]) == (
            resource.inputs["protocol"],
            resource.inputs["endpoint"],
        ):
            if each["SubscriptionArn"] == "PendingConfirmation":
                yield "nobody has confirmed it yet: open the link that SNS sent"
            return
    yield "is not there"


def bus(account: Account, resource: Resource) -> Iterable[str]:
    found = present(lambda: account.client("events").describe_event_bus(Name=resource.inputs["name"]))
    yield from differing(found, KmsKeyIdentifier=account.expected(resource.inputs["kmsKeyIdentifier"]))
    yield from differing(
        found.get("DeadLetterConfig", {}), Arn=account.expected(resource.inputs["deadLetterConfig"]["arn"])
    )


def bus_policy(account: Account, resource: Resource) -> Iterable[str]:
    found = present(lambda: account.client("events").describe_event_bus(Name=resource.inputs["eventBusName"]))
    if not account.same_document(resource.inputs["policy"], found.get("Policy")):
        yield "its policy is not the declared one"


def rule(account: Account, resource: Resource) -> Iterable[str]:
    inputs = resource.inputs
    where = {"Name": inputs["name"], "EventBusName": inputs["eventBusName"]}
    found = present(lambda: account.client("events").describe_rule(**where))
    if found["State"] != inputs["state"]:
        yield f"is {found['State']} and should be {inputs['state']}"
    if "eventPattern" in inputs and not account.same_document(
        inputs["eventPattern"], found.get("EventPattern")
    ):
        yield "its pattern is not the declared one"
    if "scheduleExpression" in inputs:
        yield from differing(found, ScheduleExpression=inputs["scheduleExpression"])


def target(account: Account, resource: Resource) -> Iterable[str]:
    inputs = resource.inputs
    where = {"Rule": inputs["rule"], "EventBusName": inputs["eventBusName"]}
    targets = present(lambda: account.client("events").list_targets_by_rule(**where))["Targets"]
    found: dict[str, Any] = next((each for each in targets if each["Id"] == inputs["targetId"]), {})
    if not found:
        yield f"the rule {inputs['rule']} has no such target"
        return
    yield from differing(found, Arn=inputs["arn"])
    yield from differing(found.get("DeadLetterConfig", {}), Arn=inputs["deadLetterConfig"]["arn"])
    if "input" in inputs and json.loads(found.get("Input", "null")) != json.loads(inputs["input"]):
        yield "its input is not the declared one"


def archive(account: Account, resource: Resource) -> Iterable[str]:
    found = present(lambda: account.client("events").describe_archive(ArchiveName=resource.inputs["name"]))
    yield from differing(found, State="ENABLED", RetentionDays=int(resource.inputs["retentionDays"]))


READERS = {
    "aws:sqs/queue:Queue": queue,
    "aws:sqs/queuePolicy:QueuePolicy": queue_policy,
    "aws:sns/topic:Topic": topic,
    "aws:sns/topicPolicy:TopicPolicy": topic_policy,
    "aws:sns/topicSubscription:TopicSubscription": subscription,
    "aws:cloudwatch/eventBus:EventBus": bus,
    "aws:cloudwatch/eventBusPolicy:EventBusPolicy": bus_policy,
    "aws:cloudwatch/eventRule:EventRule": rule,
    "aws:cloudwatch/eventTarget:EventTarget": target,
    "aws:cloudwatch/eventArchive:EventArchive": archive,
}
