"""Readers of roles, keys and secrets."""

from collections.abc import Iterable
from functools import partial

from rayline_infra.policies.graph import Resource
from rayline_infra.validation.account import Account, differing, present


def role(account: Account, resource: Resource) -> Iterable[str]:
    found = present(lambda: account.client("iam").get_role(RoleName=resource.inputs["name"]))["Role"]
    if not account.same_document(resource.inputs["assumeRolePolicy"], found["AssumeRolePolicyDocument"]):
        yield "its trust is not the declared one"


def role_policy(account: Account, resource: Resource) -> Iterable[str]:
    inputs = resource.inputs
    found = present(
        lambda: account.client("iam").get_role_policy(RoleName=inputs["role"], PolicyName=inputs["name"])
    )
    if not account.same_document(inputs["policy"], found["PolicyDocument"]):
        yield "what it may do is not what is declared"


def alias(account: Account, resource: Resource) -> Iterable[str]:
    kms = account.client("kms", resource.inputs.get("region"))
    present(lambda: kms.describe_key(KeyId=resource.inputs["name"]))
    return ()


def key(account: Account, resource: Resource) -> Iterable[str]:
    aliases = [
        each.inputs
        for each in account.graph.of_type("aws:kms/alias:Alias")
        if each.inputs["targetKeyId"] in (resource.id, resource.outputs.get("arn"))
    ]
    for each in aliases:
        kms = account.client("kms", each.get("region"))
        found = present(partial(kms.describe_key, KeyId=each["name"]))["KeyMetadata"]
        if found["KeyState"] != "Enabled":
            yield f"is {found['KeyState']}"
        elif (
            resource.inputs.get("enableKeyRotation")
            and not kms.get_key_rotation_status(KeyId=found["KeyId"])["KeyRotationEnabled"]
        ):
            yield "does not rotate"
        else:
            policy = kms.get_key_policy(KeyId=found["KeyId"], PolicyName="default")["Policy"]
            if not account.same_document(resource.inputs["policy"], policy):
                yield "its policy is not the declared one"
    if not aliases:
        yield "no alias names it, so that it cannot be found"


def secret(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["name"]
    found = present(lambda: account.client("secretsmanager").describe_secret(SecretId=name))
    yield from differing(found, KmsKeyId=account.expected(resource.inputs["kmsKeyId"]))
    if found.get("DeletedDate"):
        yield "is to be deleted"
    if not any("AWSCURRENT" in stages for stages in found.get("VersionIdsToStages", {}).values()):
        yield f"has no value yet; put one: aws secretsmanager put-secret-value --secret-id {name}"


def secret_policy(account: Account, resource: Resource) -> Iterable[str]:
    arn = account.expected(resource.inputs["secretArn"])
    found = present(lambda: account.client("secretsmanager").get_resource_policy(SecretId=arn))
    if not account.same_document(resource.inputs["policy"], found.get("ResourcePolicy")):
        yield "its policy is not the declared one"


READERS = {
    "aws:iam/role:Role": role,
    "aws:iam/rolePolicy:RolePolicy": role_policy,
    "aws:kms/alias:Alias": alias,
    "aws:kms/key:Key": key,
    "aws:secretsmanager/secret:Secret": secret,
    "aws:secretsmanager/secretPolicy:SecretPolicy": secret_policy,
}
