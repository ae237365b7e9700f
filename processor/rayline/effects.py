"""The effect ledger: one item per event identity, an attribute per (hook, plugin).

::

    absent ──claim──▶ in_progress ──finish──▶ done | ignored | rejected      (final)
                        │    ▲ ▲
                        │    │ └─────claim──── failed | waiting               (will run again)
                        └────┘ claim by another, once lease + clock skew have passed

Each claim brings a new fencing token, and every later write of that claim is conditional on it: a worker that
stalled past its lease cannot record anything. An effect that ended is never run again, whatever the plugin's
version is now; replaying is explicit.
"""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from rayline.dynamodb import (
    TransactItem,
    cancellation_codes,
    from_attributes,
    is_condition_failure,
    timestamp,
    to_attribute,
)
from rayline.errors import RaylineError
from rayline.events import Event, EventIdentity
from rayline.hashing import KeyedHash

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FinalState = Literal["done", "ignored", "rejected"]
OpenState = Literal["failed", "waiting"]
FINAL_STATES: frozenset[str] = frozenset({"done", "ignored", "rejected"})

_RETENTION = timedelta(days=400)
_CLAIM_ATTEMPTS = 8


class LeaseLost(RaylineError):
    """Another worker claimed the effect after this one's lease ran out; nothing was recorded."""


class CommitConflict(RaylineError):
    """A write that was to be recorded with the effect failed on its condition.

    Attributes:
        codes: per given write, ``None`` or DynamoDB's cancellation code.
    """

    def __init__(self, codes: list[str]) -> None:
        super().__init__(f"a write that belongs to the effect failed on its condition: {', '.join(codes)}")
        self.codes = codes


@dataclass(frozen=True)
class EffectState:
    """What the ledger knows of one effect."""

    state: str
    token: str
    attempts: int
    lease_until: float
    version: str = ""
    reason: str = ""
    at: str = ""

    @classmethod
    def of(cls, attribute: Mapping[str, Any]) -> "EffectState":
        """Read one effect attribute."""
        return cls(
            state=attribute["state"],
            token=attribute["token"],
            attempts=attribute.get("attempts", 0),
            lease_until=float(attribute.get("lease_until", 0)),
            version=attribute.get("version", ""),
            reason=attribute.get("reason", ""),
            at=attribute.get("at", ""),
        )


@dataclass(frozen=True)
class Claim:
    """An answer of the ledger: what may run now under ``token``, and the state of everything else."""

    token: str
    granted: frozenset[str]
    states: Mapping[str, EffectState]


def event_identity(event: Event, keyed_hash: KeyedHash) -> EventIdentity:
    """The effect ledger's key of an event: its kind in clear, what identifies it as a keyed hash."""
    return EventIdentity(f"{event.site}#{event.kind}#{keyed_hash.of(*event.identity_parts())}")


class EffectLedger:
    """Claims, renews and records effects in a DynamoDB table with the hash key ``pk``."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        clock: Callable[[], datetime],
        lease_seconds: float,
        clock_skew_seconds: float,
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._clock_skew_seconds = clock_skew_seconds

    def states(self, identity: EventIdentity) -> dict[str, EffectState]:
        """Every recorded effect of an event."""
        response = self._client.get_item(
            TableName=self._table, Key={"pk": {"S": identity}}, ConsistentRead=True
        )
        return _effects(response.get("Item", {}))

    def claim(self, identity: EventIdentity, effects: Sequence[tuple[str, str]]) -> Claim:
        """Claim those of the effects that have not ended and that nobody holds: one write, however many they are.

        Args:
            effects: pairs of effect name and plugin version.
        """
        token = secrets.token_hex(8)
        versions = dict(effects)
        known: dict[str, EffectState] = {}
        fresh = True
        for _ in range(_CLAIM_ATTEMPTS):
            wanted = [name for name, _ in effects if name not in known or self._claimable(known[name])]
            if not wanted:
                return Claim(token, frozenset(), known)
            try:
                self._write_claim(identity, wanted, versions, known, token, fresh=fresh)
            except ClientError as error:
                if not is_condition_failure(error):
                    raise
                # AWS returns the item that failed the condition, which saves a read.
                item = error.response.get("Item")
                known = _effects(item) if item else self.states(identity)  # type: ignore[arg-type]
                fresh = False
                continue
            return Claim(token, frozenset(wanted), known)
        return Claim(token, frozenset(), known)

    def _claimable(self, state: EffectState) -> bool:
        if state.state in FINAL_STATES:
            return False
        if state.state != "in_progress":
            return True
        return self._clock().timestamp() > state.lease_until + self._clock_skew_seconds

    def _write_claim(
        self,
        identity: EventIdentity,
        wanted: list[str],
        versions: Mapping[str, str],
        known: Mapping[str, EffectState],
        token: str,
        *,
        fresh: bool,
    ) -> None:
        now = self._clock()
        names = {"#expires": "expires_at", "#created": "created_at"}
        values: dict[str, Any] = {
            ":expires": to_attribute(int((now + _RETENTION).timestamp())),
            ":created": to_attribute(timestamp(now)),
        }
        sets = ["#expires = :expires", "#created = if_not_exists(#created, :created)"]
        conditions = ["attribute_not_exists(pk)"] if fresh else []
        for index, name in enumerate(wanted):
            names[f"#e{index}"] = name
            before = known.get(name)
            values[f":e{index}"] = to_attribute(
                {
                    "state": "in_progress",
                    "token": token,
                    "lease_until": now.timestamp() + self._lease_seconds,
                    "attempts": (before.attempts if before else 0) + 1,
                    "version": versions[name],
                    "at": timestamp(now),
                }
            )
            sets.append(f"#e{index} = :e{index}")
            if before is not None:
                names["#token"] = "token"
                values[f":t{index}"] = to_attribute(before.token)
                conditions.append(f"#e{index}.#token = :t{index}")
            elif not fresh:
                conditions.append(f"attribute_not_exists(#e{index})")
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": identity}},
            UpdateExpression="SET " + ", ".join(sets),
            ConditionExpression=" AND ".join(conditions),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    def renew(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """Extend the lease of effects held under a token.

        Raises:
            LeaseLost: one of them is held by another, or has ended.
        """
        names = {"#token": "token", "#lease": "lease_until"}
        values = {
            ":token": to_attribute(token),
            ":lease": to_attribute(self._clock().timestamp() + self._lease_seconds),
        }
        for index, name in enumerate(effects):
            names[f"#e{index}"] = name
        indexes = range(len(effects))
        self._conditional_update(
            identity,
            "SET " + ", ".join(f"#e{index}.#lease = :lease" for index in indexes),
            " AND ".join(f"#e{index}.#token = :token" for index in indexes),
            names,
            values,
        )

    def finish(
        self,
        identity: EventIdentity,
        effect: str,
        token: str,
        state: FinalState | OpenState,
        *,
        attempts: int = 1,
        version: str = "",
        reason: str = "",
        result: Mapping[str, Any] | None = None,
        calls: Sequence[str] = (),
        writes: Sequence[TransactItem] = (),
    ) -> None:
        """Record how an effect ended, in one transaction with ``writes``.

        Args:
            calls: the screening, transforming and deciding implementations that ran within the effect.

        Raises:
            LeaseLost: the effect is no longer held under this token.
            CommitConflict: one of ``writes`` failed on its condition; nothing was written.
        """
        value = to_attribute(
            {
                "state": state,
                "token": token,
                "attempts": attempts,
                "version": version or None,
                "reason": reason or None,
                "result": json.dumps(result, sort_keys=True) if result else None,
                "calls": list(calls) or None,
                "at": timestamp(self._clock()),
            }
        )
        names = {"#e": effect, "#token": "token"}
        values = {":value": value, ":token": to_attribute(token)}
        if not writes:
            self._conditional_update(identity, "SET #e = :value", "#e.#token = :token", names, values)
            return
        update = {
            "Update": {
                "TableName": self._table,
                "Key": {"pk": {"S": identity}},
                "UpdateExpression": "SET #e = :value",
                "ConditionExpression": "#e.#token = :token",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
            }
        }
        try:
            self._client.transact_write_items(TransactItems=[update, *writes])  # type: ignore[list-item]
        except ClientError as error:
            codes = cancellation_codes(error)
            if codes and codes[0] == "ConditionalCheckFailed":
                raise LeaseLost(f"effect {effect} is held by another worker") from None
            if "ConditionalCheckFailed" in codes:
                raise CommitConflict(codes[1:]) from None
            raise

    def record_failure(self, identity: EventIdentity, effect: str, reason: str) -> None:
        """Record that a worker was killed in a call, whatever token it held; the next delivery reads it."""
        value = {
            "state": "failed",
            "token": secrets.token_hex(8),
            "attempts": self._attempts(identity, effect) + 1,
            "reason": reason,
            "at": timestamp(self._clock()),
        }
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": identity}},
            UpdateExpression="SET #e = :value",
            ExpressionAttributeNames={"#e": effect},
            ExpressionAttributeValues={":value": to_attribute(value)},
        )

    def release(self, identity: EventIdentity, effect: str, token: str) -> None:
        """Give up a claim that a killed worker held, so that the next delivery need not wait for its lease."""
        try:
            self._conditional_update(
                identity,
                "SET #e.#lease = :zero",
                "#e.#token = :token",
                {"#e": effect, "#token": "token", "#lease": "lease_until"},
                {":zero": to_attribute(0), ":token": to_attribute(token)},
            )
        except LeaseLost:
            return

    def _attempts(self, identity: EventIdentity, effect: str) -> int:
        state = self.states(identity).get(effect)
        return state.attempts if state else 0

    def _conditional_update(
        self,
        identity: EventIdentity,
        update: str,
        condition: str,
        names: dict[str, str],
        values: dict[str, Any],
    ) -> None:
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": identity}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if is_condition_failure(error):
                raise LeaseLost("the effect is held by another worker") from None
            raise


def _effects(attributes: Mapping[str, Any]) -> dict[str, EffectState]:
    item = from_attributes(attributes)
    return {name: EffectState.of(value) for name, value in item.items() if isinstance(value, dict)}
