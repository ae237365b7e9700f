"""What the stack may cost, and who is told when it costs more."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.settings import CostSettings

# A cost allocation tag has to be activated once in the billing account (AWS Billing user guide).
STACK_TAG = "stack"
# A day that costs this share of the month's budget more than usual is told of.
ANOMALY_SHARE = 0.1


@dataclass(frozen=True)
class BudgetArgs:
    """The limit, and who is told.

    Attributes:
        topic_arn: where both kinds of alert go, and on to the stack's addresses; its policy and its key admit
            Budgets and Cost Anomaly Detection.
    """

    names: EstateNames
    settings: CostSettings
    topic_arn: pulumi.Input[str]


class Budget(pulumi.ComponentResource):
    """A monthly budget of all that bears the stack's tag, and a watch over days that cost more than usual."""

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:cost:Budget", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names, settings = args.names, args.settings
        aws.budgets.Budget(
            "budget",
            name=names.budget,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=f"{settings.monthly_budget_usd:.2f}",
            limit_unit="USD",
            cost_filters=[
                aws.budgets.BudgetCostFilterArgs(
                    name="TagKeyValue", values=[f"user:{STACK_TAG}${names.stack}"]
                )
            ],
            notifications=[
                aws.budgets.BudgetNotificationArgs(
                    comparison_operator="GREATER_THAN",
                    notification_type=kind,
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                    subscriber_sns_topic_arns=[args.topic_arn],
                )
                for percent in settings.budget_alert_percents
                for kind in ("ACTUAL", "FORECASTED")
            ],
            opts=child,
        )
        monitor = aws.costexplorer.AnomalyMonitor(
            "anomaly-monitor",
            name=names.budget,
            monitor_type="CUSTOM",
            monitor_specification=_of_the_stack(names.stack),
            opts=child,
        )
        aws.costexplorer.AnomalySubscription(
            "anomaly-subscription",
            name=names.budget,
            # Topics get anomalies one by one; daily and weekly summaries go to addresses only.
            frequency="IMMEDIATE",
            monitor_arn_lists=[monitor.arn],
            subscribers=[
                aws.costexplorer.AnomalySubscriptionSubscriberArgs(type="SNS", address=args.topic_arn)
            ],
            threshold_expression=aws.costexplorer.AnomalySubscriptionThresholdExpressionArgs(
                dimension=aws.costexplorer.AnomalySubscriptionThresholdExpressionDimensionArgs(
                    key="ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                    match_options=["GREATER_THAN_OR_EQUAL"],
                    values=[f"{ANOMALY_SHARE * settings.monthly_budget_usd:g}"],
                )
            ),
            opts=child,
        )
        self.register_outputs({})


def _of_the_stack(stack: str) -> pulumi.Output[str]:
    # The provider reads every member back, those not given as null: without them each update replaces the monitor.
    unused = dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or"))
    expression = {**unused, "Tags": {"Key": STACK_TAG, "MatchOptions": None, "Values": [stack]}}
    return pulumi.Output.json_dumps(expression, sort_keys=True)
