"""Real clients of AWS whose requests get no further than botocore: a test says what comes back."""

import io
from collections.abc import Callable
from typing import Any

import boto3
from botocore.awsrequest import AWSRequest, AWSResponse

Answer = Callable[[AWSRequest], AWSResponse | Exception]


class _Body(io.BytesIO):
    """What urllib3 would be, as far as botocore looks."""

    def stream(self, **_: Any) -> Any:
        """The whole of it."""
        yield self.read()


def answer(status: int, body: bytes = b"", **headers: str) -> AWSResponse:
    """An HTTP response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return AWSResponse("https://aws", status, {"content-length": str(len(body)), **named}, _Body(body))


def answering_session(*answers: AWSResponse | Exception) -> boto3.Session:
    """A session whose attempts are answered in turn, the last one for ever."""
    remaining = list(answers)
    session = boto3.Session("test", "test", region_name="eu-central-1")

    def send(request: AWSRequest, **_: Any) -> AWSResponse:
        given = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        if isinstance(given, Exception):
            raise given
        return given

    session.events.register("before-send", send)
    return session
