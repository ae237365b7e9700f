"""SNS topics, their policies and subscriptions."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tolerate
from rayline_local.provisioner.adapters.recipe import Found, Recipe
from rayline_local.provisioner.clients import Clients

GONE = ("NotFound", "NotFoundException")


class TopicAdapter:
    """``aws:sns/topic:Topic``; its id is its ARN."""

    replaced_by = frozenset({"name", "fifoTopic"})

    def __init__(self, clients: Clients) -> None:
        self._sns = clients.get("sns")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        arn = str(self._sns.create_topic(Name=inputs["name"])["TopicArn"])
        self._sns.set_topic_attributes(
            TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue=inputs.get("kmsMasterKeyId", "")
        )
        return Made(arn, {"arn": arn})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return tolerate(GONE, lambda: self._sns.get_topic_attributes(TopicArn=resource_id)) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._sns.delete_topic(TopicArn=resource_id))


class TopicPolicyAdapter:
    """``aws:sns/topicPolicy:TopicPolicy``; it goes with its topic, which always has some policy."""

    replaced_by = frozenset({"arn"})

    def __init__(self, clients: Clients) -> None:
        self._sns = clients.get("sns")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        self._sns.set_topic_attributes(
            TopicArn=inputs["arn"], AttributeName="Policy", AttributeValue=inputs["policy"]
        )
        return Made(inputs["arn"])

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        found = tolerate(GONE, lambda: self._sns.get_topic_attributes(TopicArn=resource_id))
        return found is not None and found["Attributes"].get("Policy") == inputs["policy"]

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        return None


def _subscription(sns: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=inputs["topic"]):
        for each in page["Subscriptions"]:
            if (each["Protocol"], each["Endpoint"]) == (inputs["protocol"], inputs["endpoint"]):
                return dict(each)
    return None


def _settle_subscription(sns: Any, subscription: Found, inputs: Inputs) -> None:
    if not subscription["SubscriptionArn"].startswith("arn:"):
        return  # SNS sets nothing before the owner of an address has confirmed it
    raw = str(bool(inputs.get("rawMessageDelivery"))).lower()
    attributes = {"FilterPolicy": inputs.get("filterPolicy"), "RawMessageDelivery": raw}
    for name, value in attributes.items():
        if value is not None and (name != "RawMessageDelivery" or inputs["protocol"] in ("sqs", "https")):
            sns.set_subscription_attributes(
                SubscriptionArn=subscription["SubscriptionArn"], AttributeName=name, AttributeValue=value
            )


SUBSCRIPTION = Recipe(
    service="sns",
    find=_subscription,
    identity="SubscriptionArn",
    create=lambda sns, inputs: sns.subscribe(
        TopicArn=inputs["topic"],
        Protocol=inputs["protocol"],
        Endpoint=inputs["endpoint"],
        ReturnSubscriptionArn=True,
    ),
    delete=("Unsubscribe", "SubscriptionArn"),
    settle=_settle_subscription,
    outputs={"arn": "{id}"},
    replaced_by=frozenset({"topic", "protocol", "endpoint"}),
)
