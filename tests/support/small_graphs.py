"""Resource graphs of a few resources, as the planner would write them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rayline_infra.policies.graph import Graph, Resource

ACCOUNT = "222222222222"
REGION = "us-east-1"


def made(
    type_token: str,
    name: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    outputs: Mapping[str, Any] | None = None,
    identity: str = "",
    protect: bool = False,
    retain: bool = False,
) -> Resource:
    """A resource whose outputs are its inputs and what is added to them."""
    given = dict(inputs or {})
    return Resource(
        urn=f"urn:pulumi:test::rayline::{type_token}::{name}",
        type=type_token,
        name=name,
        custom=True,
        inputs=given,
        outputs={**given, **(outputs or {})},
        protect=protect,
        retain_on_delete=retain,
        id=identity or name,
    )


def graph(*resources: Resource, stack: str = "test") -> Graph:
    """A graph of these resources."""
    return Graph(stack, resources, {})


def edited(found: Graph, type_token: str, name: str, edit: Callable[[dict[str, Any]], object]) -> Graph:
    """The graph with the inputs of one resource changed, and its outputs with them."""
    target = found.named(type_token, name)
    inputs = json.loads(json.dumps(dict(target.inputs)))
    edit(inputs)
    added = {key: value for key, value in target.outputs.items() if key not in target.inputs}
    changed = replace(target, inputs=inputs, outputs={**inputs, **added})
    return replace(found, resources=tuple(changed if each is target else each for each in found.resources))


def without(found: Graph, type_token: str, name: str) -> Graph:
    """The graph without one resource."""
    removed = found.named(type_token, name)
    return replace(found, resources=tuple(each for each in found.resources if each is not removed))


def policy(*statements: Mapping[str, Any]) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(
    actions: str | list[str],
    resources: str | list[str] = "*",
    *,
    principal: object = None,
    when: Mapping[str, Mapping[str, object]] | None = None,
    sid: str = "Test",
    effect: str = "Allow",
) -> dict[str, Any]:
    """A statement."""
    statement: dict[str, Any] = {"Sid": sid, "Effect": effect, "Action": actions, "Resource": resources}
    if principal is not None:
        statement["Principal"] = principal
    if when:
        statement["Condition"] = when
    return statement


def deny(
    actions: str | list[str],
    resources: str | list[str] = "*",
    *,
    principal: object = None,
    when: Mapping[str, Mapping[str, object]] | None = None,
    sid: str = "TlsOnly",
) -> dict[str, Any]:
    """A statement that denies."""
    return allow(actions, resources, principal=principal, when=when, sid=sid, effect="Deny")


PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}


def arn(service: str, rest: str) -> str:
    """An ARN in the account and region of these graphs."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def role_arn(name: str) -> str:
    """ARN of a role of these graphs."""
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def key(kind: str, *statements: Mapping[str, Any], **inputs: Any) -> Resource:
    """A KMS key."""
    return made(
        "aws:kms/key:Key",
        f"{kind}-key",
        {"policy": policy(*statements), "enableKeyRotation": True, "deletionWindowInDays": 30.0, **inputs},
        outputs={"keyId": f"id-of-{kind}", "arn": key_arn(kind)},
    )


def key_arn(kind: str) -> str:
    """ARN of the key of a kind."""
    return arn("kms", f"key/id-of-{kind}")


def bucket(name: str, **inputs: Any) -> Resource:
    """A bucket; its physical name is ``b-`` and its logical one."""
    protect = inputs.pop("protect", False)
    return made(
        "aws:s3/bucket:Bucket",
        name,
        {"bucket": f"b-{name}", "forceDestroy": False, **inputs},
        outputs={"arn": f"arn:aws:s3:::b-{name}"},
        protect=protect,
    )


def encryption(name: str, key_kind: str | None) -> Resource:
    """The default encryption of a bucket: with a key of ours, or S3's own."""
    default: dict[str, Any] = {"sseAlgorithm": "AES256"}
    if key_kind:
        default = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key_arn(key_kind)}
    return made(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        f"{name}-encryption",
        {"bucket": f"b-{name}", "rules": [{"applyServerSideEncryptionByDefault": default}]},
    )


def bucket_policy(name: str, *statements: Mapping[str, Any]) -> Resource:
    """The policy of a bucket."""
    return made(
        "aws:s3/bucketPolicy:BucketPolicy",
        f"{name}-policy",
        {"bucket": f"b-{name}", "policy": policy(*statements)},
    )


def queue(name: str, **inputs: Any) -> Resource:
    """A queue."""
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
    return made(
        "aws:sqs/queue:Queue",
        name,
        {"name": name, "messageRetentionSeconds": 1209600.0, **inputs},
        outputs={"arn": arn("sqs", name), "url": url},
    )


def queue_policy(name: str, *statements: Mapping[str, Any]) -> Resource:
    """The policy of a queue."""
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
    return made(
        "aws:sqs/queuePolicy:QueuePolicy",
        f"{name}-policy",
        {"queueUrl": url, "policy": policy(*statements)},
    )


def topic(name: str, **inputs: Any) -> Resource:
    """A topic."""
    return made("aws:sns/topic:Topic", name, {"name": name, **inputs}, outputs={"arn": arn("sns", name)})


def topic_policy(name: str, *statements: Mapping[str, Any]) -> Resource:
    """The policy of a topic."""
    return made(
        "aws:sns/topicPolicy:TopicPolicy",
        f"{name}-policy",
        {"arn": arn("sns", name), "policy": policy(*statements)},
    )


def role(kind: str, *trust: Mapping[str, Any], **inputs: Any) -> Resource:
    """A role."""
    statements = trust or (assumed_by("ecs-tasks.amazonaws.com"),)
    return made(
        "aws:iam/role:Role",
        f"{kind}-role",
        {"name": kind, "assumeRolePolicy": policy(*statements), **inputs},
        outputs={"arn": role_arn(kind)},
    )


def assumed_by(service: str) -> dict[str, Any]:
    """A service may assume the role for this account."""
    statement = allow(
        "sts:AssumeRole",
        principal={"Service": [service]},
        when={"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    )
    del statement["Resource"]
    return statement


def role_policy(kind: str, *statements: Mapping[str, Any]) -> Resource:
    """The policy of a role."""
    return made(
        "aws:iam/rolePolicy:RolePolicy",
        f"{kind}-policy",
        {"role": kind, "policy": policy(*statements)},
    )


def task(*containers: Mapping[str, Any], **inputs: Any) -> Resource:
    """A task definition."""
    return made(
        "aws:ecs/taskDefinition:TaskDefinition",
        "task",
        {"family": "task", "containerDefinitions": json.dumps(list(containers)), **inputs},
        outputs={"arn": arn("ecs", "task-definition/task:1")},
    )


def datastore(**inputs: Any) -> Resource:
    """A HealthImaging data store under the de-identified key."""
    kind = inputs.pop("key_kind", "deidentified")
    protect, retain = inputs.pop("protect", True), inputs.pop("retain", True)
    state = {
        "KmsKeyArn": key_arn(kind),
        "Tags": inputs.pop("tags", {"application": "rayline", "zone": "deidentified"}),
    }
    place = arn("medical-imaging", "datastore/d1")
    return made(
        "aws:cloudcontrol/resource:Resource",
        "datastore",
        {"typeName": "AWS::HealthImaging::Datastore", "desiredState": json.dumps(state)},
        outputs={"properties": json.dumps({"DatastoreId": "d1", "DatastoreArn": place})},
        protect=protect,
        retain=retain,
    )
