"""Makes each request a span, below the load balancer's where that has begun a trace."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rayline.observability.traces import Traces, traceparent_of

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class TracedRequests:
    """Tells of a request its method and the status of its answer; path and query may hold what somebody typed."""

    def __init__(self, app: ASGIApp, *, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # An ALB adds it to every request (user guide, "Request tracing"); its root alone is no parent.
        parent = traceparent_of(Headers(scope=scope).get("x-amzn-trace-id", ""))
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        with self._traces.span("request", {"http.request.method": method}, parent=parent) as span:

            async def note_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.note({"http.response.status_code": message["status"]})
                await send(message)

            await self._app(scope, receive, note_status)
