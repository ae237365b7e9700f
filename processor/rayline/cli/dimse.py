"""``rayline dimse``: the gateway that modalities and the PACS send to."""

import signal
import threading
import time
from typing import Annotated

import typer

from rayline.cli.health import ask
from rayline.errors import ConfigurationError
from rayline.settings import load_secrets, load_settings, traces_endpoint

_TICK_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(help="Take images from modalities and the PACS.", no_args_is_help=True)
    app.add_typer(verbs, name="dimse")
    verbs.command("serve")(_serve)
    verbs.command("health")(_health)


def _serve(
    port: Annotated[int | None, typer.Option(help="TCP port; default RAYLINE_DIMSE_PORT.", min=0)] = None,
) -> None:
    """Take images by C-STORE until SIGTERM or Ctrl-C; each is acknowledged once the uploads bucket keeps it.

    It runs as the gateway's task does, whose role may only upload: `rayline local exec --role uploader -- rayline dimse
    serve` on this machine.
    """
    try:
        from rayline.dimse.gateway import Gateway
    except ImportError as error:
        raise ConfigurationError(
            f"{error.name} is not installed; install the processor as rayline[dimse]"
        ) from None
    from rayline.aws import Clients
    from rayline.dimse.settings import load_dimse_settings
    from rayline.dimse.tls_secrets import tls_files
    from rayline.health import Health, serve_health
    from rayline.observability.meter import Meter
    from rayline.observability.traces import open_traces

    settings = load_settings()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    health = Health(1, time.monotonic)
    with tls_files(load_secrets()) as files:
        dimse = load_dimse_settings(**files, **({} if port is None else {"port": port}))
        meter = Meter(settings.site)
        traces = open_traces("gateway", settings.site, traces_endpoint())
        s3 = Clients(meter=meter, traces=traces).s3
        gateway = Gateway(dimse, s3, settings.uploads_bucket, site=settings.site, meter=meter, traces=traces)
        with (
            serve_health(health, settings.health_port),
            meter.publishing(),
            traces.exporting(),
            gateway.serving(),
        ):
            typer.echo(f"{dimse.ae_title} takes images on {dimse.host} port {gateway.port}", err=True)
            while not stopping.wait(_TICK_SECONDS) and gateway.alive:
                health.tick(consuming=1, braked=0)
            health.drain()
    if not stopping.is_set():
        raise ConfigurationError("the gateway stopped listening; see its log")


def _health(
    port: Annotated[int | None, typer.Option(help="Loopback port; default RAYLINE_HEALTH_PORT.")] = None,
) -> None:
    """Ask the gateway on this machine whether it is live; exit status 1 where it is not."""
    ask(port, ready=False, command="rayline dimse serve")
