"""Policy JSON built by plain functions, so that a policy is the same text in a test, in AWS and locally."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Conditions = Mapping[str, Mapping[str, str | Sequence[str]]]


@dataclass(frozen=True)
class Statement:
    """One statement of a policy; ``principals`` stays empty in a role's own policy."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[str] = ()
    effect: Literal["Allow", "Deny"] = "Allow"
    principals: Mapping[str, Sequence[str]] = field(default_factory=dict)
    conditions: Conditions = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The statement as IAM spells it."""
        statement: dict[str, Any] = {"Sid": self.sid, "Effect": self.effect, "Action": sorted(self.actions)}
        if self.principals:
            everyone = self.principals == EVERYONE
            statement["Principal"] = "*" if everyone else {k: list(v) for k, v in self.principals.items()}
        if self.resources:
            statement["Resource"] = list(self.resources)
        if self.conditions:
            statement["Condition"] = {
                operator: {key: v if isinstance(v, str) else list(v) for key, v in keys.items()}
                for operator, keys in self.conditions.items()
            }
        return statement


EVERYONE: Mapping[str, Sequence[str]] = {"AWS": ("*",)}


def document(*statements: Statement) -> str:
    """A policy document; the text is stable, so that an unchanged policy never shows as a change."""
    body = {"Version": "2012-10-17", "Statement": [statement.to_json() for statement in statements]}
    return json.dumps(body, sort_keys=True)


def service(*names: str) -> Mapping[str, Sequence[str]]:
    """AWS services as principals."""
    return {"Service": names}


def principals(*arns: str) -> Mapping[str, Sequence[str]]:
    """IAM principals by ARN."""
    return {"AWS": arns}


def account_root(account_id: str) -> str:
    """The account as a principal: whoever the account's own IAM policies allow."""
    return f"arn:aws:iam::{account_id}:root"


def from_account(account_id: str) -> Conditions:
    """Only when the service acts for this account (the confused-deputy guard)."""
    return {"StringEquals": {"aws:SourceAccount": account_id}}


def tls_only(*resources: str, actions: Sequence[str]) -> Statement:
    """Deny every request that does not use TLS."""
    return Statement(
        sid="TlsOnly",
        effect="Deny",
        principals=EVERYONE,
        actions=actions,
        resources=resources,
        conditions={"Bool": {"aws:SecureTransport": "false"}},
    )
