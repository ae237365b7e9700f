"""IAM roles, and their policies, which come later because they name what the roles may use."""

from collections.abc import Callable
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, RoleKind
from rayline_infra.policies.keys import KeyKind
from rayline_infra.policies.roles import ROLE_KINDS, Granted, role_policy
from rayline_infra.policies.trust import SERVICE_OF_ROLE, people_trust, service_trust
from rayline_infra.scanning.exemptions import ScannerExemption

PURPOSES: dict[RoleKind, str] = {
    "processor": "the event processor's task",
    "api": "the HTTP API's task",
    "gateway": "the DIMSE gateway's task",
    "execution": "ECS, to start the tasks",
    "import": "HealthImaging, to read an import batch and write its results",
    "training": "SageMaker, to run the training pipeline",
    "endpoint": "SageMaker, to serve an approved model",
    "operator": "people who watch the estate and verify images",
    "reviewer": "people who see what was refused and why, and no patient",
    "uploader": "modalities and gateways that send images",
    "flow-logs": "VPC flow logs, to write to their log group",
}

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_61",
        "operator-role",
        "the account is the principal and a condition names whose ARN may assume it; the check reads no conditions",
    ),
    ScannerExemption(
        "CKV_AWS_61",
        "reviewer-role",
        "the account is the principal and a condition names whose ARN may assume it; the check reads no conditions",
    ),
    ScannerExemption(
        "CKV_AWS_61",
        "uploader-role",
        "the account is the principal and a condition names whose ARN may assume it; the check reads no conditions",
    ),
)


@dataclass(frozen=True)
class RolesArgs:
    """Names, and who may take the roles that are not a service's."""

    names: EstateNames
    operator_principal_pattern: str
    reviewer_principal_pattern: str
    uploader_principal_pattern: str
    deployer_principal_pattern: str


class Roles(pulumi.ComponentResource):
    """The roles with their trust; key policies name them, so they exist before the keys."""

    def __init__(self, name: str, args: RolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:identity:Roles", name, None, opts)
        self._roles: dict[RoleKind, aws.iam.Role] = {}
        for kind in ROLE_KINDS:
            self._roles[kind] = aws.iam.Role(
                f"{kind}-role",
                name=args.names.role(kind),
                description=f"rayline {args.names.stack}: {PURPOSES[kind]}",
                assume_role_policy=_trust(kind, args),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})

    def arn(self, kind: RoleKind) -> pulumi.Output[str]:
        """ARN of a role, known once the role exists."""
        return self._roles[kind].arn

    def name(self, kind: RoleKind) -> pulumi.Output[str]:
        """Name of a role, known once the role exists."""
        return self._roles[kind].name


def _trust(kind: RoleKind, args: RolesArgs) -> str:
    if kind in SERVICE_OF_ROLE:
        return service_trust(args.names, kind)
    patterns: dict[RoleKind, tuple[str, ...]] = {
        "operator": (args.operator_principal_pattern,),
        "reviewer": (args.reviewer_principal_pattern,),
        # Whoever deploys validates, and validation uploads as a modality would.
        "uploader": (args.uploader_principal_pattern, args.deployer_principal_pattern),
    }
    return people_trust(args.names, *patterns[kind])


@dataclass(frozen=True)
class GrantsArgs:
    """The roles, and what their policies must name."""

    names: EstateNames
    roles: Roles
    key_arns: pulumi.Output[dict[KeyKind, str]]
    datastore_arn: pulumi.Output[str]
    secret_arns: list[pulumi.Output[str]]


class Grants(pulumi.ComponentResource):
    """One inline policy per role: readable in one place, and gone with its role."""

    def __init__(self, name: str, args: GrantsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:identity:Grants", name, None, opts)
        self.granted = pulumi.Output.all(args.key_arns, args.datastore_arn, *args.secret_arns).apply(
            lambda found: Granted(keys=found[0], datastore_arn=found[1], secret_arns=tuple(found[2:]))
        )
        self.policies = [
            aws.iam.RolePolicy(
                f"{kind}-policy",
                name="work",
                role=args.roles.name(kind),
                policy=self.granted.apply(_policy_of(kind, args.names)),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for kind in ROLE_KINDS
        ]
        self.register_outputs({})


def _policy_of(kind: RoleKind, names: EstateNames) -> Callable[[Granted], str]:
    return lambda granted: role_policy(kind, names, granted)
