"""Deliveries of logs that services write themselves: a source, a destination, and the way between them."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.recipe import Found, Recipe, first


def _source(logs: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = logs.describe_delivery_sources()["deliverySources"]
    return first(each for each in found if each["name"] == inputs["name"])


SOURCE = Recipe(
    service="logs",
    find=_source,
    identity="name",
    create="PutDeliverySource",
    update="PutDeliverySource",
    delete=("DeleteDeliverySource", "name"),
    outputs={"arn": "{arn}"},
    replaced_by=frozenset({"name", "resourceArn", "logType"}),
)


def _destination(logs: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = logs.describe_delivery_destinations()["deliveryDestinations"]
    return first(each for each in found if each["name"] == inputs["name"])


DESTINATION = Recipe(
    service="logs",
    find=_destination,
    identity="name",
    create="PutDeliveryDestination",
    update="PutDeliveryDestination",
    delete=("DeleteDeliveryDestination", "name"),
    outputs={"arn": "{arn}"},
    replaced_by=frozenset({"name", "outputFormat"}),
)


def _delivery(logs: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    ends = (inputs["deliverySourceName"], inputs["deliveryDestinationArn"])
    found = logs.describe_deliveries()["deliveries"]
    return first(
        each for each in found if (each["deliverySourceName"], each["deliveryDestinationArn"]) == ends
    )


DELIVERY = Recipe(
    service="logs",
    find=_delivery,
    identity="id",
    create="CreateDelivery",
    delete=("DeleteDelivery", "id"),
    outputs={"arn": "{arn}"},
    replaced_by=frozenset({"deliverySourceName", "deliveryDestinationArn"}),
)
