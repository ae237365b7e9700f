"""Turns a Pulumi resource's inputs into the request of an AWS operation, by botocore's own model of it."""

from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

Inputs = Mapping[str, Any]
INTEGERS = ("integer", "long")
NUMBERS = ("float", "double")


def request_for(
    client: Any, operation: str, inputs: Inputs, renamed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The members of an operation's request that the inputs give.

    Pulumi writes AWS's names in camelCase, lists in the plural, single blocks as mappings, tags as a mapping
    and numbers now and then as text; all of that is undone here.

    Args:
        operation: e.g. ``CreateSubnet``.
        renamed: the request's member → the input of another name.
    """
    shape = client.meta.service_model.operation_model(operation).input_shape
    given = dict(inputs)
    for member, name in (renamed or {}).items():
        if name in given:
            given[member] = given.pop(name)
    return _structure(shape, given)


def _structure(shape: StructureShape, value: Any) -> dict[str, Any]:
    if isinstance(value, list):  # a block that may stand once
        value = value[0] if value else {}
    given = {_folded(name): each for name, each in value.items() if each is not None}
    made = {}
    for member, sub in shape.members.items():
        folded = _folded(member)
        found = given.get(folded, given.get(f"{folded}s", given.get(f"{folded.removesuffix('y')}ies")))
        if found is not None:
            made[member] = _shaped(sub, found)
    if {"Quantity", "Items"} <= set(shape.members):
        made["Quantity"] = len(made.get("Items", ()))  # CloudFront counts its lists
    return made


def _shaped(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        if {"Quantity", "Items"} <= set(shape.members) and isinstance(value, list):
            return _structure(shape, {"items": value})
        return _structure(shape, value)
    if isinstance(shape, ListShape):
        return _listed(shape, value)
    if isinstance(shape, MapShape):
        return {key: _shaped(shape.value, each) for key, each in value.items()}
    return _scalar(shape.type_name, value)


def _listed(shape: ListShape, value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        names = list(getattr(shape.member, "members", ()))
        if len(names) == 2:  # tags, dimensions and other pairs
            return [dict(zip(names, pair, strict=True)) for pair in sorted(value.items())]
        value = [value]
    if isinstance(value, str):
        value = [value]
    return [_shaped(shape.member, each) for each in value]


def _scalar(type_name: str, value: Any) -> Any:
    if type_name in INTEGERS:
        return int(value)
    if type_name in NUMBERS:
        return float(value)
    if type_name == "boolean":
        return value in (True, "true")
    if type_name == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _folded(name: str) -> str:
    return name.replace("_", "").lower()
