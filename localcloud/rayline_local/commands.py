"""`rayline local`: the account-less cloud from the command line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.table import Table

from rayline.errors import ConfigurationError
from rayline.names import EstateNames, ServiceKind
from rayline_infra.planning import parse_overrides
from rayline_local import estate_environment, running
from rayline_local.front.server import LOCK_FILE, SERVER_FILE, TOKEN_FILE
from rayline_local.front.services import ACCEPTED_FILE, GRANTS_FILE
from rayline_local.grants_command import grants
from rayline_local.tasks import process_environment, root_environment, task_environment

DEFAULT_STATE_DIR = Path(".rayline")
DEFAULT_PORT = 4566
LOCAL_ACCOUNT_ID = "123456789012"
LOCAL_REGION = "us-east-1"
#: everything that `up` makes; `reset` removes these names and nothing else
STATE_NAMES = (
    "ministack",
    "healthimaging",
    "sagemaker",
    "log",
    estate_environment.ESTATE_FILE,
    "estate.lock",
    estate_environment.FILE_NAME,
    ACCEPTED_FILE,
    GRANTS_FILE,
    TOKEN_FILE,
    SERVER_FILE,
    LOCK_FILE,
    ".gitignore",
)

StateDir = Annotated[Path, typer.Option("--state-dir", help="Folder that keeps the local cloud's state.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

console = Console(stderr=True)
local = typer.Typer(
    no_args_is_help=True, help="Run the whole estate on this machine, without an AWS account."
)


local.command()(grants)


def register(app: typer.Typer) -> None:
    """Add the `local` verbs to the `rayline` command."""
    app.add_typer(local, name="local")


@local.command()
def up(
    state_dir: StateDir = DEFAULT_STATE_DIR,
    port: Annotated[int, typer.Option(help="Loopback port; 0 takes any free one.")] = DEFAULT_PORT,
    stack: Annotated[str, typer.Option(help="Stack whose Pulumi.<stack>.yaml is applied.")] = "local",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE that replaces what the stack's file says.")
    ] = None,
) -> None:
    """Start the local cloud and apply the estate to it; running it again changes only what differs."""
    bring_up(state_dir, port=port, stack=stack, overrides=parse_overrides(settings or ()))


def bring_up(
    state_dir: Path,
    *,
    port: int = DEFAULT_PORT,
    stack: str = "local",
    overrides: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Start the front if it does not run, apply the estate, write `env`; returns the estate's outputs.

    `overrides` are settings that replace what the stack's file says.

    Raises ConfigurationError when the port is taken, the front does not start or runs another stack.
    """
    from rayline_local.provisioner import apply

    state_dir = state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state_dir / ".gitignore").write_text("*\n")
    front = running.find_running(state_dir)
    if front is not None and front.stack != stack:
        raise ConfigurationError(f"{state_dir} runs stack {front.stack}: use another --state-dir for {stack}")
    with console.status("starting the local cloud") as status:
        if front is None:
            front = running.start(
                state_dir, port=port, account_id=LOCAL_ACCOUNT_ID, region=LOCAL_REGION, stack=stack
            )
        console.print(f"local cloud: {front.endpoint_url} (process {front.pid})")
        status.update("applying the estate")
        outputs = apply(
            stack,
            front.endpoint_url,
            state_dir / estate_environment.ESTATE_FILE,
            overrides=overrides,
            report=lambda line: status.update(f"applying the estate: {line}"),
        )
    path = estate_environment.write(front, outputs)
    console.print(f"estate applied; operator environment: {path}")
    return outputs


@local.command()
def down(state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Stop the local cloud and keep its state."""
    bring_down(state_dir)


def bring_down(state_dir: Path) -> bool:
    """SIGTERM the front of this folder and wait; False when none runs."""
    state_dir = state_dir.resolve()
    front = running.find_running(state_dir)
    if front is None:
        (state_dir / SERVER_FILE).unlink(missing_ok=True)
        console.print("no local cloud runs here")
        return False
    with console.status("saving state"):
        running.stop(front)
    console.print(f"stopped process {front.pid}; state is kept in {state_dir}")
    return True


@local.command()
def status(
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
    not_emulated: Annotated[
        bool, typer.Option("--not-emulated", help="List the resource types that the local cloud leaves out.")
    ] = False,
) -> None:
    """Show whether the local cloud runs, and what it holds."""
    if not_emulated:
        _print_not_emulated(as_json)
        return
    front = running.find_running(state_dir.resolve())
    document: dict[str, Any] = {"running": front is not None, "state_dir": str(state_dir.resolve())}
    if front is not None:
        document.update(front.ask("status"))
    estate = state_dir / estate_environment.ESTATE_FILE
    if estate.exists():
        document["outputs"] = json.loads(estate.read_text()).get("outputs", {})
    if as_json:
        typer.echo(json.dumps(document, indent=2, sort_keys=True))
    else:
        table = Table(show_header=False, box=None)
        for name in ("running", "endpoint_url", "pid", "stack", "account_id", "region", "state_dir"):
            if name in document:
                table.add_row(name.replace("_", " "), str(document[name]))
        for name, value in sorted(document.get("outputs", {}).items()):
            if isinstance(value, str):
                table.add_row(name.replace("_", " "), value)
        Console().print(table)
    if front is None:
        raise typer.Exit(1)


def _print_not_emulated(as_json: bool) -> None:
    from rayline_local.provisioner import NOT_EMULATED

    if as_json:
        typer.echo(json.dumps(dict(NOT_EMULATED), indent=2, sort_keys=True))
        return
    table = Table("resource type", "why it is left out", box=None)
    for token, reason in sorted(NOT_EMULATED.items()):
        table.add_row(token, str(reason))
    Console().print(table)


@local.command()
def reset(
    state_dir: StateDir = DEFAULT_STATE_DIR,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop the local cloud and delete all that it holds."""
    state_dir = state_dir.resolve()
    if not yes:
        typer.confirm(f"delete all images, models and state in {state_dir}?", abort=True)
    bring_down(state_dir)
    for name in STATE_NAMES:
        path = state_dir / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    console.print(f"deleted the state in {state_dir}")


@local.command(
    "exec",
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
    },
)
def execute(
    context: typer.Context,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    role: Annotated[
        str,
        typer.Option(
            help="Whose credentials the command gets: processor, api, gateway, operator, reviewer, uploader … "
            "or root, as whoever deploys."
        ),
    ] = "operator",
) -> None:
    """Run a command under a role of the estate: `rayline local exec --role processor -- rayline process`."""
    command = context.args
    if not command:
        raise ConfigurationError("give a command after --, e.g. `rayline local exec -- aws s3 ls`")
    environment = environment_for(state_dir, role)
    executable = shutil.which(command[0])
    if executable is None:
        raise ConfigurationError(f"no command {command[0]} on the path")
    os.execve(executable, command, process_environment(environment))  # noqa: S606 - that is the verb's purpose


def environment_for(state_dir: Path, role: str) -> dict[str, str]:
    """What a process under a role gets: its task definition's, where it has one, else settings and credentials."""
    front = running.require_running(state_dir.resolve())
    names = EstateNames(stack=front.stack, account_id=front.account_id, region=front.region)
    for service in get_args(ServiceKind):
        if role == service:
            return task_environment(front, names.service(service), service)
    if role == "root":
        return root_environment(front)
    environment = front.role_environment(role)
    if role in ("operator", "reviewer", "uploader"):
        outputs = json.loads((state_dir / estate_environment.ESTATE_FILE).read_text())["outputs"]
        environment.update(estate_environment.settings(outputs))
    return environment
