"""The brake: a worker stops consuming while nearly everything fails, so that a fault empties no queue into the DLQ."""

from collections import deque
from collections.abc import Callable

_WINDOW = 20
_LEAST_SEEN = 10
_FAILING_SHARE = 0.9
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 60.0


class Brake:
    """Watches how messages end; once nine in ten of the last twenty failed, it lets single ones through as probes.

    Each probe that fails doubles the pause, 5 s at first and 60 s at most; the first that does not fail releases it.
    """

    def __init__(self, clock_seconds: Callable[[], float]) -> None:
        self._clock_seconds = clock_seconds
        self._recent: deque[bool] = deque(maxlen=_WINDOW)
        self._pause_seconds = 0.0
        self._until = 0.0

    @property
    def on(self) -> bool:
        """Whether consuming is stopped, but for probes."""
        return self._pause_seconds > 0

    def wait_seconds(self) -> float:
        """Seconds until the next message may be received."""
        return max(0.0, self._until - self._clock_seconds()) if self.on else 0.0

    def most(self, messages: int) -> int:
        """How many messages may be received at once."""
        return 1 if self.on else messages

    def note(self, *, failed: bool) -> None:
        """Take in how one message ended."""
        if self.on:
            self._note_probe(failed=failed)
            return
        self._recent.append(failed)
        seen = len(self._recent)
        if seen >= _LEAST_SEEN and sum(self._recent) >= _FAILING_SHARE * seen:
            self._pause(_FIRST_PAUSE_SECONDS)

    def _note_probe(self, *, failed: bool) -> None:
        if failed and self.wait_seconds() > 0:
            return  # no probe: it was in hand already when the brake came on
        if failed:
            self._pause(min(_LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds))
        else:
            self._recent.clear()
            self._pause_seconds = 0.0

    def _pause(self, seconds: float) -> None:
        self._pause_seconds = seconds
        self._until = self._clock_seconds() + seconds
