"""``rayline api``: serve the HTTP API, and make tokens for it."""

import ipaddress
import json
import ssl
import urllib.request
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rayline.cli.estate import open_estate
from rayline.errors import ConfigurationError, RaylineError
from rayline.observability.metrics import CONCURRENT_VIEWERS
from rayline.runtime import utc_now

if TYPE_CHECKING:
    from rayline.http_api.access_file import AccessFile

_MOST_AT_ONCE = 64  # requests; more are answered 503 at once
_PATIENCE_SECONDS = 5.0

Access = Annotated[
    Path | None,
    typer.Option(
        "--access",
        envvar="RAYLINE_API_ACCESS",
        help="YAML file that says who may use the API; see the reference.",
    ),
]
AccessDocument = Annotated[
    str,
    typer.Option(
        envvar="RAYLINE_API_ACCESS_DOCUMENT", help="What the access file would hold, where there is no file."
    ),
]
SignInKeys = Annotated[
    str,
    typer.Option(
        envvar="RAYLINE_API_SIGN_IN_KEYS",
        help="Public keys (JWKS) of the user pool that the access file names.",
    ),
]


class NotAnswering(RaylineError):
    """The API of this machine does not answer."""


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(help="Serve the HTTP API, and make tokens for it.", no_args_is_help=True)
    app.add_typer(verbs, name="api")
    verbs.command("serve")(_serve)
    verbs.command("health")(_health)
    verbs.command("token")(_token)
    verbs.command("openapi")(_openapi)


def _serve(
    access: Access = None,
    access_document: AccessDocument = "",
    sign_in_keys: SignInKeys = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on.")] = 8080,
    own_certificate: Annotated[
        bool, typer.Option(help="Speak TLS with a new certificate of its own, as a load balancer takes it.")
    ] = False,
) -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C; it does not start without anybody who may use it.

    Static tokens hold on this machine's loopback address only; elsewhere a user pool or load balancer signs people in.
    """
    _needs_the_extra()
    import uvicorn

    from rayline.http_api.app import create_app
    from rayline.http_api.own_certificate import own_certificate as made_certificate
    from rayline.http_api.viewers import Viewers

    known = _access(access, access_document)
    if known.tokens and not _is_loopback(host):
        raise ConfigurationError(
            f"static tokens would cross the network unencrypted to {host}; listen on 127.0.0.1, or take the tokens "
            "out of the access file and let a user pool or a load balancer sign people in"
        )
    authenticator = known.authenticator(utc_now, sign_in_keys)
    estate = open_estate("api")
    viewers = Viewers(utc_now)
    estate.meter.watch(CONCURRENT_VIEWERS, viewers.present)
    served = create_app(
        estate.triage, authenticator, viewers=viewers, origins=known.origins, traces=estate.traces
    )
    typer.echo(f"serving {'https' if own_certificate else 'http'}://{host}:{port}/api/v1", err=True)
    with ExitStack() as running:
        certificate = running.enter_context(made_certificate(utc_now())) if own_certificate else None
        running.enter_context(estate.meter.publishing())
        running.enter_context(estate.traces.exporting())
        # No access log of the server's own: paths and queries may hold what somebody typed.
        uvicorn.run(
            served,
            host=host,
            port=port,
            access_log=False,
            log_config=None,
            server_header=False,
            limit_concurrency=_MOST_AT_ONCE,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=30,
            ssl_certfile=certificate,
        )


def _access(path: Path | None, document: str) -> "AccessFile":
    """Who may use the API, from a file or from the environment.

    Raises:
        ConfigurationError: neither is given, or it is wrong.
    """
    from rayline.http_api.access_file import load_access_file, read_access

    if path is not None:
        return load_access_file(path)
    if not document:
        raise ConfigurationError(
            "nobody may use the API; name an access file with --access (RAYLINE_API_ACCESS)"
        )
    return read_access(document, "RAYLINE_API_ACCESS_DOCUMENT")


def _health(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port that the API listens on.")] = 8080,
) -> None:
    """Ask the API on this machine whether it answers, over the TLS of its own certificate."""
    from rayline.http_api.gate import HEALTH_PATH

    # Whose certificate it is is no question on the loopback address.
    unchecked = ssl._create_unverified_context()  # noqa: S323
    try:
        with urllib.request.urlopen(
            f"https://127.0.0.1:{port}{HEALTH_PATH}", timeout=_PATIENCE_SECONDS, context=unchecked
        ):
            pass
    except OSError:
        raise NotAnswering(
            f"the API does not answer on port {port}; is `rayline api serve --own-certificate` running?"
        ) from None


def _token(
    name: Annotated[str, typer.Argument(help="Whose it is, as the audit trail will name him.")],
    permission: Annotated[
        list[str],
        typer.Option("--permission", "-p", help="What it allows, e.g. quarantine:read; may be repeated."),
    ],
    days: Annotated[int, typer.Option(min=1, help="For how many days it holds.")] = 90,
) -> None:
    """Make a bearer token: shows it once, and the lines to add to the access file, which keeps its digest only."""
    _needs_the_extra()
    from rayline.http_api.access import Permission
    from rayline.http_api.bearer_tokens import new_token

    if unknown := sorted(set(permission) - set(Permission)):
        raise ConfigurationError(f"no permission {unknown[0]!r}; use one of {', '.join(Permission)}")
    token, digest = new_token()
    expires = (utc_now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    typer.echo(f"token, shown only now: {token}", err=True)
    typer.echo("in the access file:", err=True)
    typer.echo("tokens:")
    typer.echo(
        f'  - {{name: {json.dumps(name)}, sha256: "{digest}", permissions: [{", ".join(sorted(set(permission)))}], '
        f"expires: {expires}}}"
    )


def _openapi() -> None:
    """Print the OpenAPI description of the HTTP API."""
    _needs_the_extra()
    from rayline.http_api.app import openapi_document

    typer.echo(json.dumps(openapi_document(), indent=2, sort_keys=True))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _needs_the_extra() -> None:
    """Refuse where what the API is made with is not installed.

    Raises:
        ConfigurationError: it is not.
    """
    try:
        import fastapi  # noqa: F401
        import jwt  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"{error.name} is not installed; install the processor as rayline[api]"
        ) from None
