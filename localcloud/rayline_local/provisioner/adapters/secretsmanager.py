"""Secrets Manager secrets, without their values."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tag_list, tolerate
from rayline_local.provisioner.adapters.recipe import Found, Recipe
from rayline_local.provisioner.clients import Clients

GONE = ("ResourceNotFoundException",)


class SecretAdapter:
    """``aws:secretsmanager/secret:Secret``; its id is its ARN."""

    replaced_by = frozenset({"name"})

    def __init__(self, clients: Clients) -> None:
        self._secrets = clients.get("secretsmanager")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["name"]
        settings = {"Description": inputs.get("description", "")}
        if inputs.get("kmsKeyId"):
            settings["KmsKeyId"] = inputs["kmsKeyId"]
        found = self._describe(name)
        if found is None:
            arn = str(self._secrets.create_secret(Name=name, Tags=tag_list(inputs), **settings)["ARN"])
        else:
            arn = str(found["ARN"])
            if found.get("DeletedDate"):
                self._secrets.restore_secret(SecretId=arn)
            self._secrets.update_secret(SecretId=arn, **settings)
        return Made(arn, {"arn": arn})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        found = self._describe(resource_id)
        return found is not None and not found.get("DeletedDate")

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        days = int(inputs.get("recoveryWindowInDays", 30))
        window = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        tolerate(GONE, lambda: self._secrets.delete_secret(SecretId=resource_id, **window))

    def _describe(self, secret_id: str) -> dict[str, object] | None:
        return tolerate(GONE, lambda: dict(self._secrets.describe_secret(SecretId=secret_id)))


def _policy(secrets: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = secrets.get_resource_policy(SecretId=inputs["secretArn"])
    return dict(found) if found.get("ResourcePolicy") else None


SECRET_POLICY = Recipe(
    service="secretsmanager",
    find=_policy,
    identity="{secretArn}",
    create="PutResourcePolicy",
    update="PutResourcePolicy",
    renamed={"SecretId": "secretArn", "ResourcePolicy": "policy"},
    delete=lambda secrets, arn, inputs: secrets.delete_resource_policy(SecretId=arn),
    replaced_by=frozenset({"secretArn"}),
)
