"""The application: authentication before anything else, then routes, each with the permission that it takes."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer

from rayline.http_api.access import FirstThatKnows, Permission, Principal
from rayline.http_api.gate import HEALTH_PATH, Gate, principal_of
from rayline.http_api.limits import Rate, RateLimit, RequestFrame
from rayline.http_api.problems import MEDIA_TYPE, Problem, ProblemCode, ProblemRaised, answer_problems
from rayline.http_api.quarantine_routes import quarantine_routes
from rayline.http_api.traced_requests import TracedRequests
from rayline.http_api.viewers import Viewers
from rayline.observability.traces import Traces, Untraced
from rayline.quarantining.triage import Triage

API_VERSION = "1.0.0"

# Only so that OpenAPI says how to authenticate: FirstThatKnows decides.
_bearer = HTTPBearer(auto_error=False, description="a static token, or a load balancer's sign-in in front")
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": HTTPStatus(status).phrase}
    for status in (401, 403, 404, 409, 413, 422, 429, 500, 502, 503)
}


def create_app(
    triage: Triage,
    authenticator: FirstThatKnows,
    *,
    rate: Rate = Rate(),
    viewers: Viewers | None = None,
    traces: Traces | None = None,
    origins: frozenset[str] = frozenset(),
) -> FastAPI:
    """The API of one site.

    Args:
        authenticator: tells who sent a request; without one there is no API.
        rate: how often one person may ask.
        viewers: hears of everybody who passes the gate.
        traces: where each request is a span.
        origins: of pages, beside the API's own, that may change something.
    """

    def known(request: Request) -> Principal:
        principal = principal_of(request.scope)
        if principal is None:
            raise RuntimeError("a request has come past the gate")
        return principal

    def require(permission: Permission) -> Callable[[Principal], Principal]:
        def permitted(principal: Annotated[Principal, Depends(known)]) -> Principal:
            if permission not in principal.permissions:
                raise ProblemRaised(
                    HTTPStatus.FORBIDDEN,
                    ProblemCode.PERMISSION_MISSING,
                    f"this takes the permission {permission}",
                )
            return principal

        return permitted

    app = FastAPI(
        title="Rayline",
        version=API_VERSION,
        description="What people do with the estate of one site.",
        # The pages that FastAPI makes would be open to everybody.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses=_PROBLEMS,
        dependencies=[Depends(_bearer)],
    )
    app.include_router(quarantine_routes(triage, require))

    @app.get("/api/v1/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, Any]:
        """The description of this API."""
        return app.openapi()

    @app.get(HEALTH_PATH, include_in_schema=False)
    def health() -> Response:
        """Whether the API answers; the one route that is open, for load balancers."""
        return Response(status_code=HTTPStatus.NO_CONTENT)

    describe = app.openapi

    def described() -> dict[str, Any]:
        return _with_problems(describe())

    app.openapi = described  # type: ignore[method-assign]
    answer_problems(app)
    app.add_middleware(
        Gate, authenticator=authenticator, rate_limit=RateLimit(rate), viewers=viewers, origins=origins
    )
    app.add_middleware(RequestFrame)
    app.add_middleware(TracedRequests, traces=traces or Untraced())  # the outermost
    return app


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """A description whose errors have the media type that they are sent with, which FastAPI cannot be told."""
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if not status.startswith("2") and "application/json" in response["content"]:
                    response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}
    return document


class _Nobody:
    """An authenticator that knows nobody."""

    def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        """Nobody."""
        return None


def openapi_document() -> dict[str, Any]:
    """The OpenAPI description of the API, which no site changes."""
    unused: Any = None
    return create_app(unused, FirstThatKnows([_Nobody()])).openapi()
