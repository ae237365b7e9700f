"""A record of every connection in the VPC, taken or refused."""

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.scanning.exemptions import ScannerExemption

SECONDS_PER_RECORD = 60

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_338",
        "flow-logs",
        "tells of made-up images only, and is needed for days",
        stacks=("dev", "local"),
    ),
)


def declare_flow_logs(
    names: EstateNames,
    vpc: aws.ec2.Vpc,
    role_arn: pulumi.Input[str],
    key_arn: pulumi.Input[str],
    days: int,
    opts: pulumi.ResourceOptions,
) -> aws.cloudwatch.LogGroup:
    """Declare the flow log of a VPC and its log group, which is kept ``days`` under the key ``key_arn``."""
    group = aws.cloudwatch.LogGroup(
        "flow-logs", name=names.flow_log_group, retention_in_days=days, kms_key_id=key_arn, opts=opts
    )
    aws.ec2.FlowLog(
        "vpc-flow-log",
        vpc_id=vpc.id,
        traffic_type="ALL",
        log_destination_type="cloud-watch-logs",
        log_destination=group.arn,
        iam_role_arn=role_arn,
        max_aggregation_interval=SECONDS_PER_RECORD,
        tags={"Name": f"{names.prefix}-flow-log"},
        opts=opts,
    )
    return group
