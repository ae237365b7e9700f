"""``rayline health``: what the container's health check asks."""

import json
import urllib.error
import urllib.request
from typing import Annotated

import typer

from rayline.errors import RaylineError
from rayline.health import HOST, LIVE_PATH, READY_PATH
from rayline.settings import load_settings

_PATIENCE_SECONDS = 5.0


class NotHealthy(RaylineError):
    """The processor of this task is not live, or not ready."""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def health(
        ready: Annotated[
            bool, typer.Option(help="Ask whether it is ready for work, not only whether it is live.")
        ] = False,
        port: Annotated[int | None, typer.Option(help="Loopback port; default RAYLINE_HEALTH_PORT.")] = None,
    ) -> None:
        """Ask the processor on this machine whether it is live, or ready; exit status 1 where it is not."""
        ask(port, ready=ready, command="rayline process")


def ask(port: int | None, *, ready: bool, command: str) -> None:
    """Print what a health check is told.

    Args:
        port: of the loopback interface; default the settings'.
        command: what should be running.

    Raises:
        NotHealthy: it is not live, or not ready, or not there.
    """
    where = port or load_settings().health_port
    if not where:
        raise NotHealthy(f"no health check is served; set RAYLINE_HEALTH_PORT for `{command}`")
    url = f"http://{HOST}:{where}{READY_PATH if ready else LIVE_PATH}"
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as answer:
            report = json.load(answer)
    except urllib.error.HTTPError as error:
        report = json.load(error)
        typer.echo(json.dumps(report))
        raise NotHealthy(
            "the processor is not ready" if report["live"] else "the processor stalled"
        ) from None
    except OSError:
        raise NotHealthy(f"nothing answers on port {where}; is `{command}` running?") from None
    typer.echo(json.dumps(report))
