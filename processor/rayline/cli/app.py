"""Assembles the command from the entry points ``rayline.commands`` and turns our errors into plain messages."""

import importlib.metadata
import sys
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from rayline.cli.plugin_verbs import SiteCommands
from rayline.errors import ConfigurationError, RaylineError
from rayline.observability.logs import configure_logs
from rayline.settings import load_environment_file

COMMAND_GROUP = "rayline.commands"

app = typer.Typer(
    name="rayline",
    help="Turn a hospital's imaging events into better models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    cls=SiteCommands,
)


@app.callback()
def _root(
    context: typer.Context,
    env_file: Annotated[
        Path | None,
        typer.Option(
            help="File of RAYLINE_* and AWS_* variables; default $RAYLINE_ENV_FILE, else .rayline/env if it exists."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every hook call.")] = False,
) -> None:
    """Turn a hospital's imaging events into better models.

    Start a whole estate on this machine with `rayline local up`, then `rayline process` in it.
    """
    context.obj = {"verbose": verbose}
    configure_logs(verbose=verbose)
    load_environment_file(env_file)


def main() -> None:
    """Run the command."""
    for entry_point in sorted(
        importlib.metadata.entry_points(group=COMMAND_GROUP), key=lambda each: each.name
    ):
        entry_point.load()(app)
    console = Console(stderr=True)
    try:
        app()
    except ConfigurationError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except RaylineError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        console.print(
            f"[bold red]error:[/] AWS refused {error.operation_name}: {code}; "
            "check the credentials' role and the stack that the environment names",
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(1)
    except BotoCoreError as error:
        console.print(
            f"[bold red]error:[/] AWS cannot be reached ({type(error).__name__}); "
            "is the local cloud up (`rayline local status`), or the network?",
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(1)
