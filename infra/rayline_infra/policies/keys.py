"""Key policies: each key names the roles and the service principals that may use it.

The account administers a key, but its IAM policies alone cannot open one: use is granted by the key policy
and by the role's own policy together.
"""

from typing import Literal

from rayline.names import EstateNames, RoleKind, TrailKind
from rayline_infra.policies.documents import (
    Conditions,
    Statement,
    account_root,
    document,
    from_account,
    principals,
    service,
)
from rayline_infra.policies.replication import ROLE_OF_ZONE, Copies, Zone

KeyKind = Literal["identified", "deidentified", "tracking", "logs", "secrets"]
KEY_KINDS: tuple[KeyKind, ...] = ("identified", "deidentified", "tracking", "logs", "secrets")

DECRYPT = ("kms:Decrypt",)
ENCRYPT_AND_DECRYPT = (*DECRYPT, "kms:GenerateDataKey*")
COPY = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey")

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
    "identified": ("processor", "api", "gateway", "operator", "uploader"),
    "deidentified": ("processor", "import", "training", "endpoint"),
    "tracking": ("processor", "api", "operator"),
    "logs": (),
    "secrets": (),
}


def key_policy(kind: KeyKind, names: EstateNames, copies: Copies) -> str:
    """The key policy of one of the estate's keys."""
    statements = [_administration(names)]
    if KEY_READERS[kind]:
        statements.append(_use("RolesMayDecrypt", KEY_READERS[kind], DECRYPT, names))
    if KEY_WRITERS[kind]:
        statements.append(_use("RolesMayEncryptAndDecrypt", KEY_WRITERS[kind], ENCRYPT_AND_DECRYPT, names))
    if kind in copies.zones:
        statements.append(_use("CopiesAreMade", (ROLE_OF_ZONE[kind],), COPY, names))
    return document(*statements, *_services(kind, names))


def replica_key_policy(zone: Zone, names: EstateNames) -> str:
    """The policy of a zone's key in the other region: copies are written, and none is read until a disaster.

    Whoever administers the key then names the readers, which is on record.
    """
    return document(
        _administration(names),
        _use("CopiesAreMade", (ROLE_OF_ZONE[zone],), ("kms:Encrypt", "kms:GenerateDataKey"), names),
    )


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
        return [_event_delivery(names), _event_archive(names), *_task_storage(names)]
    if kind == "deidentified":
        # Data stores, repositories and endpoints work through grants that are made in the name of whoever deploys, and
        # who makes a data store needs one more (HealthImaging developer guide, "Data encryption").
        jobs_encrypt = _use("JobsMayEncrypt", ("training",), ("kms:DescribeKey", "kms:Encrypt"), names)
        services = ("medical-imaging", "ecr", "sagemaker")
        through = _deployment_through(names, *services, more=("kms:ReEncrypt*",))
        # Of whoever calls it, HealthImaging asks this "for all operations" (the same page).
        callers_look = _use("CallersMayDescribe", ("processor", "operator"), ("kms:DescribeKey",), names)
        return [through, callers_look, jobs_encrypt, _job_volumes(names)]
    if kind == "tracking":
        # Encryption at rest of a table works through a grant of whoever creates the table, who needs these two as
        # well (DynamoDB developer guide, "Authorizing use of your customer managed key").
        return [_deployment_through(names, "dynamodb", more=("kms:Encrypt", "kms:ReEncrypt*"))]
    if kind == "secrets":
        # Values are put by whoever runs the estate, never by this program.
        return [_deployment_through(names, "secretsmanager")]
    if kind == "logs":
        return [
            _log_delivery(names),
            _log_inspection(names),
            _trail_delivery(names),
            _trail_description(names),
            _alarm_delivery(names),
            _notice_delivery(),
        ]
    return []


def _task_storage(names: EstateNames) -> list[Statement]:
    """What a task spools, images among it, is encrypted by Fargate (ECS developer guide, "Fargate task storage")."""
    ours: Conditions = {
        "StringEquals": {
            "kms:EncryptionContext:aws:ecs:clusterAccount": names.account_id,
            "kms:EncryptionContext:aws:ecs:clusterName": names.cluster,
        }
    }
    fargate = service("fargate.amazonaws.com")
    return [
        Statement(
            sid="FargateEncryptsTaskStorage",
            principals=fargate,
            actions=["kms:GenerateDataKeyWithoutPlaintext"],
            resources=THIS_KEY,
            conditions=ours,
        ),
        Statement(
            sid="FargateDecryptsTaskStorage",
            principals=fargate,
            actions=["kms:CreateGrant"],
            resources=THIS_KEY,
            conditions={**ours, "ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt"]}},
        ),
    ]


def _event_delivery(names: EstateNames) -> Statement:
    return Statement(
        sid="EventBridgeDeliversToTheQueues",
        principals=service("events.amazonaws.com"),
        # DescribeKey has no encryption context, so that the statement of bus and archives could not grant it.
        actions=["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
        resources=THIS_KEY,
        conditions=from_account(names.account_id),
    )


def _event_archive(names: EstateNames) -> Statement:
    return Statement(
        sid="EventBridgeArchives",
        principals=service("events.amazonaws.com"),
        actions=["kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncrypt*"],
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


def _deployment_through(names: EstateNames, *services: str, more: tuple[str, ...] = ()) -> Statement:
    return Statement(
        sid="AccountUsesThroughTheService",
        principals=principals(account_root(names.account_id)),
        actions=[
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKey*",
            "kms:RetireGrant",
            *more,
        ],
        resources=THIS_KEY,
        conditions={
            "StringEquals": {"kms:ViaService": [f"{each}.{names.region}.amazonaws.com" for each in services]}
        },
    )


def _job_volumes(names: EstateNames) -> Statement:
    return Statement(
        sid="JobVolumesAreEncrypted",
        principals=principals(names.role_arn("training"), names.role_arn("endpoint")),
        actions=["kms:CreateGrant"],
        resources=THIS_KEY,
        conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
    )


def _log_delivery(names: EstateNames) -> Statement:
    groups = f"arn:aws:logs:{names.region}:{names.account_id}:log-group"
    # WAF writes only to groups whose names begin with aws-waf-logs- (AWS WAF developer guide).
    log_groups = [
        f"{groups}:/rayline/{names.stack}/*",
        f"{groups}:aws-waf-logs-{names.prefix}*",
        f"{groups}:{names.insights_log_group}",
        f"{groups}:{names.endpoint_log_group}",
    ]
    return Statement(
        sid="CloudWatchLogsEncrypts",
        principals=service(f"logs.{names.region}.amazonaws.com"),
        actions=["kms:Decrypt*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
        resources=THIS_KEY,
        conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": log_groups}},
    )


def _log_inspection(names: EstateNames) -> Statement:
    # A request to describe a key bears no encryption context, so the condition above would never be met.
    return Statement(
        sid="CloudWatchLogsLooksAtTheKey",
        principals=service(f"logs.{names.region}.amazonaws.com"),
        actions=["kms:DescribeKey"],
        resources=THIS_KEY,
    )


def _trail_delivery(names: EstateNames) -> Statement:
    trails: tuple[TrailKind, ...] = ("management", "data")
    return Statement(
        sid="CloudTrailEncrypts",
        principals=service("cloudtrail.amazonaws.com"),
        actions=["kms:GenerateDataKey*"],
        resources=THIS_KEY,
        conditions={
            "StringEquals": {"aws:SourceArn": [names.trail_arn(kind) for kind in trails]},
            "StringLike": {
                "kms:EncryptionContext:aws:cloudtrail:arn": f"arn:aws:cloudtrail:*:{names.account_id}:trail/*"
            },
        },
    )


def _trail_description(names: EstateNames) -> Statement:
    return Statement(
        sid="CloudTrailDescribes",
        principals=service("cloudtrail.amazonaws.com"),
        actions=["kms:DescribeKey"],
        resources=THIS_KEY,
        conditions=from_account(names.account_id),
    )


def _alarm_delivery(names: EstateNames) -> Statement:
    return Statement(
        sid="AlarmsReachTheTopic",
        # Budgets and Cost Anomaly Detection publish by themselves (AWS Cost Management, "Creating an SNS topic").
        principals=service(
            "cloudwatch.amazonaws.com",
            "budgets.amazonaws.com",
            "costalerts.amazonaws.com",
        ),
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=THIS_KEY,
        conditions=from_account(names.account_id),
    )


def _notice_delivery() -> Statement:
    return Statement(
        sid="NoticesReachTheTopic",
        principals=service("events.amazonaws.com"),
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        # Without a condition on the source: EventBridge gives none where it publishes to an encrypted topic (SNS
        # developer guide, "Enable compatibility between event sources from AWS services and encrypted topics").
        resources=THIS_KEY,
    )
