"""Key policies: each key names the roles and the service principals that may use it.

The account administers a key, but its IAM policies alone cannot open one: use is granted by the key policy
and by the role's own policy together.
"""

from typing import Literal

from rayline.names import EstateNames, RoleKind
from rayline_infra.policies.documents import (
    Statement,
    account_root,
    document,
    from_account,
    principals,
    service,
)

KeyKind = Literal["identified", "deidentified", "tracking", "logs", "secrets"]
KEY_KINDS: tuple[KeyKind, ...] = ("identified", "deidentified", "tracking", "logs", "secrets")

DECRYPT = ("kms:Decrypt", "kms:DescribeKey")
ENCRYPT_AND_DECRYPT = (*DECRYPT, "kms:GenerateDataKey*")

# In a key policy the resource is the key itself, which AWS spells "*".
THIS_KEY = ("*",)

# The reviewer reads quarantine's index only, which lies encrypted beside what may name a patient.
KEY_READERS: dict[KeyKind, tuple[RoleKind, ...]] = {
    "identified": ("reviewer",),
    "deidentified": ("operator",),
    "tracking": (),
    "logs": (),
    "secrets": ("execution",),
}
# The uploader can read no object; completing a multipart upload needs kms:Decrypt (S3 user guide).
# The operator uploads again what leaves quarantine.
KEY_WRITERS: dict[KeyKind, tuple[RoleKind, ...]] = {
    "identified": ("processor", "operator", "uploader"),
    "deidentified": ("processor", "import", "training"),
    "tracking": ("processor", "operator"),
    "logs": (),
    "secrets": (),
}


def key_policy(kind: KeyKind, names: EstateNames) -> str:
    """The key policy of one of the estate's keys."""
    statements = [_administration(names)]
    if KEY_READERS[kind]:
        statements.append(_use("RolesMayDecrypt", KEY_READERS[kind], DECRYPT, names))
    if KEY_WRITERS[kind]:
        statements.append(_use("RolesMayEncryptAndDecrypt", KEY_WRITERS[kind], ENCRYPT_AND_DECRYPT, names))
    return document(*statements, *_services(kind, names))


def _use(sid: str, roles: tuple[RoleKind, ...], actions: tuple[str, ...], names: EstateNames) -> Statement:
    return Statement(
        sid=sid,
        principals=principals(*(names.role_arn(role) for role in roles)),
        actions=actions,
        resources=THIS_KEY,
    )


def _administration(names: EstateNames) -> Statement:
    return Statement(
        sid="AccountAdministers",
        principals=principals(account_root(names.account_id)),
        actions=[
            "kms:CancelKeyDeletion",
            "kms:CreateAlias",
            "kms:DeleteAlias",
            "kms:DescribeKey",
            "kms:DisableKey",
            "kms:EnableKey",
            "kms:EnableKeyRotation",
            "kms:GetKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:ListGrants",
            "kms:ListKeyPolicies",
            "kms:ListResourceTags",
            "kms:PutKeyPolicy",
            "kms:RevokeGrant",
            "kms:ScheduleKeyDeletion",
            "kms:TagResource",
            "kms:UntagResource",
            "kms:UpdateAlias",
            "kms:UpdateKeyDescription",
        ],
        resources=THIS_KEY,
    )


def _services(kind: KeyKind, names: EstateNames) -> list[Statement]:
    if kind == "identified":
        return [_event_delivery(names), _event_archive(names)]
    if kind == "deidentified":
        # CreateDatastore makes HealthImaging's grants in the name of whoever deploys the estate.
        jobs_encrypt = _use("JobsMayEncrypt", ("training",), ("kms:Encrypt",), names)
        return [_deployment_through("medical-imaging", names), jobs_encrypt, _job_volumes(names)]
    if kind == "tracking":
        # Encryption at rest of a table works through a grant of whoever creates the table.
        return [_deployment_through("dynamodb", names)]
    if kind == "secrets":
        # Values are put by whoever runs the estate, never by this program.
        return [_deployment_through("secretsmanager", names)]
    if kind == "logs":
        return [_log_delivery(names), _alarm_delivery(names)]
    return []


def _event_delivery(names: EstateNames) -> Statement:
    return Statement(
        sid="EventBridgeDeliversToTheQueues",
        principals=service("events.amazonaws.com"),
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=THIS_KEY,
        conditions=from_account(names.account_id),
    )


def _event_archive(names: EstateNames) -> Statement:
    return Statement(
        sid="EventBridgeArchives",
        principals=service("events.amazonaws.com"),
        actions=["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ReEncrypt*"],
        resources=THIS_KEY,
        conditions={
            "StringEquals": {
                "kms:EncryptionContext:aws:events:event-bus:arn": [
                    names.event_bus_arn,
                    f"arn:aws:events:{names.region}:{names.account_id}:event-bus/default",
                ]
            }
        },
    )


def _deployment_through(service_name: str, names: EstateNames) -> Statement:
    return Statement(
        sid="AccountUsesThroughTheService",
        principals=principals(account_root(names.account_id)),
        actions=[
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKey*",
            "kms:RetireGrant",
        ],
        resources=THIS_KEY,
        conditions={"StringEquals": {"kms:ViaService": f"{service_name}.{names.region}.amazonaws.com"}},
    )


def _job_volumes(names: EstateNames) -> Statement:
    return Statement(
        sid="JobVolumesAreEncrypted",
        principals=principals(names.role_arn("training")),
        actions=["kms:CreateGrant"],
        resources=THIS_KEY,
        conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
    )


def _log_delivery(names: EstateNames) -> Statement:
    log_groups = f"arn:aws:logs:{names.region}:{names.account_id}:log-group:/rayline/{names.stack}/*"
    return Statement(
        sid="CloudWatchLogsEncrypts",
        principals=service(f"logs.{names.region}.amazonaws.com"),
        actions=["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
        resources=THIS_KEY,
        conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": log_groups}},
    )


def _alarm_delivery(names: EstateNames) -> Statement:
    return Statement(
        sid="AlarmsReachTheTopic",
        principals=service("cloudwatch.amazonaws.com", "events.amazonaws.com"),
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=THIS_KEY,
        conditions=from_account(names.account_id),
    )
