"""A worker process: receives messages, handles them one by one, and keeps hold of them while it works."""

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from multiprocessing.connection import Connection
from types import FrameType
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import SecretStr

from rayline.aws import Clients
from rayline.brake import Brake
from rayline.call_board import CallBoard
from rayline.handler import Disposition, MessageHandler
from rayline.message_queue import MessageQueue
from rayline.observability.consumption import Consumption, Timing
from rayline.observability.logs import configure_logs, failure_fields
from rayline.observability.meter import Meter
from rayline.observability.metrics import OUTBOX_LAG
from rayline.observability.traces import open_traces, traceparent_of
from rayline.recorder import Recorder
from rayline.runtime import Runtime, build_runtime
from rayline.settings import Settings, traces_endpoint
from rayline.watch import MessageInHand, PipeWatch

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

LONG_POLL_SECONDS = 5  # a stop waits for it, and an idle worker's polls cost next to nothing
_MESSAGES_A_RECEIVE = 10
_DRAIN_EVERY_SECONDS = 15.0
_OUTBOX_AGE = timedelta(seconds=30)
_TROUBLE_PAUSE_SECONDS = 2.0
_SETTLE_SECONDS = 0.1

_log = structlog.get_logger()


class Worker:
    """The receive loop of one worker.

    Args:
        monotonic: seconds that only grow, for what is due every so often.
        stopping: set by :meth:`stop`; the loop's pauses wait on it.
    """

    def __init__(
        self,
        runtime: Runtime,
        watch: PipeWatch,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        stopping: threading.Event | None = None,
    ) -> None:
        self._runtime = runtime
        self._recorder = Recorder(runtime.effects)
        self._handler = MessageHandler(runtime, recorder=self._recorder)
        self._meter = runtime.services.meter
        self._consumption = Consumption(self._meter)
        self._traces = runtime.services.traces
        self._watch = watch
        self._settings = runtime.services.settings
        self._batches = runtime.services.batches
        self._queue = MessageQueue(
            runtime.services.clients.sqs,
            self._settings.queue_url,
            self._settings.dead_letter_queue_url,
            runtime.services.traces,
        )
        self._monotonic = monotonic
        self._brake = Brake(monotonic)
        self._in_hand: dict[str, MessageInHand] = {}
        self._finished: deque[tuple[MessageInHand, Disposition, Timing]] = deque()
        self._unsettled = threading.Event()
        # Held while a message is settled or extended: an extension must not hide what was just given back.
        self._settling = threading.Lock()
        self._stopping = stopping or threading.Event()
        self._ended = threading.Event()
        self._next_drain = 0.0

    def stop(self) -> None:
        """Finish the message at work, give back the others, seal the open batch, and end; for a signal handler.

        A long poll under way is waited for: were it broken off, SQS could still hide messages behind it.
        """
        self._stopping.set()

    def run(self) -> None:
        """Receive and handle until stopped."""
        for name, act in (("heartbeat", self._heartbeat), ("settler", self._settle_in_time)):
            threading.Thread(target=act, name=name, daemon=True).start()
        try:
            self._consume()
        finally:
            self._ended.set()
            self._unsettled.set()

    def _consume(self) -> None:
        while not self._stopping.is_set():
            self.turn()
        _guarded("import_batch_not_sealed", self._batches.seal_current)

    def turn(self) -> None:
        """One turn of the loop: what is due, then the messages of one receive."""
        _guarded("outbox_not_drained", self._drain_outbox)
        _guarded("import_batch_not_sealed", self._batches.seal_if_due)
        if self._brake.on:
            # In short steps: an open batch is to be sealed, and a stop obeyed, meanwhile.
            pause = min(self._brake.wait_seconds(), LONG_POLL_SECONDS)
            if pause > 0:
                self._watch.received([])  # still alive
                self._stopping.wait(pause)
                return
        try:
            messages = self._receive()
        except Exception as error:
            _log.error("receiving_failed", **failure_fields(error))
            self._stopping.wait(_TROUBLE_PAUSE_SECONDS)
            return
        self._handle_all(messages)

    def _drain_outbox(self) -> None:
        if self._monotonic() >= self._next_drain:
            self._next_drain = self._monotonic() + _DRAIN_EVERY_SECONDS
            outbox = self._runtime.services.outbox
            outbox.drain(_OUTBOX_AGE)
            self._meter.record(OUTBOX_LAG, outbox.lag_seconds)

    def _receive(self) -> "list[MessageTypeDef]":
        due = self._batches.seconds_until_due()
        wait = LONG_POLL_SECONDS if due is None else min(LONG_POLL_SECONDS, max(1, round(due)))
        return self._queue.receive(
            most=self._brake.most(_MESSAGES_A_RECEIVE),
            wait_seconds=wait,
            visibility_seconds=self._settings.visibility_seconds,
        )

    def _handle_all(self, messages: "list[MessageTypeDef]") -> None:
        received = [
            MessageInHand(
                each["MessageId"],
                each["ReceiptHandle"],
                _receive_count(each),
                each["Body"],
                _sent_at(each),
                traceparent_of(each.get("Attributes", {}).get("AWSTraceHeader", "")),
            )
            for each in messages
        ]
        self._in_hand = {message.message_id: message for message in received}
        self._watch.received(received)
        if not self._stopping.is_set():
            # What could not be claimed together is claimed as it is handled.
            _guarded(
                "events_not_claimed_ahead", lambda: self._handler.claim_ahead([m.body for m in received])
            )
        for message in received:
            if self._stopping.is_set():
                _guarded("claims_not_withdrawn", self._handler.give_up)
                self._settle(message, lambda each=message: self._queue.put_back(each))  # type: ignore[misc]
            else:
                self._handle(message)
            _guarded("import_batch_not_sealed", self._batches.seal_if_due)
        self.settle_finished()

    def _handle(self, message: MessageInHand) -> None:
        self._watch.begun(message.message_id)
        self._unsettled.set()
        now = self._runtime.services.clock().timestamp()
        waited = None if message.sent_at is None else max(0.0, now - message.sent_at)
        started = self._monotonic()
        attributes: dict[str, str | int] = {
            "messaging.system": "aws_sqs",
            "rayline.receive_count": message.receive_count,
        }
        with self._traces.span("consume", attributes, parent=message.traceparent) as span:
            disposition = self._handler.handle(message.body, message.receive_count)
            timing = Timing(waited, self._monotonic() - started)
            if disposition.event is not None:
                event = disposition.event
                span.note({"rayline.event": event.kind, "rayline.outcome": event.outcome.value})
            if disposition.action == "delete":
                self._finished.append((message, disposition, timing))
            else:
                self._settle_as(message, disposition)
                self._consumption.ended(disposition.event, timing, failed=disposition.failed)
        self._note(failed=disposition.failed)
        if self._runtime.dispatcher.worn_out:
            self.stop()

    def _settle_as(self, message: MessageInHand, disposition: Disposition) -> None:
        def settle() -> None:
            match disposition.action:
                case "delete":
                    self._queue.delete_all([message])
                case "return":
                    self._queue.hide(message, disposition.seconds)
                case "postpone":
                    self._queue.put_back(message, max(1.0, disposition.seconds))
                case "dead_letter":
                    assert disposition.failure is not None
                    self._queue.dead_letter(message, disposition.failure)
                    _log.error("message_dead_lettered", reason=disposition.failure.reason)

        self._settle(message, settle)

    def _settle_in_time(self) -> None:
        """Let nothing that is finished wait for long, whatever the message at work takes."""
        while not self._ended.is_set():
            self._unsettled.wait()
            self._ended.wait(_SETTLE_SECONDS)
            self._unsettled.clear()
            _guarded("finished_not_settled", self.settle_finished)

    def settle_finished(self) -> None:
        """Record the ends that wait for it, then delete the messages whose events have ended."""
        with self._settling:
            # Taken before the flush, so that it covers the ends of all of them.
            finished = [self._finished.popleft() for _ in range(len(self._finished))]
            self._recorder.flush()
            recorded = []
            problems = []
            for message, disposition, timing in finished:
                identity = disposition.identity
                problem = None if identity is None else self._recorder.take_problem(identity)
                if identity is None or problem is None:
                    recorded.append(message)
                    self._in_hand.pop(message.message_id, None)
                    self._consumption.ended(disposition.event, timing, failed=disposition.failed)
                else:
                    problems.append((message, timing, identity, problem))
            if recorded:
                # A message that cannot be deleted comes back by itself, and finds its effects ended.
                _guarded("message_not_settled", lambda: self._queue.delete_all(recorded))
        if recorded:
            self._watch.settled([message.message_id for message in recorded])
        for message, timing, identity, problem in problems:
            disposition = self._handler.not_recorded(identity, problem, message.receive_count)
            self._settle_as(message, disposition)
            self._consumption.ended(disposition.event, timing, failed=disposition.failed)

    def _note(self, *, failed: bool) -> None:
        was_on = self._brake.on
        self._brake.note(failed=failed)
        if self._brake.on != was_on:
            self._watch.braked(self._brake.on)
            log = _log.error if self._brake.on else _log.info
            log("consumer_braked" if self._brake.on else "consumer_released")

    def _settle(self, message: MessageInHand, act: Callable[[], None]) -> None:
        with self._settling:
            self._in_hand.pop(message.message_id, None)
            # A message that cannot be settled comes back by itself, and finds its effects ended.
            _guarded("message_not_settled", act)
        self._watch.settled([message.message_id])

    def _heartbeat(self) -> None:
        period = min(self._settings.lease_seconds, self._settings.visibility_seconds) / 3
        # Until the end, not until the stop: the message at work is finished under its lease.
        while not self._ended.wait(period):
            self.beat()

    def beat(self) -> None:
        """Extend visibility and leases of what is in hand."""
        for message_id in list(self._in_hand):
            _guarded("heartbeat_failed", lambda each=message_id: self._extend(each))  # type: ignore[misc]
        _guarded("heartbeat_failed", self._runtime.dispatcher.renew)
        _guarded("heartbeat_failed", self._batches.renew)

    def _extend(self, message_id: str) -> None:
        with self._settling:
            message = self._in_hand.get(message_id)
            if message is not None:
                self._queue.hide(message, self._settings.visibility_seconds)


def _receive_count(message: "MessageTypeDef") -> int:
    return int(message.get("Attributes", {}).get("ApproximateReceiveCount", "1"))


def _sent_at(message: "MessageTypeDef") -> float | None:
    milliseconds = message.get("Attributes", {}).get("SentTimestamp")
    return None if milliseconds is None else int(milliseconds) / 1000


def _guarded(event: str, act: Callable[[], Any]) -> None:
    """Act; a failure is logged and keeps nothing else from going on."""
    try:
        act()
    except Exception as error:
        _log.warning(event, **failure_fields(error))


def _end_with_supervisor(pipe: Connection) -> None:
    """A worker without a supervisor could overrun unseen, so it ends at once; the queue brings its work back."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)


def run_worker(
    settings: Settings,
    secrets: Mapping[str, SecretStr],
    name: str,
    pipe: Connection,
    board: Any,
    verbose: bool,
) -> None:
    """The main function of a worker process; ``board`` is what :meth:`CallBoard.share` made."""
    configure_logs(verbose=verbose)
    structlog.contextvars.bind_contextvars(worker=name, site=settings.site)
    threading.Thread(target=_end_with_supervisor, args=(pipe,), daemon=True).start()
    # Ctrl-C reaches the whole process group; the supervisor decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch = PipeWatch(pipe, CallBoard(board, time.monotonic))
    try:
        meter = Meter(settings.site)
        traces = open_traces("processor", settings.site, traces_endpoint())
        runtime = build_runtime(
            settings,
            secrets,
            clients=Clients(meter=meter, traces=traces),
            watch=watch,
            owner=name,
            meter=meter,
            traces=traces,
        )
        worker = Worker(runtime, watch)

        def stop(_signal: int, _frame: FrameType | None) -> None:
            worker.stop()

        signal.signal(signal.SIGTERM, stop)
        with meter.publishing(), traces.exporting():
            worker.run()
    except Exception as error:
        # A traceback could quote a patient's data.
        _log.error("worker_failed", **failure_fields(error))
        sys.exit(1)
