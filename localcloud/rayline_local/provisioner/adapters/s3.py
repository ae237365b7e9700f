"""S3 buckets and their settings, each a resource of its own as in the AWS provider."""

import json
from abc import ABC, abstractmethod
from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tag_list, tolerate
from rayline_local.provisioner.clients import Clients

NO_BUCKET = ("NoSuchBucket", "404", "NotFound")


class BucketAdapter:
    """``aws:s3/bucket:Bucket``."""

    replaced_by = frozenset({"bucket", "objectLockEnabled"})

    def __init__(self, clients: Clients) -> None:
        self._s3 = clients.get("s3")
        self._region = clients.region

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["bucket"]
        if not self.exists(name, inputs):
            # us-east-1 is the one region that must not be named (S3 CreateBucket).
            where = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
            self._s3.create_bucket(
                Bucket=name,
                ObjectLockEnabledForBucket=bool(inputs.get("objectLockEnabled")),
                **({"CreateBucketConfiguration": where} if where else {}),
            )
        if tags := tag_list(inputs):
            self._s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
        return Made(
            name,
            {
                "arn": f"arn:aws:s3:::{name}",
                "region": self._region,
                "bucketDomainName": f"{name}.s3.amazonaws.com",
                "bucketRegionalDomainName": f"{name}.s3.{self._region}.amazonaws.com",
            },
        )

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return tolerate(NO_BUCKET, lambda: self._s3.head_bucket(Bucket=resource_id)) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        if inputs.get("forceDestroy"):
            tolerate(NO_BUCKET, lambda: self._empty(resource_id))
        # A bucket with objects is refused, as the AWS provider does without forceDestroy.
        tolerate(NO_BUCKET, lambda: self._s3.delete_bucket(Bucket=resource_id))

    def _empty(self, bucket: str) -> None:
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                self._s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])


class _BucketSetting(ABC):
    """A setting of one bucket; its id is the bucket's name."""

    replaced_by = frozenset({"bucket"})
    absent: tuple[str, ...] = ()

    def __init__(self, clients: Clients) -> None:
        self._s3 = clients.get("s3")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        self._write(inputs["bucket"], inputs)
        return Made(inputs["bucket"])

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        found = tolerate((*NO_BUCKET, *self.absent), lambda: self._read(resource_id))
        return bool(found)

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate((*NO_BUCKET, *self.absent), lambda: self._remove(resource_id))

    @abstractmethod
    def _write(self, bucket: str, inputs: Inputs) -> None: ...

    @abstractmethod
    def _read(self, bucket: str) -> Any: ...

    @abstractmethod
    def _remove(self, bucket: str) -> Any: ...


class VersioningAdapter(_BucketSetting):
    """``aws:s3/bucketVersioning:BucketVersioning``."""

    def _write(self, bucket: str, inputs: Inputs) -> None:
        status = inputs["versioningConfiguration"]["status"]
        self._s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    def _read(self, bucket: str) -> Any:
        return self._s3.get_bucket_versioning(Bucket=bucket).get("Status")

    def _remove(self, bucket: str) -> Any:
        # Versioning cannot be removed, only suspended (S3 user guide).
        return self._s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


class EncryptionAdapter(_BucketSetting):
    """``aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration``."""

    absent = ("ServerSideEncryptionConfigurationNotFoundError",)

    def _write(self, bucket: str, inputs: Inputs) -> None:
        rules = []
        for rule in inputs["rules"]:
            default = rule["applyServerSideEncryptionByDefault"]
            by_default = {"SSEAlgorithm": default["sseAlgorithm"]}
            if default.get("kmsMasterKeyId"):
                by_default["KMSMasterKeyID"] = default["kmsMasterKeyId"]
            rules.append(
                {
                    "ApplyServerSideEncryptionByDefault": by_default,
                    "BucketKeyEnabled": bool(rule.get("bucketKeyEnabled")),
                }
            )
        self._s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})

    def _read(self, bucket: str) -> Any:
        return self._s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]

    def _remove(self, bucket: str) -> Any:
        return self._s3.delete_bucket_encryption(Bucket=bucket)


class BucketPolicyAdapter(_BucketSetting):
    """``aws:s3/bucketPolicy:BucketPolicy``."""

    absent = ("NoSuchBucketPolicy",)

    def _write(self, bucket: str, inputs: Inputs) -> None:
        json.loads(inputs["policy"])
        self._s3.put_bucket_policy(Bucket=bucket, Policy=inputs["policy"])

    def _read(self, bucket: str) -> Any:
        return self._s3.get_bucket_policy(Bucket=bucket)["Policy"]

    def _remove(self, bucket: str) -> Any:
        return self._s3.delete_bucket_policy(Bucket=bucket)


class PublicAccessAdapter(_BucketSetting):
    """``aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock``."""

    absent = ("NoSuchPublicAccessBlockConfiguration",)

    def _write(self, bucket: str, inputs: Inputs) -> None:
        self._s3.put_public_access_block(
            Bucket=bucket,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": bool(inputs.get("blockPublicAcls")),
                "IgnorePublicAcls": bool(inputs.get("ignorePublicAcls")),
                "BlockPublicPolicy": bool(inputs.get("blockPublicPolicy")),
                "RestrictPublicBuckets": bool(inputs.get("restrictPublicBuckets")),
            },
        )

    def _read(self, bucket: str) -> Any:
        return self._s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]

    def _remove(self, bucket: str) -> Any:
        return self._s3.delete_public_access_block(Bucket=bucket)


class OwnershipAdapter(_BucketSetting):
    """``aws:s3/bucketOwnershipControls:BucketOwnershipControls``."""

    absent = ("OwnershipControlsNotFoundError",)

    def _write(self, bucket: str, inputs: Inputs) -> None:
        rule = {"ObjectOwnership": inputs["rule"]["objectOwnership"]}
        self._s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [rule]})

    def _read(self, bucket: str) -> Any:
        return self._s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]

    def _remove(self, bucket: str) -> Any:
        return self._s3.delete_bucket_ownership_controls(Bucket=bucket)


class NotificationAdapter(_BucketSetting):
    """``aws:s3/bucketNotification:BucketNotification``; only the EventBridge switch is known here."""

    def _write(self, bucket: str, inputs: Inputs) -> None:
        if unknown := sorted(set(inputs) & {"queues", "topics", "lambdaFunctions"}):
            raise ValueError(f"notifications to {', '.join(unknown)} are not known here; use EventBridge")
        configuration: dict[str, Any] = {"EventBridgeConfiguration": {}} if inputs.get("eventbridge") else {}
        self._s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)

    def _read(self, bucket: str) -> Any:
        return "EventBridgeConfiguration" in self._s3.get_bucket_notification_configuration(Bucket=bucket)

    def _remove(self, bucket: str) -> Any:
        return self._s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
