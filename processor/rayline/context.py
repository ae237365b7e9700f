"""What a hook implementation gets beside its arguments."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pydantic import SecretStr

from rayline.dynamodb import TransactItem
from rayline.effects import EffectLedger, Ending, FinalState
from rayline.errors import ConfigurationError
from rayline.events import EventIdentity, Ingested
from rayline.plugin import Destination, StoredInstance
from rayline.recorder import Recorder


class StoredInstanceSource(Protocol):
    """Finds the de-identified instances of an event."""

    def for_event(self, event: Ingested) -> Iterator[StoredInstance]:
        """The instances that were imported by the event's job, or that its image set holds."""


@dataclass
class EffectHandle:
    """The effect under way; a built-in stage may record its end together with its own writes."""

    ledger: EffectLedger
    identity: EventIdentity
    effect: str
    token: str
    attempts: int
    recorder: Recorder | None = None
    calls: list[str] = field(default_factory=list)
    ended: tuple[FinalState, str] | None = None

    def commit(
        self,
        writes: Sequence[TransactItem] = (),
        *,
        state: FinalState = "done",
        reason: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Record the end of the effect and ``writes`` in one transaction.

        Raises:
            LeaseLost: another worker holds the effect now.
            CommitConflict: one of the writes failed on its condition; nothing was written.
            RetryableError: other transactions were under way on the same items; nothing was written.
        """
        self.ledger.finish(
            self.identity,
            self.effect,
            self.token,
            state,
            reason=reason,
            result=result,
            calls=self.calls,
            writes=writes,
        )
        self.ended = (state, reason)

    def commit_soon(self, writes: Sequence[TransactItem]) -> None:
        """As :meth:`commit`, for writes without conditions that may wait a moment for the ends of other events.

        Where they cannot be written later on, the hook runs again.

        Raises:
            LeaseLost, RetryableError: where they are written at once.
        """
        if self.recorder is None:
            self.commit(writes)
            return
        self.recorder.soon(
            Ending(self.identity, self.effect, self.token, "done", calls=tuple(self.calls), writes=writes)
        )
        self.ended = ("done", "")


@dataclass(frozen=True)
class HookContext:
    """The context of one call (see :class:`rayline.plugin.Context`)."""

    site: str
    log: Any
    settings: Any
    clock: Callable[[], datetime]
    secrets: Mapping[str, SecretStr] = field(repr=False)
    instances: StoredInstanceSource = field(repr=False)
    ask_destinations: Callable[[Ingested], list[Destination]] = field(repr=False)
    effect: EffectHandle | None = None

    def secret(self, name: str) -> bytes:
        """A secret of the site, e.g. ``deid``.

        Raises:
            ConfigurationError: the site has none of that name.
        """
        value = self.secrets.get(name)
        if value is None:
            raise ConfigurationError(
                f"the site has no secret {name!r}; inject RAYLINE_SECRET_{name.upper()} into the task"
            )
        return value.get_secret_value().encode()

    def stored_instances(self, event: Ingested) -> Iterator[StoredInstance]:
        """The de-identified instances that an *ingested* event is about."""
        return self.instances.for_event(event)

    def destinations(self, event: Ingested) -> list[Destination]:
        """What all ``destinations`` hooks answer."""
        return self.ask_destinations(event)
