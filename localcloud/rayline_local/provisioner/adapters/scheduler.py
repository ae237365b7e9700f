"""EventBridge Scheduler."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.recipe import Found, Recipe
from rayline_local.provisioner.adapters.requests import request_for


def _schedule(scheduler: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    group = inputs.get("groupName", "default")
    return {**scheduler.get_schedule(Name=inputs["name"], GroupName=group), "GroupName": group}


def _named(inputs: Inputs) -> Inputs:
    return {"groupName": "default", **inputs}


SCHEDULE = Recipe(
    service="scheduler",
    find=_schedule,
    identity="{GroupName}/{Name}",
    create=lambda scheduler, inputs: scheduler.create_schedule(
        **request_for(scheduler, "CreateSchedule", _named(inputs))
    ),
    update=lambda scheduler, found, inputs: scheduler.update_schedule(
        **request_for(scheduler, "UpdateSchedule", _named(inputs))
    ),
    delete=lambda scheduler, resource_id, inputs: scheduler.delete_schedule(
        Name=inputs["name"], GroupName=inputs.get("groupName", "default")
    ),
    outputs={"arn": "{Arn}"},
    replaced_by=frozenset({"name", "groupName"}),
)


def _group(scheduler: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return dict(scheduler.get_schedule_group(Name=inputs["name"]))


SCHEDULE_GROUP = Recipe(
    service="scheduler",
    find=_group,
    identity="Name",
    create="CreateScheduleGroup",
    delete=("DeleteScheduleGroup", "Name"),
    outputs={"arn": "{Arn}"},
    replaced_by=frozenset({"name"}),
)
