"""The resource graph as Terraform would show it: ``terraform show -json`` of a plan that creates everything."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.scanning.terraform_names import FREE_MAPS, attribute_name, terraform_type

# Attributes by which one resource configures another: kept as references only, as Terraform does not know them yet.
_CONFIGURES = frozenset({"bucket", "queue_url", "vpc_id", "resource_arn", "load_balancer_arn", "role"})
_REFERRED_BY = ("id", "arn", "name", "bucket", "url", "keyId", "domain")


def terraform_plan(graph: Graph) -> dict[str, Any]:
    """A plan of the graph's AWS resources, with the references between them that a scanner follows."""
    declared = [each for each in graph.resources if each.type.startswith("aws:")]
    referred = _referred(declared)
    planned, configured = [], []
    for resource in declared:
        values = _values(terraform_type(resource.type), resource.inputs)
        references = _references(resource, values, referred)
        configured.append(
            {**_head(resource), "expressions": {key: {"references": to} for key, to in references.items()}}
        )
        # A child that names its parent by a value would not be recognised as its child.
        known = {
            key: value for key, value in values.items() if not (key in references and key in _CONFIGURES)
        }
        planned.append({**_head(resource), "values": known})
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": [
            {**_head(each), "change": {"actions": ["create"], "before": None, "after": each["values"]}}
            for each in map(dict, planned)
        ],
        "configuration": {"root_module": {"resources": configured}},
    }


def address(resource: Resource) -> str:
    """``aws_s3_bucket.uploads``."""
    return f"{terraform_type(resource.type)}.{resource.name}"


def _head(resource: Resource | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(resource, Resource):
        return {
            "address": address(resource),
            "mode": "managed",
            "type": terraform_type(resource.type),
            "name": resource.name,
        }
    return {key: resource[key] for key in ("address", "mode", "type", "name")}


@dataclass(frozen=True)
class _Referred:
    """What may be meant by a value: an output of a resource."""

    urn: str
    expression: str


def _referred(resources: Iterable[Resource]) -> dict[str, list[_Referred]]:
    """What stands for a resource wherever it is named; several resources may bear one name."""
    found: dict[str, list[_Referred]] = {}
    for resource in resources:
        facts = {**resource.outputs, "id": resource.id}
        for output in _REFERRED_BY:
            value = facts.get(output)
            if isinstance(value, str) and value and _tells(resource, output):
                meant = _Referred(resource.urn, f"{address(resource)}.{output}")
                found.setdefault(value, []).append(meant)
                if resource.type == "aws:cloudwatch/logGroup:LogGroup" and output == "arn":
                    # Some services name the streams of a group.
                    found.setdefault(f"{value}:*", []).append(meant)
    return found


def _tells(resource: Resource, output: str) -> bool:
    # What configures another resource has that one's name for its own id.
    return output == "arn" or "bucket" not in resource.inputs or resource.type == "aws:s3/bucket:Bucket"


def _references(
    resource: Resource, values: Mapping[str, Any], referred: Mapping[str, list[_Referred]]
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in values.items():
        named = [each for text in _texts(value) for each in _meant(resource, referred.get(text, []))]
        if named:
            found[key] = [text for each in named for text in (each, each.rpartition(".")[0])]
    return found


def _meant(resource: Resource, candidates: list[_Referred]) -> list[str]:
    others = [each for each in candidates if each.urn != resource.urn]
    # The program says what a resource depends on; a name that it wrote itself is taken for its only bearer's.
    depended_on = [each for each in others if each.urn in resource.dependencies]
    bearers = {each.urn for each in others}
    chosen = depended_on or (others if len(bearers) == 1 else [])
    return [each.expression for each in chosen[:1]]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _values(terraform: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_attribute(terraform, name, value) for name, value in inputs.items())


def _attribute(terraform: str, name: str, value: Any) -> tuple[str, Any]:
    blocks = isinstance(value, list) and any(isinstance(each, Mapping) for each in value)
    spelled = attribute_name(terraform, name, block_list=blocks)
    return spelled, _value(terraform, spelled, value)


def _value(terraform: str, name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        # Terraform shows a block that stands once as a list of one; a map of the program's stays a map.
        return dict(value) if name in FREE_MAPS else [_values(terraform, value)]
    if isinstance(value, list):
        return [_values(terraform, each) if isinstance(each, Mapping) else each for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
