"""What a worker is doing right now, in memory that it shares with its supervisor.

Events come by the hundred a second, and a supervisor that is woken for each call costs as much as the call. Here the
worker only writes, and the supervisor looks when it goes round, or once the worker is dead: the memory outlives it.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any

_HEADER = struct.Struct("=QQii")  # changes, messages begun, position of the message at work, depth of calls
_CALL = struct.Struct("=dH")  # deadline, length of the effect's name
_NAME_BYTES = 1_000
_SLOT_BYTES = _CALL.size + _NAME_BYTES
_DEEPEST = 16
_NEVER = math.inf
BOARD_BYTES = _HEADER.size + _DEEPEST * _SLOT_BYTES


@dataclass(frozen=True)
class Call:
    """A call of an implementation under way; ``deadline`` is in seconds of the monotonic clock."""

    effect: str
    deadline: float


@dataclass(frozen=True)
class Snapshot:
    """What the board says.

    Attributes:
        changes: how often the worker has written; it is alive while this grows.
        begun: how many messages the worker has begun since it was started.
        position: of the message at work among those of its receive, -1 where none is.
        calls: under way, the outermost first.
    """

    changes: int
    begun: int
    position: int
    calls: tuple[Call, ...]


class CallBoard:
    """Written by the one thread that handles messages, read by the supervisor.

    Args:
        memory: ``BOARD_BYTES`` of zeros that both can reach, as :meth:`share` makes.
        clock_seconds: a monotonic clock that all processes of the machine share (clock_gettime(2)).
    """

    def __init__(self, memory: Any, clock_seconds: Callable[[], float]) -> None:
        self._view = memoryview(memory).cast("B")
        self._clock_seconds = clock_seconds
        self._changes = 0
        self._begun = 0
        self._position = -1
        self._depth = 0

    @staticmethod
    def share(context: BaseContext) -> Any:
        """Memory for one worker's board, to be given to its process."""
        return context.RawArray("c", BOARD_BYTES)

    def received(self) -> None:
        """A new receive: no message of it has begun."""
        self._position = -1
        self._write()

    def begin(self, position: int) -> None:
        """The message at a position of the receive is at work."""
        self._position = position
        self._begun += 1
        self._write()

    def enter(self, effect: str, timeout_seconds: float) -> None:
        """A call begins.

        Raises:
            ValueError: the effect's name is longer than a thousand bytes, or calls nest sixteen deep.
        """
        name = effect.encode()
        if len(name) > _NAME_BYTES or self._depth == _DEEPEST:
            raise ValueError(
                "give the plugin a shorter name, and let its hooks not call each other in circles"
            )
        start = self._slot(self._depth)
        self._view[start + _CALL.size : start + _CALL.size + len(name)] = name
        _CALL.pack_into(self._view, start, self._clock_seconds() + timeout_seconds, len(name))
        # The depth last: a call is seen once all of it is there.
        self._depth += 1
        self._write()

    def leave(self) -> None:
        """The innermost call ended."""
        self._depth -= 1
        self._write()
        _CALL.pack_into(self._view, self._slot(self._depth), _NEVER, 0)

    def _write(self) -> None:
        self._changes += 1
        _HEADER.pack_into(self._view, 0, self._changes, self._begun, self._position, self._depth)

    def read(self) -> Snapshot:
        """The board now."""
        changes, begun, position, depth = _HEADER.unpack_from(self._view, 0)
        return Snapshot(changes, begun, position, tuple(self._call(index) for index in range(depth)))

    def _call(self, index: int) -> Call:
        start = self._slot(index)
        deadline, length = _CALL.unpack_from(self._view, start)
        name = bytes(self._view[start + _CALL.size : start + _CALL.size + length])
        return Call(name.decode(errors="replace"), deadline)

    @staticmethod
    def _slot(index: int) -> int:
        return _HEADER.size + index * _SLOT_BYTES
