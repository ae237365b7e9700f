"""Events that are delivered later than they happened, by a thread of their own."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

Delivery = Callable[[], None]


class LateEvents:
    """Keeps deliveries until they are due; the thread starts with the first and goes with the process."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, seconds: float, deliver: Delivery) -> None:
        """Deliver after so many seconds."""
        with self._changed:
            heapq.heappush(self._waiting, (time.monotonic() + seconds, next(self._order), deliver))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="late-events", daemon=True)
                self._thread.start()
            self._changed.notify()

    def flush(self) -> None:
        """Deliver at once what still waits: a stop is no reason to lose it."""
        with self._changed:
            waiting, self._waiting = sorted(self._waiting, key=lambda each: each[:2]), []
        for _, _, deliver in waiting:
            deliver()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                remaining = self._waiting[0][0] - time.monotonic()
                if remaining > 0:
                    self._changed.wait(remaining)
                    continue
                _, _, deliver = heapq.heappop(self._waiting)
            deliver()
