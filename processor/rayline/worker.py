"""A worker process: receives messages, handles them one by one, and keeps hold of them while it works."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from types import FrameType
from typing import TYPE_CHECKING

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from rayline.aws import Clients
from rayline.events import EventIdentity
from rayline.handler import MessageHandler
from rayline.observability.logs import configure_logs, failure_fields
from rayline.runtime import Runtime, build_runtime
from rayline.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

LONG_POLL_SECONDS = 20
_MESSAGES_A_RECEIVE = 10
_SQS_MAX_DELAY_SECONDS = 900
_DRAIN_EVERY_SECONDS = 15.0
_OUTBOX_AGE = timedelta(seconds=30)

_log = structlog.get_logger()


class PipeWatch:
    """Tells the supervisor, over a pipe, what this worker holds and does."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def holding(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """Report the effects held under a token."""
        self._pipe.send(("holding", identity, tuple(effects), token))

    def messages(self, receipt_handles: Sequence[str]) -> None:
        """Report the messages in hand."""
        self._pipe.send(("messages", tuple(receipt_handles)))

    @contextmanager
    def calling(self, effect: str, timeout_seconds: float) -> Iterator[None]:
        """Report that a call begins, and that it ended."""
        self._pipe.send(("enter", effect, timeout_seconds))
        try:
            yield
        finally:
            self._pipe.send(("leave",))


class _StoppedWhileWaiting(BaseException):
    """The worker was told to stop while it only waited for messages."""


class Worker:
    """The receive loop of one worker."""

    def __init__(self, runtime: Runtime, watch: PipeWatch) -> None:
        self._runtime = runtime
        self._handler = MessageHandler(runtime)
        self._watch = watch
        self._settings = runtime.services.settings
        self._sqs = runtime.services.clients.sqs
        self._in_hand: dict[str, str] = {}
        self._stopping = threading.Event()
        self._waiting = False

    def stop(self) -> None:
        """Finish the message at work, give back the others, seal the open batch, and end.

        Called by the signal handler, in the main thread; a long poll under way is broken off.

        Raises:
            _StoppedWhileWaiting: to break off the long poll.
        """
        self._stopping.set()
        if self._waiting:
            self._waiting = False
            raise _StoppedWhileWaiting

    def run(self) -> None:
        """Receive and handle until stopped."""
        heartbeat = threading.Thread(target=self._heartbeat, name="heartbeat", daemon=True)
        heartbeat.start()
        next_drain = 0.0
        while not self._stopping.is_set():
            try:
                if time.monotonic() >= next_drain:
                    self._runtime.services.outbox.drain(_OUTBOX_AGE)
                    next_drain = time.monotonic() + _DRAIN_EVERY_SECONDS
                self._runtime.services.batches.seal_if_due()
                self._handle_all(self._receive())
            except _StoppedWhileWaiting:
                break
            except (BotoCoreError, ClientError) as error:
                _log.error("worker_lost_aws", **failure_fields(error))
                self._stopping.wait(2)
        self._runtime.services.batches.seal_current()

    def _receive(self) -> "list[MessageTypeDef]":
        due = self._runtime.services.batches.seconds_until_due()
        wait = LONG_POLL_SECONDS if due is None else min(LONG_POLL_SECONDS, max(1, round(due)))
        self._waiting = True
        try:
            response = self._sqs.receive_message(
                QueueUrl=self._settings.queue_url,
                MaxNumberOfMessages=_MESSAGES_A_RECEIVE,
                WaitTimeSeconds=wait,
                VisibilityTimeout=self._settings.visibility_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        finally:
            self._waiting = False
        return response.get("Messages", [])

    def _handle_all(self, messages: "list[MessageTypeDef]") -> None:
        self._in_hand = {message["MessageId"]: message["ReceiptHandle"] for message in messages}
        self._watch.messages(list(self._in_hand.values()))
        for message in messages:
            if self._stopping.is_set():
                self._set_visibility(message["ReceiptHandle"], 0)
            else:
                self._handle(message)
            self._in_hand.pop(message["MessageId"], None)
            self._watch.messages(list(self._in_hand.values()))
            self._runtime.services.batches.seal_if_due()

    def _handle(self, message: "MessageTypeDef") -> None:
        receive_count = int(message.get("Attributes", {}).get("ApproximateReceiveCount", "1"))
        disposition = self._handler.handle(message["Body"], receive_count)
        if disposition.action == "return":
            self._set_visibility(message["ReceiptHandle"], disposition.seconds)
            return
        if disposition.action == "postpone":
            # The copy is in the queue before the original leaves it.
            self._sqs.send_message(
                QueueUrl=self._settings.queue_url,
                MessageBody=message["Body"],
                DelaySeconds=min(_SQS_MAX_DELAY_SECONDS, max(1, round(disposition.seconds))),
            )
        self._sqs.delete_message(QueueUrl=self._settings.queue_url, ReceiptHandle=message["ReceiptHandle"])

    def _set_visibility(self, receipt_handle: str, seconds: float) -> None:
        self._sqs.change_message_visibility(
            QueueUrl=self._settings.queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=round(seconds)
        )

    def _heartbeat(self) -> None:
        period = min(self._settings.lease_seconds, self._settings.visibility_seconds) / 3
        while not self._stopping.wait(period):
            for receipt_handle in list(self._in_hand.values()):
                self._beat(lambda handle=receipt_handle: self._extend(handle))  # type: ignore[misc]
            self._beat(self._runtime.dispatcher.renew)
            self._beat(self._runtime.services.batches.renew)

    def _extend(self, receipt_handle: str) -> None:
        try:
            self._set_visibility(receipt_handle, self._settings.visibility_seconds)
        except (self._sqs.exceptions.ReceiptHandleIsInvalid, self._sqs.exceptions.MessageNotInflight):
            return  # deleted by the main thread since we looked

    def _beat(self, beat: Callable[[], None]) -> None:
        """One beat; its failure must not keep the others from beating."""
        try:
            beat()
        except (BotoCoreError, ClientError) as error:
            _log.warning("heartbeat_failed", **failure_fields(error))


def _end_with_supervisor(pipe: Connection) -> None:
    """A worker without a supervisor could overrun unseen, so it ends at once; the queue brings its work back."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)


def run_worker(settings: Settings, secrets: Mapping[str, SecretStr], name: str, pipe: Connection) -> None:
    """The main function of a worker process."""
    configure_logs()
    structlog.contextvars.bind_contextvars(worker=name, site=settings.site)
    threading.Thread(target=_end_with_supervisor, args=(pipe,), daemon=True).start()
    watch = PipeWatch(pipe)
    worker = Worker(build_runtime(settings, secrets, clients=Clients(), watch=watch, owner=name), watch)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    # Ctrl-C reaches the whole process group; the supervisor decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker.run()
