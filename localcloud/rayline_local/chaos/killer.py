"""SIGKILL at random, but only while effects are unfinished, so that every kill breaks something off."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from rayline_local.chaos.plan import Round, Target, Victim
from rayline_local.demo.processor import ProcessorProcess

LOOK_SECONDS = 0.02
#: after so long without the work that a kill is to break off, any other will do
TARGET_SECONDS = 12.0
_PATIENCE_SECONDS = 180.0


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        target: the work that was under way.
        unfinished: effects that had not ended, seen in the ledger right before.
        at: when, in epoch seconds.
    """

    number: int
    victim: Victim
    task: int
    target: Target
    unfinished: int
    at: float


class NothingUnderWay(Exception):
    """No effect was unfinished for too long: a kill would prove nothing."""


class Killer:
    """Takes the victims that a plan names, and starts again what a scheduler would start again.

    Args:
        unfinished: how much of a target is under way.
        more_work: makes work where there is none, since a kill of the idle proves nothing.
    """

    def __init__(
        self,
        tasks: Sequence[ProcessorProcess],
        unfinished: Callable[[Target], int],
        more_work: Callable[[], None] = lambda: None,
        wall_clock: Callable[[], float] = time.time,
        target_seconds: float = TARGET_SECONDS,
    ) -> None:
        self._tasks = tasks
        self._unfinished = unfinished
        self._more_work = more_work
        self._wall_clock = wall_clock
        self._target_seconds = target_seconds
        self.kills: list[Kill] = []

    def strike(self, one: Round) -> Kill:
        """Wait until work is under way, let it go on for the round's pause, and kill.

        Raises:
            NothingUnderWay: nothing was at work for minutes.
            ProcessorEnded: a task ended by itself.
        """
        started = idle_since = time.monotonic()
        pause, target = one.pause_seconds, one.target
        while (waited := time.monotonic() - started) < _PATIENCE_SECONDS:
            if waited > self._target_seconds:
                target = "any"
                if time.monotonic() - idle_since > self._target_seconds:
                    idle_since = time.monotonic()
                    self._more_work()
            if not self._unfinished(target):
                self._look_on()
                continue
            time.sleep(pause)
            victim = self._victim(one)
            # An import that is about to start is no effect of the ledger, and unfinished all the same.
            unfinished = self._unfinished("any") or self._unfinished(target)
            if victim is None or not unfinished:
                pause /= 2  # it was over too soon
                self._look_on()
                continue
            victim()
            kill = Kill(len(self.kills) + 1, one.victim, one.task, target, unfinished, self._wall_clock())
            self.kills.append(kill)
            return kill
        raise NothingUnderWay(f"nothing was under way in round {one.number}")

    def _look_on(self) -> None:
        for task in self._tasks:
            task.check()
        time.sleep(LOOK_SECONDS)

    def _victim(self, one: Round) -> Callable[[], None] | None:
        """The kill as an act, None while there is nobody to kill."""
        task = self._tasks[one.task]
        match one.victim:
            case "task" | "all tasks":
                struck = [task] if one.victim == "task" else self._tasks

                def kill_tasks() -> None:
                    for each in struck:
                        each.kill()
                    for each in struck:
                        each.start()

                return kill_tasks
            case "supervisor":

                def kill_supervisor() -> None:
                    task.kill_supervisor()
                    task.start()

                return kill_supervisor
            case "worker":
                workers = task.workers()
                if not workers:
                    return None
                pid = workers[int(one.choice * len(workers))]
                return lambda: _kill(pid)


def _kill(pid: int) -> None:
    # It may have ended in between; its supervisor then starts another just the same.
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
