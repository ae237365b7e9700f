"""Least privilege: what the estate's roles are granted, held against what their calls have used."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayline_infra.policies.unobserved import UNOBSERVED, Unobserved
from rayline_local.estate_environment import ESTATE_FILE
from rayline_local.front.observed_grants import Grant, ObservedGrants
from rayline_local.front.services import GRANTS_FILE
from rayline_local.provisioner.state import EstateState, Provisioned

ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
BUCKET_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
# What a service asks of KMS in its caller's name (S3 user guide, "Required permissions"; SQS developer guide, "Key
# management"; DynamoDB developer guide, "Encryption at rest usage notes"; Secrets Manager user guide, "Secret
# encryption"). The local cloud's services ask nothing.
DECRYPT = ("kms:Decrypt",)
ENCRYPT = ("kms:GenerateDataKey*",)
ASKED_OF_KMS: Mapping[str, tuple[str, ...]] = {
    "s3:GetObject": DECRYPT,
    "s3:GetObjectVersion": DECRYPT,
    # Completing a multipart upload reads its parts.
    "s3:PutObject": (*ENCRYPT, *DECRYPT),
    "sqs:ReceiveMessage": DECRYPT,
    "sqs:SendMessage": (*ENCRYPT, *DECRYPT),
    "dynamodb:BatchGetItem": DECRYPT,
    "dynamodb:GetItem": DECRYPT,
    "dynamodb:Query": DECRYPT,
    "dynamodb:Scan": DECRYPT,
    "dynamodb:PutItem": (*ENCRYPT, *DECRYPT),
    "dynamodb:UpdateItem": (*ENCRYPT, *DECRYPT),
    "secretsmanager:GetSecretValue": DECRYPT,
}


@dataclass(frozen=True, order=True)
class Cell:
    """One cell of a policy, by the kind of its role; runs give a cell the same name, if not the same ARN."""

    role: str
    sid: str
    action: str
    position: int


@dataclass(frozen=True)
class Run:
    """One local cloud's estate, and the grants that its calls have used."""

    stack: str
    resources: Sequence[Provisioned]
    observed: Sequence[Grant]

    @classmethod
    def load(cls, folder: Path) -> Run:
        """The run of a state folder."""
        path = folder / ESTATE_FILE
        stack = json.loads(path.read_text())["stack"]
        resources = tuple(EstateState.load(path, stack).resources.values())
        return cls(stack, resources, ObservedGrants(folder / GRANTS_FILE).all())


@dataclass(frozen=True)
class Review:
    """What became of every grant.

    Attributes:
        granted: the resource pattern of every cell.
        explained: cells that no call used, and why they stay.
        unexplained: cells that no call used, and nobody says why.
        stale: reasons for cells that are used, or not granted.
    """

    granted: Mapping[Cell, str]
    used: frozenset[Cell]
    explained: Mapping[Cell, str]
    unexplained: Sequence[Cell]
    stale: Sequence[Unobserved]


def review(runs: Sequence[Run]) -> Review:
    """Hold the grants of the same estate against what was used in any of its runs."""
    allowed: dict[Cell, str] = {}
    worked: set[Cell] = set()
    for run in runs:
        allowed.update(granted(run))
        worked |= used(run)
    idle = sorted(set(allowed) - worked)
    reasons = {
        cell: each for cell in idle for each in UNOBSERVED if each.covers(cell.role, cell.sid, cell.action)
    }
    return Review(
        granted=allowed,
        used=frozenset(worked),
        explained={cell: reasons[cell].reason for cell in idle if cell in reasons},
        unexplained=[cell for cell in idle if cell not in reasons],
        stale=[each for each in UNOBSERVED if each not in reasons.values()],
    )


def granted(run: Run) -> dict[Cell, str]:
    """Every cell that the roles' policies allow, and the resource pattern that it stands for."""
    prefix = f"rayline-{run.stack}-"
    return {
        Cell(str(policy.inputs["role"]).removeprefix(prefix), statement["Sid"], action, position): resource
        for policy in run.resources
        if policy.type == ROLE_POLICY
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
        for position, resource in enumerate(statement["Resource"])
    }


def used(run: Run) -> set[Cell]:
    """The cells that allowed a call, and those that the services which were called need of KMS."""
    keys = dict(_encrypted(run.resources))
    prefix = f"rayline-{run.stack}-"
    seen = {(each.role.removeprefix(prefix), each.sid, each.action, each.resource) for each in run.observed}
    needed = {
        (role, action, key)
        for role, _, called, resource in seen
        for action in ASKED_OF_KMS.get(called, ())
        for key in (_key_of(resource, keys),)
        if key is not None
    }
    return {
        cell
        for cell, resource in granted(run).items()
        if (cell.role, cell.sid, cell.action, resource) in seen
        or (cell.role, cell.action, resource) in needed
    }


def _encrypted(resources: Sequence[Provisioned]) -> Iterator[tuple[str, str]]:
    """What is encrypted, by ARN, and the ARN of its key."""
    for each in resources:
        inputs: Mapping[str, Any] = each.inputs
        if each.type == BUCKET_ENCRYPTION:
            for rule in inputs["rules"]:
                default = rule["applyServerSideEncryptionByDefault"]
                if key := default.get("kmsMasterKeyId"):
                    yield f"arn:aws:s3:::{inputs['bucket']}", key
        elif key := inputs.get("kmsMasterKeyId") or inputs.get("kmsKeyId"):
            yield str(each.outputs.get("arn", each.urn)), key
        elif key := (inputs.get("serverSideEncryption") or {}).get("kmsKeyArn"):
            yield str(each.outputs["arn"]), key


def _key_of(resource: str, keys: Mapping[str, str]) -> str | None:
    parts = resource.split("/")
    # An object lies in its bucket (arn:aws:s3:::bucket/key), an index in its table (…:table/name/index/name).
    return keys.get(resource) or keys.get(parts[0]) or keys.get("/".join(parts[:2]))
