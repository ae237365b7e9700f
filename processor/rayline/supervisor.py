"""The supervisor: starts worker processes, ends what overruns, records it, and drains on SIGTERM."""

import multiprocessing
import secrets as random_secrets
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from rayline.aws import Clients
from rayline.dispatcher import PLUGIN_CRASHED, PLUGIN_TIMEOUT
from rayline.effects import EffectLedger
from rayline.events import EventIdentity
from rayline.observability.logs import failure_fields
from rayline.runtime import build_runtime, effect_ledger, utc_now
from rayline.settings import Settings
from rayline.watch import Unwatched
from rayline.worker import run_worker

_TICK_SECONDS = 0.2
_RESTART_PAUSE_SECONDS = 0.5
DRAIN_SECONDS = 25.0  # ECS sends SIGKILL 30 s after SIGTERM unless stopTimeout says otherwise

_log = structlog.get_logger()


@dataclass
class _Call:
    effect: str
    deadline: float


@dataclass
class _WorkerState:
    """What a worker last said of itself."""

    name: str
    process: BaseProcess
    pipe: Connection
    messages: tuple[str, ...] = ()
    identity: EventIdentity | None = None
    effects: tuple[str, ...] = ()
    token: str = ""
    calls: list[_Call] = field(default_factory=list)
    blamed: str | None = None

    def take(self, report: Sequence[Any]) -> None:
        """Take one report in."""
        match report:
            case ("messages", handles):
                self.messages = handles
            case ("holding", identity, effects, token):
                self.identity, self.effects, self.token = identity, effects, token
            case ("enter", effect, timeout_seconds):
                self.calls.append(_Call(effect, time.monotonic() + timeout_seconds))
            case ("leave",):
                self.calls.pop()


class Supervisor:
    """Keeps ``settings.workers`` workers running until told to stop."""

    def __init__(self, settings: Settings, secrets: Mapping[str, SecretStr], clients: Clients) -> None:
        self._settings = settings
        self._secrets = secrets
        self._clients = clients
        self._effects: EffectLedger = effect_ledger(clients, settings, utc_now)
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_WorkerState] = []
        self._stopping = False

    def check(self) -> list[str]:
        """Build everything once, so that a wrong profile or plugin ends start-up here. Returns plugin names.

        Raises:
            ConfigurationError: as :func:`rayline.runtime.build_runtime`.
        """
        runtime = build_runtime(
            self._settings, self._secrets, clients=self._clients, watch=Unwatched(), owner="supervisor"
        )
        return [plugin.name for plugin in runtime.registry.plugins]

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, then drain."""
        plugins = self.check()
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        for _ in range(self._settings.workers):
            self._start_worker()
        _log.info("processor_started", workers=self._settings.workers, plugins=plugins)
        while not self._stopping:
            self._listen(_TICK_SECONDS)
            self._end_overruns()
            self._replace_the_dead()
        self._drain()

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start_worker(self) -> None:
        name = f"{self._settings.site}-{random_secrets.token_hex(4)}"
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=run_worker, args=(self._settings, self._secrets, name, theirs), name=name, daemon=True
        )
        process.start()
        theirs.close()
        self._workers.append(_WorkerState(name, process, ours))

    def _listen(self, seconds: float) -> None:
        pipes = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(pipes), timeout=seconds):
            worker = pipes[pipe]  # type: ignore[index]
            try:
                while worker.pipe.poll():
                    worker.take(worker.pipe.recv())
            except (EOFError, OSError):
                continue

    def _end_overruns(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            # The innermost overrun is to blame: an outer call may only be waiting for it.
            overrun = next((call for call in reversed(worker.calls) if now > call.deadline), None)
            if overrun is not None and worker.blamed is None:
                _log.error("plugin_overrun", worker=worker.name, effect=overrun.effect)
                worker.blamed = overrun.effect
                worker.process.kill()

    def _replace_the_dead(self) -> None:
        for worker in [each for each in self._workers if not each.process.is_alive()]:
            self._workers.remove(worker)
            self._clean_up(worker)
            if not self._stopping:
                time.sleep(_RESTART_PAUSE_SECONDS)
                self._start_worker()

    def _clean_up(self, worker: _WorkerState) -> None:
        """Record why a worker died, and give back what it held."""
        try:
            while worker.pipe.poll():
                worker.take(worker.pipe.recv())
        except (EOFError, OSError):
            pass  # the pipe ends with its worker; what was said before is taken in
        worker.pipe.close()
        worker.process.join()
        log = _log.info if worker.process.exitcode == 0 else _log.warning
        log("worker_ended", worker=worker.name, status=worker.process.exitcode)
        try:
            if worker.identity is not None:
                self._record(worker, worker.identity)
            for receipt_handle in worker.messages:
                self._clients.sqs.change_message_visibility(
                    QueueUrl=self._settings.queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=0
                )
        except (BotoCoreError, ClientError) as error:
            # Leases and visibility run out by themselves; this only would have been quicker.
            _log.warning("worker_clean_up_failed", worker=worker.name, **failure_fields(error))

    def _record(self, worker: _WorkerState, identity: EventIdentity) -> None:
        for effect in worker.effects:
            self._effects.release(identity, effect, worker.token)
        if worker.blamed is not None:
            self._effects.record_failure(identity, worker.blamed, PLUGIN_TIMEOUT)
        elif worker.calls:
            self._effects.record_failure(identity, worker.calls[-1].effect, PLUGIN_CRASHED)

    def _drain(self) -> None:
        _log.info("processor_draining", workers=len(self._workers))
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._workers and time.monotonic() < deadline:
            self._listen(_TICK_SECONDS)
            self._end_overruns()
            self._replace_the_dead()
        for worker in self._workers:
            worker.process.kill()
        self._replace_the_dead()
        _log.info("processor_stopped")
