"""How long each bucket's objects stay, and where they go with age."""

from collections.abc import Sequence

import pulumi_aws as aws

from rayline.names import IMPORT_PREFIX, UPLOAD_IMPORTED, UPLOAD_STATE_TAG, BucketKind
from rayline_infra.settings import AuditSettings, StorageSettings

Rule = aws.s3.BucketLifecycleConfigurationRuleArgs
Filter = aws.s3.BucketLifecycleConfigurationRuleFilterArgs
Transition = aws.s3.BucketLifecycleConfigurationRuleTransitionArgs
NONCURRENT_DAYS = 30
UNFINISHED_UPLOAD_DAYS = 7
# Glacier bills at least this many days (Amazon S3 user guide, "Storage classes for archiving objects").
LEAST_GLACIER_DAYS = 90
DAYS_A_YEAR = 366
# What nobody reads waits for hours in Glacier; models, reports and originals may be read again at any time.
GLACIER_CLASS: dict[BucketKind, str] = {
    "archive": "GLACIER",
    "logs": "GLACIER",
    "access-logs": "GLACIER",
    "uploads": "GLACIER_IR",
    "models": "GLACIER_IR",
    "reports": "GLACIER_IR",
}


def lifecycle(kind: BucketKind, storage: StorageSettings, audit: AuditSettings) -> Sequence[Rule]:
    """The rules of a bucket, or of the one in the other region that it is copied to."""
    if kind == "uploads":
        return [_remove_unfinished(), _expire_imported(storage)]
    if kind == "archive":
        # A key that was uploaded again keeps all of its versions.
        return [_remove_unfinished(), _keep(kind, storage)]
    rules = [_remove_leftovers()]
    if kind == "quarantine":
        rules.append(_expire("expire-quarantine", "", storage.quarantine_days))
    elif kind == "imports":
        # HealthImaging has the images by then; its result manifests stay as evidence.
        rules.append(_expire("expire-batches", IMPORT_PREFIX, storage.batch_days))
    elif kind == "preprocessed":
        # Manifests under datasets/ stay: they say what a model was trained on.
        rules.append(_expire("expire-training-images", "preprocessed/", storage.batch_days))
    elif kind in ("logs", "access-logs"):
        # Leap days included, so that no lock outlives the rule by a day.
        days = audit.audit_years * DAYS_A_YEAR
        rules.append(_keep(kind, storage, expire_after=days))
    elif kind in GLACIER_CLASS:
        rules.append(_keep(kind, storage))
    return rules


def _remove_unfinished() -> Rule:
    return Rule(
        id="remove-unfinished",
        status="Enabled",
        filter=Filter(prefix=""),
        abort_incomplete_multipart_upload=_aborted(),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
    )


def _remove_leftovers() -> Rule:
    return Rule(
        id="remove-leftovers",
        status="Enabled",
        filter=Filter(prefix=""),
        abort_incomplete_multipart_upload=_aborted(),
        noncurrent_version_expiration=_noncurrent(),
    )


def _expire_imported(storage: StorageSettings) -> Rule:
    """Originals whose images HealthImaging has; any other, also one that was uploaded over, stays.

    S3 cannot know what was imported, so the reconciler tags those versions.
    """
    return Rule(
        id="expire-imported",
        status="Enabled",
        filter=Filter(
            tag=aws.s3.BucketLifecycleConfigurationRuleFilterTagArgs(
                key=UPLOAD_STATE_TAG, value=UPLOAD_IMPORTED
            )
        ),
        transitions=_transitions("uploads", storage, storage.upload_days),
        expiration=_after(storage.upload_days),
        noncurrent_version_expiration=_noncurrent(),
    )


def _expire(rule_id: str, prefix: str, days: int) -> Rule:
    return Rule(id=rule_id, status="Enabled", filter=Filter(prefix=prefix), expiration=_after(days))


def _keep(kind: BucketKind, storage: StorageSettings, expire_after: int | None = None) -> Rule:
    return Rule(
        id="keep-cheaply",
        status="Enabled",
        filter=Filter(prefix=""),
        transitions=_transitions(kind, storage, expire_after),
        expiration=_after(expire_after) if expire_after else None,
    )


def _transitions(kind: BucketKind, storage: StorageSettings, expire_after: int | None) -> list[Transition]:
    """The two moves, less what would be paid for longer than the objects live."""
    moves = [
        (storage.intelligent_tiering_days, "INTELLIGENT_TIERING", 0),
        (storage.glacier_days, GLACIER_CLASS[kind], LEAST_GLACIER_DAYS),
    ]
    return [
        Transition(days=days, storage_class=storage_class)
        for days, storage_class, least in moves
        if expire_after is None or days + least < expire_after
    ]


def _after(days: int) -> aws.s3.BucketLifecycleConfigurationRuleExpirationArgs:
    return aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days)


def _aborted() -> aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs:
    return aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
        days_after_initiation=UNFINISHED_UPLOAD_DAYS
    )


def _noncurrent() -> aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs:
    return aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
        noncurrent_days=NONCURRENT_DAYS
    )
