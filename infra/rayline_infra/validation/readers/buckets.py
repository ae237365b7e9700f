"""Readers of S3: each sub-resource of a bucket is a resource of the program's."""

from collections.abc import Iterable
from typing import Any

from rayline_infra.policies.graph import Resource
from rayline_infra.validation.account import Account, differing, present


def _s3(account: Account, resource: Resource) -> Any:
    return account.client("s3", resource.inputs.get("region"))


def bucket(account: Account, resource: Resource) -> Iterable[str]:
    present(lambda: _s3(account, resource).head_bucket(Bucket=resource.inputs["bucket"]))
    return ()


def versioning(account: Account, resource: Resource) -> Iterable[str]:
    found = present(lambda: _s3(account, resource).get_bucket_versioning(Bucket=resource.inputs["bucket"]))
    return differing(found, Status=resource.inputs["versioningConfiguration"]["status"])


def encryption(account: Account, resource: Resource) -> Iterable[str]:
    found = present(lambda: _s3(account, resource).get_bucket_encryption(Bucket=resource.inputs["bucket"]))
    (declared,) = resource.inputs["rules"]
    default = account.expected(declared["applyServerSideEncryptionByDefault"])
    applied = found["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    yield from differing(applied, SSEAlgorithm=default["sseAlgorithm"])
    if "kmsMasterKeyId" in default:
        yield from differing(applied, KMSMasterKeyID=default["kmsMasterKeyId"])


def public_access(account: Account, resource: Resource) -> Iterable[str]:
    found = present(lambda: _s3(account, resource).get_public_access_block(Bucket=resource.inputs["bucket"]))
    flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    return differing(
        found["PublicAccessBlockConfiguration"],
        **{flag[0].upper() + flag[1:]: resource.inputs[flag] for flag in flags},
    )


def policy(account: Account, resource: Resource) -> Iterable[str]:
    found = present(lambda: _s3(account, resource).get_bucket_policy(Bucket=resource.inputs["bucket"]))
    if not account.same_document(resource.inputs["policy"], found["Policy"]):
        yield "its policy is not the declared one"


def notification(account: Account, resource: Resource) -> Iterable[str]:
    found = present(
        lambda: _s3(account, resource).get_bucket_notification_configuration(Bucket=resource.inputs["bucket"])
    )
    if resource.inputs.get("eventbridge") and "EventBridgeConfiguration" not in found:
        yield "it sends no events to EventBridge"


def lifecycle(account: Account, resource: Resource) -> Iterable[str]:
    found = present(
        lambda: _s3(account, resource).get_bucket_lifecycle_configuration(Bucket=resource.inputs["bucket"])
    )
    there = {rule.get("ID"): rule["Status"] for rule in found["Rules"]}
    for rule in resource.inputs["rules"]:
        if there.get(rule["id"]) != rule["status"]:
            yield f"its lifecycle rule {rule['id']} is {there.get(rule['id'], 'missing')}"


def ownership(account: Account, resource: Resource) -> Iterable[str]:
    found = present(
        lambda: _s3(account, resource).get_bucket_ownership_controls(Bucket=resource.inputs["bucket"])
    )
    rule = found["OwnershipControls"]["Rules"][0]
    return differing(rule, ObjectOwnership=resource.inputs["rule"]["objectOwnership"])


def logging(account: Account, resource: Resource) -> Iterable[str]:
    found = present(lambda: _s3(account, resource).get_bucket_logging(Bucket=resource.inputs["bucket"]))
    return differing(found.get("LoggingEnabled", {}), TargetBucket=resource.inputs["targetBucket"])


READERS = {
    "aws:s3/bucket:Bucket": bucket,
    "aws:s3/bucketVersioning:BucketVersioning": versioning,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": encryption,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": public_access,
    "aws:s3/bucketPolicy:BucketPolicy": policy,
    "aws:s3/bucketNotification:BucketNotification": notification,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": lifecycle,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ownership,
    "aws:s3/bucketLogging:BucketLogging": logging,
}
