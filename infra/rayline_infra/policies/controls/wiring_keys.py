"""Whoever may read or write something encrypted may use its key, by its own policy and by the key's."""

from collections.abc import Iterator, Mapping

from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.graph import Graph
from rayline_infra.policies.holdings import (
    ENDPOINT_CONFIGURATION,
    REPOSITORY,
    SECRET,
    TABLE,
    Holding,
    datastores,
    holdings,
    key_clauses,
    key_of,
)
from rayline_infra.policies.identities import Identity, identities
from rayline_infra.policies.patterns import overlaps
from rayline_infra.policies.statements import Clause, Request, decided

DECRYPT = ("kms:Decrypt",)
ENCRYPT = ("kms:GenerateDataKey",)
BOTH = (*ENCRYPT, *DECRYPT)
# What the key must allow whoever does this to an encrypted resource (KMS and each service's user guide).
NEEDED: Mapping[str, tuple[str, ...]] = {
    "s3:GetObject": DECRYPT,
    "s3:GetObjectVersion": DECRYPT,
    # Completing a multipart upload decrypts the parts (S3 user guide, "Protecting data with SSE-KMS").
    "s3:PutObject": BOTH,
    "sqs:SendMessage": BOTH,
    "sqs:ReceiveMessage": DECRYPT,
    "sns:Publish": BOTH,
    "dynamodb:GetItem": DECRYPT,
    "dynamodb:BatchGetItem": DECRYPT,
    "dynamodb:Query": DECRYPT,
    "dynamodb:Scan": DECRYPT,
    "dynamodb:PutItem": DECRYPT,
    "dynamodb:UpdateItem": DECRYPT,
    "dynamodb:DeleteItem": DECRYPT,
    "dynamodb:BatchWriteItem": DECRYPT,
    "secretsmanager:GetSecretValue": DECRYPT,
    "secretsmanager:PutSecretValue": BOTH,
    # HealthImaging developer guide, "Data encryption": kms:Decrypt for what reads or searches.
    "medical-imaging:GetImageSet": DECRYPT,
    "medical-imaging:GetImageSetMetadata": DECRYPT,
    "medical-imaging:GetImageFrame": DECRYPT,
    "medical-imaging:SearchImageSets": DECRYPT,
}
GRANT = ("kms:CreateGrant", "kms:DescribeKey")
# Through which service whoever deploys uses the key of what is declared, and for what (each service's user guide;
# for endpoints SageMaker's developer guide, "API Permissions: Actions, Permissions, and Resources Reference").
DEPLOYED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    TABLE: (
        "dynamodb",
        (*GRANT, *BOTH, "kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
    ),
    REPOSITORY: ("ecr", (*GRANT, "kms:RetireGrant")),
    ENDPOINT_CONFIGURATION: ("sagemaker", GRANT),
    SECRET: ("secretsmanager", BOTH),
}
DATASTORE_DEPLOYED = ("medical-imaging", (*GRANT, *BOTH))


def users_may_use_the_key(graph: Graph) -> Iterator[Observation]:
    """For every role and everything encrypted that it may read or write: the grant, on both sides."""
    held = [each for each in holdings(graph) if each.key_arn]
    for identity in identities(graph):
        used = {
            (holding.key_arn, action, holding.service, holding.resource.name)
            for holding in held
            for action in _done_to(identity, holding)
        }
        missing: set[str] = set()
        for key, action, service, name in sorted(used):
            for needed in NEEDED[action]:
                missing.update(
                    f"{action} on {name} needs {needed} {side}"
                    for side in _lacking(graph, identity, key, needed, service)
                )
        if used:
            keys = sorted({key.rpartition("/")[2] for key, *_ in used})
            setting = "; ".join(sorted(missing)) or f"may use {len(keys)} keys for {len(used)} accesses"
            yield judged(identity.role, not missing, setting)


def _done_to(identity: Identity, holding: Holding) -> Iterator[str]:
    for clause in identity.clauses:
        if clause.allows and _about(clause, holding):
            yield from (action for action in NEEDED if clause.has_action(action))


def _about(clause: Clause, holding: Holding) -> bool:
    return any(
        overlaps(arn, resource) for arn in holding.arns for resource in clause.resources if resource != "*"
    )


def _lacking(graph: Graph, identity: Identity, key: str, action: str, service: str) -> Iterator[str]:
    region, account = key.split(":")[3:5]
    via = {"kms:viaservice": f"{service}.{region}.amazonaws.com", "kms:calleraccount": account}
    if not decided(identity.clauses, Request(action, key, context=via)):
        yield "in the role's policy"
    policy = key_clauses(graph, key)
    callers = (identity.arn, f"arn:aws:iam::{account}:root")
    context = {**via, "aws:principalaccount": account, "aws:principalarn": identity.arn}
    if not any(decided(policy, Request(action, key, ("AWS", caller), context)) for caller in callers):
        yield "in the key's policy"


def deployers_may_use_the_key(graph: Graph) -> Iterator[Observation]:
    """What is encrypted in the name of whoever creates it: the key lets the account do so through the service."""
    found = [(each, *DEPLOYED[each.type]) for each in graph.resources if each.type in DEPLOYED]
    for resource, service, needed in (*found, *((each, *DATASTORE_DEPLOYED) for each in datastores(graph))):
        if key := key_of(graph, resource):
            refused = [action for action in needed if not _deployer_may(graph, key, action, service)]
            setting = f"may not {', '.join(refused)}" if refused else "may use the key"
            yield judged(resource, not refused, f"through {service}, whoever deploys {setting}")


def _deployer_may(graph: Graph, key: str, action: str, service: str) -> bool:
    region, account = key.split(":")[3:5]
    context = {"kms:viaservice": f"{service}.{region}.amazonaws.com", "kms:calleraccount": account}
    root = ("AWS", f"arn:aws:iam::{account}:root")
    return decided(key_clauses(graph, key), Request(action, key, root, context))


CONTROLS = (
    Control(
        "KEY-1",
        "Whoever reads or writes may use the key",
        ("164.312(a)(2)(iv)", "164.312(a)(1)"),
        "high",
        "policies of roles and of keys, for every bucket, queue, topic, table, secret and data store",
        users_may_use_the_key,
    ),
    Control(
        "KEY-2",
        "Whoever deploys may use the key for what is encrypted in its creator's name",
        ("164.312(a)(2)(iv)",),
        "high",
        "policies of the keys of tables, repositories, endpoint configurations, secrets and data stores",
        deployers_may_use_the_key,
    ),
)
