"""Policies of buckets, queues and topics."""

from collections.abc import Sequence

from rayline.names import IDENTIFIED_BUCKETS, BucketKind, EstateNames, RuleKind, ScheduleKind
from rayline_infra.policies.documents import Statement, document, from_account, principals, service, tls_only


def bucket_policy(kind: BucketKind, names: EstateNames) -> str:
    """TLS only; an identified bucket also refuses the de-identified zone's roles, whatever IAM says."""
    resources = (names.bucket_arn(kind), f"{names.bucket_arn(kind)}/*")
    statements = [tls_only(*resources, actions=["s3:*"])]
    if kind in IDENTIFIED_BUCKETS:
        statements.append(
            Statement(
                sid="NotForTheDeidentifiedZone",
                effect="Deny",
                principals=principals(names.role_arn("training"), names.role_arn("import")),
                actions=["s3:*"],
                resources=resources,
            )
        )
    return document(*statements)


def queue_policy(queue: str, names: EstateNames, rules: Sequence[RuleKind | ScheduleKind]) -> str:
    """Let the named rules deliver to a queue, over TLS only."""
    arn = names.queue_arn(queue)
    return document(
        Statement(
            sid="RulesMayDeliver",
            principals=service("events.amazonaws.com"),
            actions=["sqs:SendMessage"],
            resources=(arn,),
            conditions={"ArnEquals": {"aws:SourceArn": [names.rule_arn(kind) for kind in rules]}},
        ),
        tls_only(arn, actions=["sqs:*"]),
    )


def topic_policy(topic_arn: str, names: EstateNames) -> str:
    """Let this account's alarms and rules publish."""
    return document(
        Statement(
            sid="AlarmsMayPublish",
            principals=service("cloudwatch.amazonaws.com", "events.amazonaws.com"),
            actions=["sns:Publish"],
            resources=(topic_arn,),
            conditions=from_account(names.account_id),
        ),
        tls_only(topic_arn, actions=["sns:Publish"]),
    )
