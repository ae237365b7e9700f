"""Share work out among forked processes, which take it chunk by chunk and have nothing else in common.

Forking costs a millisecond, so a second process pays off for a few dozen files already.
"""

import json
import mmap
import os
import selectors
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NoReturn

# So many tickets fit into a pipe even where the system keeps pipes small (4 KiB).
_MOST_CHUNKS: Final = 1000
_TICKET: Final = struct.Struct("<L")
# A process may be amid a large image; one that hangs must not keep the run from ending.
_GRACE_SECONDS: Final = 5.0

Chunk = range
Work = Callable[[Chunk], Sequence[Any]]
Collect = Callable[[Sequence[Any]], None]


class Stop:
    """A wish to end early that every process sees."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    def request(self) -> None:
        """End after the file at work."""
        self._shared[0] = 1

    def __bool__(self) -> bool:
        return self._shared[0] == 1

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM requests the end, the second one interrupts at once."""

        def handle(number: int, frame: FrameType | None) -> None:
            if self:
                raise KeyboardInterrupt
            self.request()

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def chunks_of(count: int, processes: int, size: int) -> list[Chunk]:
    """Split ``count`` pieces of work evenly, into chunks of about ``size``, and enough for all processes."""
    size = max(1, min(size, -(-count // (processes * 4))), -(-count // _MOST_CHUNKS))
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def run_here(chunks: Sequence[Chunk], work: Work, collect: Collect, stop: Stop) -> None:
    """Do all in this process."""
    for chunk in chunks:
        if stop:
            return
        collect(work(chunk))


def run_forked(
    chunks: Sequence[Chunk],
    processes: int,
    work: Work,
    collect: Collect,
    stop: Stop,
    died: Callable[[Chunk], None],
) -> None:
    """Do all in forked processes; results travel as JSON.

    Args:
        collect: called in this process.
        died: called with the chunk of a process that was killed; the others go on.
    """
    tickets, filling = os.pipe()
    for number in range(len(chunks)):
        os.write(filling, _TICKET.pack(number))
    os.close(filling)
    # What is waiting to be printed would be printed by every process.
    sys.stdout.flush()
    sys.stderr.flush()
    workers: dict[int, _Worker] = {}
    with selectors.DefaultSelector() as selector:
        try:
            for _ in range(min(processes, len(chunks))):
                reading, writing = os.pipe()
                pid = os.fork()
                if not pid:
                    # A pipe breaks only when nobody is left that could read from it.
                    for inherited in (reading, *workers):
                        os.close(inherited)
                    _work_and_exit(tickets, writing, chunks, work, stop)
                os.close(writing)
                workers[reading] = _Worker(pid)
                selector.register(reading, selectors.EVENT_READ)
            while workers:
                for key, _ in selector.select():
                    worker = workers[key.fd]
                    received = os.read(key.fd, 1 << 18)
                    for message in worker.messages(received):
                        collect(message)
                    if not received:
                        selector.unregister(key.fd)
                        os.close(key.fd)
                        del workers[key.fd]
                        os.waitpid(worker.pid, 0)
                        if worker.chunk is not None:
                            died(chunks[worker.chunk])
        finally:
            for descriptor, worker in workers.items():
                os.kill(worker.pid, signal.SIGTERM)
                os.close(descriptor)
            _reap([worker.pid for worker in workers.values()])
            os.close(tickets)


class _Worker:
    """What this process knows of a forked one.

    Attributes:
        chunk: number of the chunk at work, None between two.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.chunk: int | None = None
        self._received = b""

    def messages(self, received: bytes) -> Iterator[list[Any]]:
        """Results that are here whole; a number alone says which chunk was begun."""
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if isinstance(message, int):
                self.chunk = message
            else:
                self.chunk = None
                yield message


def _reap(pids: Sequence[int]) -> None:
    """Wait for processes that were told to end; one that does not within the time is killed."""
    deadline = time.monotonic() + _GRACE_SECONDS
    for pid in pids:
        while not os.waitpid(pid, os.WNOHANG)[0]:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                break
            time.sleep(0.01)


def _work_and_exit(tickets: int, writing: int, chunks: Sequence[Chunk], work: Work, stop: Stop) -> NoReturn:
    """What a forked process does; it never returns into its parent's code."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(1)  # unwinds, so that a file that is being written is removed

    status = 1
    try:
        # Ctrl-C reaches the whole group; this process ends when its parent says so.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, end)
        while not stop and (ticket := os.read(tickets, _TICKET.size)):
            (number,) = _TICKET.unpack(ticket)
            _send(writing, number)
            _send(writing, work(chunks[number]))
        status = 0
    except BrokenPipeError:
        pass  # the parent is gone
    finally:
        os._exit(status)


def _send(descriptor: int, message: Any) -> None:
    data = json.dumps(message).encode("ascii") + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]
