"""Counts the people who use the API at the same time: those that it has heard of within five minutes."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

PRESENT: Final = timedelta(minutes=5)


class Viewers:
    """Who was here lately; nobody's name leaves it."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen_at: dict[str, datetime] = {}

    def seen(self, name: str) -> None:
        """Somebody who was authenticated asks for something."""
        with self._lock:
            self._seen_at[name] = self._clock()

    def present(self) -> int:
        """How many people there are; those that have gone are forgotten."""
        since = self._clock() - PRESENT
        with self._lock:
            self._seen_at = {name: at for name, at in self._seen_at.items() if at > since}
            return len(self._seen_at)
