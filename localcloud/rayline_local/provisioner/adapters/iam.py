"""IAM roles and their inline policies."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tag_list, tolerate
from rayline_local.provisioner.adapters.recipe import Found, Recipe
from rayline_local.provisioner.clients import Clients

GONE = ("NoSuchEntity",)
TAKEN = ("EntityAlreadyExists",)


class RoleAdapter:
    """``aws:iam/role:Role``."""

    replaced_by = frozenset({"name", "path"})

    def __init__(self, clients: Clients) -> None:
        self._iam = clients.get("iam")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name, trust = inputs["name"], inputs["assumeRolePolicy"]
        tolerate(
            TAKEN,
            lambda: self._iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=trust,
                Description=inputs.get("description", ""),
                Tags=tag_list(inputs),
            ),
        )
        self._iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
        self._iam.update_role(RoleName=name, Description=inputs.get("description", ""))
        role = self._iam.get_role(RoleName=name)["Role"]
        return Made(name, {"arn": role["Arn"], "uniqueId": role["RoleId"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return tolerate(GONE, lambda: self._iam.get_role(RoleName=resource_id)) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._iam.delete_role(RoleName=resource_id))


class RolePolicyAdapter:
    """``aws:iam/rolePolicy:RolePolicy``."""

    replaced_by = frozenset({"name", "role"})

    def __init__(self, clients: Clients) -> None:
        self._iam = clients.get("iam")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        role, name = inputs["role"], inputs["name"]
        self._iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=inputs["policy"])
        return Made(f"{role}:{name}")

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        role, name = inputs["role"], inputs["name"]
        return tolerate(GONE, lambda: self._iam.get_role_policy(RoleName=role, PolicyName=name)) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        role, name = inputs["role"], inputs["name"]
        tolerate(GONE, lambda: self._iam.delete_role_policy(RoleName=role, PolicyName=name))


def _attachment(iam: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = iam.list_attached_role_policies(RoleName=inputs["role"])["AttachedPolicies"]
    return next((dict(each) for each in found if each["PolicyArn"] == inputs["policyArn"]), None)


ROLE_POLICY_ATTACHMENT = Recipe(
    service="iam",
    find=_attachment,
    identity="{role}/{policyArn}",
    create="AttachRolePolicy",
    renamed={"RoleName": "role"},
    delete=lambda iam, resource_id, inputs: iam.detach_role_policy(
        RoleName=inputs["role"], PolicyArn=inputs["policyArn"]
    ),
    replaced_by=frozenset({"role", "policyArn"}),
)
