"""SNS topics and their policies."""

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tolerate
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
