"""Faults of the services that MiniStack plays: throttles and lost answers, for the processor's requests alone.

The sender, the stand-ins and whoever looks on are left alone, so that what a fault does to the processor shows.
"""

from __future__ import annotations

import json
import re
from typing import Final, Literal, Protocol

from rayline_local.front.faults import RequestFaults
from rayline_local.front.rest import Message, Scope, Send, send_response

EMULATED: Final = ("dynamodb", "events", "s3", "sqs")
_KEY = re.compile(rb"Credential=([^/]+)/")

Fault = Literal["throttled", "lost answer"]


class FaultyCloud(Protocol):
    """What this needs of the local cloud."""

    def register_faults(self, fault_name: str, source: str | None, switches: RequestFaults) -> None:
        """Declare a service's switches."""

    def take_fault(self, service: str, name: str) -> bool:
        """Whether a fault strikes now."""

    def role_of(self, access_key_id: str) -> str | None:
        """The role whose session a key belongs to."""


class EmulatedFaults:
    """Decides what befalls a request."""

    def __init__(self, cloud: FaultyCloud) -> None:
        self._cloud = cloud
        for service in EMULATED:
            cloud.register_faults(service, None, RequestFaults())

    def strike(self, service: str | None, scope: Scope) -> Fault | None:
        """The fault of one request, None where it goes through."""
        if service not in EMULATED or not self._is_processor(scope):
            return None
        if any(self._cloud.take_fault(service, each) for each in ("throttle", "throttle_share")):
            return "throttled"
        return "lost answer" if self._cloud.take_fault(service, "lost_answers") else None

    def _is_processor(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name.lower() == b"authorization" and (match := _KEY.search(value)):
                role = self._cloud.role_of(match[1].decode("latin-1"))
                return role is not None and role.endswith("-processor")
        return False


async def refuse(send: Send, service: str | None, fault: Fault) -> None:
    """Answer with the service's own error."""
    if service == "s3":
        status, code = (503, "SlowDown") if fault == "throttled" else (500, "InternalError")
        body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>"
        await send_response(send, status, {"content-type": "application/xml"}, body.encode())
        return
    status, code = (400, "ThrottlingException") if fault == "throttled" else (500, "InternalServerError")
    body = json.dumps({"__type": code, "message": "fault switch"})
    headers = {"content-type": "application/x-amz-json-1.0", "x-amzn-errortype": code}
    await send_response(send, status, headers, body.encode())


def losing_answer(send: Send, service: str | None) -> Send:
    """A send channel that lets the request be carried out, and then says that it failed."""

    async def lost(message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await refuse(send, service, "lost answer")

    return lost
