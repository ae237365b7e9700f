"""Errors as RFC 9457 problem details: a code for machines, a sentence for people, and nothing of the input."""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from rayline.errors import RaylineError
from rayline.observability.logs import failure_fields
from rayline.quarantine import NotInQuarantine
from rayline.release import NotReleasable

MEDIA_TYPE = "application/problem+json"
MOST_BODY_BYTES = 64 * 1024

_log = structlog.get_logger()


class ProblemCode(StrEnum):
    """Why a request was not answered; each comment is what the code means."""

    # The request carries no credentials, or some that do not hold.
    NOT_AUTHENTICATED = "NOT_AUTHENTICATED"
    # What the credentials are checked against cannot be reached; try again.
    AUTHENTICATION_UNAVAILABLE = "AUTHENTICATION_UNAVAILABLE"
    # The credentials hold, but do not allow this.
    PERMISSION_MISSING = "PERMISSION_MISSING"
    # A page of another site has sent a request that changes something; a browser adds the sign-in by itself.
    CROSS_SITE = "CROSS_SITE"
    # There is nothing in quarantine by that id.
    NOT_IN_QUARANTINE = "NOT_IN_QUARANTINE"
    # The entry is a message or an event, and has no header.
    NO_HEADER = "NO_HEADER"
    # What is in quarantine cannot be sent again from there.
    NOT_RELEASABLE = "NOT_RELEASABLE"
    # A parameter or a field of the body is missing or wrong.
    INVALID_REQUEST = "INVALID_REQUEST"
    # The body is larger than any that the API takes.
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    # More requests a second than one person may send.
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    # There is no such path, or it does not take the method.
    ROUTE_UNKNOWN = "ROUTE_UNKNOWN"
    # AWS refused or could not be reached; the log says what.
    AWS_FAILED = "AWS_FAILED"
    # An error of the API itself; the log says where.
    INTERNAL_ERROR = "INTERNAL_ERROR"


class Problem(BaseModel):
    """A problem detail (RFC 9457 §3)."""

    type: str = Field(default="about:blank", description="always about:blank; code tells problems apart")
    title: str = Field(description="the HTTP status in words")
    status: int = Field(description="the HTTP status")
    code: ProblemCode = Field(description="what is wrong, for machines")
    detail: str = Field(description="what is wrong and what to do, for people")


class ProblemRaised(Exception):
    """A request that is answered by a problem."""

    def __init__(
        self, status: HTTPStatus, code: ProblemCode, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


def problem_response(
    status: HTTPStatus, code: ProblemCode, detail: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The answer that tells of a problem."""
    problem = Problem(title=status.phrase, status=status, code=code, detail=detail)
    return JSONResponse(problem.model_dump(mode="json"), status, headers, media_type=MEDIA_TYPE)


def too_large_response() -> JSONResponse:
    """The answer to a body that is too large."""
    return problem_response(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ProblemCode.BODY_TOO_LARGE,
        f"a body has at most {MOST_BODY_BYTES} bytes",
        {"Connection": "close"},
    )


def failed_response() -> JSONResponse:
    """The answer where the API itself failed."""
    return problem_response(
        HTTPStatus.INTERNAL_SERVER_ERROR, ProblemCode.INTERNAL_ERROR, "the request failed; the log says where"
    )


Answer = Callable[[Request, Exception], Awaitable[JSONResponse]]


def _answer(status: HTTPStatus, code: ProblemCode, detail: str = "") -> Answer:
    async def answer(_request: Request, error: Exception) -> JSONResponse:
        return problem_response(status, code, detail or str(error))

    return answer


async def _raised(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemRaised)
    return problem_response(error.status, error.code, error.detail, error.headers)


def _where(problem: Mapping[str, Any]) -> str:
    known = problem["loc"][:-1] if problem["type"] == "extra_forbidden" else problem["loc"]
    return ".".join(map(str, known))


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Where and what is wrong; the input itself may name a patient, and so may the name of a field that we do not know.
    wrong = ", ".join(sorted({f"{_where(each)}: {each['type']}" for each in error.errors()}))
    return problem_response(
        HTTPStatus.UNPROCESSABLE_ENTITY, ProblemCode.INVALID_REQUEST, f"wrong or missing: {wrong}"
    )


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return too_large_response()
    if status is HTTPStatus.BAD_REQUEST:  # FastAPI's, for a body that it cannot read
        return problem_response(
            HTTPStatus.UNPROCESSABLE_ENTITY, ProblemCode.INVALID_REQUEST, "the body cannot be read"
        )
    return problem_response(status, ProblemCode.ROUTE_UNKNOWN, "there is no such path or method")


async def _failed(_request: Request, error: Exception) -> JSONResponse:
    _log.error("api_request_failed", **failure_fields(error))
    return failed_response()


async def _aws_failed(_request: Request, error: Exception) -> JSONResponse:
    _log.error("api_request_failed", **failure_fields(error))
    return problem_response(
        HTTPStatus.BAD_GATEWAY, ProblemCode.AWS_FAILED, "AWS refused or cannot be reached; the log says what"
    )


def answer_problems(app: FastAPI) -> None:
    """Have every error of an application answered as a problem."""
    handlers: dict[type[Exception], Answer] = {
        ProblemRaised: _raised,
        RequestValidationError: _invalid,
        StarletteHTTPException: _http,
        NotInQuarantine: _answer(
            HTTPStatus.NOT_FOUND, ProblemCode.NOT_IN_QUARANTINE, "there is nothing in quarantine by that id"
        ),
        NotReleasable: _answer(HTTPStatus.CONFLICT, ProblemCode.NOT_RELEASABLE),
        ClientError: _aws_failed,
        BotoCoreError: _aws_failed,
        RaylineError: _failed,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
