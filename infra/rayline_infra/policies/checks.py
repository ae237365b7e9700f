"""Rules over the resource graph: each answers one sentence per breach, and nothing when all is well."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rayline_infra.policies.graph import Graph, Resource

BUCKET = "aws:s3/bucket:Bucket"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
# Actions for which AWS has no resource to name.
RESOURCELESS_ACTIONS = frozenset({"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"})
POLICY_OF: Mapping[str, tuple[str, str]] = {
    # type: (type of its policy, the policy's input that refers to it)
    BUCKET: ("aws:s3/bucketPolicy:BucketPolicy", "bucket"),
    "aws:sqs/queue:Queue": ("aws:sqs/queuePolicy:QueuePolicy", "queueUrl"),
    "aws:sns/topic:Topic": ("aws:sns/topicPolicy:TopicPolicy", "arn"),
}
KEY_INPUT: Mapping[str, str] = {
    "aws:sqs/queue:Queue": "kmsMasterKeyId",
    "aws:sns/topic:Topic": "kmsMasterKeyId",
    "aws:secretsmanager/secret:Secret": "kmsKeyId",
    "aws:cloudwatch/logGroup:LogGroup": "kmsKeyId",
    "aws:cloudwatch/eventArchive:EventArchive": "kmsKeyIdentifier",
}


def statements(policy: str) -> list[dict[str, Any]]:
    """The statements of a policy document."""
    found: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return found


def unencrypted(graph: Graph) -> list[str]:
    """Resources that hold data and are not encrypted with one of our keys."""
    breaches = [
        f"{resource.name} ({resource.type}) names no key in {KEY_INPUT[resource.type]}"
        for resource in graph.resources
        if resource.type in KEY_INPUT and not resource.inputs.get(KEY_INPUT[resource.type])
    ]
    for table in graph.of_type("aws:dynamodb/table:Table"):
        if not table.inputs.get("serverSideEncryption", {}).get("kmsKeyArn"):
            breaches.append(f"{table.name} (table) is not encrypted with a key of ours")
    encrypted = {_bucket_of(each) for each in _bucket_encryptions(graph)}
    for bucket in graph.of_type(BUCKET):
        if bucket.inputs["bucket"] not in encrypted:
            breaches.append(f"{bucket.name} (bucket) has no default encryption with a key of ours")
    return breaches


def public(graph: Graph) -> list[str]:
    """Buckets that do not block every kind of public access."""
    blocks = {
        _bucket_of(each): each.inputs
        for each in graph.of_type("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    }
    flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    return [
        f"{bucket.name} does not set {flag}"
        for bucket in graph.of_type(BUCKET)
        for flag in flags
        if blocks.get(bucket.inputs["bucket"], {}).get(flag) is not True
    ]


def without_tls(graph: Graph) -> list[str]:
    """Buckets, queues and topics whose policy does not deny requests without TLS."""
    breaches = []
    for type_token, (policy_type, reference) in POLICY_OF.items():
        policies = {each.inputs[reference]: each.inputs["policy"] for each in graph.of_type(policy_type)}
        for resource in graph.of_type(type_token):
            key = _reference(resource, reference)
            if not any(
                _denies_plain_http(each) for each in statements(policies.get(key, '{"Statement":[]}'))
            ):
                breaches.append(f"{resource.name} ({type_token}) accepts requests without TLS")
    return breaches


def wildcards(graph: Graph) -> list[str]:
    """Role policies that allow every resource, or every action of a service, where AWS demands neither."""
    breaches = []
    for policy in graph.of_type(ROLE_POLICY):
        for statement in statements(policy.inputs["policy"]):
            if statement["Effect"] != "Allow":
                continue
            actions = set(statement["Action"])
            if "*" in statement["Resource"] and not actions <= RESOURCELESS_ACTIONS:
                breaches.append(f"{policy.name} statement {statement['Sid']} allows every resource")
            breaches += [
                f"{policy.name} statement {statement['Sid']} allows {action}"
                for action in sorted(actions)
                if action == "*" or action.endswith(":*")
            ]
    return breaches


CHECKS: tuple[Callable[[Graph], list[str]], ...] = (unencrypted, public, without_tls, wildcards)


def breaches(graph: Graph) -> list[str]:
    """Every breach of every rule."""
    return [breach for check in CHECKS for breach in check(graph)]


def _bucket_encryptions(graph: Graph) -> Iterator[Resource]:
    type_token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"  # noqa: S105
    for resource in graph.of_type(type_token):
        defaults = [rule["applyServerSideEncryptionByDefault"] for rule in resource.inputs["rules"]]
        if all(each["sseAlgorithm"] == "aws:kms" and each.get("kmsMasterKeyId") for each in defaults):
            yield resource


def _bucket_of(resource: Resource) -> str:
    return str(resource.inputs["bucket"])


def _reference(resource: Resource, reference: str) -> str:
    return str(resource.outputs["url" if reference == "queueUrl" else reference])


def _denies_plain_http(statement: Mapping[str, Any]) -> bool:
    condition = statement.get("Condition", {})
    return (
        statement["Effect"] == "Deny"
        and statement.get("Principal") == "*"
        and condition.get("Bool", {}).get("aws:SecureTransport") == "false"
    )
