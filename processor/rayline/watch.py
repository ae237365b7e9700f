"""What a worker tells its supervisor, so that an overrun or a crash can be ended, blamed and recorded."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Protocol

from rayline.call_board import CallBoard
from rayline.events import EventIdentity


@dataclass(frozen=True)
class MessageInHand:
    """A received message that still has to be settled; its body may name a patient.

    Attributes:
        sent_at: when it was sent, in seconds of the epoch by SQS's clock.
        traceparent: of the span that sent it, where that is known.
    """

    message_id: str
    receipt_handle: str
    receive_count: int
    body: str = field(repr=False)
    sent_at: float | None = None
    traceparent: str = ""


@dataclass(frozen=True)
class Received:
    """Report: these messages were received."""

    messages: tuple[MessageInHand, ...]


@dataclass(frozen=True)
class Settled:
    """Report: these messages were deleted or given back."""

    message_ids: tuple[str, ...]


@dataclass(frozen=True)
class Holding:
    """Effects of an event that are held under a token.

    Attributes:
        position: of the event's message among those of its receive.
    """

    identity: EventIdentity
    effects: tuple[str, ...]
    token: str
    position: int


@dataclass(frozen=True)
class Held:
    """Report: effects were claimed."""

    holdings: tuple[Holding, ...]


@dataclass(frozen=True)
class Braked:
    """Report: the worker stopped consuming since nearly everything failed, or consumes again."""

    on: bool


@dataclass(frozen=True)
class Filling:
    """Report: this import batch is open, or none is."""

    batch_id: str | None


Report = Received | Settled | Held | Filling | Braked


class Watch(Protocol):
    """Reports which effects a worker holds and which call it is in."""

    def holding(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """The worker claimed effects of the event at work."""

    def holding_ahead(self, holdings: Sequence[Holding]) -> None:
        """The worker claimed effects of events that it has received and not begun."""

    def calling(self, effect: str, timeout_seconds: float) -> AbstractContextManager[None]:
        """The worker is in a call; calls nest, and the innermost that overruns is to blame."""

    def filling(self, batch_id: str | None) -> None:
        """The worker opened an import batch, or has none any more."""


class Unwatched:
    """No supervisor: nothing is reported and nothing is killed."""

    def holding(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """Report nothing."""

    def holding_ahead(self, holdings: Sequence[Holding]) -> None:
        """Report nothing."""

    def calling(self, effect: str, timeout_seconds: float) -> AbstractContextManager[None]:
        """Report nothing."""
        return nullcontext()

    def filling(self, batch_id: str | None) -> None:
        """Report nothing."""


class PipeWatch:
    """Tells the supervisor what this worker holds over a pipe, and what it does on a board."""

    def __init__(self, pipe: "Connection[Report, object]", board: CallBoard) -> None:
        self._pipe = pipe
        self._board = board
        self._positions: dict[str, int] = {}
        self._position = -1
        self._sending = threading.Lock()  # the heartbeat reports too, from its own thread

    def _send(self, report: Report) -> None:
        with self._sending:
            self._pipe.send(report)

    def holding(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """Report the effects held under a token."""
        self._send(Held((Holding(identity, tuple(effects), token, self._position),)))

    def holding_ahead(self, holdings: Sequence[Holding]) -> None:
        """Report what is held of messages to come."""
        self._send(Held(tuple(holdings)))

    def received(self, messages: Sequence[MessageInHand]) -> None:
        """Report the messages in hand."""
        self._positions = {message.message_id: index for index, message in enumerate(messages)}
        self._position = -1
        self._board.received()
        self._send(Received(tuple(messages)))

    def begun(self, message_id: str) -> None:
        """Note that a message's handling began."""
        self._position = self._positions[message_id]
        self._board.begin(self._position)

    def settled(self, message_ids: Sequence[str]) -> None:
        """Report that messages are no longer in hand."""
        self._send(Settled(tuple(message_ids)))

    def braked(self, on: bool) -> None:
        """Report that consuming stopped, or goes on."""
        self._send(Braked(on))

    @contextmanager
    def calling(self, effect: str, timeout_seconds: float) -> Iterator[None]:
        """Note that a call begins, and that it ended."""
        self._board.enter(effect, timeout_seconds)
        try:
            yield
        finally:
            self._board.leave()

    def filling(self, batch_id: str | None) -> None:
        """Report the open import batch."""
        self._send(Filling(batch_id))
