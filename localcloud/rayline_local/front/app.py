"""The ASGI front: hosted services by SigV4 signing name, `/_rayline/*` for itself, MiniStack for the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import structlog

from rayline_local.front import limits
from rayline_local.front.control import CONTROL_PREFIX, ControlPaths
from rayline_local.front.emulated_faults import EmulatedFaults, losing_answer, refuse
from rayline_local.front.rest import (
    ClientDisconnected,
    HttpRequest,
    Message,
    Receive,
    Scope,
    Send,
    read_request,
    send_response,
)
from rayline_local.front.services import LocalService

# MiniStack's own administration answers without credentials; nothing of the estate needs it.
CLOSED_PREFIXES = ("/_ministack/", "/_localstack/", "/_aws/")
_CREDENTIAL = re.compile(r"Credential=[^/]*/[^/]*/[^/]*/([^/,]+)/aws4_request")

log = structlog.get_logger("rayline.local")


def signing_name(scope: Scope) -> str | None:
    """The service that a request is signed for, from its credential scope; None when it is not SigV4."""
    for name, value in scope["headers"]:
        if name.lower() == b"authorization" and (match := _CREDENTIAL.search(value.decode("latin-1"))):
            return match[1]
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    parts = query.get("X-Amz-Credential", [""])[0].split("/")
    return parts[3] if len(parts) == 5 else None


class Front:
    """One ASGI application for the whole account."""

    def __init__(
        self,
        emulator: Any,
        control: ControlPaths,
        services: Mapping[str, LocalService],
        emulated_faults: EmulatedFaults,
    ) -> None:
        self._emulator = emulator
        self._faults = emulated_faults
        self._control = control
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Our services start after MiniStack has loaded its state and stop before it saves.
        async def receive_and_stop() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                self._control.ready = False
                self._control.deliver_late_events()
                for service in self._services.values():
                    await service.shutdown()
            return message

        async def send_and_start(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                for service in self._services.values():
                    await service.startup()
                self._control.ready = True
            await send(message)

        await self._emulator(scope, receive_and_stop, send_and_start)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith(CONTROL_PREFIX):
            try:
                request = await read_request(scope, receive)
            except ClientDisconnected:
                return
            await self._control.answer(request, send)
            return
        if path.startswith(CLOSED_PREFIXES):
            await send_response(send, 404, {"content-type": "application/json"}, b'{"message": "not found"}')
            return
        service = signing_name(scope)
        hosted = self._services.get(service or "")
        if hosted is not None:
            await hosted(scope, receive, send)
            return
        fault = self._faults.strike(service, scope)
        if fault == "throttled":
            try:
                # Unread, its body would be taken for the connection's next request.
                await read_request(scope, receive)
            except ClientDisconnected:
                return
            await refuse(send, service, fault)
            return
        if fault == "lost answer":
            send = losing_answer(send, service)
        if service == "sqs":
            await self._limited(scope, receive, send)
            return
        if service == "events":
            await self._trailed(scope, receive, send)
            return
        await self._emulator({**scope, "scheme": "https"}, receive, send)

    async def _trailed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep what customers put on a bus, so that it can be looked at afterwards."""
        try:
            request = await read_request(scope, receive)
        except ClientDisconnected:
            return
        if request.headers.get("x-amz-target", "").endswith(".PutEvents"):
            self._control.keep_event_entries(request.body)
        await self._emulator({**scope, "scheme": "https"}, _replay(request, receive), send)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what SQS refuses and MiniStack lets pass, then hand the same request on."""
        try:
            request = await read_request(scope, receive)
        except ClientDisconnected:
            return
        refusal = limits.sqs_refusal(request)
        if refusal is not None:
            await send_response(
                send,
                400,
                {"content-type": "application/x-amz-json-1.0", "x-amzn-errortype": refusal.code},
                refusal.body(),
            )
            return
        await self._emulator({**scope, "scheme": "https"}, _replay(request, receive), send)


def _replay(request: HttpRequest, receive: Receive) -> Receive:
    """A receive channel that yields a request's body again, then the connection's own messages."""
    pending = [request.body]

    async def replayed() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replayed
