"""What surrounds every request: its size, how many somebody may send, and a line in the log without its input."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rayline.http_api.problems import MOST_BODY_BYTES, failed_response, too_large_response
from rayline.observability.logs import failure_fields

_PEOPLE_KEPT = 1_000

_log = structlog.get_logger()

# Answers may hold a patient's data, and no browser or proxy is to keep or to sniff them.
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


@dataclass(frozen=True)
class Rate:
    """How often one person may ask.

    Attributes:
        a_second: requests in the long run.
        at_once: requests after a pause.
    """

    a_second: float = 20.0
    at_once: float = 60.0


class RateLimit:
    """A token bucket for each person."""

    def __init__(self, rate: Rate, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def allows(self, name: str) -> bool:
        """Whether somebody may ask now, which counts as having asked."""
        with self._lock:
            now = self._monotonic()
            left, at = self._buckets.pop(name, (self._rate.at_once, now))
            left = min(self._rate.at_once, left + (now - at) * self._rate.a_second)
            allowed = left >= 1
            self._buckets[name] = (left - 1 if allowed else left, now)
            if len(self._buckets) > _PEOPLE_KEPT:
                self._buckets.popitem(last=False)
            return allowed


def _too_large() -> HTTPException:
    # FastAPI passes on no other exception that is raised while it reads a body.
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


class RequestFrame:
    """Limits a request's body, hardens its answer, and logs how it went: the route, never the path or the query."""

    def __init__(self, app: ASGIApp, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._monotonic()
        status = 0
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BODY_BYTES:
                raise _too_large()
            return message

        async def hardened(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        try:
            if _announced(scope) > MOST_BODY_BYTES:
                await too_large_response()(scope, receive, hardened)
            else:
                await self._app(scope, limited, hardened)
        except Exception as error:
            # Here and not in a handler of the application, after which the server would log the message too.
            _log.error("api_request_failed", **failure_fields(error))
            if not status:
                await failed_response()(scope, receive, hardened)
        finally:
            _log.info(
                "api_request",
                method=scope["method"],
                route=getattr(scope.get("route"), "path", ""),
                status=status,
                by=getattr(scope.get("state", {}).get("principal"), "name", ""),
                seconds=round(self._monotonic() - began, 3),
            )


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else MOST_BODY_BYTES + 1
    return 0
