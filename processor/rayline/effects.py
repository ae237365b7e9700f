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
_TRANSACTION_ITEMS = 100
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


@dataclass(frozen=True)
class Ending:
    """How an effect ended, to be put on record.

    Attributes:
        calls: the screening, transforming and deciding implementations that ran within the effect.
        writes: what is to be written in the same transaction.
    """

    identity: EventIdentity
    effect: str
    token: str
    state: FinalState | OpenState
    reason: str = ""
    result: Mapping[str, Any] | None = None
    calls: Sequence[str] = ()
    writes: Sequence[TransactItem] = ()


def event_identity(event: Event, keyed_hash: KeyedHash) -> EventIdentity:
    """The effect ledger's key of an event: its kind in clear, what identifies it as a keyed hash."""
    return EventIdentity(f"{event.site}#{event.kind}#{keyed_hash.of(*event.identity_parts())}")


def kind_of(identity: EventIdentity) -> str:
    """The kind of the event that has an identity."""
    return identity.split("#", 2)[1]


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
        update = self._claim(identity, wanted, versions, known, token, fresh=fresh)
        try:
            self._client.update_item(**update, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        except ClientError as error:
            if not is_condition_failure(error):
                raise
            # AWS returns the item that failed the condition, which saves a read.
            item = error.response.get("Item")
            return _effects(item) if item else self.states(identity)  # type: ignore[arg-type]
        return None

    def _claim(
        self,
        identity: EventIdentity,
        wanted: Sequence[str],
        versions: Mapping[str, str],
        known: Mapping[str, EffectState],
        token: str,
        *,
        fresh: bool,
    ) -> dict[str, Any]:
        """The update that claims effects, conditional on what is known of each."""
        now = self._clock()
        names = {"#expires": "expires_at", "#created": "created_at"}
        values: dict[str, Any] = {
            ":expires": {"N": str(int((now + _RETENTION).timestamp()))},
            ":created": {"S": timestamp(now)},
        }
        sets = ["#expires = :expires", "#created = if_not_exists(#created, :created)"]
        conditions = ["attribute_not_exists(pk)"] if fresh else []
        for index, name in enumerate(wanted):
            names[f"#e{index}"] = name
            before = known.get(name)
            values[f":e{index}"] = self._held(now, token, versions[name], before)
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
        return self._update(identity, "SET " + ", ".join(sets), " AND ".join(conditions), names, values)

    def _held(
        self, now: datetime, token: str, version: str, before: EffectState | None = None
    ) -> dict[str, Any]:
        """The attribute of an effect that is claimed."""
        return {
            "M": {
                "state": {"S": "in_progress"},
                "token": {"S": token},
                "lease_until": _seconds(now.timestamp() + self._lease_seconds),
                "attempts": {"N": str((before.attempts if before else 0) + 1)},
                "crashes": {"N": str(before.crashes if before else 0)},
                "version": {"S": version},
                "at": {"S": timestamp(now)},
            }
        }

    def claim_fresh(
        self, events: Mapping[EventIdentity, Sequence[tuple[str, str]]]
    ) -> dict[EventIdentity, Claim]:
        """Claim every effect of events that are likely unknown, in one transaction of one write an event.

        An event that turns out to be known is not among the answers, and nothing of it has changed.

        Args:
            events: pairs of effect name and plugin version by event, no more than a receive has.
        """
        wanted = {identity: dict(effects) for identity, effects in events.items() if effects}
        # Those that are known spoil the transaction; once they are named, the others go again without them.
        for _ in range(2):
            if not wanted:
                break
            claims = {
                identity: Claim(secrets.token_hex(8), frozenset(versions), {})
                for identity, versions in wanted.items()
            }
            puts = [
                {"Put": self._first_claim(identity, versions, claims[identity].token)}
                for identity, versions in wanted.items()
            ]
            try:
                self._client.transact_write_items(TransactItems=puts)  # type: ignore[arg-type]
            except ClientError as error:
                codes = cancellation_codes(error)
                if not codes:
                    raise
                wanted = {
                    each: wanted[each] for each, code in zip(wanted, codes, strict=True) if code == "None"
                }
            else:
                return claims
        return {}

    def _first_claim(
        self, identity: EventIdentity, versions: Mapping[str, str], token: str
    ) -> dict[str, Any]:
        """The put that claims effects of an event that has no item."""
        now = self._clock()
        return {
            "TableName": self._table,
            "Item": {
                "pk": {"S": identity},
                "expires_at": {"N": str(int((now + _RETENTION).timestamp()))},
                "created_at": {"S": timestamp(now)},
                **{name: self._held(now, token, version) for name, version in versions.items()},
            },
            "ConditionExpression": "attribute_not_exists(pk)",
        }

    def withdraw(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """Undo the first claim of effects that have not begun, as if there had been none.

        Effects that another worker holds by now are left alone.
        """
        conditions, names, values = _all_held(effects, token)
        update = self._update(
            identity,
            "REMOVE " + ", ".join(f"#e{index}" for index in range(len(effects))),
            conditions,
            names,
            values,
        )
        with suppress(LeaseLost):
            self._conditional(update)

    def renew(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """Extend the lease of effects held under a token.

        Raises:
            LeaseLost: one of them is held by another, or has ended.
        """
        conditions, names, values = _all_held(effects, token)
        names["#lease"] = "lease_until"
        values[":lease"] = _seconds(self._clock().timestamp() + self._lease_seconds)
        sets = ", ".join(f"#e{index}.#lease = :lease" for index in range(len(effects)))
        update = self._update(identity, "SET " + sets, conditions, names, values)
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
        ending = Ending(identity, effect, token, state, reason, result, calls, writes)
        update = self._end([ending])
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

    def finish_all(self, endings: Sequence["Ending"]) -> dict[tuple[EventIdentity, str], Exception]:
        """Record how many effects ended, in as few transactions as that takes. Returns what could not be recorded.

        One that cannot be recorded keeps none of the others from it. The errors are those of :meth:`finish`.
        """
        failed: dict[tuple[EventIdentity, str], Exception] = {}
        chunk: list[list[Ending]] = []
        taken: set[str] = set()
        for group in _by_claim(endings):
            keys = _items(group)
            # A transaction takes a hundred items, and none of them twice (DynamoDB API, TransactWriteItems).
            if chunk and (taken & keys or len(taken) + len(keys) > _TRANSACTION_ITEMS):
                failed |= self._finish_together(chunk)
                chunk, taken = [], set()
            chunk.append(group)
            taken |= keys
        return failed | self._finish_together(chunk)

    def _finish_together(
        self, groups: Sequence[Sequence["Ending"]]
    ) -> dict[tuple[EventIdentity, str], Exception]:
        items = [
            item
            for group in groups
            for item in ({"Update": self._end(group)}, *(write for each in group for write in each.writes))
        ]
        endings = [ending for group in groups for ending in group]
        try:
            if len(items) == 1:
                self._client.update_item(**items[0]["Update"])
            elif items:
                self._client.transact_write_items(TransactItems=items)  # type: ignore[arg-type]
        except Exception as error:
            refused = isinstance(error, ClientError) and (
                is_condition_failure(error) or cancellation_codes(error)
            )
            if not refused:
                return {(each.identity, each.effect): error for each in endings}
        else:
            return {}
        if len(groups) > 1:
            return {key: error for group in groups for key, error in self._finish_together([group]).items()}
        alone = {(each.identity, each.effect): self._finish_alone(each) for each in endings}
        return {key: problem for key, problem in alone.items() if problem is not None}

    def _finish_alone(self, ending: "Ending") -> Exception | None:
        try:
            self.finish(
                ending.identity,
                ending.effect,
                ending.token,
                ending.state,
                reason=ending.reason,
                result=ending.result,
                calls=ending.calls,
                writes=ending.writes,
            )
        except Exception as error:
            return error
        return None

    def _end(self, endings: Sequence["Ending"]) -> dict[str, Any]:
        """The update that ends effects of one claim."""
        at = {"S": timestamp(self._clock())}
        conditions, names, values = _all_held([each.effect for each in endings], endings[0].token)
        names |= {"#lease": "lease_until", "#at": "at"}
        values[":at"] = at
        sets = []
        for index, ending in enumerate(endings):
            fields: dict[str, Any] = {"state": {"S": ending.state}}
            if ending.reason:
                fields["reason"] = {"S": ending.reason[:_REASON_LENGTH]}
            if ending.result:
                fields["result"] = {"S": json.dumps(ending.result, sort_keys=True)}
            if ending.calls:
                fields["calls"] = {"L": [{"S": call} for call in ending.calls]}
            for name, value in fields.items():
                names[f"#{name}"] = name
                values[f":{name}{index}"] = value
                sets.append(f"#e{index}.#{name} = :{name}{index}")
            sets.append(f"#e{index}.#at = :at")
        removes = ", ".join(f"#e{index}.#lease" for index in range(len(endings)))
        return self._update(
            endings[0].identity, f"SET {', '.join(sets)} REMOVE {removes}", conditions, names, values
        )

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


def _by_claim(endings: Sequence[Ending]) -> list[list[Ending]]:
    """Endings that one update of an effect item can record, since they share a claim and no other item."""
    groups: dict[tuple[EventIdentity, str], list[list[Ending]]] = {}
    for ending in endings:
        known = groups.setdefault((ending.identity, ending.token), [[]])
        if _items(known[-1]) & {_item(write) for write in ending.writes}:
            known.append([])
        known[-1].append(ending)
    return [group for known in groups.values() for group in known]


def _items(group: Sequence[Ending]) -> set[str]:
    """The items that recording a group writes."""
    return {f"effects {each.identity}" for each in group} | {
        _item(write) for each in group for write in each.writes
    }


def _item(write: TransactItem) -> str:
    (what,) = write.values()
    key = what.get("Key") or {"pk": what["Item"]["pk"]}
    return f"{what['TableName']} {json.dumps(key, sort_keys=True)}"


def _seconds(moment: float) -> dict[str, str]:
    """A moment in Unix time as DynamoDB writes numbers, so that a put that is sent again is seen to be the same."""
    return {"N": str(int(moment)) if moment.is_integer() else repr(moment)}


def _held_by(token: str) -> dict[str, Any]:
    return {":token": {"S": token}, ":held": {"S": "in_progress"}}


def _all_held(effects: Sequence[str], token: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The condition that effects, named ``#e0`` and so on, are all held under a token; its names and values."""
    names = {"#token": "token", "#state": "state"} | {
        f"#e{index}": name for index, name in enumerate(effects)
    }
    conditions = [f"#e{index}.#token = :token AND #e{index}.#state = :held" for index in range(len(effects))]
    return " AND ".join(conditions), names, _held_by(token)


def _effects(attributes: Mapping[str, Any]) -> dict[str, EffectState]:
    item = from_attributes(attributes)
    return {name: EffectState.of(value) for name, value in item.items() if isinstance(value, dict)}
