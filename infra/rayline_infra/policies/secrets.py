"""Resource policies of secrets: whoever is not named reads no value, whatever IAM allows him."""

from rayline.names import EstateNames, RoleKind
from rayline_infra.policies.documents import EVERYONE, Statement, document
from rayline_infra.policies.keys import KEY_READERS

# ECS reads a task's secrets with its execution role before it starts the task.
READERS: tuple[RoleKind, ...] = KEY_READERS["secrets"]


def secret_policy(names: EstateNames) -> str:
    """Only the roles that start tasks read a value.

    Administrators put values and rotate them, which needs no reading; one who must read changes this policy first,
    and CloudTrail tells.
    """
    return document(
        Statement(
            sid="NobodyElseReads",
            effect="Deny",
            principals=EVERYONE,
            actions=["secretsmanager:GetSecretValue"],
            resources=("*",),
            conditions={"ArnNotEquals": {"aws:PrincipalArn": [names.role_arn(role) for role in READERS]}},
        ),
    )
