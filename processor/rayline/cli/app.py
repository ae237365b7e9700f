"""Assembles the command from the entry points ``rayline.commands`` and turns our errors into plain messages.

An entry point that is named like the verb is loaded alone, so that no verb waits for what another one imports.
"""

import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from rayline.cli.plugin_verbs import SiteCommands
from rayline.environment import load_environment_file
from rayline.errors import ConfigurationError, RaylineError

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
    context.obj = {"verbose": verbose, **(context.obj or {})}
    if not context.obj.get("logs_nothing"):
        from rayline.observability.logs import configure_logs

        configure_logs(verbose=verbose)
    load_environment_file(env_file)


def main() -> None:
    """Run the command."""
    found = sorted(importlib.metadata.entry_points(group=COMMAND_GROUP), key=lambda each: each.name)
    verb = _verb(sys.argv[1:])
    chosen = [each for each in found if each.name == verb] or found
    loaded = [each for each in chosen if _register(each)]
    # A module says LOGS_NOTHING where its verbs work without structlog, which takes long to import.
    logs_nothing = all(getattr(sys.modules[each.module], "LOGS_NOTHING", False) for each in loaded)
    try:
        app(obj={"logs_nothing": logs_nothing})
    except Exception as error:
        explained = _explanation(error)
        if explained is None:
            raise
        _print_error(explained)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)


def _register(entry_point: importlib.metadata.EntryPoint) -> bool:
    """Add an entry point's verbs; whether its package is there, which a plugin's need not be for other verbs."""
    package = entry_point.module.partition(".")[0]
    try:
        register = entry_point.load()
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        _print_error(
            f"the verbs of {entry_point.name} are left out: {package} is installed, and its files are gone"
        )
        return False
    register(app)
    return True


def _verb(arguments: Sequence[str]) -> str:
    """The first argument that is neither an option of the command's own nor such an option's value."""
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--env-file":
            next(remaining, None)
        elif argument not in ("--verbose", "-v") and not argument.startswith("--env-file="):
            return "" if argument.startswith("-") else argument
    return ""


def _explanation(error: Exception) -> str | None:
    """What to tell of an error that the user can do something about; None for any other one."""
    if isinstance(error, RaylineError):
        return str(error)
    # Whoever raised one of these has imported them.
    exceptions: Any = sys.modules.get("botocore.exceptions")
    if exceptions is None:
        return None
    if isinstance(error, exceptions.ClientError):
        response: Any = error
        code = response.response.get("Error", {}).get("Code", "unknown")
        return (
            f"AWS refused {response.operation_name}: {code}; "
            "check the credentials' role and the stack that the environment names"
        )
    if isinstance(error, exceptions.BotoCoreError):
        return (
            f"AWS cannot be reached ({type(error).__name__}); "
            "is the local cloud up (`rayline local status`), or the network?"
        )
    return None


def _print_error(explained: str) -> None:
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True).print(f"[bold red]error:[/] {escape(explained)}", highlight=False, soft_wrap=True)
