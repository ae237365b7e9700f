"""CloudWatch alarms on what the processor publishes, to the alarm topic."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline.observability.metrics import NAMESPACE, RECONCILER_GAPS, SITE_DIMENSION

# Two runs of the schedule: one that is a little late leaves no hole.
GAPS_PERIOD_SECONDS = 30 * 60


@dataclass(frozen=True)
class AlarmsArgs:
    """Whose metrics, and who is told."""

    names: EstateNames
    site: str
    topic_arn: pulumi.Output[str]


class Alarms(pulumi.ComponentResource):
    """One alarm: the reconciler found a gap, or has not looked."""

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:observability:Alarms", name, None, opts)
        aws.cloudwatch.MetricAlarm(
            "reconciler-gaps-alarm",
            name=args.names.alarm("reconciler-gaps"),
            alarm_description=(
                "the reconciler found something that should have happened and did not, or did not run; "
                "`rayline reconcile --dry-run` says what"
            ),
            namespace=NAMESPACE,
            metric_name=RECONCILER_GAPS.name,
            dimensions={SITE_DIMENSION: args.site},
            statistic="Maximum",
            period=GAPS_PERIOD_SECONDS,
            evaluation_periods=1,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            # A reconciler that is silent finds no gaps either.
            treat_missing_data="breaching",
            alarm_actions=[args.topic_arn],
            ok_actions=[args.topic_arn],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
