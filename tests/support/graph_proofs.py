"""What must hold of every stack's resource graph, as plain functions that answer what is wrong."""

import inspect
import json
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from typing import Any

from pulumi._types import input_type_py_to_pulumi_names

from rayline_infra.planning.physical_names import physical_name
from rayline_infra.policies.graph import Graph, Resource

PROVIDER = "pulumi:providers:aws"
#: What text holds where a value was not there, not known yet, or not filled in.
UNKNOWN = re.compile(
    r"output<|__str__ on an Output|<pulumi\.|\bunplanned-|04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    r"|(?<![A-Za-z])None(?![A-Za-z])|\bundefined\b|\bTODO\b|\bFIXME\b|PLACEHOLDER"
)
EC2_ID = re.compile(
    r"(?<![A-Za-z0-9-])(?:vpc|subnet|sg|sgr|rtb|igw|nat|eipalloc|vpce|acl|pl|fl|cgw|vgw|vpn|tgw-attach)"
    r"-[0-9a-f]{8,17}(?![A-Za-z0-9-])"
)
ARN = re.compile(r"arn:aws:[a-z0-9-]+:[a-z0-9-]*:[0-9*]*:[^\s\"'\\,;()<>\[\]{}|]+")


def texts(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of inputs with its path; JSON inside text is looked into."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            yield path, value
            return
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from texts(each, f"{path}.{key}")
            yield f"{path}.{key} (key)", key
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from texts(each, f"{path}[{index}]")
    else:
        yield path, value


def _custom(graph: Graph) -> Iterator[Resource]:
    return (each for each in graph.resources if each.custom and each.type != PROVIDER)


def missing_values(graph: Graph, words: frozenset[str] = frozenset()) -> list[str]:
    """Inputs that are None, unknown, or a placeholder.

    Args:
        words: ends of paths where nothing, or the word ``None``, is AWS's own.
    """
    found = []
    for resource in _custom(graph):
        for path, value in texts(resource.inputs):
            unknown = value is None or (isinstance(value, str) and UNKNOWN.search(value))
            if unknown and not path.endswith(tuple(f".{word}" for word in words)):
                found.append(f"{resource.name}{path} is {str(value)[:80]!r}")
    return found


@cache
def _required(type_token: str) -> frozenset[str]:
    """The inputs that pulumi_aws' own class of a type cannot do without."""
    package, _, name = type_token.rpartition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the package's own older types
        package_module = import_module(f"pulumi_aws.{package.removeprefix('aws:').partition('/')[0]}")
        resource = getattr(package_module, name)
    module = sys.modules[resource.__module__]
    # Where a block of another resource has the name already, Pulumi calls them InitArgs.
    arguments = getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")
    names = input_type_py_to_pulumi_names(arguments)
    parameters = inspect.signature(arguments.__init__).parameters
    return frozenset(
        names[each.name] for each in parameters.values() if each.default is each.empty and each.name in names
    )


def missing_required_inputs(graph: Graph) -> list[str]:
    """Inputs without which AWS's provider refuses the type."""
    return [
        f"{resource.type} {resource.name} has no {name}"
        for resource in _custom(graph)
        for name in sorted(_required(resource.type) - set(resource.inputs))
    ]


#: What a name must be unique in, where that is less than the account.
SCOPES: Mapping[str, tuple[str, ...]] = {
    "aws:cloudwatch/eventRule:EventRule": ("eventBusName",),
    "aws:cloudwatch/eventTarget:EventTarget": ("rule", "eventBusName"),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": ("logGroupName",),
    "aws:cognito/identityProvider:IdentityProvider": ("userPoolId",),
    "aws:cognito/resourceServer:ResourceServer": ("userPoolId",),
    "aws:cognito/userGroup:UserGroup": ("userPoolId",),
    "aws:cognito/userPoolClient:UserPoolClient": ("userPoolId",),
    "aws:appautoscaling/policy:Policy": ("resourceId",),
    "aws:ec2/securityGroup:SecurityGroup": ("vpcId",),
    "aws:guardduty/detectorFeature:DetectorFeature": ("detectorId",),
    "aws:iam/rolePolicy:RolePolicy": ("role",),
    "aws:route53/record:Record": ("zoneId", "type"),
    "aws:s3/bucketIntelligentTieringConfiguration:BucketIntelligentTieringConfiguration": ("bucket",),
    "aws:s3/bucketMetric:BucketMetric": ("bucket",),
    "aws:wafv2/webAcl:WebAcl": ("scope",),
}


def shared_names(graph: Graph) -> list[str]:
    """Physical names, and ids, that two resources of a type have in one place."""
    holders = defaultdict(list)
    for resource in _custom(graph):
        scope = tuple(str(resource.inputs.get(name)) for name in SCOPES.get(resource.type, ()))
        region = str(resource.inputs.get("region"))
        holders[resource.type, region, *scope, physical_name(resource)].append(resource.name)
        if resource.type not in SCOPES:
            holders[resource.type, region, resource.id].append(resource.name)
    return [f"{', '.join(key)}: {' and '.join(each)}" for key, each in holders.items() if len(set(each)) > 1]


@dataclass(frozen=True)
class Elsewhere:
    """What may be named without being in the graph, as a pattern of the whole name, and why."""

    pattern: str
    reason: str


def dangling_urns(graph: Graph) -> list[str]:
    """Parents and dependencies that are not in the graph."""
    known = {each.urn for each in graph.resources}
    stack = f"urn:pulumi:{graph.stack}::"
    found = []
    for resource in graph.resources:
        for urn in (resource.parent, *resource.dependencies):
            if urn not in known and not (urn.startswith(stack) and "::pulumi:pulumi:Stack::" in urn):
                found.append(f"{resource.name}: {urn or 'no parent'}")
    return found


def dangling_references(graph: Graph, account: str, elsewhere: tuple[Elsewhere, ...]) -> list[str]:
    """ARNs of our account, names of this stack and ids of EC2 that no resource of the graph has."""
    known = _Known(graph, account, elsewhere)
    return [
        f"{resource.type} {resource.name}{path}: {reference}"
        for resource, path, reference in _all_references(graph, account)
        if not known.has(reference)
    ]


def unused_exceptions(graphs: list[tuple[Graph, str]], elsewhere: tuple[Elsewhere, ...]) -> list[str]:
    """Exceptions that no graph needs any more."""
    needed: set[Elsewhere] = set()
    for graph, account in graphs:
        known = _Known(graph, account, elsewhere)
        for _, _, reference in _all_references(graph, account):
            known.has(reference)
        needed |= known.used
    return [each.pattern for each in elsewhere if each not in needed]


def _all_references(graph: Graph, account: str) -> Iterator[tuple[Resource, str, str]]:
    for resource in _custom(graph):
        for path, value in texts(resource.inputs):
            # Tags label a resource and refer to none.
            if isinstance(value, str) and not path.startswith(".tags"):
                for reference in _references(value, account, graph.stack):
                    # An event pattern's prefix stands for whatever begins so.
                    yield resource, path, f"{reference}*" if path.endswith(".prefix") else reference


def _references(text: str, account: str, stack: str) -> Iterator[str]:
    remaining = text
    for arn in ARN.findall(text):
        where = arn.split(":")[4]
        if where == account or (not where and arn.split(":")[2] == "s3"):
            yield arn
        remaining = remaining.replace(arn, " ")
    yield from EC2_ID.findall(remaining)
    # What stands before belongs to the name: internal-rayline-dev-api…, aws-waf-logs-rayline-dev…
    plain = rf"[A-Za-z0-9-]*rayline-{stack}(?![A-Za-z0-9])[A-Za-z0-9_./*-]*"
    names = re.findall(rf"alias/{plain}|{plain}|/?rayline/{stack}/[A-Za-z0-9_./*-]+", remaining)
    yield from (each.rstrip(".") for each in names)


class _Known:
    """Whatever the graph's resources are called."""

    def __init__(self, graph: Graph, account: str, elsewhere: tuple[Elsewhere, ...]) -> None:
        self.used: set[Elsewhere] = set()
        self._elsewhere = [
            (re.compile(each.pattern.format(account=account, stack=graph.stack)), each) for each in elsewhere
        ]
        self._names: set[str] = set()
        for resource in _custom(graph):
            self._names |= {physical_name(resource), resource.id}
            outputs = {key: value for key, value in resource.outputs.items() if key not in resource.inputs}
            self._names |= {value for _, value in texts(outputs) if isinstance(value, str) and value}
        self._seen: dict[str, bool] = {}

    def has(self, reference: str) -> bool:
        if reference not in self._seen:
            self._seen[reference] = self._is_ours(reference) or self._is_elsewhere(reference)
        return self._seen[reference]

    def _is_ours(self, reference: str) -> bool:
        if reference in self._names:
            return True
        # Parts of a resource: a bucket's objects, a table's indexes, a log group's streams.
        stem = re.split(r"[/:]\*?$", reference)[0]
        parts = [stem[: each.start()] for each in re.finditer(r"[/:.]", stem)]
        if any(each in self._names for each in (stem, *parts) if len(each) > len("arn:aws:")):
            return True
        if not set("*?") & set(reference):
            return False
        return any(fnmatchcase(name, each) for name in self._names for each in (reference, stem))

    def _is_elsewhere(self, reference: str) -> bool:
        for pattern, exception in self._elsewhere:
            if pattern.fullmatch(reference):
                self.used.add(exception)
                return True
        return False


def differences(one: Graph, other: Graph, same: Mapping[str, str]) -> list[str]:
    """What differs between two graphs.

    Args:
        same: pattern → word; what matches is taken for the word in both graphs.
    """
    ones, others = _shown(one, same), _shown(other, same)
    found = [f"{kind} {name} is only in one" for kind, name in sorted(set(ones) ^ set(others))]
    for kind, name in sorted(set(ones) & set(others)):
        mine, theirs = ones[kind, name], others[kind, name]
        found += [
            f"{kind} {name}.{key}: {mine[key]} is not {theirs[key]}"
            for key in mine
            if mine[key] != theirs[key]
        ]
    return found


def _shown(graph: Graph, same: Mapping[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    shown = {}
    for resource in graph.resources:
        text = json.dumps(vars(resource), sort_keys=True)
        for pattern, word in same.items():
            text = re.sub(pattern, word, text)
        shown[resource.type, resource.name] = json.loads(text)
    return shown
