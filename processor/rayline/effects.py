"""The effect ledger: one item per event identity, an attribute per (hook, plugin).

::

    absent ──claim──▶ in_progress ──finish──▶ done | ignored | rejected      (final)
                        │    ▲ ▲
                        │    │ └─────claim──── failed | waiting | dead        (runs again; dead, if replayed)
                        └────┘ claim by another, once lease + clock skew have passed
    done | ignored | rejected ──reopen──▶ reopened ──claim──▶ in_progress          (a replay that asks for it)

Each claim brings a new fencing token, and every later write of that claim is conditional on it: a worker that
stalled past its lease cannot record anything. An effect that ended is never run again, whatever the plugin's
version is now; replaying is explicit.
"""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from rayline.aws import is_service_trouble
from rayline.dynamodb import (
    CONDITION_FAILED,
    TransactItem,
    cancellation_codes,
    from_attributes,
    is_condition_failure,
    timestamp,
    to_attribute,
)
from rayline.errors import RaylineError, RetryableError
from rayline.events import Event, EventIdentity
from rayline.hashing import KeyedHash

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FinalState = Literal["done", "ignored", "rejected"]
OpenState = Literal["failed", "waiting"]
DEAD = "dead"
REOPENED = "reopened"
FINAL_STATES: frozenset[str] = frozenset({"done", "ignored", "rejected"})

_RETENTION = timedelta(days=400)
_CLAIM_ATTEMPTS = 8
_REASON_LENGTH = 1_000
_HELD = "#e.#token = :token AND #e.#state = :held"
_LOST = "the effect is held by another worker, or has ended"


class LeaseLost(RaylineError):
    """The effect is no longer held: another worker claimed it after the lease ran out. Nothing was recorded."""


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
    """What the ledger knows of one effect.

    Attributes:
        attempts: how often it was claimed.
        crashes: how often a worker died in it, or was killed for overrunning in it.
    """

    state: str
    token: str
    attempts: int
    lease_until: float
    crashes: int = 0
    version: str = ""
    reason: str = ""
    at: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether it is never run again, unless it is reopened."""
        return self.state in FINAL_STATES

    @classmethod
    def of(cls, attribute: Mapping[str, Any]) -> "EffectState":
        """Read one effect attribute."""
        return cls(
            state=attribute["state"],
            token=attribute["token"],
            attempts=attribute.get("attempts", 0),
            lease_until=float(attribute.get("lease_until", 0)),
            crashes=attribute.get("crashes", 0),
            version=attribute.get("version", ""),
            reason=attribute.get("reason", ""),
            at=attribute.get("at", ""),
        )


@dataclass(frozen=True)
class Claim:
    """An answer of the ledger.

    Attributes:
        granted: what may run now under ``token``.
        before: the state of every known effect of the event just before this claim.
    """

    token: str
    granted: frozenset[str]
    before: Mapping[str, EffectState]

    def attempts(self, effect: str) -> int:
        """Which attempt at an effect this claim is, from 1."""
        before = self.before.get(effect)
        return (before.attempts if before else 0) + 1


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

    def claim(
        self, identity: EventIdentity, effects: Sequence[tuple[str, str]], *, fresh: bool = True
    ) -> Claim:
        """Claim those of the effects that have not ended and that nobody holds: one write, however many they are.

        Args:
            effects: pairs of effect name and plugin version.
            fresh: whether the event is likely unknown; a wrong guess costs a second write.
        """
        token = secrets.token_hex(8)
        versions = dict(effects)
        known: dict[str, EffectState] = {}
        for _ in range(_CLAIM_ATTEMPTS):
            wanted = [name for name in versions if name not in known or self._claimable(known[name])]
            if not wanted:
                break
            found = self._write_claim(identity, wanted, versions, known, token, fresh=fresh)
            # botocore sends a write again whose answer was lost; the second then meets what the first wrote.
            if found is None or all(name in found and found[name].token == token for name in wanted):
                return Claim(token, frozenset(wanted), known)
            known, fresh = found, False
        return Claim(token, frozenset(), known)

    def _claimable(self, state: EffectState) -> bool:
        if state.state in FINAL_STATES:
            return False
        return state.state != "in_progress" or self._remaining_seconds(state) < 0

    def busy_seconds(self, state: EffectState | None) -> float:
        """How long an effect that was not granted may stay with whoever has it, at least a second."""
        held = state is not None and state.state == "in_progress"
        return max(1.0, self._remaining_seconds(state) if state and held else 0.0)

    def _remaining_seconds(self, state: EffectState) -> float:
        return state.lease_until + self._clock_skew_seconds - self._clock().timestamp()

    def _write_claim(
        self,
        identity: EventIdentity,
        wanted: list[str],
        versions: Mapping[str, str],
        known: Mapping[str, EffectState],
        token: str,
        *,
        fresh: bool,
    ) -> dict[str, EffectState] | None:
        """Write a claim. Returns None where it holds, else what it met instead."""
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
                    "crashes": before.crashes if before else 0,
                    "version": versions[name],
                    "at": timestamp(now),
                }
            )
            sets.append(f"#e{index} = :e{index}")
            if before is not None:
                # All three: its holder may end it, or renew its lease, just now.
                names |= {"#token": "token", "#state": "state"}
                values[f":t{index}"] = to_attribute(before.token)
                values[f":s{index}"] = to_attribute(before.state)
                condition = f"#e{index}.#token = :t{index} AND #e{index}.#state = :s{index}"
                if before.state == "in_progress":
                    names["#lease"] = "lease_until"
                    values[f":l{index}"] = to_attribute(before.lease_until)
                    condition += f" AND #e{index}.#lease = :l{index}"
                conditions.append(condition)
            elif not fresh:
                conditions.append(f"attribute_not_exists(#e{index})")
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": identity}},
                UpdateExpression="SET " + ", ".join(sets),
                ConditionExpression=" AND ".join(conditions),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if not is_condition_failure(error):
                raise
            # AWS returns the item that failed the condition, which saves a read.
            item = error.response.get("Item")
            return _effects(item) if item else self.states(identity)  # type: ignore[arg-type]
        return None

    def renew(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """Extend the lease of effects held under a token.

        Raises:
            LeaseLost: one of them is held by another, or has ended.
        """
        names = {"#token": "token", "#state": "state", "#lease": "lease_until"}
        values = {
            ":token": to_attribute(token),
            ":held": to_attribute("in_progress"),
            ":lease": to_attribute(self._clock().timestamp() + self._lease_seconds),
        }
        sets = []
        conditions = []
        for index, name in enumerate(effects):
            names[f"#e{index}"] = name
            sets.append(f"#e{index}.#lease = :lease")
            conditions.append(f"#e{index}.#token = :token AND #e{index}.#state = :held")
        update = self._update(identity, "SET " + ", ".join(sets), " AND ".join(conditions), names, values)
        self._conditional(update)

    def finish(
        self,
        identity: EventIdentity,
        effect: str,
        token: str,
        state: FinalState | OpenState,
        *,
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
            RetryableError: other transactions were under way on the same items; nothing was written.
        """
        fields = {
            "state": state,
            "at": timestamp(self._clock()),
            "reason": reason[:_REASON_LENGTH] or None,
            "result": json.dumps(result, sort_keys=True) if result else None,
            "calls": list(calls) or None,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        update = self._update(
            identity,
            "SET " + ", ".join(f"#e.#{name} = :{name}" for name in given) + " REMOVE #e.#lease",
            _HELD,
            {"#e": effect, "#token": "token", "#state": "state", "#lease": "lease_until"}
            | {f"#{name}": name for name in given},
            _held_by(token) | {f":{name}": to_attribute(value) for name, value in given.items()},
        )
        try:
            if writes:
                self._transact([{"Update": update}, *writes])
            else:
                self._conditional(update)
        except LeaseLost:
            # botocore sends a write again whose answer was lost; the second then meets what the first wrote.
            recorded = self.states(identity).get(effect)
            if recorded is None or (recorded.token, recorded.state) != (token, state):
                raise

    def record_failure(self, identity: EventIdentity, effect: str, reason: str, *, token: str) -> None:
        """Record that the worker which claimed under ``token`` died in a call; the next delivery reads it.

        An effect that has ended, or that another worker holds by now, is left alone.
        """
        before = self.states(identity).get(effect)
        if before is not None and (
            before.state in FINAL_STATES or (before.state == "in_progress" and before.token != token)
        ):
            return
        value = {
            "state": "failed",
            "token": secrets.token_hex(8),
            "attempts": before.attempts if before else 0,
            "crashes": (before.crashes if before else 0) + 1,
            "version": before.version if before else "",
            "reason": reason,
            "at": timestamp(self._clock()),
        }
        names = {"#e": effect}
        values = {":value": to_attribute(value)}
        condition = "attribute_not_exists(#e)"
        if before is not None:
            condition = "#e.#token = :before AND #e.#state = :state"
            names |= {"#token": "token", "#state": "state"}
            values |= {":before": to_attribute(before.token), ":state": to_attribute(before.state)}
        with suppress(LeaseLost):
            self._conditional(self._update(identity, "SET #e = :value", condition, names, values))

    def bury(self, identity: EventIdentity) -> None:
        """Record that nobody will try an event's failed effects again by himself: its message was dead-lettered.

        The reason of each stays. A replay brings the message back, and claims them.
        """
        failed = {name: state for name, state in self.states(identity).items() if state.state == "failed"}
        for effect, state in failed.items():
            with suppress(LeaseLost):
                self._conditional(
                    self._update(
                        identity,
                        "SET #e.#state = :dead",
                        _HELD,
                        {"#e": effect, "#token": "token", "#state": "state"},
                        {
                            ":dead": to_attribute(DEAD),
                            ":token": to_attribute(state.token),
                            ":held": to_attribute("failed"),
                        },
                    )
                )

    def reopen(self, identity: EventIdentity, effects: Sequence[str], *, by: str) -> int:
        """Make effects that have ended claimable again, as if they had never run. Returns how many were.

        Args:
            by: who asks; he, the time and how the effect had ended stay in the item's ``replays``.
        """
        states = self.states(identity)
        reopened = 0
        for effect in effects:
            state = states.get(effect)
            if state is None or not state.has_ended:
                continue
            trail = {"effect": effect, "was": state.state, "by": by, "at": timestamp(self._clock())}
            values = {
                ":reopened": REOPENED,
                ":none": 0,
                ":empty": [],
                ":trail": [trail],
                ":fresh": secrets.token_hex(8),
                ":token": state.token,
                ":ended": state.state,
                ":now": trail["at"],
            }
            fields = ("token", "state", "reason", "at", "attempts", "crashes", "replays")
            try:
                self._conditional(
                    self._update(
                        identity,
                        "SET #e.#state = :reopened, #e.#token = :fresh, #e.#at = :now, #e.#attempts = :none, "
                        "#e.#crashes = :none, #replays = list_append(if_not_exists(#replays, :empty), :trail) "
                        "REMOVE #e.#reason",
                        "#e.#token = :token AND #e.#state = :ended",
                        {"#e": effect, **{f"#{field}": field for field in fields}},
                        {name: to_attribute(value) for name, value in values.items()},
                    )
                )
            except LeaseLost:
                continue  # somebody else reopened it just now
            reopened += 1
        return reopened

    def release(self, identity: EventIdentity, effect: str, token: str) -> None:
        """Give up a claim that is still held under ``token``, so that the next delivery need not wait for its lease."""
        with suppress(LeaseLost):
            self._conditional(
                self._update(
                    identity,
                    "SET #e.#lease = :zero",
                    _HELD,
                    {"#e": effect, "#token": "token", "#state": "state", "#lease": "lease_until"},
                    {":zero": to_attribute(0), **_held_by(token)},
                )
            )

    def _update(
        self,
        identity: EventIdentity,
        update: str,
        condition: str,
        names: Mapping[str, str],
        values: Mapping[str, Any],
    ) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "Key": {"pk": {"S": identity}},
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": dict(names),
            "ExpressionAttributeValues": dict(values),
        }

    def _conditional(self, update: dict[str, Any]) -> None:
        try:
            self._client.update_item(**update)
        except ClientError as error:
            if is_condition_failure(error):
                raise LeaseLost(_LOST) from None
            raise

    def _transact(self, items: list[dict[str, Any]]) -> None:
        try:
            self._client.transact_write_items(TransactItems=items)  # type: ignore[arg-type]
        except ClientError as error:
            codes = cancellation_codes(error)
            if codes and codes[0] == CONDITION_FAILED:
                raise LeaseLost(_LOST) from None
            if CONDITION_FAILED in codes:
                raise CommitConflict(codes[1:]) from None
            if is_service_trouble(error):
                raise RetryableError("other writes to the same items were under way") from None
            raise


def _held_by(token: str) -> dict[str, Any]:
    return {":token": to_attribute(token), ":held": to_attribute("in_progress")}


def _effects(attributes: Mapping[str, Any]) -> dict[str, EffectState]:
    item = from_attributes(attributes)
    return {name: EffectState.of(value) for name, value in item.items() if isinstance(value, dict)}
