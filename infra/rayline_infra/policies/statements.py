"""Policy documents read back: what they say, whoever wrote them, and what they would allow."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rayline_infra.policies.patterns import covers, matches

EVERYONE = "*"
# The caller of a control asks about a principal and an action; which object it encrypts is another question.
OPEN_KEYS = ("kms:encryptioncontext",)


@dataclass(frozen=True)
class Clause:
    """One statement of a policy document, each field a tuple whatever the JSON spelled.

    Attributes:
        principals: kind (``AWS``, ``Service``, ``Federated``, or ``*`` for everyone) and name of each.
        conditions: operator, key and accepted values of each condition.
    """

    sid: str
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[tuple[str, str], ...] = ()
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    inverted: bool = False

    def has_action(self, action: str) -> bool:
        """Whether the clause is about an action."""
        return any(matches(each, action, ignore_case=True) for each in self.actions)

    def has_resource(self, arn: str) -> bool:
        """Whether the clause is about all that an ARN, or a pattern of ARNs, stands for."""
        return any(covers(each, arn) for each in self.resources)

    def values_of(self, key: str) -> tuple[str, ...]:
        """What the conditions accept as the value of a key; one that only refuses some accepts all others."""
        return tuple(
            value
            for operator, name, values in self.conditions
            if name.lower() == key.lower() and "Not" not in operator
            for value in values
        )


@dataclass(frozen=True)
class Request:
    """A question to a policy: may this principal do this to that, in these circumstances?

    Attributes:
        principal: kind and name, e.g. ``("Service", "events.amazonaws.com")``; empty for a role's own policy.
        context: condition keys, in lower case, with their value.
    """

    action: str
    resource: str
    principal: tuple[str, str] | None = None
    context: Mapping[str, str] = field(default_factory=dict)


@lru_cache(maxsize=1024)
def read_policy(text: str) -> tuple[Clause, ...]:
    """The clauses of a policy document.

    Raises:
        ValueError: the text is no policy document.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or "Statement" not in document:
        raise ValueError("a policy document has a Statement")
    found = document["Statement"]
    return tuple(_clause(each) for each in (found if isinstance(found, list) else [found]))


def decided(clauses: Iterable[Clause], request: Request) -> bool:
    """Whether the clauses allow a request, and none of them denies it."""
    applicable = [clause for clause in clauses if _applies(clause, request)]
    return bool(applicable) and all(clause.allows for clause in applicable)


def _applies(clause: Clause, request: Request) -> bool:
    if clause.inverted:
        # NotAction, NotResource and NotPrincipal are never read as a grant, and `IAM-2` refuses them as one.
        return False
    return (
        clause.has_action(request.action)
        and (not clause.resources or clause.has_resource(request.resource))
        and (request.principal is None or _has_principal(clause, request.principal))
        and all(_holds(*condition, request.context) for condition in clause.conditions)
    )


def _has_principal(clause: Clause, principal: tuple[str, str]) -> bool:
    kind, name = principal
    if (EVERYONE, EVERYONE) in clause.principals:
        return True
    if kind == "AWS" and ("AWS", EVERYONE) in clause.principals:
        return True
    return (kind, name) in clause.principals


def _holds(operator: str, key: str, accepted: Sequence[str], context: Mapping[str, str]) -> bool:
    if key.lower().startswith(OPEN_KEYS):
        return True
    plain = operator.removeprefix("ForAnyValue:").removeprefix("ForAllValues:").removesuffix("IfExists")
    value = context.get(key.lower())
    if plain == "Null":
        return (value is None) == (accepted[0].lower() == "true")
    if value is None:
        return operator.endswith("IfExists") or operator.startswith("ForAllValues:") or "Not" in plain
    like = plain.removesuffix("IgnoreCase") in ("StringLike", "StringNotLike") or plain.startswith("Arn")
    met = any(matches(each, value) if like else each.lower() == value.lower() for each in accepted)
    return met != ("Not" in plain)


def _clause(statement: Mapping[str, Any]) -> Clause:
    return Clause(
        sid=str(statement.get("Sid", "")),
        allows=statement["Effect"] == "Allow",
        actions=_many(statement.get("Action", statement.get("NotAction", []))),
        resources=_many(statement.get("Resource", statement.get("NotResource", []))),
        principals=_principals(statement.get("Principal", statement.get("NotPrincipal", {}))),
        conditions=tuple(
            (operator, key, _many(values))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        ),
        inverted=any(key in statement for key in ("NotAction", "NotResource", "NotPrincipal")),
    )


def _principals(found: str | Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    if isinstance(found, str):
        return ((EVERYONE, found),)
    return tuple((kind, name) for kind, names in found.items() for name in _many(names))


def _many(found: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in found) if isinstance(found, list) else (str(found),)
