"""What AWS's own deliveries may write: flow logs and the like."""

from rayline.names import EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.roles.pieces import ANY, Granted


def flow_logs(names: EstateNames, granted: Granted) -> list[Statement]:
    group = f"arn:aws:logs:{names.region}:{names.account_id}:log-group:{names.flow_log_group}"
    return [
        Statement(
            sid="WriteFlowLogs",
            actions=(
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ),
            resources=(group, f"{group}:*"),
        ),
        # The list of log groups has no ARN.
        Statement(sid="FindLogGroups", actions=("logs:DescribeLogGroups",), resources=ANY),
    ]
