"""What in a graph holds data: its ARN, the key that encrypts it, and the policy that stands at its door."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.statements import Clause, read_policy

BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
BUCKET_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
QUEUE = "aws:sqs/queue:Queue"
TOPIC = "aws:sns/topic:Topic"
TABLE = "aws:dynamodb/table:Table"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105
REPOSITORY = "aws:ecr/repository:Repository"
CLUSTER = "aws:ecs/cluster:Cluster"
ENDPOINT_CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
KEY = "aws:kms/key:Key"
REPLICA_KEY = "aws:kms/replicaKey:ReplicaKey"
ALIAS = "aws:kms/alias:Alias"
CLOUD_CONTROL = "aws:cloudcontrol/resource:Resource"
DATASTORE = "AWS::HealthImaging::Datastore"
# type: (type of its policy, the policy's input that refers to it, the output referred to)
POLICY_OF: Mapping[str, tuple[str, str, str]] = {
    BUCKET: (BUCKET_POLICY, "bucket", "bucket"),
    QUEUE: ("aws:sqs/queuePolicy:QueuePolicy", "queueUrl", "url"),
    TOPIC: ("aws:sns/topicPolicy:TopicPolicy", "arn", "arn"),
    SECRET: ("aws:secretsmanager/secretPolicy:SecretPolicy", "secretArn", "arn"),
    REPOSITORY: ("aws:ecr/repositoryPolicy:RepositoryPolicy", "repository", "name"),
    "aws:cloudwatch/eventBus:EventBus": (
        "aws:cloudwatch/eventBusPolicy:EventBusPolicy",
        "eventBusName",
        "name",
    ),
}
KEY_INPUT: Mapping[str, str] = {
    QUEUE: "kmsMasterKeyId",
    TOPIC: "kmsMasterKeyId",
    SECRET: "kmsKeyId",
    "aws:cloudwatch/logGroup:LogGroup": "kmsKeyId",
    "aws:cloudwatch/eventArchive:EventArchive": "kmsKeyIdentifier",
    "aws:cloudwatch/eventBus:EventBus": "kmsKeyIdentifier",
    "aws:cloudtrail/trail:Trail": "kmsKeyId",
    CLUSTER: "configuration.managedStorageConfiguration.fargateEphemeralStorageKmsKeyId",
    ENDPOINT_CONFIGURATION: "kmsKeyArn",
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": "serverSideEncryption.keyArn",
}


@dataclass(frozen=True)
class Holding:
    """A resource with data that a key encrypts.

    Attributes:
        arns: patterns of what is read and written in it.
        key_arn: its key, or an empty text when it names none of the graph's.
        service: the service that decrypts it for a caller, as ``kms:ViaService`` names it.
    """

    resource: Resource
    arns: tuple[str, ...]
    key_arn: str
    service: str


def holdings(graph: Graph) -> tuple[Holding, ...]:
    """Buckets, queues, topics, tables, secrets and data stores."""
    return tuple(_holdings(graph))


def key_of(graph: Graph, resource: Resource) -> str:
    """ARN of the graph's key that a resource names, or an empty text."""
    path = KEY_INPUT.get(resource.type)
    if resource.type == BUCKET:
        return _bucket_key(graph, resource)
    if resource.type == TABLE:
        return key_arn(graph, (resource.inputs.get("serverSideEncryption") or {}).get("kmsKeyArn"))
    if resource.type == REPOSITORY:
        configurations = resource.inputs.get("encryptionConfigurations") or [{}]
        return key_arn(graph, configurations[0].get("kmsKey"))
    if resource.type == CLOUD_CONTROL:
        return key_arn(graph, json.loads(str(resource.inputs["desiredState"])).get("KmsKeyArn"))
    if path is None:
        return ""
    value: object = resource.inputs
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return key_arn(graph, value)


def keys(graph: Graph) -> tuple[Resource, ...]:
    """The keys, and their replicas in other regions."""
    return (*graph.of_type(KEY), *graph.of_type(REPLICA_KEY))


def key_arn(graph: Graph, named: object) -> str:
    """ARN of the graph's key that is named by ARN, id or alias; an empty text for any other."""
    for key in keys(graph):
        # A replica has the id of its primary: a resource of another region names it by ARN.
        if named == key.outputs["arn"] or (named == key.outputs["keyId"] and key.type == KEY):
            return str(key.outputs["arn"])
    for alias in graph.of_type(ALIAS):
        if named in (alias.inputs.get("name"), alias.outputs.get("arn")):
            return key_arn(graph, alias.inputs["targetKeyId"])
    return ""


def key_named(graph: Graph, arn: str) -> Resource | None:
    """The key with an ARN."""
    return next((key for key in keys(graph) if key.outputs["arn"] == arn), None)


def key_clauses(graph: Graph, arn: str) -> tuple[Clause, ...]:
    """The key policy of the key with an ARN."""
    key = key_named(graph, arn)
    return read_policy(str(key.inputs["policy"])) if key and key.inputs.get("policy") else ()


def policy_resource(graph: Graph, resource: Resource) -> Resource | None:
    """The resource that is a bucket's, queue's, topic's … policy."""
    policy_type, reference, output = POLICY_OF[resource.type]
    named = resource.outputs.get(output)
    return next((each for each in graph.of_type(policy_type) if each.inputs.get(reference) == named), None)


def door_clauses(graph: Graph, resource: Resource) -> tuple[Clause, ...]:
    """The policy at the door of a bucket, queue, topic …; empty when it has none."""
    policy = policy_resource(graph, resource)
    text = policy.inputs["policy"] if policy else resource.inputs.get("policy")
    return read_policy(str(text)) if text else ()


def bucket_part(graph: Graph, type_token: str, bucket: Resource) -> Resource | None:
    """The resource of a type that configures a bucket."""
    name = bucket.inputs["bucket"]
    return next((each for each in graph.of_type(type_token) if each.inputs.get("bucket") == name), None)


def datastores(graph: Graph) -> tuple[Resource, ...]:
    """The HealthImaging data stores."""
    return tuple(each for each in graph.of_type(CLOUD_CONTROL) if each.inputs["typeName"] == DATASTORE)


def bucket_defaults(graph: Graph, bucket: Resource) -> list[Mapping[str, object]]:
    """How each rule of a bucket's default encryption encrypts."""
    part = bucket_part(graph, BUCKET_ENCRYPTION, bucket)
    rules = part.inputs["rules"] if part else []
    return [rule["applyServerSideEncryptionByDefault"] for rule in rules]


def _bucket_key(graph: Graph, bucket: Resource) -> str:
    defaults = bucket_defaults(graph, bucket)
    if not defaults or any(each.get("sseAlgorithm") not in ("aws:kms", "aws:kms:dsse") for each in defaults):
        return ""
    return key_arn(graph, defaults[0].get("kmsMasterKeyId"))


def _holdings(graph: Graph) -> Iterator[Holding]:
    for resource in graph.resources:
        if resource.type == BUCKET:
            arns: tuple[str, ...] = (f"arn:aws:s3:::{resource.inputs['bucket']}/*",)
            service = "s3"
        elif resource.type == TABLE:
            arn = str(resource.outputs["arn"])
            arns, service = (arn, f"{arn}/index/*"), "dynamodb"
        elif resource.type in (QUEUE, TOPIC, SECRET):
            arns = (str(resource.outputs["arn"]),)
            service = {QUEUE: "sqs", TOPIC: "sns", SECRET: "secretsmanager"}[resource.type]
        elif resource.type == CLOUD_CONTROL and resource.inputs["typeName"] == DATASTORE:
            arn = str(json.loads(str(resource.outputs["properties"]))["DatastoreArn"])
            arns, service = (arn, f"{arn}/imageset/*"), "medical-imaging"
        else:
            continue
        yield Holding(resource, arns, key_of(graph, resource), service)
