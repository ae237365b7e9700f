"""Topics that alarms speak to, and the people, pagers and channels that listen."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, TopicKind
from rayline_infra.policies.resources import topic_policy

# The logical name of the first is older than the second.
TOPICS: Mapping[TopicKind, str] = {"alarms": "alarm-topic", "notices": "notice-topic"}


@dataclass(frozen=True)
class TopicsArgs:
    """The topics' key: alarms name no patient, so it is the key of logs."""

    names: EstateNames
    logs_key_arn: pulumi.Input[str]


class Topics(pulumi.ComponentResource):
    """Two topics: what needs somebody now, and what can wait for the day."""

    def __init__(self, name: str, args: TopicsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:observability:Topics", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self._topics = {kind: self._declare(kind, args) for kind in TOPICS}
        self.register_outputs({})

    def arn(self, kind: TopicKind) -> pulumi.Output[str]:
        """ARN of a topic, known once the topic exists."""
        return self._topics[kind].arn

    def _declare(self, kind: TopicKind, args: TopicsArgs) -> aws.sns.Topic:
        topic = aws.sns.Topic(
            TOPICS[kind],
            name=args.names.topic(kind),
            kms_master_key_id=args.logs_key_arn,
            opts=self._child,
        )
        aws.sns.TopicPolicy(
            f"{TOPICS[kind]}-policy",
            arn=topic.arn,
            policy=topic.arn.apply(lambda arn: topic_policy(arn, args.names)),
            opts=self._child,
        )
        return topic
