"""A processor's processes in one test process: the real worker and supervisor code, on clients that can fail.

A process dies by :class:`ProcessDied`, which no ``except Exception`` catches, and from then on none of its calls
gets out. What it had told its supervisor by then is all that the supervisor knows.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ReadTimeoutError
from pydantic import SecretStr
from support.in_memory_cloud.calls import Call, Steps, aws_error
from support.manual_clock import ManualClock

from rayline.aws import Clients
from rayline.call_board import BOARD_BYTES, CallBoard
from rayline.observability.traces import Traces
from rayline.runtime import build_runtime
from rayline.settings import Settings
from rayline.supervisor import Supervisor, _WorkerState
from rayline.watch import PipeWatch
from rayline.worker import Worker

_THROTTLES = {
    "dynamodb": "ProvisionedThroughputExceededException",
    "s3": "SlowDown",
    "sqs": "RequestThrottled",
}


class ProcessDied(BaseException):
    """The process is gone: killed, out of memory, or its machine lost."""


class PluginHung(ProcessDied):
    """A plugin's call overran, so the supervisor killed the process."""


@dataclass(frozen=True)
class _Plan:
    at: int | str
    kind: str
    act: Callable[[], object] | None


class Faults(Steps):
    """What goes wrong around one process's calls; calls count from the last :meth:`plan`.

    Attributes:
        dead: no call gets out any more.
        throttled: so many calls from now on are refused.
    """

    def __init__(self) -> None:
        self.dead = False
        self.throttled = 0
        self.calls = 0
        self.trace: deque[str] = deque(maxlen=60)
        self._plans: list[_Plan] = []

    def plan(self, at: "int | str", kind: str, act: Callable[[], object] | None = None) -> None:
        """At a call from now, the ``at``-th of all or the first of an operation, do what ``kind`` says.

        - *crash before*, *crash after*: die before the service sees the call, or before its answer arrives.
        - *answer lost*: the call happens, and its caller is told of a timeout, as after botocore's last attempt.
        - *sent twice*: the first answer is lost, and botocore sends the same request again.
        - *meanwhile*: ``act`` happens before the call.
        - *suspend*: ``act`` returns when the process may go on.
        """
        self._plans.append(_Plan(self.calls + at if isinstance(at, int) else at, kind, act))

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._plans.clear()
        self.throttled = 0

    def take(self, call: Call, act: Callable[[], Any]) -> Any:
        """Make the call, with what is planned for it."""
        if self.dead:
            raise ProcessDied
        self.calls += 1
        plan = next((each for each in self._plans if each.at in (self.calls, str(call))), None)
        kind, meanwhile = (plan.kind, plan.act) if plan else ("", None)
        if plan is not None:
            self._plans.remove(plan)
        self.trace.append(f"{call} {kind}".strip())
        if kind == "crash before":
            self.die()
        if kind in ("meanwhile", "suspend") and meanwhile is not None:
            meanwhile()
            if self.dead:
                raise ProcessDied
        if self.throttled > 0:
            self.throttled -= 1
            raise aws_error(_THROTTLES.get(call.service, "ThrottlingException"), "slow down", call.operation)
        answer = act()
        if kind == "crash after":
            self.die()
        if kind == "answer lost":
            raise ReadTimeoutError(endpoint_url="https://aws")
        if kind == "sent twice":
            return act()
        return answer

    def die(self) -> None:
        """End the process here and now."""
        self.dead = True
        raise ProcessDied


class ClockedEvent(threading.Event):
    """An event whose waiting moves a clock and takes no time."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass."""
        if not self.is_set() and timeout:
            self._clock.pass_time(timeout)
        return self.is_set()


class _Baton:
    """Who of two threads runs."""

    def __init__(self) -> None:
        self._theirs = threading.Event()
        self._ours = threading.Event()

    def hand_over(self) -> None:
        """The turn stands still until it is given back."""
        self._ours.set()
        self._theirs.wait()

    def wait_for_it(self) -> None:
        """Wait until the turn stands still or has ended."""
        self._ours.wait()

    def give_back(self) -> None:
        """Let the turn go on."""
        self._theirs.set()

    def end(self) -> None:
        """The turn has ended."""
        self._ours.set()


class ReportPipe:
    """Both ends of the pipe between a worker and its supervisor; a dead worker says nothing more."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._reports: deque[Any] = deque()

    def send(self, report: Any) -> None:
        """A worker's report."""
        if not self._faults.dead:
            self._reports.append(report)

    def poll(self) -> bool:
        """Whether a report waits."""
        return bool(self._reports)

    def recv(self) -> Any:
        """The next report."""
        return self._reports.popleft()

    def close(self) -> None:
        """Nothing to free."""


class Board(CallBoard):
    """The memory between a worker and its supervisor; a dead worker writes no more into it."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(bytearray(BOARD_BYTES), lambda: 0.0)
        self._faults = faults

    def received(self) -> None:
        """Written by the living only."""
        if not self._faults.dead:
            super().received()

    def begin(self, position: int) -> None:
        """Written by the living only."""
        if not self._faults.dead:
            super().begin(position)

    def enter(self, effect: str, timeout_seconds: float) -> None:
        """Written by the living only."""
        if not self._faults.dead:
            super().enter(effect, timeout_seconds)

    def leave(self) -> None:
        """Written by the living only."""
        if not self._faults.dead:
            super().leave()


@dataclass
class _Ended:
    """What the supervisor sees of a process that has ended."""

    exitcode: int

    def is_alive(self) -> bool:
        """It is not."""
        return False

    def join(self) -> None:
        """It has ended already."""


@dataclass
class World:
    """What every process of a processor has in common."""

    settings: Settings
    secrets: Mapping[str, SecretStr]
    clients: Callable[[Steps], Clients]
    clock: ManualClock
    traces: Traces | None = None


@dataclass
class WorkerProcess:
    """One worker.

    Attributes:
        skew: how far its clock is from the true one.
        hung: the effect whose call overran, if that is how it ended.
    """

    name: str
    world: World
    skew: timedelta = timedelta()
    faults: Faults = field(default_factory=Faults)
    hung: str | None = None

    def __post_init__(self) -> None:
        self.pipe = ReportPipe(self.faults)
        self.board = Board(self.faults)
        watch = PipeWatch(self.pipe, self.board)  # type: ignore[arg-type]
        self.runtime = build_runtime(
            self.world.settings,
            self.world.secrets,
            clients=self.world.clients(self.faults),
            watch=watch,
            owner=self.name,
            clock=self.now,
            traces=self.world.traces,
        )
        self.stopping = ClockedEvent(self.world.clock)
        self.worker = Worker(
            self.runtime, watch, monotonic=lambda: self.now().timestamp(), stopping=self.stopping
        )
        self.busy = False

    def now(self) -> datetime:
        """Its own clock."""
        return self.world.clock() + self.skew

    @property
    def dead(self) -> bool:
        """Whether it is gone."""
        return self.faults.dead

    def turn(self) -> None:
        """One turn of the worker's loop; it may die in it."""
        self._run(self.worker.turn)

    def turn_until(self, call: "int | str") -> None:
        """One turn, suspended at a call until :meth:`resume`; others may act in between, and more than once.

        Of the threads only one ever runs: the turn's, or the one that waits here.
        """
        self._control = _Baton()
        self.faults.plan(call, "suspend", self._control.hand_over)
        self._thread = threading.Thread(target=self._run_thread, daemon=True)
        self._thread.start()
        self._control.wait_for_it()
        if not self.busy:
            self.faults.heal()  # the turn was over before that call

    def _run_thread(self) -> None:
        try:
            self._run(self.worker.turn)
        finally:
            self._control.end()

    @property
    def suspended(self) -> bool:
        """Whether a turn stands still."""
        return self.busy

    def resume(self) -> None:
        """Let a suspended turn go on to its end."""
        self._control.give_back()
        self._thread.join()

    def drain(self) -> None:
        """SIGTERM: what is at work is finished, the rest given back, and the open batch sealed."""
        self.worker.stop()
        self._run(self.worker._consume)
        self.faults.dead = True

    def beat(self) -> None:
        """The heartbeat's thread gets its turn, unless it has to wait for a message that is being settled."""
        if self.worker._settling.locked():
            return
        try:
            self.worker.beat()
        except ProcessDied:
            self.faults.dead = True

    def _run(self, act: Callable[[], None]) -> None:
        self.busy = True
        try:
            act()
        except PluginHung as hung:
            self.faults.dead = True
            self.hung = str(hung) or "plugin"
        except ProcessDied:
            self.faults.dead = True
        finally:
            self.busy = False

    def kill(self) -> None:
        """SIGKILL; one that is at work ends at its next call."""
        self.faults.dead = True


class SupervisorProcess:
    """The real supervisor's funeral of a worker, without its processes and its clock."""

    def __init__(self, world: World) -> None:
        self.faults = Faults()
        clients = world.clients(self.faults)
        self._supervisor = Supervisor(world.settings, world.secrets, clients)
        self._supervisor.__dict__["_runtime"] = build_runtime(
            world.settings,
            world.secrets,
            clients=clients,
            watch=PipeWatch(ReportPipe(self.faults), Board(self.faults)),  # type: ignore[arg-type]
            owner="supervisor",
            clock=world.clock,
        )

    def bury(self, worker: WorkerProcess) -> None:
        """Record why a worker died and give back what it held; the supervisor may die in it."""
        state = _WorkerState(worker.name, _Ended(-9), worker.pipe, worker.board, 0.0)  # type: ignore[arg-type]
        state.listen()
        if worker.hung is not None and state.calls:
            state.blamed = state.calls[-1].effect
        self._supervisor._workers.append(state)
        try:
            self._supervisor._bury(state)
        except ProcessDied:
            self.faults.dead = True
