"""Traces: what a message brought about, as spans; nothing of it costs anything where nobody collects them.

A span tells kinds, hooks, plugins, operations, codes and keyed hashes. Any other attribute is left out, and so are
the messages of exceptions: both may quote a patient's data.
Source: OpenTelemetry specification, "Tracing API"; W3C Trace Context, "traceparent header".
"""

import re
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

FLUSH_SECONDS: Final = 2.0
EXPORT_SECONDS: Final = 1.0
"""How long a span that has ended waits for others: what a killed process takes along."""
SAFE_ATTRIBUTES: Final = frozenset(
    {
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "messaging.system",
        "rayline.event",
        "rayline.hook",
        "rayline.identity",
        "rayline.outcome",
        "rayline.plugin",
        "rayline.reason",
        "rayline.receive_count",
        "rpc.method",
        "rpc.service",
        "rpc.system",
    }
)
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")
_TRACE_HEADER = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24});Parent=([0-9a-f]{16});Sampled=([01])")
_SPAN = "rayline_span"

_log = structlog.get_logger()


class Noted(Protocol):
    """A span under way."""

    def note(self, attributes: Mapping[str, str | int]) -> None:
        """Add what is known only by now."""


class Traces(Protocol):
    """Where spans go."""

    def span(
        self, name: str, attributes: Mapping[str, str | int], *, parent: str = ""
    ) -> AbstractContextManager[Noted]:
        """A span for as long as the context lasts, below the one that is under way.

        Args:
            attributes: those that are not in ``SAFE_ATTRIBUTES`` are left out.
            parent: a ``traceparent`` that came from elsewhere; anything else is no parent.
        """

    def traceparent(self) -> str:
        """The span under way as W3C writes it, empty where there is none."""

    def install(self, events: Any) -> None:
        """Have every request to AWS of a session's clients be a span, where it is part of a trace."""

    def exporting(self) -> AbstractContextManager[None]:
        """Export while the context lasts, and for a bounded time at its end."""


class Untraced:
    """Nobody collects traces."""

    def span(
        self, name: str, attributes: Mapping[str, str | int], *, parent: str = ""
    ) -> AbstractContextManager[Noted]:
        """Nothing."""
        return _NOTHING

    def traceparent(self) -> str:
        """None."""
        return ""

    def install(self, events: Any) -> None:
        """Listen to nothing."""

    def exporting(self) -> AbstractContextManager[None]:
        """Nothing to export."""
        return nullcontext()


class _Nothing:
    def note(self, attributes: Mapping[str, str | int]) -> None:
        """Forget it."""


_NOTHING: AbstractContextManager[Noted] = nullcontext(_Nothing())


def open_traces(service: str, site: str, endpoint: str | None) -> Traces:
    """Traces of one process, exported by OTLP over HTTP to where the environment says.

    Args:
        endpoint: ``OTEL_EXPORTER_OTLP_ENDPOINT``, which the exporter reads by itself; without one nothing is traced.
    """
    if not endpoint:
        return Untraced()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        _log.error("not_traced", error_type=type(error).__name__, explanation="install rayline[traces]")
        return Untraced()
    return Traced(service, site, OTLPSpanExporter(timeout=FLUSH_SECONDS))


class Traced:
    """Spans of OpenTelemetry's SDK; its environment variables, e.g. ``OTEL_TRACES_SAMPLER``, hold.

    Args:
        at_once: export each span as it ends; for tests.
    """

    def __init__(self, service: str, site: str, exporter: "SpanExporter", *, at_once: bool = False) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

        resource = Resource.create({"service.name": f"rayline-{service}", "rayline.site": site})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            SimpleSpanProcessor(exporter)
            if at_once
            else BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_SECONDS * 1000)
        )
        self._tracer = self._provider.get_tracer("rayline")

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str | int], *, parent: str = "") -> Iterator[Noted]:
        """A span for as long as the context lasts; one that ends by an exception says of which type."""
        from opentelemetry.trace import Status, StatusCode

        with self._tracer.start_as_current_span(
            name,
            context=_context_of(parent),
            attributes=_safe(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield _Noted(span)
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR))
                span.set_attribute("error.type", type(error).__name__)
                raise

    def traceparent(self) -> str:
        """The span under way as W3C writes it, empty where there is none."""
        from opentelemetry.trace import get_current_span

        context = get_current_span().get_span_context()
        if not context.is_valid:
            return ""
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"

    def install(self, events: Any) -> None:
        """Listen to a session, before its clients are made."""
        events.register("before-call", self._call_begins)
        events.register("after-call", self._call_ended)
        events.register("after-call-error", self._call_broke)

    def _call_begins(self, model: Any, context: MutableMapping[str, Any], **_: Any) -> None:
        from opentelemetry.trace import SpanKind, get_current_span

        # A poll of the queue, or what a heartbeat renews, is part of no trace.
        if not get_current_span().get_span_context().is_valid:
            return
        service = model.service_model.service_id.hyphenize()
        attributes = {"rpc.system": "aws-api", "rpc.service": service, "rpc.method": model.name}
        context[_SPAN] = self._tracer.start_span(
            f"{service}.{model.name}", kind=SpanKind.CLIENT, attributes=attributes
        )

    def _call_ended(
        self,
        http_response: Any,
        parsed: Mapping[str, Any],
        context: MutableMapping[str, Any],
        **_: Any,
    ) -> None:
        span = context.pop(_SPAN, None)
        if span is None:
            return
        span.set_attribute("http.response.status_code", http_response.status_code)
        if http_response.status_code >= 300:
            _fail(span, str(parsed.get("Error", {}).get("Code", "")))
        span.end()

    def _call_broke(self, exception: Exception, context: MutableMapping[str, Any], **_: Any) -> None:
        span = context.pop(_SPAN, None)
        if span is not None:
            _fail(span, type(exception).__name__)
            span.end()

    @contextmanager
    def exporting(self) -> Iterator[None]:
        """Export while the context lasts, and for two seconds at its end."""
        try:
            yield
        finally:
            # A collector that does not answer must not hold up the end of the process.
            flush = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
            flush.start()
            flush.join(FLUSH_SECONDS)


class _Noted:
    def __init__(self, span: "Span") -> None:
        self._span = span

    def note(self, attributes: Mapping[str, str | int]) -> None:
        """Add what is known only by now."""
        self._span.set_attributes(_safe(attributes))


def _safe(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {name: value for name, value in attributes.items() if name in SAFE_ATTRIBUTES}


def _fail(span: "Span", error_type: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", error_type)


def _context_of(traceparent: str) -> Any:
    """A context below a span from elsewhere; None, which is the one under way, where the text says no span."""
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = found.groups()
    parent = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return set_span_in_context(NonRecordingSpan(parent)) if parent.is_valid else None


def trace_header(traceparent: str) -> str:
    """A ``traceparent`` as EventBridge and SQS carry it (AWS X-Ray developer guide, "Tracing header"); else empty."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return ""
    trace_id, span_id, flags = found.groups()
    return f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={span_id};Sampled={int(flags, 16)}"


def traceparent_of(header: str) -> str:
    """The ``traceparent`` that :func:`trace_header` was made of; empty where a header is something else."""
    found = _TRACE_HEADER.match(header)
    return "" if found is None else f"00-{found[1]}{found[2]}-{found[3]}-0{found[4]}"
