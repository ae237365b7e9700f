"""Settings of a bucket whose inputs have S3's own shape: read, put and deleted whole."""

from collections.abc import Callable, Mapping
from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.recipe import Found, Recipe, call
from rayline_local.provisioner.adapters.requests import request_for

Wrap = Callable[[Inputs], Mapping[str, Any]]


def _setting(put: str, get: str, answered: str, wrap: Wrap, delete: str | None) -> Recipe:
    """A setting that ``put`` sets, ``get`` answers as the member ``answered``, and ``delete`` takes away."""

    def find(s3: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
        bucket = resource_id or inputs["bucket"]
        answer = call(s3, get, {"Bucket": bucket})
        return {"Bucket": bucket} if answer.get(answered) else None

    def write(s3: Any, inputs: Inputs) -> Any:
        return call(s3, put, {"Bucket": inputs["bucket"], **request_for(s3, put, wrap(inputs))})

    def remove(s3: Any, bucket: str, inputs: Inputs) -> None:
        if delete is not None:
            call(s3, delete, {"Bucket": bucket})

    return Recipe(
        service="s3",
        find=find,
        identity="Bucket",
        create=write,
        update=lambda s3, found, inputs: write(s3, inputs),
        delete=remove,
        replaced_by=frozenset({"bucket"}),
    )


def _lifecycle(inputs: Inputs) -> Mapping[str, Any]:
    # S3 wants a filter, which may take everything (API_LifecycleRule).
    rules = [{**rule, "filter": rule.get("filter") or {"prefix": ""}} for rule in inputs["rules"]]
    return {"lifecycleConfiguration": {"rules": rules}}


LIFECYCLE = _setting(
    "PutBucketLifecycleConfiguration",
    "GetBucketLifecycleConfiguration",
    "Rules",
    _lifecycle,
    "DeleteBucketLifecycle",
)


REPLICATION = _setting(
    "PutBucketReplication",
    "GetBucketReplication",
    "ReplicationConfiguration",
    lambda inputs: {"replicationConfiguration": inputs},
    "DeleteBucketReplication",
)
OBJECT_LOCK = _setting(
    "PutObjectLockConfiguration",
    "GetObjectLockConfiguration",
    "ObjectLockConfiguration",
    lambda inputs: {"objectLockConfiguration": {"objectLockEnabled": "Enabled", "rule": inputs.get("rule")}},
    None,  # a bucket keeps its lock
)


def _logging(s3: Any, bucket: str, status: Mapping[str, Any]) -> None:
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=status)


def _write_logging(s3: Any, inputs: Inputs) -> None:
    target = {"targetBucket": inputs["targetBucket"], "targetPrefix": inputs.get("targetPrefix", "")}
    status = request_for(
        s3, "PutBucketLogging", {"bucketLoggingStatus": {"loggingEnabled": {**target, **_key_format(inputs)}}}
    )["BucketLoggingStatus"]
    _logging(s3, inputs["bucket"], status)


def _key_format(inputs: Inputs) -> Mapping[str, Any]:
    given = inputs.get("targetObjectKeyFormat")
    return {"targetObjectKeyFormat": given} if given else {}


def _find_logging(s3: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    bucket = resource_id or inputs["bucket"]
    return {"Bucket": bucket} if s3.get_bucket_logging(Bucket=bucket).get("LoggingEnabled") else None


LOGGING = Recipe(
    service="s3",
    find=_find_logging,
    identity="Bucket",
    create=_write_logging,
    update=lambda s3, found, inputs: _write_logging(s3, inputs),
    delete=lambda s3, bucket, inputs: _logging(s3, bucket, {}),  # S3 has no DeleteBucketLogging
    replaced_by=frozenset({"bucket"}),
)
