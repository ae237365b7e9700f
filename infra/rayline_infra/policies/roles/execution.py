"""What ECS may do to start the tasks."""

from typing import get_args

from rayline.names import EstateNames, RepositoryKind, ServiceKind
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import DECRYPT
from rayline_infra.policies.roles.pieces import Granted, pull_image, use_keys

PULLED: tuple[RepositoryKind, ...] = ("processor", "api", "gateway", "collector")


def execution(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        # GuardDuty's agent is started with each task, and pulled as the task's own images are.
        *pull_image([names.repository(kind) for kind in PULLED], names, names.guard_duty_agents),
        Statement(
            sid="WriteLogs",
            actions=("logs:CreateLogStream", "logs:PutLogEvents"),
            resources=tuple(
                f"arn:aws:logs:{names.region}:{names.account_id}:log-group:{names.service_log_group(kind)}:*"
                for kind in get_args(ServiceKind)
            ),
        ),
        Statement(
            sid="InjectSecrets",
            actions=("secretsmanager:GetSecretValue",),
            resources=tuple(granted.secret_arns),
        ),
        Statement(
            sid="InjectSignInKeys",
            actions=("ssm:GetParameters",),
            resources=(names.sign_in_keys_parameter_arn,),
        ),
        use_keys("UseKeys", granted, DECRYPT, "secrets"),
    ]
