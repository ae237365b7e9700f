"""S3 buckets of the identified and the de-identified zone."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import (
    DEIDENTIFIED_BUCKETS,
    IDENTIFIED_BUCKETS,
    IMPORT_PREFIX,
    BucketKind,
    EstateNames,
)
from rayline_infra.policies.resources import bucket_policy
from rayline_infra.settings import StorageSettings

LifecycleRule = aws.s3.BucketLifecycleConfigurationRuleArgs
NONCURRENT_DAYS = 30
UNFINISHED_UPLOAD_DAYS = 7


@dataclass(frozen=True)
class BucketsArgs:
    """Names, the zones' keys, and how long objects are kept."""

    names: EstateNames
    identified_key_arn: pulumi.Input[str]
    deidentified_key_arn: pulumi.Input[str]
    retention: StorageSettings
    deletion_protection: bool


class Buckets(pulumi.ComponentResource):
    """Every bucket: versioned, encrypted with its zone's key, TLS only, never public, owner enforced."""

    def __init__(self, name: str, args: BucketsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:storage:Buckets", name, None, opts)
        self._args = args
        self._buckets: dict[BucketKind, aws.s3.Bucket] = {}
        for identified in IDENTIFIED_BUCKETS:
            if identified != "archive" or args.retention.original_archive:
                self._declare(identified, args.identified_key_arn)
        for deidentified in DEIDENTIFIED_BUCKETS:
            self._declare(deidentified, args.deidentified_key_arn)
        # Only uploads start work; the other buckets' writes are the estate's own and would echo.
        aws.s3.BucketNotification(
            "uploads-notification",
            bucket=self.name("uploads"),
            eventbridge=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

    def name(self, kind: BucketKind) -> pulumi.Output[str]:
        """Name of a bucket, known once the bucket exists."""
        return self._buckets[kind].bucket

    def _declare(self, kind: BucketKind, key_arn: pulumi.Input[str]) -> None:
        args = self._args
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            kind,
            bucket=args.names.bucket(kind),
            force_destroy=False,
            opts=pulumi.ResourceOptions(parent=self, protect=args.deletion_protection),
        )
        self._buckets[kind] = bucket
        aws.s3.BucketOwnershipControls(
            f"{kind}-ownership",
            bucket=bucket.bucket,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child,
        )
        public_access = aws.s3.BucketPublicAccessBlock(
            f"{kind}-public-access",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        versioning = aws.s3.BucketVersioning(
            f"{kind}-versioning",
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{kind}-encryption",
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=(
                        aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                            sse_algorithm="aws:kms", kms_master_key_id=key_arn
                        )
                    ),
                    # One data key per bucket and time window instead of one per object: fewer KMS requests.
                    bucket_key_enabled=True,
                )
            ],
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{kind}-lifecycle",
            bucket=bucket.bucket,
            rules=self._lifecycle(kind),
            # S3 refuses rules on noncurrent versions while versioning is still being set.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        aws.s3.BucketPolicy(
            f"{kind}-policy",
            bucket=bucket.bucket,
            policy=bucket_policy(kind, args.names),
            # S3 answers 409 to a policy and a public access block set at the same time.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[public_access]),
        )

    def _lifecycle(self, kind: BucketKind) -> Sequence[LifecycleRule]:
        rules = [
            LifecycleRule(
                id="remove-leftovers",
                status="Enabled",
                filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                abort_incomplete_multipart_upload=(
                    aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                        days_after_initiation=UNFINISHED_UPLOAD_DAYS
                    )
                ),
                noncurrent_version_expiration=(
                    aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                        noncurrent_days=NONCURRENT_DAYS
                    )
                ),
            )
        ]
        retention = self._args.retention
        if kind == "uploads":
            rules.append(_expire("expire-uploads", "", retention.upload_days))
        elif kind == "quarantine":
            rules.append(_expire("expire-quarantine", "", retention.quarantine_days))
        elif kind == "imports":
            # HealthImaging has the images by then; its result manifests stay as evidence.
            rules.append(_expire("expire-batches", IMPORT_PREFIX, retention.batch_days))
        elif kind == "preprocessed":
            # Manifests under datasets/ stay: they say what a model was trained on.
            rules.append(_expire("expire-training-images", "preprocessed/", retention.batch_days))
        return rules


def _expire(rule_id: str, prefix: str, days: int) -> LifecycleRule:
    return LifecycleRule(
        id=rule_id,
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
    )
