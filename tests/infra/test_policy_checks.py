"""The graph checks: silent on the estate, and each one speaks up when its rule is broken."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rayline_infra.policies import checks
from rayline_infra.policies.graph import Graph, Resource

BUCKET_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"


def test_the_estate_breaks_no_rule(graph: Graph) -> None:
    assert checks.breaches(graph) == []


def without(graph: Graph, type_token: str, name: str) -> Graph:
    removed = graph.named(type_token, name)
    return replace(graph, resources=tuple(each for each in graph.resources if each is not removed))


def edited(graph: Graph, type_token: str, name: str, edit: Callable[[dict[str, Any]], None]) -> Graph:
    def change(resource: Resource) -> Resource:
        if (resource.type, resource.name) != (type_token, name):
            return resource
        inputs = json.loads(json.dumps(dict(resource.inputs)))
        edit(inputs)
        return replace(resource, inputs=inputs)

    graph.named(type_token, name)
    return replace(graph, resources=tuple(change(each) for each in graph.resources))


def drop_statement(sid: str) -> Callable[[dict[str, Any]], None]:
    def edit(inputs: dict[str, Any]) -> None:
        policy = json.loads(inputs["policy"])
        policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != sid]
        inputs["policy"] = json.dumps(policy)

    return edit


def widen(key: str, value: list[str]) -> Callable[[dict[str, Any]], None]:
    def edit(inputs: dict[str, Any]) -> None:
        policy = json.loads(inputs["policy"])
        policy["Statement"][0][key] = value
        inputs["policy"] = json.dumps(policy)

    return edit


@pytest.mark.parametrize(
    ("type_token", "name", "policy"),
    [
        ("aws:s3/bucketPolicy:BucketPolicy", "uploads-policy", "uploads"),
        ("aws:sqs/queuePolicy:QueuePolicy", "queue-policy", "queue"),
        ("aws:sns/topicPolicy:TopicPolicy", "alarm-topic-policy", "alarm-topic"),
    ],
)
def test_a_policy_that_lets_plain_http_through_is_found(
    graph_of: Callable[[str], Graph], type_token: str, name: str, policy: str
) -> None:
    graph = graph_of("prod")
    for broken in (
        edited(graph, type_token, name, drop_statement("TlsOnly")),
        without(graph, type_token, name),
    ):
        (breach,) = checks.without_tls(broken)
        assert breach.startswith(f"{policy} ")


@pytest.mark.parametrize(
    ("type_token", "name", "key"),
    [
        ("aws:sqs/queue:Queue", "queue", "kmsMasterKeyId"),
        ("aws:sns/topic:Topic", "alarm-topic", "kmsMasterKeyId"),
        ("aws:secretsmanager/secret:Secret", "deid-secret", "kmsKeyId"),
        ("aws:cloudwatch/logGroup:LogGroup", "processor-logs", "kmsKeyId"),
        ("aws:cloudwatch/eventArchive:EventArchive", "aws-event-archive", "kmsKeyIdentifier"),
        ("aws:dynamodb/table:Table", "effects-table", "serverSideEncryption"),
    ],
)
def test_a_resource_without_a_key_is_found(
    graph_of: Callable[[str], Graph], type_token: str, name: str, key: str
) -> None:
    broken = edited(graph_of("prod"), type_token, name, lambda inputs: inputs.pop(key))
    (breach,) = checks.unencrypted(broken)
    assert breach.startswith(f"{name} ")


def test_a_bucket_without_encryption_is_found(graph_of: Callable[[str], Graph]) -> None:
    (breach,) = checks.unencrypted(without(graph_of("prod"), BUCKET_ENCRYPTION, "models-encryption"))
    assert breach.startswith("models ")


def test_a_bucket_that_could_be_public_is_found(graph_of: Callable[[str], Graph]) -> None:
    broken = edited(
        graph_of("prod"),
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "reports-public-access",
        lambda inputs: inputs.update(blockPublicPolicy=False),
    )
    assert checks.public(broken) == ["reports does not set blockPublicPolicy"]


@pytest.mark.parametrize(("key", "value"), [("Resource", ["*"]), ("Action", ["s3:*"]), ("Action", ["*"])])
def test_a_wildcard_is_found(graph_of: Callable[[str], Graph], key: str, value: list[str]) -> None:
    broken = edited(graph_of("prod"), "aws:iam/rolePolicy:RolePolicy", "processor-policy", widen(key, value))
    assert len(checks.wildcards(broken)) == 1
