"""What a worker tells its supervisor, so that an overrun or a crash can be ended, blamed and recorded."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Protocol

from rayline.events import EventIdentity


@dataclass(frozen=True)
class MessageInHand:
    """A received message that still has to be settled; its body may name a patient."""

    message_id: str
    receipt_handle: str
    receive_count: int
    body: str = field(repr=False)


@dataclass(frozen=True)
class Received:
    """Report: these messages were received."""

    messages: tuple[MessageInHand, ...]


@dataclass(frozen=True)
class Begun:
    """Report: a message's handling began."""

    message_id: str


@dataclass(frozen=True)
class Settled:
    """Report: a message was deleted or given back."""

    message_id: str


@dataclass(frozen=True)
class Holding:
    """Report: these effects of an event are held under a token."""

    identity: EventIdentity
    effects: tuple[str, ...]
    token: str


@dataclass(frozen=True)
class Entered:
    """Report: a call of an implementation began, and may take so long."""

    effect: str
    timeout_seconds: float


@dataclass(frozen=True)
class Left:
    """Report: the innermost call ended."""


@dataclass(frozen=True)
class Braked:
    """Report: the worker stopped consuming since nearly everything failed, or consumes again."""

    on: bool


@dataclass(frozen=True)
class Filling:
    """Report: this import batch is open, or none is."""

    batch_id: str | None


Report = Received | Begun | Settled | Holding | Entered | Left | Filling | Braked


class Watch(Protocol):
    """Reports which effects a worker holds and which call it is in."""

    def holding(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """The worker claimed effects of an event."""

    def calling(self, effect: str, timeout_seconds: float) -> AbstractContextManager[None]:
        """The worker is in a call; calls nest, and the innermost that overruns is to blame."""

    def filling(self, batch_id: str | None) -> None:
        """The worker opened an import batch, or has none any more."""


class Unwatched:
    """No supervisor: nothing is reported and nothing is killed."""

    def holding(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """Report nothing."""

    def calling(self, effect: str, timeout_seconds: float) -> AbstractContextManager[None]:
        """Report nothing."""
        return nullcontext()

    def filling(self, batch_id: str | None) -> None:
        """Report nothing."""


class PipeWatch:
    """Tells the supervisor, over a pipe, what this worker holds and does."""

    def __init__(self, pipe: "Connection[Report, object]") -> None:
        self._pipe = pipe
        self._sending = threading.Lock()  # the heartbeat reports too, from its own thread

    def _send(self, report: Report) -> None:
        with self._sending:
            self._pipe.send(report)

    def holding(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """Report the effects held under a token."""
        self._send(Holding(identity, tuple(effects), token))

    def received(self, messages: Sequence[MessageInHand]) -> None:
        """Report the messages in hand."""
        self._send(Received(tuple(messages)))

    def begun(self, message_id: str) -> None:
        """Report that a message's handling began."""
        self._send(Begun(message_id))

    def settled(self, message_id: str) -> None:
        """Report that a message is no longer in hand."""
        self._send(Settled(message_id))

    def braked(self, on: bool) -> None:
        """Report that consuming stopped, or goes on."""
        self._send(Braked(on))

    @contextmanager
    def calling(self, effect: str, timeout_seconds: float) -> Iterator[None]:
        """Report that a call begins, and that it ended."""
        self._send(Entered(effect, timeout_seconds))
        try:
            yield
        finally:
            self._send(Left())

    def filling(self, batch_id: str | None) -> None:
        """Report the open import batch."""
        self._send(Filling(batch_id))
