"""Topics that alarms speak to, and the people, pagers and channels that listen.

Mail, SMS and pagers confirm a subscription themselves; until they do, Pulumi shows it as pending.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, TopicKind
from rayline_infra.policies.chat import chat_policy
from rayline_infra.policies.resources import topic_policy
from rayline_infra.policies.trust import service_trust
from rayline_infra.settings import ObservabilitySettings

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

    def arns(self) -> Mapping[TopicKind, pulumi.Output[str]]:
        """ARN of every topic."""
        return {kind: topic.arn for kind, topic in self._topics.items()}

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


@dataclass(frozen=True)
class SubscriptionsArgs:
    """Who listens to what."""

    names: EstateNames
    settings: ObservabilitySettings
    topics: Mapping[TopicKind, pulumi.Output[str]]


class Subscriptions(pulumi.ComponentResource):
    """Mail and chat get everything; SMS and pagers only what needs somebody now."""

    def __init__(
        self, name: str, args: SubscriptionsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("rayline:observability:Subscriptions", name, None, opts)
        self._args = args
        settings = args.settings
        for kind in TOPICS:
            for address in settings.alert_emails:
                self._subscribe(kind, "email", address)
        for number in settings.alert_phones:
            self._subscribe("alarms", "sms", number)
        for url in settings.alert_pager_urls:
            self._subscribe("alarms", "https", url)
        if settings.slack_channel_id:
            self._declare_channel()
        self.register_outputs({})

    def _subscribe(self, kind: TopicKind, protocol: str, endpoint: str) -> None:
        # The logical name is drawn from the address: another place in the list must not replace a confirmed one.
        digest = sha256(endpoint.encode()).hexdigest()[:12]
        aws.sns.TopicSubscription(
            f"{kind}-{protocol}-{digest}",
            topic=self._args.topics[kind],
            protocol=protocol,
            endpoint=endpoint,
            endpoint_auto_confirms=False if protocol == "https" else None,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _declare_channel(self) -> None:
        names, settings = self._args.names, self._args.settings
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            "chat-role",
            name=names.role("chat"),
            description="what a chat channel may see of alarms",
            assume_role_policy=service_trust(names, "chat"),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            "chat-policy", name="rayline", role=role.name, policy=chat_policy(names), opts=child
        )
        aws.chatbot.SlackChannelConfiguration(
            "chat-channel",
            configuration_name=names.prefix,
            iam_role_arn=role.arn,
            slack_team_id=settings.slack_workspace_id,
            slack_channel_id=settings.slack_channel_id,
            sns_topic_arns=[self._args.topics[kind] for kind in TOPICS],
            # Whatever a person's own role may do, nobody acts on the estate from a chat.
            guardrail_policy_arns=["arn:aws:iam::aws:policy/CloudWatchReadOnlyAccess"],
            logging_level="ERROR",
            user_authorization_required=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
