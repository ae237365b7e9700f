"""The resources that a run of the program declares, as plain values that policies can look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One declared resource.

    Attributes:
        type: Pulumi type token, e.g. ``aws:s3/bucket:Bucket``.
        inputs: what the program asked for, in Pulumi's camelCase names; secrets are replaced by a digest.
        outputs: what the resource answered, real or planned.
        dependencies: URNs that had to exist first.
        id: what references to the resource itself hold, real or planned; empty for a component.
    """

    urn: str
    type: str
    name: str
    custom: bool
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    protect: bool = False
    retain_on_delete: bool = False
    id: str = ""


@dataclass(frozen=True)
class Graph:
    """Every resource of one stack, in the order in which it was registered, and the stack's outputs."""

    stack: str
    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any]

    def of_type(self, type_token: str) -> tuple[Resource, ...]:
        """The resources of a type."""
        return tuple(resource for resource in self.resources if resource.type == type_token)

    def named(self, type_token: str, name: str) -> Resource:
        """The one resource of a type and logical name.

        Raises:
            LookupError: the program declares no such resource.
        """
        for resource in self.of_type(type_token):
            if resource.name == name:
                return resource
        raise LookupError(f"stack {self.stack} declares no {type_token} named {name}")

    def to_json(self) -> dict[str, Any]:
        """The graph as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Graph:
        """The graph that ``to_json`` wrote."""
        resources = tuple(
            Resource(**{**each, "dependencies": tuple(each["dependencies"])}) for each in value["resources"]
        )
        return cls(stack=value["stack"], resources=resources, outputs=value["outputs"])


def account_of(graph: Graph) -> str:
    """The account that the graph's resources are in, as the first ARN that names one says; else empty."""
    for resource in graph.resources:
        arn = str(resource.outputs.get("arn", ""))
        if arn.count(":") >= 5 and arn.split(":")[4]:
            return arn.split(":")[4]
    return ""
