"""Data at rest is encrypted with keys that the estate owns, rotates and keeps to itself."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rayline_infra.policies.controls.control import Control, Observation, absent, judged
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.holdings import (
    BUCKET,
    CLOUD_CONTROL,
    DATASTORE,
    KEY,
    KEY_INPUT,
    TABLE,
    bucket_defaults,
    key_named,
    key_of,
    keys,
)
from rayline_infra.policies.statements import EVERYONE, Clause, read_policy
from rayline_training.volumes import volume_key

BUCKET_LOGGING = "aws:s3/bucketLogging:BucketLogging"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
# What everybody who signs in gets anyway: S3's own key is enough, and CloudFront needs no grant on it.
PAGES = frozenset({"viewer"})
# What uses a key, as against what administers it.
USES = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:CreateGrant")


def log_targets(graph: Graph) -> frozenset[str]:
    """Buckets that receive access logs, which S3 and load balancers deliver under SSE-S3 only.

    Source: Amazon S3 user guide, "Enabling server access logging"; ELB user guide, "Access logs".
    """
    logged = {str(each.inputs["targetBucket"]) for each in graph.of_type(BUCKET_LOGGING)}
    for balancer in graph.of_type(BALANCER):
        for kind in ("accessLogs", "connectionLogs"):
            logged.add(str((balancer.inputs.get(kind) or {}).get("bucket", "")))
    return frozenset(logged)


def encrypted_at_rest(graph: Graph) -> Iterator[Observation]:
    """Every resource that holds data names a key of the graph."""
    unkeyed = log_targets(graph)
    for resource in graph.resources:
        if resource.type == BUCKET and resource.inputs["bucket"] in unkeyed:
            yield _managed(graph, resource, "access logs are delivered under SSE-S3 only")
        elif resource.type == BUCKET and resource.name in PAGES:
            yield _managed(graph, resource, "holds the viewer's pages, and nothing of a patient")
        elif resource.type in (BUCKET, TABLE, *KEY_INPUT) or (
            resource.type == CLOUD_CONTROL and resource.inputs["typeName"] == DATASTORE
        ):
            key = key_named(graph, key_of(graph, resource))
            yield judged(resource, key is not None, f"key = {key.name if key else 'none of ours'}")


def _managed(graph: Graph, bucket: Resource, reason: str) -> Observation:
    algorithms = [str(each.get("sseAlgorithm")) for each in bucket_defaults(graph, bucket)]
    setting = f"sseAlgorithm = {', '.join(algorithms) or 'none'}; {reason}"
    return judged(bucket, bool(algorithms), setting)


def keys_rotate(graph: Graph) -> Iterator[Observation]:
    """Every key is rotated."""
    for key in graph.of_type(KEY):
        rotates = key.inputs.get("enableKeyRotation") is True
        yield judged(key, rotates, f"enableKeyRotation = {key.inputs.get('enableKeyRotation')}")


def keys_are_kept(graph: Graph) -> Iterator[Observation]:
    """Each key policy names who uses the key: not everyone, not another account, not all of this one."""
    for key in keys(graph):
        policy = key.inputs.get("policy")
        if not policy:
            yield judged(key, False, "policy = none, so every principal of the account may use the key")
            continue
        wrong = [
            f"{clause.sid or 'a statement'} lets {name} use the key"
            for clause in read_policy(str(policy))
            for kind, name in clause.principals
            if _opens(clause, kind, name, account=str(key.outputs["arn"]).split(":")[4])
        ]
        yield judged(key, not wrong, "; ".join(wrong) or "policy names roles and services for every use")


def _opens(clause: Clause, kind: str, name: str, *, account: str) -> bool:
    if not clause.allows:
        return False
    if clause.inverted or EVERYONE in (kind, name):
        return True
    if kind != "AWS":
        return False
    if f"::{account}:" not in name and name != account:
        return True
    uses = any(clause.has_action(action) for action in USES)
    through_a_service = bool(clause.values_of("kms:ViaService"))
    return uses and (name.endswith(":root") or name == account) and not through_a_service


def jobs_are_encrypted(graph: Graph) -> Iterator[Observation]:
    """Every processing and training step of a pipeline encrypts its volume and its output."""
    for pipeline in graph.of_type("aws:sagemaker/pipeline:Pipeline"):
        definition = json.loads(str(pipeline.inputs["pipelineDefinition"]))
        defaults = {each["Name"]: each.get("DefaultValue") for each in definition.get("Parameters", [])}
        steps = list(job_steps(definition["Steps"]))
        wrong = [f"{step['Name']} has no {path}" for step in steps for path in _unencrypted(step, defaults)]
        named = ", ".join(step["Name"] for step in steps)
        yield judged(pipeline, not wrong, "; ".join(wrong) or f"volumes and outputs of {named} are encrypted")


def job_steps(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The steps of a pipeline that run a job, those within conditions too."""
    for step in steps:
        arguments = step.get("Arguments", {})
        if step["Type"] in ("Training", "Processing"):
            yield step
        for branch in ("IfSteps", "ElseSteps"):
            yield from job_steps(arguments.get(branch, []) if isinstance(arguments, dict) else [])


def _unencrypted(step: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    arguments = step["Arguments"]
    if step["Type"] == "Training":
        resources, output = arguments["ResourceConfig"], arguments["OutputDataConfig"]
    else:
        resources = arguments["ProcessingResources"]["ClusterConfig"]
        output = arguments.get("ProcessingOutputConfig", {"KmsKeyId": "no output"})
    chosen = resources["InstanceType"]
    instance_type = str(defaults[chosen["Get"].partition(".")[2]] if isinstance(chosen, dict) else chosen)
    # An instance type with storage of its own encrypts that in hardware, and takes no key.
    if volume_key(instance_type, "a key") is not None and not resources.get("VolumeKmsKeyId"):
        yield "VolumeKmsKeyId"
    if not output.get("KmsKeyId"):
        yield "KmsKeyId of its output"


def keys_exist(graph: Graph) -> Iterator[Observation]:
    """Each zone and purpose has its own key."""
    described = {key.name.removesuffix("-key"): key for key in graph.of_type(KEY)}
    for kind in ("identified", "deidentified", "tracking", "logs", "secrets"):
        if kind in described:
            yield judged(described[kind], True, f"a key of its own for {kind}")
        else:
            yield absent(f"{kind}-key", "no such key is declared")


CONTROLS = (
    Control(
        "ENC-1",
        "Data at rest is encrypted with a key of the estate",
        ("164.312(a)(2)(iv)",),
        "critical",
        "whatever holds data: buckets, tables, queues, log groups, archives, tasks' storage, images and others",
        encrypted_at_rest,
    ),
    Control(
        "ENC-2",
        "Keys are rotated",
        ("164.312(a)(2)(iv)",),
        "medium",
        "KMS keys",
        keys_rotate,
    ),
    Control(
        "ENC-3",
        "Key policies name who may use a key",
        ("164.312(a)(1)", "164.312(a)(2)(iv)"),
        "critical",
        "key policies: no use by everyone, by another account or by all of this account",
        keys_are_kept,
    ),
    Control(
        "ENC-4",
        "Training jobs encrypt their volumes and outputs",
        ("164.312(a)(2)(iv)",),
        "high",
        "steps of SageMaker pipelines",
        jobs_are_encrypted,
    ),
    Control(
        "ENC-5",
        "Each zone and purpose has a key of its own",
        ("164.312(a)(1)", "164.312(a)(2)(iv)"),
        "high",
        "the keys identified, deidentified, tracking, logs and secrets",
        keys_exist,
    ),
)
