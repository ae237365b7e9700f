"""A router driven by botocore's own service models: the same file that writes a client's request reads it
here.

Supports the `rest-json` and `json` protocols (AWS JSON 1.0 and 1.1). A service subclasses `ModeledService`
and
writes one method per operation, `op_` + the operation in snake case, that takes the input members as keyword
arguments and returns the output members as a dict; everything on the wire comes from the model.
"""

from __future__ import annotations

import base64
import binascii
import email.utils
import inspect
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, unquote

import anyio
import structlog
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

STREAM_CHUNK_BYTES = 256 * 1024

log = structlog.get_logger("rayline.local")


class ServiceError(Exception):
    """An error that a client sees: its code, a message and, where the model does not give it, a status."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class ClientDisconnected(Exception):
    """The client left before its request was complete: there is nobody to answer."""


@dataclass(frozen=True)
class Permission:
    """One IAM check that an operation needs: an action on a resource, with condition keys."""

    action: str
    resource: str = "*"
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HttpRequest:
    """A complete HTTP request as it arrived; header names are lower case, `raw_path` is still
    percent-encoded.
    """

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    raw_headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    client_host: str = "127.0.0.1"


@dataclass(frozen=True)
class Caller:
    """Who signed the request."""

    access_key_id: str
    arn: str


@dataclass(frozen=True)
class Call:
    """The operation in progress: what a handler may ask about its request besides the input members."""

    operation: str
    caller: Caller
    request_id: str
    headers: Mapping[str, str]


class Host(Protocol):
    """What the router needs from the cloud around it."""

    def authorize(self, request: HttpRequest, permissions: Sequence[Permission], service: str) -> Caller:
        """Check signature and policies; raises ServiceError (403) on refusal."""

    def record_request(
        self, service: str, operation: str, caller: str, status: int, error: str | None, milliseconds: float
    ) -> None:
        """Append to the request log."""

    def take_fault(self, service: str, name: str) -> bool:
        """Whether a fault strikes now: a count, which goes down, or a share, by chance."""


_current_call: ContextVar[Call] = ContextVar("rayline_local_call")


def current_call() -> Call:
    """The call being handled; raises LookupError outside a handler."""
    return _current_call.get()


async def read_request(scope: Scope, receive: Receive) -> HttpRequest:
    """Read the whole request from an ASGI connection; raises ClientDisconnected."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
    return HttpRequest(
        method=scope["method"],
        raw_path=raw_path.decode("latin-1").partition("?")[0],
        raw_query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        raw_headers=list(scope["headers"]),
        body=b"".join(chunks),
        client_host=(scope.get("client") or ("127.0.0.1", 0))[0],
    )


async def send_response(
    send: Send, status: int, headers: Mapping[str, str], body: bytes | Path | Sequence[bytes]
) -> None:
    """Send one response; a `Path` body is streamed from disk."""
    if isinstance(body, Path):
        length = (await anyio.Path(body).stat()).st_size
    elif isinstance(body, bytes):
        length = len(body)
    else:
        length = sum(len(part) for part in body)
    wire = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    wire.append((b"content-length", str(length).encode()))
    wire.append((b"date", email.utils.formatdate(usegmt=True).encode()))
    await send({"type": "http.response.start", "status": status, "headers": wire})
    if isinstance(body, Path):
        async with await anyio.open_file(body, "rb") as stream:
            while chunk := await stream.read(STREAM_CHUNK_BYTES):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    elif not isinstance(body, bytes):
        for part in body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        body = b""
    await send({"type": "http.response.body", "body": body if isinstance(body, bytes) else b""})


# --- models -------------------------------------------------------------------------------------------------


@lru_cache
def load_service_model(service_name: str) -> ServiceModel:
    """botocore's model of a service, by its client name (`medical-imaging`, `sagemaker`)."""
    return ServiceModel(Loader().load_service_model(service_name, "service-2"), service_name)


@dataclass(frozen=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    labels: tuple[str, ...]
    literal_segments: int
    operation: OperationModel


def _route(operation: OperationModel) -> Route:
    template = str(operation.http["requestUri"]).partition("?")[0]
    labels: list[str] = []
    parts: list[str] = []
    literal = 0
    for segment in template.strip("/").split("/"):
        if label := re.fullmatch(r"\{([^}+]+)(\+?)\}", segment):
            labels.append(label[1])
            parts.append("(.+)" if label[2] else "([^/]+)")
        else:
            literal += 1
            parts.append(re.escape(segment))
    pattern = re.compile("/" + "/".join(parts) + "/?")
    return Route(str(operation.http["method"]), pattern, tuple(labels), literal, operation)


@lru_cache
def _routes(service_name: str) -> tuple[Route, ...]:
    model = load_service_model(service_name)
    routes = [_route(model.operation_model(name)) for name in model.operation_names]
    return tuple(sorted(routes, key=lambda route: -route.literal_segments))


# --- requests -----------------------------------------------------------------------------------------------


def _malformed(detail: str) -> ServiceError:
    return ServiceError("SerializationException", detail, 400)


def _parse_timestamp(value: Any) -> datetime:
    try:
        text = str(value)
        try:
            return datetime.fromtimestamp(float(text), UTC)
        except ValueError:
            parsed = datetime.fromisoformat(text)
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _malformed("a timestamp is neither epoch seconds nor ISO 8601") from error


def _parse_body_value(shape: Shape, value: Any, path: str) -> Any:
    """Read one JSON value as its shape; nulls are absent members, unknown members are ignored."""
    kind = shape.type_name
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            raise _malformed(f"expected an object at '{path or '/'}'")
        members: dict[str, Any] = {}
        for name, member in shape.members.items():
            raw = value.get(member.serialization.get("name", name))
            if raw is not None:
                members[name] = _parse_body_value(member, raw, f"{path}/{name}")
        return members
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            raise _malformed(f"expected a list at '{path}'")
        return [_parse_body_value(shape.member, item, f"{path}/{i + 1}") for i, item in enumerate(value)]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            raise _malformed(f"expected an object at '{path}'")
        return {k: _parse_body_value(shape.value, v, f"{path}/{k}") for k, v in value.items()}
    if kind == "blob":
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise _malformed(f"expected base64 at '{path}'") from error
    if kind == "timestamp":
        return _parse_timestamp(value)
    expected: tuple[type, ...]
    expected = {
        "string": (str,),
        "character": (str,),
        "boolean": (bool,),
        "integer": (int,),
        "long": (int,),
        "float": (int, float),
        "double": (int, float),
    }[kind]
    if not isinstance(value, expected) or (isinstance(value, bool) and kind != "boolean"):
        raise _malformed(f"expected a {kind} at '{path}'")
    number: Any = value
    return float(number) if kind in ("float", "double") else value


def _parse_text_value(shape: Shape, text: str, path: str) -> Any:
    """Read a path label, query value or header as its shape."""
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
    except ValueError as error:
        raise _malformed(f"expected a number at '{path}'") from error
    if kind == "boolean":
        if text not in ("true", "false"):
            raise _malformed(f"expected true or false at '{path}'")
        return text == "true"
    if kind == "timestamp":
        return _parse_timestamp(text)
    return text


def _json_object(body: bytes) -> Any:
    if not body:
        return {}
    try:
        return json.loads(body)
    except ValueError as error:
        raise _malformed("the request body is not JSON") from error


def parse_rest_input(
    operation: OperationModel, request: HttpRequest, labels: Mapping[str, str]
) -> dict[str, Any]:
    """The input members of a rest-json request, typed; raises ServiceError for what is not of its type."""
    shape = operation.input_shape
    if not isinstance(shape, StructureShape):
        return {}
    query = parse_qs(request.raw_query, keep_blank_values=True)
    payload_name = shape.serialization.get("payload")
    members: dict[str, Any] = {}
    body_members: dict[str, Shape] = {}
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        wire_name = member.serialization.get("name", name)
        if location == "uri":
            members[name] = _parse_text_value(member, unquote(labels[wire_name]), f"/{name}")
        elif location == "querystring":
            values = query.get(wire_name)
            if values and isinstance(member, ListShape):
                members[name] = [_parse_text_value(member.member, value, f"/{name}") for value in values]
            elif values:
                members[name] = _parse_text_value(member, values[0], f"/{name}")
        elif location == "header":
            header = request.headers.get(wire_name.lower())
            if header is not None:
                members[name] = _parse_text_value(member, header, f"/{name}")
        elif location is None:
            body_members[name] = member
    if payload_name:
        payload = shape.members[payload_name]
        if payload.type_name in ("blob", "string"):
            members[payload_name] = request.body if payload.type_name == "blob" else request.body.decode()
        elif request.body:
            members[payload_name] = _parse_body_value(payload, _json_object(request.body), f"/{payload_name}")
    elif body_members:
        document = _json_object(request.body)
        if not isinstance(document, dict):
            raise _malformed("expected an object at '/'")
        for name, member in body_members.items():
            raw = document.get(member.serialization.get("name", name))
            if raw is not None:
                members[name] = _parse_body_value(member, raw, f"/{name}")
    return members


# --- validation ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    # The models carry Java patterns; the few that Python cannot read (\p{…}) are not checked.
    translated = re.sub(r"\\p\{ASCII\}", r"[\\x00-\\x7f]", pattern)
    try:
        return re.compile(translated)
    except re.error:
        return None


def _constraint_failures(shape: Shape, value: Any, path: str) -> Iterator[str]:
    metadata = shape.metadata
    if isinstance(shape, StructureShape):
        for name in metadata.get("required", ()):
            if name not in value:
                yield f"Value at '{path}/{name}' failed to satisfy constraint: Member must not be null"
        if metadata.get("union") and len(value) != 1:
            yield f"Value at '{path}' failed to satisfy constraint: exactly one union member must be set"
        for name, member in value.items():
            yield from _constraint_failures(shape.members[name], member, f"{path}/{name}")
        return
    size: float | None = None
    unit = ""
    if isinstance(shape, ListShape):
        size, unit = len(value), "length"
        for index, item in enumerate(value):
            yield from _constraint_failures(shape.member, item, f"{path}/{index + 1}/member")
    elif isinstance(shape, MapShape):
        size, unit = len(value), "length"
        for key, item in value.items():
            yield from _constraint_failures(shape.key, key, f"{path}/{key}/key")
            yield from _constraint_failures(shape.value, item, f"{path}/{key}/value")
    elif shape.type_name in ("string", "blob"):
        size, unit = len(value), "length"
    elif shape.type_name in ("integer", "long", "float", "double"):
        size, unit = value, "value"
    failed = f"Value at '{path}' failed to satisfy constraint: Member must"
    if size is not None and "min" in metadata and size < metadata["min"]:
        yield f"{failed} have {unit} greater than or equal to {metadata['min']}"
    if size is not None and "max" in metadata and size > metadata["max"]:
        yield f"{failed} have {unit} less than or equal to {metadata['max']}"
    if shape.type_name == "string":
        enum = getattr(shape, "enum", None)
        if enum and value not in enum:
            yield f"{failed} satisfy enum value set: [{', '.join(enum)}]"
        pattern = metadata.get("pattern")
        if pattern and (compiled := _compiled(pattern)) and not compiled.fullmatch(value):
            yield f"{failed} satisfy regular expression pattern: {pattern}"


def validate_input(operation: OperationModel, members: Mapping[str, Any]) -> None:
    """Hold the input against the model's required members, ranges, enums and patterns, as AWS does.

    Raises ServiceError("ValidationException"). No value is quoted in the message: values may identify a
    patient.
    """
    if operation.input_shape is None:
        return
    failures = list(_constraint_failures(operation.input_shape, members, ""))
    if failures:
        noun = "error" if len(failures) == 1 else "errors"
        raise ServiceError(
            "ValidationException", f"{len(failures)} validation {noun} detected: {'; '.join(failures)}", 400
        )


# --- responses ----------------------------------------------------------------------------------------------


def _format_timestamp(shape: Shape, value: Any, default: str) -> Any:
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    style = shape.serialization.get("timestampFormat", default)
    if style == "iso8601":
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if style == "rfc822":
        return email.utils.format_datetime(moment.astimezone(UTC), usegmt=True)
    return round(moment.timestamp(), 3)


def _serialize(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(shape, StructureShape):
        unknown = set(value) - set(shape.members)
        if unknown:
            raise TypeError(f"{shape.name} at '{path}' has no member {sorted(unknown)}")
        return {
            member.serialization.get("name", name): _serialize(member, value[name], f"{path}/{name}")
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if isinstance(shape, ListShape):
        return [_serialize(shape.member, item, path) for item in value]
    if isinstance(shape, MapShape):
        return {key: _serialize(shape.value, item, f"{path}/{key}") for key, item in value.items()}
    if shape.type_name == "timestamp":
        return _format_timestamp(shape, value, "unixTimestamp")
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    return value


def _check_required(operation: OperationModel, output: Mapping[str, Any]) -> None:
    shape = operation.output_shape
    if isinstance(shape, StructureShape):
        missing = [name for name in shape.metadata.get("required", ()) if output.get(name) is None]
        if missing:
            raise TypeError(f"{operation.name} answered without {missing}")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes | Path


def serialize_rest_output(operation: OperationModel, output: Mapping[str, Any]) -> Answer:
    """One rest-json answer: members go to headers, status, the payload or the JSON body, as the model
    says.
    """
    shape = operation.output_shape
    status = int(operation.http.get("responseCode", 200))
    headers: dict[str, str] = {}
    if not isinstance(shape, StructureShape):
        return Answer(status, {"content-type": "application/json"}, b"{}")
    _check_required(operation, output)
    payload_name = shape.serialization.get("payload")
    body_members: dict[str, Any] = {}
    for name, value in output.items():
        member = shape.members.get(name)
        if member is None:
            raise TypeError(f"{operation.name} has no output member {name}")
        location = member.serialization.get("location")
        if value is None or name == payload_name:
            continue
        if location == "header":
            text = (
                _format_timestamp(member, value, "rfc822") if member.type_name == "timestamp" else str(value)
            )
            headers[member.serialization.get("name", name)] = text
        elif location == "statusCode":
            status = int(value)
        else:
            body_members[member.serialization.get("name", name)] = _serialize(member, value, f"/{name}")
    names = {name.lower() for name in headers}
    if payload_name:
        payload = shape.members[payload_name]
        content = output.get(payload_name)
        if payload.type_name == "blob":
            if "content-type" not in names:
                headers["content-type"] = "application/octet-stream"
            if not isinstance(content, (bytes, Path)):
                raise TypeError(f"{operation.name} must answer bytes or a Path for {payload_name}")
            return Answer(status, headers, content)
        headers.setdefault("content-type", "application/json")
        return Answer(status, headers, json.dumps(_serialize(payload, content or {}, "")).encode())
    headers.setdefault("content-type", "application/json")
    return Answer(status, headers, json.dumps(body_members).encode())


def serialize_json_output(operation: OperationModel, output: Mapping[str, Any], version: str) -> Answer:
    """One AWS JSON answer."""
    headers = {"content-type": f"application/x-amz-json-{version}"}
    shape = operation.output_shape
    if not isinstance(shape, StructureShape):
        return Answer(200, headers, b"")
    _check_required(operation, output)
    return Answer(200, headers, json.dumps(_serialize(shape, output, "")).encode())


# --- the service --------------------------------------------------------------------------------------------


class ModeledService:
    """An AWS service whose wire format is botocore's model: subclass it and write `op_…` methods.

    Handlers are `def` or `async def op_start_x(self, **members) -> dict`; members keep the model's own names.
    A plain `def` runs on the event loop, so it must not block: move real work to a thread or a process.
    Raise `ServiceError(code, message)` to answer an error; its status comes from the model.
    """

    #: botocore's client name; also the SigV4 signing name and the IAM action prefix unless overridden.
    service_name: str
    #: the key of this service's fault switches under `/_rayline/faults`.
    fault_name: str

    def __init__(self, host: Host) -> None:
        self.host = host
        self.model = load_service_model(self.service_name)
        self.signing_name: str = self.model.signing_name
        self.iam_prefix: str = self.model.signing_name
        self._handlers: dict[str, Callable[..., Any]] = {}
        for name in self.model.operation_names:
            handler = getattr(self, f"op_{xform_name(name)}", None)
            if handler is not None:
                self._handlers[name] = handler

    def permissions(self, operation: str, members: Mapping[str, Any]) -> Sequence[Permission]:
        """The IAM checks of one operation; by default its own action on every resource."""
        return [Permission(f"{self.iam_prefix}:{operation}")]

    async def startup(self) -> None:
        """Called once before the first request."""

    async def shutdown(self) -> None:
        """Called once after the last request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = await read_request(scope, receive)
        except ClientDisconnected:
            return
        answer = await self.handle(request)
        await send_response(send, answer.status, answer.headers, answer.body)

    async def handle(self, request: HttpRequest) -> Answer:
        """Route, authorize, validate, call and serialize one request; never raises."""
        started = time.perf_counter()
        request_id = str(uuid.uuid4())
        name, caller, code = "-", "-", None
        try:
            operation, labels = self._match(request)
            name = operation.name
            members = self._parse(operation, request, labels)
            identity = self.host.authorize(request, self.permissions(name, members), self.signing_name)
            caller = identity.arn
            if any(self.host.take_fault(self.fault_name, each) for each in ("throttle", "throttle_share")):
                raise ServiceError("ThrottlingException", "Rate exceeded", 429 if self._is_rest else 400)
            validate_input(operation, members)
            handler = self._handlers.get(name)
            if handler is None:
                raise ServiceError(
                    "UnknownOperationException", f"the local cloud does not implement {name}", 400
                )
            token = _current_call.set(Call(name, identity, request_id, request.headers))
            try:
                output = handler(**members)
                if inspect.isawaitable(output):
                    output = await output
            finally:
                _current_call.reset(token)
            answer = self._serialize(operation, output or {})
            if self.host.take_fault(self.fault_name, "lost_answers"):
                raise ServiceError("InternalServerException", "the answer was lost (fault switch)", 500)
        except ServiceError as error:
            code = error.code
            answer = self._error_answer(error)
        except Exception as error:
            log.exception("operation failed", service=self.service_name, operation=name)
            code = "InternalServerException"
            answer = self._error_answer(ServiceError(code, f"internal error: {type(error).__name__}", 500))
        answer.headers["x-amzn-requestid"] = request_id
        elapsed = (time.perf_counter() - started) * 1000
        self.host.record_request(self.fault_name, name, caller, answer.status, code, elapsed)
        return answer

    @property
    def _is_rest(self) -> bool:
        return bool(self.model.metadata["protocol"] == "rest-json")

    def _match(self, request: HttpRequest) -> tuple[OperationModel, dict[str, str]]:
        if self._is_rest:
            for route in _routes(self.service_name):
                if route.method == request.method and (match := route.pattern.fullmatch(request.raw_path)):
                    return route.operation, dict(zip(route.labels, match.groups(), strict=True))
            raise ServiceError("UnknownOperationException", "no operation has this method and path", 404)
        prefix, _, name = request.headers.get("x-amz-target", "").partition(".")
        if prefix != self.model.metadata.get("targetPrefix") or name not in self.model.operation_names:
            raise ServiceError(
                "UnknownOperationException", "X-Amz-Target names no operation of this service", 404
            )
        return self.model.operation_model(name), {}

    def _parse(
        self, operation: OperationModel, request: HttpRequest, labels: Mapping[str, str]
    ) -> dict[str, Any]:
        if self._is_rest:
            return parse_rest_input(operation, request, labels)
        if operation.input_shape is None:
            return {}
        parsed: dict[str, Any] = _parse_body_value(operation.input_shape, _json_object(request.body), "")
        return parsed

    def _serialize(self, operation: OperationModel, output: Mapping[str, Any]) -> Answer:
        if self._is_rest:
            return serialize_rest_output(operation, output)
        return serialize_json_output(operation, output, str(self.model.metadata["jsonVersion"]))

    def _error_answer(self, error: ServiceError) -> Answer:
        status = error.status or self._modeled_status(error.code)
        headers = {"x-amzn-errortype": error.code}
        if self._is_rest:
            headers["content-type"] = "application/json"
            return Answer(status, headers, json.dumps({"message": error.message}).encode())
        headers["content-type"] = f"application/x-amz-json-{self.model.metadata['jsonVersion']}"
        return Answer(status, headers, json.dumps({"__type": error.code, "message": error.message}).encode())

    def _modeled_status(self, code: str) -> int:
        for shape in self.model.error_shapes:
            if code in (shape.name, shape.metadata.get("error", {}).get("code")):
                return int(shape.metadata.get("error", {}).get("httpStatusCode", 400))
        return 400
