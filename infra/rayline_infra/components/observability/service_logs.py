"""Log groups that AWS services would make by themselves, without a key and for ever."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.scanning.exemptions import ScannerExemption

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_338",
        # insights-logs and endpoint-logs, in one since not every stack has an endpoint.
        "[ie]n*-logs",
        "what a log tells is needed for days; evidence that must stay for years is the audit trail, in a locked bucket",
    ),
)


@dataclass(frozen=True)
class ServiceLogsArgs:
    """Key and retention.

    Attributes:
        endpoint: whether the stack has an endpoint, which logs.
    """

    names: EstateNames
    logs_key_arn: pulumi.Input[str]
    log_days: int
    endpoint: bool


class ServiceLogs(pulumi.ComponentResource):
    """Groups of Container Insights and of the endpoint; what they log of must wait for them.

    SageMaker's groups of jobs belong to the account, not to a stack; docs/operations.md says how they are limited.
    """

    def __init__(self, name: str, args: ServiceLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:observability:ServiceLogs", name, None, opts)
        groups = {"insights-logs": args.names.insights_log_group}
        if args.endpoint:
            groups["endpoint-logs"] = args.names.endpoint_log_group
        for resource_name, group in groups.items():
            aws.cloudwatch.LogGroup(
                resource_name,
                name=group,
                retention_in_days=args.log_days,
                kms_key_id=args.logs_key_arn,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
