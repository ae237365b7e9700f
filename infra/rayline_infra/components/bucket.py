"""One S3 bucket with all that guards it, each setting a resource of its own as AWS has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True)
class BucketArgs:
    """A bucket and its guards.

    Attributes:
        key_arn: the key that encrypts it; None where S3 must encrypt with its own.
        policy: whom it refuses and admits.
        protected: neither Pulumi nor a forced emptying removes it.
        region: where it stands.
        logged_to: the bucket that tells who called it; None where that would be itself.
        announced: whether EventBridge hears of its objects.
        locked_years: objects cannot be deleted by anybody for this long; 0 locks nothing.
    """

    name: str
    key_arn: pulumi.Input[str] | None
    policy: pulumi.Input[str]
    rules: Sequence[aws.s3.BucketLifecycleConfigurationRuleArgs]
    protected: bool
    region: str
    logged_to: aws.s3.BucketPolicy | None
    announced: bool = False
    locked_years: int = 0


@dataclass(frozen=True)
class DeclaredBucket:
    """A bucket, and what others wait for: its versioning and its policy."""

    bucket: aws.s3.Bucket
    versioning: aws.s3.BucketVersioning
    policy: aws.s3.BucketPolicy


def declare_bucket(name: str, args: BucketArgs, parent: pulumi.Resource) -> DeclaredBucket:
    """Declare a bucket that is versioned, encrypted, never public, owner enforced, and logged."""
    region = args.region
    child = pulumi.ResourceOptions(parent=parent)
    bucket = aws.s3.Bucket(
        name,
        region=region,
        bucket=args.name,
        force_destroy=not (args.protected or args.locked_years),
        object_lock_enabled=bool(args.locked_years),
        opts=pulumi.ResourceOptions(parent=parent, protect=args.protected),
    )
    aws.s3.BucketOwnershipControls(
        f"{name}-ownership",
        region=region,
        bucket=bucket.bucket,
        rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
        opts=child,
    )
    public_access = aws.s3.BucketPublicAccessBlock(
        f"{name}-public-access",
        region=region,
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=child,
    )
    versioning = aws.s3.BucketVersioning(
        f"{name}-versioning",
        region=region,
        bucket=bucket.bucket,
        versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
        opts=child,
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption",
        region=region,
        bucket=bucket.bucket,
        rules=[_encryption(args.key_arn)],
        opts=child,
    )
    aws.s3.BucketLifecycleConfiguration(
        f"{name}-lifecycle",
        region=region,
        bucket=bucket.bucket,
        rules=args.rules,
        # S3 refuses rules on noncurrent versions while versioning is still being set.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[versioning]),
    )
    policy = aws.s3.BucketPolicy(
        f"{name}-policy",
        region=region,
        bucket=bucket.bucket,
        policy=args.policy,
        # S3 answers 409 to a policy and a public access block set at the same time.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[public_access]),
    )
    if args.locked_years:
        _lock(name, args, bucket, versioning, parent)
    if args.logged_to is not None:
        aws.s3.BucketLogging(
            f"{name}-logging",
            region=region,
            bucket=bucket.bucket,
            target_bucket=args.logged_to.bucket,
            target_prefix=f"s3/{name}/",
            # S3 refuses a target that does not admit it yet.
            opts=pulumi.ResourceOptions(parent=parent, depends_on=[args.logged_to]),
        )
    if args.announced:
        aws.s3.BucketNotification(
            f"{name}-notification", region=region, bucket=bucket.bucket, eventbridge=True, opts=child
        )
    return DeclaredBucket(bucket, versioning, policy)


def _encryption(
    key_arn: pulumi.Input[str] | None,
) -> aws.s3.BucketServerSideEncryptionConfigurationRuleArgs:
    by_default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs
    if key_arn is None:
        return aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=by_default(sse_algorithm="AES256")
        )
    return aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
        apply_server_side_encryption_by_default=by_default(
            sse_algorithm="aws:kms", kms_master_key_id=key_arn
        ),
        # One data key per bucket and time window instead of one per object: fewer KMS requests.
        bucket_key_enabled=True,
    )


def _lock(
    name: str,
    args: BucketArgs,
    bucket: aws.s3.Bucket,
    versioning: aws.s3.BucketVersioning,
    parent: pulumi.Resource,
) -> None:
    # In compliance mode not even the account's root shortens it (Amazon S3 user guide, "Locking objects").
    retention = aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
        mode="COMPLIANCE", years=args.locked_years
    )
    aws.s3.BucketObjectLockConfiguration(
        f"{name}-lock",
        region=args.region,
        bucket=bucket.bucket,
        object_lock_enabled="Enabled",
        rule=aws.s3.BucketObjectLockConfigurationRuleArgs(default_retention=retention),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[versioning]),
    )
