"""What a chat channel may see of a stack."""

from rayline.names import EstateNames
from rayline_infra.policies.documents import Statement, document


def chat_policy(names: EstateNames) -> str:
    """Read this stack's alarms, and draw the graph of one; metrics have no ARN, and name no patient."""
    return document(
        Statement(
            sid="AlarmsAreSeen",
            actions=["cloudwatch:DescribeAlarms"],
            resources=(names.alarm_arn("*"),),
        ),
        Statement(
            sid="MetricsAreDrawn",
            actions=["cloudwatch:GetMetricData", "cloudwatch:GetMetricWidgetImage"],
            resources=("*",),
        ),
    )
