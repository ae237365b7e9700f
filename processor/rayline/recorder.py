"""Ends of effects that may go on record together: one transaction for many quick hooks, a moment after they ran.

A hook that took a few milliseconds is cheap to repeat, and to record it by itself takes longer than it ran. Its end
waits for others, and whoever owns the recorder sees to it that :meth:`Recorder.flush` follows within a fraction of a
second. A crash before that runs these hooks again, as a crash before any record would; their messages are deleted
after the flush only.
"""

import threading

import structlog

from rayline.effects import EffectLedger, Ending, LeaseLost
from rayline.events import EventIdentity
from rayline.observability.logs import failure_fields

QUICK_SECONDS = 0.01

_log = structlog.get_logger()


class Recorder:
    """Collects ends, from the thread that runs hooks, and records them, from any."""

    def __init__(self, effects: EffectLedger) -> None:
        self._effects = effects
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._endings: list[Ending] = []
        self._problems: dict[EventIdentity, Exception] = {}

    def soon(self, ending: Ending) -> None:
        """Have an end recorded with the next flush."""
        with self._lock:
            self._endings.append(ending)

    def flush(self) -> None:
        """Record what waits. What cannot be recorded is given up, and :meth:`take_problem` tells of it."""
        with self._flushing:
            with self._lock:
                endings, self._endings = self._endings, []
            if not endings:
                return
            try:
                failed = self._effects.finish_all(endings)
            except Exception as error:  # else their messages would neither be settled nor come back
                failed = {(each.identity, each.effect): error for each in endings}
            with self._lock:
                self._problems |= {identity: error for (identity, _), error in failed.items()}
            for ending in endings:
                problem = failed.get((ending.identity, ending.effect))
                if problem is not None:
                    self._give_up(ending, problem)

    def _give_up(self, ending: Ending, problem: Exception) -> None:
        _log.warning("effect_not_recorded", effect=ending.effect, **failure_fields(problem))
        if isinstance(problem, LeaseLost):
            return
        try:
            self._effects.release(ending.identity, ending.effect, ending.token)
        except Exception as trouble:
            _log.warning("effect_not_released", **failure_fields(trouble))  # its lease runs out by itself

    def take_problem(self, identity: EventIdentity) -> Exception | None:
        """Why an end of an event could not be recorded, told once; None where all were."""
        with self._lock:
            return self._problems.pop(identity, None)
