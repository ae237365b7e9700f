"""``rayline api``: serve the HTTP API, and make tokens for it."""

import ipaddress
import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from rayline.cli.estate import open_estate
from rayline.errors import ConfigurationError
from rayline.observability.metrics import CONCURRENT_VIEWERS
from rayline.runtime import utc_now

_MOST_AT_ONCE = 64  # requests; more are answered 503 at once

Access = Annotated[
    Path,
    typer.Option(
        "--access",
        envvar="RAYLINE_API_ACCESS",
        help="YAML file that says who may use the API; see the reference.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(help="Serve the HTTP API, and make tokens for it.", no_args_is_help=True)
    app.add_typer(verbs, name="api")
    verbs.command("serve")(_serve)
    verbs.command("token")(_token)
    verbs.command("openapi")(_openapi)


def _serve(
    access: Access,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on.")] = 8080,
) -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C; it does not start without anybody who may use it.

    Static tokens hold on this machine's loopback address only; elsewhere a load balancer signs people in.
    """
    _needs_the_extra()
    import uvicorn

    from rayline.http_api.access_file import load_access_file
    from rayline.http_api.app import create_app
    from rayline.http_api.viewers import Viewers

    known = load_access_file(access)
    if known.tokens and not _is_loopback(host):
        raise ConfigurationError(
            f"static tokens would cross the network unencrypted to {host}; listen on 127.0.0.1, or take the tokens "
            "out of the access file and let a load balancer sign people in"
        )
    authenticator = known.authenticator(utc_now)
    estate = open_estate()
    viewers = Viewers(utc_now)
    estate.meter.watch(CONCURRENT_VIEWERS, viewers.present)
    served = create_app(estate.triage, authenticator, viewers=viewers)
    typer.echo(f"serving http://{host}:{port}/api/v1", err=True)
    # No access log of the server's own: paths and queries may hold what somebody typed.
    with estate.meter.publishing():
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
        )


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
