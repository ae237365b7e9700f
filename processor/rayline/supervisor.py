"""The supervisor: starts worker processes, ends what overruns, records it, and drains on SIGTERM."""

import multiprocessing
import secrets as random_secrets
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

import structlog
from pydantic import SecretStr

from rayline.aws import Clients
from rayline.call_board import Call, CallBoard
from rayline.dispatcher import PLUGIN_CRASHED, PLUGIN_TIMEOUT, backoff_seconds
from rayline.effects import kind_of
from rayline.health import Health, serve_health
from rayline.message_queue import DeadLetter, MessageQueue
from rayline.observability.consumption import UNREADABLE, Consumption, EventOutcome
from rayline.observability.logs import failure_fields
from rayline.observability.meter import Meter
from rayline.runtime import Runtime, build_runtime
from rayline.settings import Settings
from rayline.watch import Braked, Filling, Held, Holding, MessageInHand, Received, Report, Settled, Unwatched
from rayline.worker import run_worker

WORKER_DIED = "WORKER_DIED"
_TICK_SECONDS = 0.2
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0
_EARLY_SECONDS = 10.0
_SILENT_SECONDS = 600.0  # well above what botocore may spend on a request with all its retries
DRAIN_SECONDS = 25.0  # ECS sends SIGKILL 30 s after SIGTERM unless stopTimeout says otherwise

_log = structlog.get_logger()


@dataclass
class _WorkerState:
    """What a worker last said of itself."""

    name: str
    process: BaseProcess
    pipe: "Connection[object, Report]"
    board: CallBoard
    started: float
    messages: dict[str, MessageInHand] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    holdings: list[Holding] = field(default_factory=list)
    batch_id: str | None = None
    blamed: str | None = None
    heard_at: float = field(default_factory=time.monotonic)
    changes: int = 0
    has_polled: bool = False
    braked: bool = False

    @property
    def calls(self) -> tuple[Call, ...]:
        """Calls under way, the outermost first."""
        return self.board.read().calls

    @property
    def has_begun(self) -> bool:
        """Whether it has ever begun a message."""
        return self.board.read().begun > 0

    def at_work(self) -> Holding | None:
        """What it holds of the message at work: of several claims, the last."""
        position = self.board.read().position
        return next((each for each in reversed(self.holdings) if each.position == position), None)

    def listen(self) -> None:
        """Take in every report that has arrived, and see whether it is alive."""
        changes = self.board.read().changes
        if changes != self.changes:
            self.changes, self.heard_at = changes, time.monotonic()
        try:
            while self.pipe.poll():
                self._take(self.pipe.recv())
        except (EOFError, OSError):
            return  # the pipe ends with its worker; what was said before is taken in

    def _take(self, report: Report) -> None:
        self.heard_at = time.monotonic()
        match report:
            case Received(messages):
                self.has_polled = True
                self.messages = {message.message_id: message for message in messages}
                self.positions = {message.message_id: index for index, message in enumerate(messages)}
                self.holdings = []
            case Settled(message_ids):
                for message_id in message_ids:
                    self.messages.pop(message_id, None)
            case Held(holdings):
                self.holdings += holdings
            case Filling(batch_id):
                self.batch_id = batch_id
            case Braked(on):
                self.braked = on


class Supervisor:
    """Keeps ``settings.workers`` workers running until told to stop."""

    def __init__(
        self,
        settings: Settings,
        secrets: Mapping[str, SecretStr],
        clients: Clients,
        *,
        verbose: bool = False,
        meter: Meter | None = None,
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._clients = clients
        self._verbose = verbose
        self._meter = meter or Meter(settings.site)
        self._consumption = Consumption(self._meter)
        self._queue = MessageQueue(clients.sqs, settings.queue_url, settings.dead_letter_queue_url)
        self._health = Health(settings.workers, time.monotonic)
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_WorkerState] = []
        self._early_deaths = 0
        self._next_start = 0.0
        self._stopping = False

    @cached_property
    def _runtime(self) -> Runtime:
        """The supervisor's own parts, which also prove that workers can be built."""
        return build_runtime(
            self._settings,
            self._secrets,
            clients=self._clients,
            watch=Unwatched(),
            owner="supervisor",
            meter=self._meter,
        )

    def check(self) -> list[str]:
        """Build everything once, so that a wrong profile or plugin ends start-up here. Returns plugin names.

        Raises:
            ConfigurationError: as :func:`rayline.runtime.build_runtime`.
        """
        return [plugin.name for plugin in self._runtime.registry.plugins]

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, then drain."""
        plugins = self.check()
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        with serve_health(self._health, self._settings.health_port), self._meter.publishing():
            self._start_missing()
            _log.info("processor_started", workers=self._settings.workers, plugins=plugins)
            while not self._stopping:
                self._tick()
                self._start_missing()
            self._health.drain()
            self._drain()

    def _tick(self) -> None:
        self._listen(_TICK_SECONDS)
        self._end_overruns()
        self._bury_the_dead()
        self._health.tick(
            consuming=sum(worker.has_polled for worker in self._workers),
            braked=sum(worker.braked for worker in self._workers),
        )

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start_missing(self) -> None:
        while len(self._workers) < self._settings.workers and time.monotonic() >= self._next_start:
            name = f"{self._settings.site}-{random_secrets.token_hex(4)}"
            ours, theirs = self._context.Pipe()
            board = CallBoard.share(self._context)
            process = self._context.Process(
                target=run_worker,
                args=(self._settings, self._secrets, name, theirs, board, self._verbose),
                name=name,
                daemon=True,
            )
            process.start()
            theirs.close()
            self._workers.append(
                _WorkerState(name, process, ours, CallBoard(board, time.monotonic), time.monotonic())
            )

    def _listen(self, seconds: float) -> None:
        wait([worker.pipe for worker in self._workers], timeout=seconds)
        for worker in self._workers:
            worker.listen()

    def _end_overruns(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            # The innermost overrun is to blame: an outer call may only be waiting for it.
            calls = worker.calls
            overrun = next((call for call in reversed(calls) if now > call.deadline), None)
            if overrun is not None and worker.blamed is None:
                _log.error("plugin_overrun", worker=worker.name, effect=overrun.effect)
                worker.blamed = overrun.effect
                worker.process.kill()
            elif overrun is None and not calls and now - worker.heard_at > _SILENT_SECONDS:
                # Stuck outside of any plugin, where no deadline holds, e.g. in a request that never ends.
                _log.error("worker_silent", worker=worker.name)
                worker.process.kill()

    def _bury_the_dead(self) -> None:
        for worker in [each for each in self._workers if not each.process.is_alive()]:
            self._bury(worker)

    def _bury(self, worker: _WorkerState) -> None:
        """Record why a worker died, and give back what it held."""
        self._workers.remove(worker)
        worker.process.join()
        worker.listen()
        worker.pipe.close()
        log = _log.info if worker.process.exitcode == 0 else _log.warning
        log("worker_ended", worker=worker.name, status=worker.process.exitcode)
        self._pace(worker)
        at_work = worker.at_work()
        if at_work is not None:
            self._guarded(worker, lambda: self._record(worker, at_work))
        begun = worker.board.read().position
        for holding in worker.holdings:
            self._guarded(worker, lambda each=holding: self._let_go(each, begun=each.position <= begun))  # type: ignore[misc]
        if worker.batch_id is not None:
            batch_id = worker.batch_id
            batches = self._runtime.services.batches
            self._guarded(worker, lambda: batches.abandon(batch_id, worker.name))
        for message in worker.messages.values():
            self._guarded(worker, lambda each=message: self._give_back(worker, each))  # type: ignore[misc]

    def _pace(self, worker: _WorkerState) -> None:
        """Start the next worker at once, but ever later while workers die without having begun a message."""
        early = not worker.has_begun and time.monotonic() - worker.started < _EARLY_SECONDS
        self._early_deaths = self._early_deaths + 1 if early else 0
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(self._early_deaths, 10))
        self._next_start = time.monotonic() + pause

    def _record(self, worker: _WorkerState, holding: Holding) -> None:
        if worker.blamed is not None:
            reason, effect = PLUGIN_TIMEOUT, worker.blamed
        elif worker.calls and not self._stopping:  # else it was our own drain that ended the call
            reason, effect = PLUGIN_CRASHED, worker.calls[-1].effect
        else:
            return
        self._runtime.effects.record_failure(holding.identity, effect, reason, token=holding.token)

    def _let_go(self, holding: Holding, *, begun: bool) -> None:
        if not begun:
            # Nothing of it ran, so it is no attempt either.
            self._runtime.effects.withdraw(holding.identity, holding.effects, holding.token)
            return
        for effect in holding.effects:
            self._runtime.effects.release(holding.identity, effect, holding.token)

    def _give_back(self, worker: _WorkerState, message: MessageInHand) -> None:
        """Let the message at work return, which counts; those that only lay by go back as if never received."""
        at_work = worker.at_work()
        kind = kind_of(at_work.identity) if at_work else UNREADABLE
        if worker.positions[message.message_id] != worker.board.read().position:
            self._queue.put_back(message)
        elif message.receive_count < self._settings.max_receive_count:
            # At once after the first death, which may have been the machine's fault.
            self._queue.hide(
                message, backoff_seconds(message.receive_count) if message.receive_count > 1 else 0
            )
            self._consumption.worker_died(kind, EventOutcome.FAILED)
        else:
            if at_work is not None:
                self._runtime.effects.bury(at_work.identity)
            identity = at_work.identity if at_work else ""
            reason = PLUGIN_TIMEOUT if worker.blamed else PLUGIN_CRASHED if worker.calls else WORKER_DIED
            effect = worker.blamed or (worker.calls[-1].effect if worker.calls else "")
            self._queue.dead_letter(message, DeadLetter(reason, effect, identity))
            self._consumption.worker_died(kind, EventOutcome.DEAD_LETTERED)
            _log.error("message_dead_lettered", reason=reason)

    def _guarded(self, worker: _WorkerState, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            # Leases and visibility run out by themselves; this only would have been quicker.
            _log.warning("worker_clean_up_failed", worker=worker.name, **failure_fields(error))

    def _drain(self) -> None:
        _log.info("processor_draining", workers=len(self._workers))
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._workers and time.monotonic() < deadline:
            self._tick()
        for worker in list(self._workers):
            worker.process.kill()
            self._bury(worker)
        _log.info("processor_stopped")
