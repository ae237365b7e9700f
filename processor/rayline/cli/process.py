"""``rayline process``: run the event processor."""

from typing import Annotated

import typer

from rayline.aws import Clients
from rayline.observability.meter import Meter
from rayline.settings import load_secrets, load_settings
from rayline.supervisor import Supervisor


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def process(
        context: typer.Context,
        workers: Annotated[
            int | None, typer.Option(help="Worker processes; default RAYLINE_WORKERS.", min=1)
        ] = None,
        check: Annotated[bool, typer.Option(help="Check settings, profile and plugins, then stop.")] = False,
    ) -> None:
        """Run the event processor until SIGTERM or Ctrl-C.

        It runs as the task of the estate does: `rayline local exec -- rayline process` gives it the task's
        settings, secrets and short-lived credentials on this machine.
        """
        settings = load_settings(**({} if workers is None else {"workers": workers}))
        meter = Meter(settings.site)
        supervisor = Supervisor(
            settings, load_secrets(), Clients(meter=meter), verbose=context.obj["verbose"], meter=meter
        )
        if check:
            typer.echo("plugins: " + ", ".join(supervisor.check()))
            return
        supervisor.run()
