"""The gate before every route, those that do not exist too: nobody passes who is not known, or who asks too often."""

from http import HTTPStatus

from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rayline.http_api.access import AuthenticationUnavailable, FirstThatKnows, NotAuthenticated, Principal
from rayline.http_api.limits import RateLimit
from rayline.http_api.problems import ProblemCode, problem_response
from rayline.http_api.viewers import Viewers

HEALTH_PATH = "/api/v1/health"


class Gate:
    """Authenticates a request before its path or body is looked at, and remembers who sent it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: FirstThatKnows,
        origins: frozenset[str] = frozenset(),
        rate_limit: RateLimit,
        viewers: Viewers | None = None,
    ) -> None:
        self._app = app
        self._viewers = viewers
        self._authenticator = authenticator
        self._origins = origins
        self._rate_limit = rate_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] == HEALTH_PATH):
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # nothing here takes a web socket
        answer = await self._refusal(scope)
        await (answer or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> JSONResponse | None:
        try:
            # In a thread, since a key may have to be fetched.
            principal = await run_in_threadpool(self._authenticator.authenticate, Headers(scope=scope))
        except NotAuthenticated as error:
            return problem_response(
                HTTPStatus.UNAUTHORIZED,
                ProblemCode.NOT_AUTHENTICATED,
                str(error),
                {"WWW-Authenticate": "Bearer"},
            )
        except AuthenticationUnavailable as error:
            return problem_response(
                HTTPStatus.SERVICE_UNAVAILABLE,
                ProblemCode.AUTHENTICATION_UNAVAILABLE,
                str(error),
                {"Retry-After": "5"},
            )
        scope.setdefault("state", {})["principal"] = principal
        if _is_cross_site(scope, self._origins):
            return problem_response(
                HTTPStatus.FORBIDDEN, ProblemCode.CROSS_SITE, "pages of other sites may change nothing here"
            )
        if self._viewers is not None:
            self._viewers.seen(principal.name)
        if self._rate_limit.allows(principal.name):
            return None
        return problem_response(
            HTTPStatus.TOO_MANY_REQUESTS,
            ProblemCode.TOO_MANY_REQUESTS,
            "too many requests; wait a second",
            {"Retry-After": "1"},
        )


def _is_cross_site(scope: Scope, trusted: frozenset[str]) -> bool:
    """Whether a page of another origin has a browser change something, which a load balancer's cookie lets it.

    Args:
        trusted: origins whose pages may.

    Source: Fetch Metadata Request Headers (W3C), and the Origin header of browsers without them; scripts send neither.
    """
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return False
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if origin in trusted:
        return False
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def principal_of(scope: Scope) -> Principal | None:
    """Who sent a request, once it has passed the gate."""
    principal = scope.get("state", {}).get("principal")
    return principal if isinstance(principal, Principal) else None
