"""Who may assume each role."""

from rayline.names import EstateNames, RoleKind
from rayline_infra.policies.documents import (
    Statement,
    account_root,
    document,
    from_account,
    principals,
    service,
)

SERVICE_OF_ROLE: dict[RoleKind, str] = {
    "processor": "ecs-tasks.amazonaws.com",
    "api": "ecs-tasks.amazonaws.com",
    "gateway": "ecs-tasks.amazonaws.com",
    "execution": "ecs-tasks.amazonaws.com",
    "import": "medical-imaging.amazonaws.com",
    "training": "sagemaker.amazonaws.com",
    "endpoint": "sagemaker.amazonaws.com",
    "flow-logs": "vpc-flow-logs.amazonaws.com",
    "replication-identified": "s3.amazonaws.com",
    "replication-deidentified": "s3.amazonaws.com",
    "trail": "cloudtrail.amazonaws.com",
    "config": "config.amazonaws.com",
    "chat": "chatbot.amazonaws.com",
}


def service_trust(names: EstateNames, kind: RoleKind) -> str:
    """Trust of a role that one AWS service assumes, for this account only."""
    return document(
        Statement(
            sid="ServiceMayAssume",
            principals=service(SERVICE_OF_ROLE[kind]),
            actions=["sts:AssumeRole"],
            conditions=from_account(names.account_id),
        )
    )


def people_trust(names: EstateNames, *patterns: str) -> str:
    """Trust of a role for people and devices: principals of this account whose ARN matches one of the patterns."""
    return document(
        Statement(
            sid="PrincipalsMayAssume",
            principals=principals(account_root(names.account_id)),
            actions=["sts:AssumeRole"],
            conditions={"ArnLike": {"aws:PrincipalArn": patterns}},
        )
    )
