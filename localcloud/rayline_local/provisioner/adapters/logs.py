"""CloudWatch log groups, metric filters and resource policies."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tolerate
from rayline_local.provisioner.adapters.recipe import Found, Recipe
from rayline_local.provisioner.adapters.requests import request_for
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


def _metric_filter(logs: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = logs.describe_metric_filters(logGroupName=inputs["logGroupName"])["metricFilters"]
    return next((dict(each) for each in found if each["filterName"] == inputs["name"]), None)


def _put_metric_filter(logs: Any, inputs: Inputs) -> Any:
    request = request_for(logs, "PutMetricFilter", inputs, {"filterName": "name", "filterPattern": "pattern"})
    request["metricTransformations"] = request_for(
        logs,
        "PutMetricFilter",
        {
            "metricTransformations": [
                {
                    f"metric{name.capitalize()}" if name in NAMED else name: value
                    for name, value in each.items()
                }
                for each in [inputs["metricTransformation"]]
            ]
        },
    )["metricTransformations"]
    return logs.put_metric_filter(**request)


NAMED = ("name", "namespace", "value")
METRIC_FILTER = Recipe(
    service="logs",
    find=_metric_filter,
    identity="filterName",
    create=_put_metric_filter,
    update=lambda logs, found, inputs: _put_metric_filter(logs, inputs),
    delete=lambda logs, name, inputs: logs.delete_metric_filter(
        logGroupName=inputs["logGroupName"], filterName=name
    ),
    replaced_by=frozenset({"name", "logGroupName"}),
)


def _resource_policy(logs: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = logs.describe_resource_policies()["resourcePolicies"]
    return next((dict(each) for each in found if each["policyName"] == inputs["policyName"]), None)


RESOURCE_POLICY = Recipe(
    service="logs",
    find=_resource_policy,
    identity="policyName",
    create="PutResourcePolicy",
    update="PutResourcePolicy",
    delete=("DeleteResourcePolicy", "policyName"),
    replaced_by=frozenset({"policyName"}),
)
