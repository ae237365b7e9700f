"""Policies of queues, buses and topics."""

from collections.abc import Sequence

from rayline.envelopes import API_SOURCE
from rayline.names import (
    EstateNames,
    NoticeKind,
    RoleKind,
    RuleKind,
    ScheduleKind,
)
from rayline.reminders import PROCESSOR_SOURCE
from rayline_infra.policies.documents import (
    EVERYONE,
    Statement,
    document,
    from_account,
    principals,
    service,
    tls_only,
)

# Who may put events on the custom bus; their own policies grant it too.
BUS_PUBLISHERS: tuple[RoleKind, ...] = ("processor", "operator")


def queue_policy(
    queue: str,
    names: EstateNames,
    rules: Sequence[RuleKind | NoticeKind | ScheduleKind],
    *,
    of_the_bus: bool = False,
) -> str:
    """Let the named rules deliver to a queue, over TLS only.

    Args:
        of_the_bus: whether the custom bus delivers too: what it could not encrypt.
    """
    arn = names.queue_arn(queue)
    sources = [names.rule_arn(kind) for kind in rules]
    return document(
        Statement(
            sid="RulesMayDeliver",
            principals=service("events.amazonaws.com"),
            actions=["sqs:SendMessage"],
            resources=(arn,),
            conditions={
                "ArnEquals": {"aws:SourceArn": [*sources, names.event_bus_arn] if of_the_bus else sources}
            },
        ),
        tls_only(arn, actions=["sqs:*"]),
    )


def event_bus_policy(names: EstateNames) -> str:
    """Let the stack's publishers put their own sources' events on the custom bus, and nobody else anything."""
    publishers = [names.role_arn(kind) for kind in BUS_PUBLISHERS]
    return document(
        Statement(
            sid="PublishersMayPut",
            principals=principals(*publishers),
            actions=["events:PutEvents"],
            resources=(names.event_bus_arn,),
            conditions={"StringEquals": {"events:source": [API_SOURCE, PROCESSOR_SOURCE]}},
        ),
        # Within an account either policy alone grants; this leaves it to the two of the publishers.
        Statement(
            sid="NobodyElse",
            effect="Deny",
            principals=EVERYONE,
            actions=["events:PutEvents"],
            resources=(names.event_bus_arn,),
            conditions={
                "ArnNotEquals": {"aws:PrincipalArn": publishers},
                "Bool": {"aws:PrincipalIsAWSService": "false"},
            },
        ),
    )


def model_package_group_policy(names: EstateNames) -> str:
    """Keep models within the account: nobody of another one may see, copy or change a version."""
    return document(
        Statement(
            sid="ThisAccountOnly",
            effect="Deny",
            principals=EVERYONE,
            actions=[
                "sagemaker:CreateModel",
                "sagemaker:CreateModelPackage",
                "sagemaker:DescribeModelPackage",
                "sagemaker:DescribeModelPackageGroup",
                "sagemaker:ListModelPackages",
                "sagemaker:UpdateModelPackage",
            ],
            resources=(names.model_package_group_arn, names.model_package_arns),
            conditions={
                "StringNotEquals": {"aws:PrincipalAccount": names.account_id},
                "Bool": {"aws:PrincipalIsAWSService": "false"},
            },
        )
    )


def topic_policy(topic_arn: str, names: EstateNames) -> str:
    """Let this account's alarms, rules, budgets and cost anomalies publish."""
    return document(
        Statement(
            sid="AlarmsMayPublish",
            principals=service(
                "cloudwatch.amazonaws.com", "budgets.amazonaws.com", "costalerts.amazonaws.com"
            ),
            actions=["sns:Publish"],
            resources=(topic_arn,),
            conditions=from_account(names.account_id),
        ),
        # No condition: EventBridge sends topics no source (EventBridge user guide, "Amazon SNS permissions"), so
        # that a statement with one would let none of its notices through.
        Statement(
            sid="RulesMayPublish",
            principals=service("events.amazonaws.com"),
            actions=["sns:Publish"],
            resources=(topic_arn,),
        ),
        tls_only(topic_arn, actions=["sns:Publish"]),
    )
