"""AWS's published list of actions, their resource types and condition keys, as policy_sentry packages it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from policy_sentry.shared.iam_data import get_service_prefix_data

from rayline_infra.policies.patterns import matches, overlaps

# Actions that AWS documents and the package does not list yet: (resource formats, condition keys, page).
NEW_ACTIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {}
# IAM user guide, "AWS global condition context keys", as far as policies of an estate may use them.
GLOBAL_KEYS = frozenset({
    "aws:calledvia", "aws:calledviafirst", "aws:calledvialast", "aws:currenttime", "aws:epochtime",
    "aws:federatedprovider", "aws:multifactorauthage", "aws:multifactorauthpresent", "aws:principalaccount",
    "aws:principalarn", "aws:principalisawsservice", "aws:principalorgid", "aws:principalorgpaths",
    "aws:principalservicename", "aws:principalservicenameslist", "aws:principaltype", "aws:referer",
    "aws:requestedregion", "aws:resourceaccount", "aws:resourceorgid", "aws:resourceorgpaths",
    "aws:securetransport", "aws:sourceaccount", "aws:sourcearn", "aws:sourceidentity", "aws:sourceip",
    "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourcevpc", "aws:sourcevpce", "aws:sourcevpcarn",
    "aws:tokenissuetime", "aws:useragent", "aws:userid", "aws:username", "aws:viaawsservice",
    "aws:vpcsourceip",
})  # fmt: skip
_TAG_KEY = re.compile(r"aws:(principaltag|requesttag|resourcetag)/.+|aws:tagkeys", re.IGNORECASE)


@dataclass(frozen=True)
class Action:
    """One action of AWS's list.

    Attributes:
        resources: ARN format, with ``*`` for its variables, of each resource type that it may name.
        required: formats of those that every request names.
        condition_keys: lower case; a variable part is ``*``.
    """

    name: str
    resources: tuple[str, ...]
    required: tuple[str, ...]
    condition_keys: tuple[str, ...]

    def takes(self, resource: str) -> bool:
        """Whether an ARN, or a pattern of ARNs, can stand for a resource of the action."""
        if not self.resources or resource == "*":
            return resource == "*" and not self.resources
        return any(_fits(each, resource) for each in self.resources)

    def knows_key(self, key: str) -> bool:
        """Whether a condition key means something for the action."""
        lower = key.lower()
        if lower in GLOBAL_KEYS or _TAG_KEY.fullmatch(lower):
            return True
        return any(matches(each, lower) for each in self.condition_keys)


def _fits(arn_format: str, resource: str) -> bool:
    formatted, named = arn_format.split(":", 5), resource.split(":", 5)
    if len(named) < len(formatted):
        return overlaps(arn_format, resource)
    # Neither of these names holds a slash: what has more of them is an object, an index, an execution.
    flat = arn_format.endswith((":::*", ":table/*", ":pipeline/*", ":datastore/*"))
    if flat and resource.count("/") > arn_format.count("/"):
        return False
    return all(overlaps(one, other) for one, other in zip(formatted, named, strict=True))


def actions_of(pattern: str) -> tuple[Action, ...]:
    """The actions that a name or a pattern stands for, e.g. ``kms:ReEncrypt*``; none when AWS has no such."""
    prefix, _, name = pattern.partition(":")
    found = tuple(
        each for each in _service(prefix) if matches(name, each.name.partition(":")[2], ignore_case=True)
    )
    return found or tuple(_new(pattern))


def _new(name: str) -> Iterator[Action]:
    if name in NEW_ACTIONS:
        formats, keys, _ = NEW_ACTIONS[name]
        yield Action(name, formats, formats, keys)


@lru_cache
def _service(prefix: str) -> tuple[Action, ...]:
    service: dict[str, Any] = get_service_prefix_data(prefix) or {}
    formats = {name: _glob(each["arn"]) for name, each in service.get("resources", {}).items()}
    keys_of_resource = {name: each["condition_keys"] for name, each in service.get("resources", {}).items()}
    return tuple(
        _action(f"{prefix}:{name}", privilege["resource_types"], formats, keys_of_resource)
        for name, privilege in service.get("privileges", {}).items()
    )


def _action(
    name: str,
    types: Mapping[str, Mapping[str, Any]],
    formats: Mapping[str, str],
    keys_of_resource: Mapping[str, list[str]],
) -> Action:
    named = {kind: each for kind, each in types.items() if kind in formats}
    keys = [key for each in types.values() for key in each["condition_keys"]]
    keys += [key for kind in named for key in keys_of_resource[kind]]
    return Action(
        name,
        resources=tuple(formats[kind] for kind in named),
        required=tuple(formats[kind] for kind, each in named.items() if each["required"]),
        condition_keys=tuple(sorted({_glob(key).lower() for key in keys})),
    )


def _glob(text: str) -> str:
    return re.sub(r"\$\{[^}]*\}|<[^>]*>", "*", text)
