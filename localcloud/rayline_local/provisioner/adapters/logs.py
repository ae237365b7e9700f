"""CloudWatch log groups."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tolerate
from rayline_local.provisioner.clients import Clients

GONE = ("ResourceNotFoundException",)


class LogGroupAdapter:
    """``aws:cloudwatch/logGroup:LogGroup``."""

    # MiniStack has no AssociateKmsKey; on AWS another key is a change in place.
    replaced_by = frozenset({"name", "kmsKeyId"})

    def __init__(self, clients: Clients) -> None:
        self._logs = clients.get("logs")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["name"]
        key = {"kmsKeyId": inputs["kmsKeyId"]} if inputs.get("kmsKeyId") else {}
        tolerate(
            ("ResourceAlreadyExistsException",),
            lambda: self._logs.create_log_group(
                logGroupName=name, tags=dict(inputs.get("tags") or {}), **key
            ),
        )
        if days := int(inputs.get("retentionInDays", 0)):
            self._logs.put_retention_policy(logGroupName=name, retentionInDays=days)
        else:
            tolerate(GONE, lambda: self._logs.delete_retention_policy(logGroupName=name))
        # The API's ARN ends in :*, the provider's does not.
        return Made(name, {"arn": self._find(name)["arn"].removesuffix(":*")})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return self._find(resource_id) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._logs.delete_log_group(logGroupName=resource_id))

    def _find(self, name: str) -> Any:
        found = self._logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        return next((group for group in found if group["logGroupName"] == name), None)
