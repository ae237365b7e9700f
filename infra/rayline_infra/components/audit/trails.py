"""CloudTrail: one trail of what manages resources, one of what reads and writes data."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.components.bucket import DeclaredBucket
from rayline_infra.policies.buckets import TRAIL_PREFIX
from rayline_infra.policies.trails import MANAGEMENT, Selector, data_selectors, trail_policy
from rayline_infra.policies.trust import service_trust
from rayline_infra.scanning.exemptions import ScannerExemption

AdvancedSelector = aws.cloudtrail.TrailAdvancedEventSelectorArgs
FieldSelector = aws.cloudtrail.TrailAdvancedEventSelectorFieldSelectorArgs

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV2_AWS_10",
        "data-trail",
        "its events are many and name the keys that senders chose: they stay in the locked bucket",
    ),
    ScannerExemption(
        "CKV_AWS_252",
        "*-trail",
        "nobody reads a message for each file of a log; an alarm tells of a trail that is silent",
    ),
    ScannerExemption(
        "CKV_AWS_338",
        "trail-logs",
        "is there to be searched; the trail itself stays for years in the locked bucket",
    ),
)


@dataclass(frozen=True)
class Recorded:
    """Data of which every read and write is recorded."""

    bucket_arns: Sequence[str]
    table_arns: Sequence[str]
    datastore_arn: pulumi.Output[str]


@dataclass(frozen=True)
class TrailsArgs:
    """Where trails are kept, and what they are about."""

    names: EstateNames
    logs: DeclaredBucket
    key_arn: pulumi.Input[str]
    log_days: int
    recorded: Recorded


class Trails(pulumi.ComponentResource):
    """Two trails of all regions in one bucket, encrypted, with digests that show whether a file was changed."""

    def __init__(self, name: str, args: TrailsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:audit:Trails", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._declare_management()
        self._declare_data()
        self.register_outputs({})

    def _declare_management(self) -> None:
        """What alarms can look at: it names no object, so that it may be searched in CloudWatch Logs."""
        args = self._args
        self.log_group = aws.cloudwatch.LogGroup(
            "trail-logs",
            name=args.names.trail_log_group,
            retention_in_days=args.log_days,
            kms_key_id=args.key_arn,
            opts=self._child,
        )
        role = aws.iam.Role(
            "trail-role",
            name=args.names.role("trail"),
            description=f"rayline {args.names.stack}: CloudTrail, to write its log group",
            assume_role_policy=service_trust(args.names, "trail"),
            opts=self._child,
        )
        policy = aws.iam.RolePolicy(
            "trail-policy",
            name="work",
            role=role.name,
            policy=trail_policy(args.names),
            opts=self._child,
        )
        aws.cloudtrail.Trail(
            "management-trail",
            name=args.names.trail("management"),
            s3_bucket_name=args.logs.bucket.bucket,
            s3_key_prefix=TRAIL_PREFIX,
            kms_key_id=args.key_arn,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            cloud_watch_logs_group_arn=pulumi.Output.concat(self.log_group.arn, ":*"),
            cloud_watch_logs_role_arn=role.arn,
            advanced_event_selectors=[_selector(each) for each in MANAGEMENT],
            insight_selectors=[
                aws.cloudtrail.TrailInsightSelectorArgs(insight_type=kind)
                for kind in ("ApiCallRateInsight", "ApiErrorRateInsight")
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.logs.policy, policy]),
        )

    def _declare_data(self) -> None:
        args = self._args
        aws.cloudtrail.Trail(
            "data-trail",
            name=args.names.trail("data"),
            s3_bucket_name=args.logs.bucket.bucket,
            s3_key_prefix=TRAIL_PREFIX,
            kms_key_id=args.key_arn,
            # The copies in the other region too.
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            advanced_event_selectors=args.recorded.datastore_arn.apply(
                lambda arn: [
                    _selector(each)
                    for each in data_selectors(args.recorded.bucket_arns, args.recorded.table_arns, arn)
                ]
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.logs.policy]),
        )


def _selector(selector: Selector) -> AdvancedSelector:
    fields = [FieldSelector(field=field, equals=[value]) for field, value in selector.equals.items()]
    if selector.arns:
        fields.append(FieldSelector(field="resources.ARN", starts_withs=list(selector.arns)))
    return AdvancedSelector(name=selector.name, field_selectors=fields)
