"""KMS keys and aliases."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tag_list, tolerate
from rayline_local.provisioner.clients import Clients

GONE = ("NotFoundException",)
DELETION_DAYS = 7


class KeyAdapter:
    """``aws:kms/key:Key``; a key has no name, so a lost one is found again by its Name tag."""

    replaced_by: frozenset[str] = frozenset()

    def __init__(self, clients: Clients) -> None:
        self._kms = clients.get("kms")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        key_id = existing_id or self._find(inputs)
        if key_id is None:
            made = self._kms.create_key(
                Description=inputs.get("description", ""),
                Policy=inputs["policy"],
                Tags=tag_list(inputs, "TagKey", "TagValue"),
            )
            key_id = str(made["KeyMetadata"]["KeyId"])
        self._kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=inputs["policy"])
        self._kms.update_key_description(KeyId=key_id, Description=inputs.get("description", ""))
        if inputs.get("enableKeyRotation"):
            self._kms.enable_key_rotation(KeyId=key_id)
        else:
            self._kms.disable_key_rotation(KeyId=key_id)
        arn = str(self._kms.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"])
        return Made(key_id, {"keyId": key_id, "arn": arn})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        found = tolerate(GONE, lambda: self._kms.describe_key(KeyId=resource_id))
        return found is not None and found["KeyMetadata"]["KeyState"] == "Enabled"

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(
            (*GONE, "KMSInvalidStateException"),
            lambda: self._kms.schedule_key_deletion(KeyId=resource_id, PendingWindowInDays=DELETION_DAYS),
        )

    def _find(self, inputs: Inputs) -> str | None:
        wanted = (inputs.get("tags") or {}).get("Name")
        if wanted is None:
            return None
        for page in self._kms.get_paginator("list_keys").paginate():
            for key in page["Keys"]:
                if self._name_of(key["KeyId"]) == wanted and self.exists(key["KeyId"], inputs):
                    return str(key["KeyId"])
        return None

    def _name_of(self, key_id: str) -> Any:
        tags = self._kms.list_resource_tags(KeyId=key_id).get("Tags", [])
        return next((tag["TagValue"] for tag in tags if tag["TagKey"] == "Name"), None)


class AliasAdapter:
    """``aws:kms/alias:Alias``."""

    replaced_by = frozenset({"name"})

    def __init__(self, clients: Clients) -> None:
        self._kms = clients.get("kms")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name, key_id = inputs["name"], inputs["targetKeyId"]
        if self._find(name) is None:
            self._kms.create_alias(AliasName=name, TargetKeyId=key_id)
        else:
            self._kms.update_alias(AliasName=name, TargetKeyId=key_id)
        return Made(name, {"arn": self._find(name)["AliasArn"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        found = self._find(resource_id)
        return found is not None and found.get("TargetKeyId") == inputs["targetKeyId"]

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._kms.delete_alias(AliasName=resource_id))

    def _find(self, name: str) -> Any:
        for page in self._kms.get_paginator("list_aliases").paginate():
            for alias in page["Aliases"]:
                if alias["AliasName"] == name:
                    return alias
        return None
