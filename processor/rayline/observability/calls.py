"""Measures every call of AWS in one place: hooks of botocore, put on a session before its clients are made.

Reads of frames and metadata count until their last byte, so their bodies are measured as they are read.
Source: botocore's events ``before-call``, ``response-received`` (once an attempt), ``after-call`` and
``after-call-error``.
"""

import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, Protocol

from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.exceptions import (
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)
from botocore.response import StreamingBody

from rayline.observability.meter import Meter
from rayline.observability.metrics import (
    CONNECTION_ERRORS,
    HEALTH_IMAGING_CALLS,
    RETRIEVAL_ERRORS,
    RETRIEVAL_LATENCY,
    RETRIEVED_BYTES,
    THROTTLES,
)

# The member of a retrieval's answer that is its body.
RETRIEVALS: Final[Mapping[str, str]] = {
    "GetImageFrame": "imageFrameBlob",
    "GetImageSetMetadata": "imageSetMetadataBlob",
}
_HEALTH_IMAGING = "medical-imaging"
_CREDENTIALS = "credentials"
_STARTED = "rayline_started"
_NO_ANSWER = (BotoConnectionError, HTTPClientError, IncompleteReadError)
_NO_CREDENTIALS = (CredentialRetrievalError, MetadataRetrievalError)
_THROTTLE_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "TooManyRequestsException",
    }
)


class _Events(Protocol):
    def register(self, event_name: str, handler: Callable[..., Any]) -> None: ...


class _Model(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def service_model(self) -> Any: ...


class MeasuredCalls:
    """Counts attempts without an answer and throttles of every service, and the calls of HealthImaging.

    Args:
        monotonic: seconds that only grow.
    """

    def __init__(self, meter: Meter, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._meter = meter
        self._monotonic = monotonic

    def install(self, events: _Events) -> None:
        """Listen to a session; clients that it makes from now on are measured."""
        events.register("response-received", self._attempt_ended)
        events.register("after-call-error", self._call_broke)
        events.register(f"before-call.{_HEALTH_IMAGING}", self._call_begins)
        events.register(f"after-call.{_HEALTH_IMAGING}", self._call_ended)

    def _attempt_ended(
        self,
        event_name: str,
        parsed_response: Mapping[str, Any] | None,
        exception: Exception | None,
        **_: Any,
    ) -> None:
        if exception is None and (parsed_response is None or "Error" not in parsed_response):
            return  # as nearly always
        service = event_name.split(".")[1]
        if isinstance(exception, _NO_ANSWER):
            self._meter.record(CONNECTION_ERRORS, 1, service)
        elif parsed_response is not None and _is_throttle(parsed_response):
            self._meter.record(THROTTLES, 1, service)

    def _call_begins(self, context: MutableMapping[str, Any], **_: Any) -> None:
        context[_STARTED] = self._monotonic()

    def _call_broke(self, event_name: str, exception: Exception, **_: Any) -> None:
        if isinstance(exception, _NO_CREDENTIALS):
            self._meter.record(CONNECTION_ERRORS, 1, _CREDENTIALS)
        service, operation = event_name.split(".")[1:]
        if service == _HEALTH_IMAGING:
            self._meter.record(HEALTH_IMAGING_CALLS, 1, operation)
            if operation in RETRIEVALS:
                self._meter.record(RETRIEVAL_ERRORS, 1, operation)

    def _call_ended(
        self,
        http_response: Any,
        parsed: MutableMapping[str, Any],
        model: _Model,
        context: Mapping[str, Any],
        **_: Any,
    ) -> None:
        operation = model.name
        self._meter.record(HEALTH_IMAGING_CALLS, 1, operation)
        if operation not in RETRIEVALS:
            return
        if http_response.status_code >= 300:
            self._meter.record(RETRIEVAL_ERRORS, 1, operation)
            return
        started = context[_STARTED]

        def read(size_bytes: int, *, whole: bool) -> None:
            self._meter.record(RETRIEVED_BYTES, size_bytes, operation)
            if whole:
                self._meter.record(RETRIEVAL_LATENCY, (self._monotonic() - started) * 1000, operation)
            else:
                self._meter.record(RETRIEVAL_ERRORS, 1, operation)
                self._meter.record(CONNECTION_ERRORS, 1, _HEALTH_IMAGING)

        length = http_response.headers.get("content-length")
        parsed[RETRIEVALS[operation]] = _MeasuredBody(http_response.raw, length, read)


class _Read(Protocol):
    def __call__(self, size_bytes: int, *, whole: bool) -> None: ...


class _MeasuredBody(StreamingBody):
    """A body that tells once when it was read to its end, or broke off; one that is given up tells nothing."""

    def __init__(self, raw_stream: Any, content_length: Any, ended: _Read) -> None:
        super().__init__(raw_stream, content_length)
        self._ended: _Read | None = ended
        self._size_bytes = 0

    def read(self, amt: int | None = None) -> bytes:
        """Read as the body does."""
        try:
            part: bytes = super().read(amt)
        except _NO_ANSWER:
            self._tell(whole=False)
            raise
        self._size_bytes += len(part)
        if amt is None or (amt > 0 and not part):
            self._tell(whole=True)
        return part

    def _tell(self, *, whole: bool) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self._size_bytes, whole=whole)


def _is_throttle(parsed: Mapping[str, Any]) -> bool:
    codes = [parsed.get("Error", {}).get("Code", "")]
    # A cancelled transaction of DynamoDB says so of each of its items.
    codes += [str(each.get("Code", "")) for each in parsed.get("CancellationReasons") or ()]
    return any(code in _THROTTLE_CODES or "Throttl" in code for code in codes)
