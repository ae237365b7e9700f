"""Systems Manager parameters."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.recipe import Found, Recipe
from rayline_local.provisioner.adapters.requests import request_for


def _parameter(ssm: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return dict(ssm.get_parameter(Name=inputs["name"])["Parameter"])


def _put(ssm: Any, inputs: Inputs) -> Any:
    request = request_for(
        ssm, "PutParameter", {name: each for name, each in inputs.items() if name != "tags"}
    )
    return ssm.put_parameter(**{**request, "Overwrite": True})


PARAMETER = Recipe(
    service="ssm",
    find=_parameter,
    identity="Name",
    create=_put,
    update=lambda ssm, found, inputs: _put(ssm, inputs) if found["Value"] != inputs["value"] else None,
    delete=("DeleteParameter", "Name"),
    outputs={"arn": "{ARN}"},
    more_outputs=lambda ssm, found: {"version": found["Version"]},
    replaced_by=frozenset({"name", "type"}),
)
