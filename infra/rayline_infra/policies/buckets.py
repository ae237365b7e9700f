"""Policies of buckets: who is kept out whatever IAM says, and which services write logs into them."""

from rayline.names import IDENTIFIED_BUCKETS, BucketKind, EstateNames, ReplicatedBucket, TrailKind
from rayline_infra.policies.documents import (
    EVERYONE,
    Statement,
    document,
    from_account,
    service,
    tls_only,
)
from rayline_infra.policies.role_zones import DEIDENTIFIED_ROLES

ENCRYPTION = "s3:x-amz-server-side-encryption"
ENCRYPTION_KEY = "s3:x-amz-server-side-encryption-aws-kms-key-id"
# The trail and the access logs name objects by the keys that senders chose.
KEPT_FROM_DEIDENTIFIED: tuple[BucketKind, ...] = (*IDENTIFIED_BUCKETS, "logs", "access-logs")
CONFIG_PREFIX = "config"
TRAIL_PREFIX = "trail"


def bucket_policy(kind: BucketKind, names: EstateNames, key_arn: str) -> str:
    """TLS only and one key only; what may name a patient also refuses the de-identified zone's roles.

    Args:
        key_arn: the bucket's key; empty where S3 encrypts with its own.
    """
    arn = names.bucket_arn(kind)
    # Only services write logs, and CloudTrail encrypts its digests as it sees fit.
    statements = _always(arn, "" if kind == "logs" else key_arn)
    if kind in KEPT_FROM_DEIDENTIFIED:
        statements.append(_refuse_deidentified(arn, names))
    if kind == "logs":
        statements += _trail_delivery(arn, names)
    elif kind == "access-logs":
        statements += [*_access_logs(arn, names), *_config_delivery(arn, names)]
    elif kind == "viewer":
        statements.append(_viewer_delivery(arn, names))
    return document(*statements)


def replica_policy(kind: ReplicatedBucket, names: EstateNames, key_arn: str) -> str:
    """The policy of a bucket in the other region; only S3's replication writes there."""
    arn = names.replica_arn(kind)
    refused = [_refuse_deidentified(arn, names)] if kind in KEPT_FROM_DEIDENTIFIED else []
    return document(*_always(arn, key_arn), *refused)


def _refuse_deidentified(arn: str, names: EstateNames) -> Statement:
    return Statement(
        sid="NotForTheDeidentifiedZone",
        effect="Deny",
        # S3 takes no policy whose principal does not exist, and not every stack has every role.
        principals=EVERYONE,
        actions=["s3:*"],
        resources=(arn, f"{arn}/*"),
        conditions={"ArnEquals": {"aws:PrincipalArn": [names.role_arn(role) for role in DEIDENTIFIED_ROLES]}},
    )


def _always(arn: str, key_arn: str) -> list[Statement]:
    tls = tls_only(arn, f"{arn}/*", actions=["s3:*"])
    if not key_arn:
        return [tls]
    # A request that names no encryption gets the bucket's own; one that names another would leave the zone's key.
    return [
        tls,
        _refuse_other("OnlyKms", arn, ENCRYPTION, "aws:kms"),
        _refuse_other("OnlyTheZonesKey", arn, ENCRYPTION_KEY, key_arn),
    ]


def _refuse_other(sid: str, arn: str, condition_key: str, value: str) -> Statement:
    return Statement(
        sid=sid,
        effect="Deny",
        principals=EVERYONE,
        actions=["s3:PutObject"],
        resources=(f"{arn}/*",),
        conditions={"Null": {condition_key: "false"}, "StringNotEquals": {condition_key: value}},
    )


def _trail_delivery(arn: str, names: EstateNames) -> list[Statement]:
    kinds: tuple[TrailKind, ...] = ("management", "data")
    trails = [names.trail_arn(kind) for kind in kinds]
    return [
        Statement(
            sid="CloudTrailLooks",
            principals=service("cloudtrail.amazonaws.com"),
            actions=["s3:GetBucketAcl"],
            resources=(arn,),
            conditions={"StringEquals": {"aws:SourceArn": trails}},
        ),
        Statement(
            sid="CloudTrailWrites",
            principals=service("cloudtrail.amazonaws.com"),
            actions=["s3:PutObject"],
            resources=(f"{arn}/{TRAIL_PREFIX}/AWSLogs/{names.account_id}/*",),
            conditions={
                "StringEquals": {"aws:SourceArn": trails, "s3:x-amz-acl": "bucket-owner-full-control"}
            },
        ),
    ]


def _access_logs(arn: str, names: EstateNames) -> list[Statement]:
    buckets = f"arn:aws:s3:::{names.prefix}-*"
    balancers = f"arn:aws:elasticloadbalancing:{names.region}:{names.account_id}:loadbalancer/*"
    # CloudFront's deliveries are made in us-east-1 wherever the stack is (CloudFront developer guide).
    deliveries = [
        f"arn:aws:logs:{region}:{names.account_id}:*" for region in sorted({names.region, "us-east-1"})
    ]
    logs = f"{arn}/*AWSLogs/{names.account_id}/*"
    return [
        Statement(
            sid="S3Writes",
            principals=service("logging.s3.amazonaws.com"),
            actions=["s3:PutObject"],
            resources=(f"{arn}/s3/*",),
            conditions={"ArnLike": {"aws:SourceArn": buckets}, **from_account(names.account_id)},
        ),
        Statement(
            sid="LoadBalancersWrite",
            principals=service("logdelivery.elasticloadbalancing.amazonaws.com"),
            actions=["s3:PutObject"],
            resources=(logs,),
            conditions={"ArnLike": {"aws:SourceArn": balancers}},
        ),
        Statement(
            sid="LogDeliveryLooks",
            principals=service("delivery.logs.amazonaws.com"),
            actions=["s3:GetBucketAcl"],
            resources=(arn,),
            conditions={"ArnLike": {"aws:SourceArn": deliveries}, **from_account(names.account_id)},
        ),
        Statement(
            sid="LogDeliveryWrites",
            principals=service("delivery.logs.amazonaws.com"),
            actions=["s3:PutObject"],
            resources=(logs,),
            conditions={
                "ArnLike": {"aws:SourceArn": deliveries},
                "StringEquals": {
                    "aws:SourceAccount": names.account_id,
                    "s3:x-amz-acl": "bucket-owner-full-control",
                },
            },
        ),
    ]


def _config_delivery(arn: str, names: EstateNames) -> list[Statement]:
    return [
        Statement(
            sid="ConfigLooks",
            principals=service("config.amazonaws.com"),
            actions=["s3:GetBucketAcl", "s3:ListBucket"],
            resources=(arn,),
            conditions=from_account(names.account_id),
        ),
        Statement(
            sid="ConfigWrites",
            principals=service("config.amazonaws.com"),
            actions=["s3:PutObject"],
            resources=(f"{arn}/{CONFIG_PREFIX}/AWSLogs/{names.account_id}/Config/*",),
            conditions={
                "StringEquals": {
                    "aws:SourceAccount": names.account_id,
                    "s3:x-amz-acl": "bucket-owner-full-control",
                }
            },
        ),
    ]


def _viewer_delivery(arn: str, names: EstateNames) -> Statement:
    # The distribution is made of this bucket, so that the bucket cannot name it; what lies here is public anyway.
    # CloudFront promises the ARN, which holds the account, and no other condition key (CloudFront developer guide,
    # "Restrict access to an Amazon S3 origin").
    distributions = f"arn:aws:cloudfront::{names.account_id}:distribution/*"
    return Statement(
        sid="CloudFrontReads",
        principals=service("cloudfront.amazonaws.com"),
        actions=["s3:GetObject"],
        resources=(f"{arn}/*",),
        conditions={"ArnLike": {"aws:SourceArn": distributions}},
    )
