"""Calls a function under watch: how long, with what answer, what it told, and whom it wanted to reach."""

import errno
import io
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import Any, Final

from structlog.testing import capture_logs

# What CPython audits before it asks the operating system (Python library reference, "Audit events table").
_CONNECTING: Final = frozenset(
    {
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
    }
)

_lock = threading.RLock()
_wanted: list[str] | None = None
_hooked = False


@dataclass
class Probe:
    """What was seen of one call.

    Attributes:
        told: text that it logged or printed, beside what it logged through its context.
        connections: what it wanted to reach; it reached nothing.
    """

    value: Any = None
    error: BaseException | None = None
    overran: bool = False
    seconds: float = 0.0
    told: list[str] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _wanted is None or event not in _CONNECTING:
        return
    # A name is looked up by itself; a socket's address comes after the socket.
    target = arguments[0] if event.startswith("socket.get") else arguments[-1]
    if isinstance(target, str | bytes) and not event.startswith("socket.get"):
        return  # a local socket, by its path
    _wanted.append(f"{event} {target!r}")
    if event.startswith("socket.get"):
        raise socket.gaierror(socket.EAI_AGAIN, "the conformance suite lets nothing out")
    raise ConnectionRefusedError(errno.ECONNREFUSED, "the conformance suite lets nothing out")


@contextmanager
def offline() -> Iterator[list[str]]:
    """Refuse every network connection of this process, and list what was wanted.

    The refusal is an audit hook's, so it also holds for code that kept a reference to ``socket.connect``.
    """
    global _hooked, _wanted
    with _lock:
        if not _hooked:
            sys.addaudithook(_audit)
            _hooked = True
        outer, wanted = _wanted, list[str]()
        _wanted = wanted
        try:
            yield wanted
        finally:
            _wanted = outer


class _Collector(logging.Handler):
    def __init__(self, told: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append(record.getMessage() + (str(record.exc_info[1]) if record.exc_info else ""))


@contextmanager
def _overheard(package: str, told: list[str]) -> Iterator[None]:
    """Collect what goes to standard output, to logging and to structlog's own loggers."""
    root, own = logging.getLogger(), logging.getLogger(package)
    collector, level, printed = _Collector(told), own.level, io.StringIO()
    root.addHandler(collector)
    own.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(printed), redirect_stderr(printed), capture_logs() as logged:
            yield
    finally:
        own.setLevel(level)
        root.removeHandler(collector)
        told.append(printed.getvalue())
        told.extend(repr(entry) for entry in logged)


def probe(function: Callable[[], Any], *, package: str, patience_seconds: float) -> Probe:
    """Call a function once, without network.

    Args:
        package: top-level package whose own logger is heard at every level.
        patience_seconds: it is left behind when it has not ended by then, since a thread cannot be killed.
    """
    seen = Probe()

    def run() -> None:
        started = time.perf_counter()
        try:
            seen.value = function()
        except BaseException as error:
            seen.error = error
        seen.seconds = time.perf_counter() - started

    thread = threading.Thread(target=run, daemon=True, name="conformance")
    with offline() as wanted, _overheard(package, seen.told):
        thread.start()
        thread.join(patience_seconds)
        seen.overran = thread.is_alive()
        seen.connections = list(wanted)
    return seen
