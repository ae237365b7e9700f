"""How every log group is declared: encrypted, and no line kept for ever."""

import pulumi
import pulumi_aws as aws


def declare_log_group(
    resource_name: str,
    name: str,
    *,
    days: int,
    key_arn: pulumi.Input[str],
    parent: pulumi.Resource,
) -> aws.cloudwatch.LogGroup:
    """Declare a log group.

    Args:
        days: how long a line is kept; CloudWatch Logs takes certain numbers only.
        key_arn: the key of logs, whose policy lets CloudWatch Logs use it for names that begin with ``/rayline/``.
    """
    return aws.cloudwatch.LogGroup(
        resource_name,
        name=name,
        retention_in_days=days,
        kms_key_id=key_arn,
        opts=pulumi.ResourceOptions(parent=parent),
    )
