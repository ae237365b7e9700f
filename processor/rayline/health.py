"""Readiness and liveness of the processor, served on the loopback interface for the container's health check."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog

from rayline.errors import ConfigurationError

HOST = "127.0.0.1"
LIVE_PATH = "/live"
READY_PATH = "/ready"
_STALLED_SECONDS = 30.0

_log = structlog.get_logger()


@dataclass(frozen=True)
class HealthReport:
    """What a health check is told.

    Attributes:
        live: the supervisor goes round; else the task is to be replaced.
        ready: every worker has polled the queue, and nobody asked the processor to stop.
        consuming: workers that have polled.
        braked: workers that stopped consuming since nearly everything failed.
    """

    live: bool
    ready: bool
    workers: int
    consuming: int
    braked: int
    draining: bool


class Health:
    """What the supervisor last said of itself and its workers; safe to read from other threads."""

    def __init__(self, workers: int, clock_seconds: Callable[[], float]) -> None:
        self._workers = workers
        self._clock_seconds = clock_seconds
        self._lock = threading.Lock()
        self._ticked_at = clock_seconds()
        self._consuming = 0
        self._braked = 0
        self._draining = False

    def tick(self, *, consuming: int, braked: int) -> None:
        """The supervisor went round once more."""
        with self._lock:
            self._ticked_at = self._clock_seconds()
            self._consuming = consuming
            self._braked = braked

    def drain(self) -> None:
        """The processor was asked to stop."""
        with self._lock:
            self._draining = True

    def report(self) -> HealthReport:
        """The state now."""
        with self._lock:
            live = self._clock_seconds() - self._ticked_at < _STALLED_SECONDS
            return HealthReport(
                live=live,
                ready=live and not self._draining and self._consuming == self._workers,
                workers=self._workers,
                consuming=self._consuming,
                braked=self._braked,
                draining=self._draining,
            )


@contextmanager
def serve_health(health: Health, port: int) -> Iterator[int]:
    """Answer ``/live`` and ``/ready`` with 200 or 503 and a JSON report, for as long as the context lasts.

    Args:
        port: of the loopback interface; 0 serves nothing.

    Yields:
        The port.

    Raises:
        ConfigurationError: something else listens on the port.
    """
    if port == 0:
        yield 0
        return

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            report = health.report()
            known = {LIVE_PATH: report.live, READY_PATH: report.ready}
            if self.path not in known:
                self.send_error(404)
                return
            body = json.dumps(asdict(report)).encode()
            self.send_response(200 if known[self.path] else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Checks come every few seconds and say nothing new."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError:
        raise ConfigurationError(
            f"port {port} of the health check is taken; set RAYLINE_HEALTH_PORT to a free one, or to 0"
        ) from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    try:
        yield port
    finally:
        server.shutdown()
        server.server_close()
