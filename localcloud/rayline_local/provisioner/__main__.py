"""Command line: ``python -m rayline_local.provisioner apply|plan --stack local …``."""

import argparse
import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rayline.errors import RaylineError
from rayline_infra.planning import plan
from rayline_infra.planning.monitor import RecordingMonitor
from rayline_infra.planning.processes import FAILURE_PREFIX, add_program_options
from rayline_infra.planning.program import find_project, read_configuration, run_program
from rayline_infra.policies.checks import breaches
from rayline_local.provisioner.clients import Clients
from rayline_local.provisioner.errors import ProvisionError
from rayline_local.provisioner.reconcile import Reconciler
from rayline_local.provisioner.secret_values import put_missing_values
from rayline_local.provisioner.state import EstateState

SECRET_TYPE = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a resource type


def main() -> int:
    """Run one command; answers the exit status."""
    arguments = _parser().parse_args()
    project = arguments.project or find_project()
    try:
        if arguments.command == "plan":
            return _plan(project, arguments, check=arguments.check)
        return _apply(project, arguments)
    except RaylineError as error:
        print(f"{FAILURE_PREFIX}{error}", file=sys.stderr)  # noqa: T201 - this is the command's answer
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rayline_local.provisioner", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    applying = commands.add_parser("apply", help="apply the program to a local cloud")
    applying.add_argument("--endpoint-url", required=True, help="the local cloud's front")
    applying.add_argument("--state", required=True, type=Path, help="JSON file that remembers what exists")
    planning = commands.add_parser("plan", help="print the resource graph as JSON, without any cloud")
    planning.add_argument(
        "--check", action="store_true", help="check the graph's policies instead of printing it"
    )
    for command in (applying, planning):
        add_program_options(command)
    return parser


def _apply(project: Path, arguments: argparse.Namespace) -> int:
    stack, state_path = arguments.stack, arguments.state
    with _exclusively(state_path):
        configuration = read_configuration(project, stack, arguments.config)
        clients = Clients(
            arguments.endpoint_url,
            account_id=configuration.get("rayline:accountId", ""),
            region=configuration.get("aws:region", ""),
        )
        state = EstateState.load(state_path, stack)
        reconciler = Reconciler(state, clients, _print)
        outputs = run_program(project, stack, configuration, RecordingMonitor(reconciler))
        reconciler.finish(outputs)
        secret_arns = [each.id for each in state.resources.values() if each.type == SECRET_TYPE]
        for arn in put_missing_values(secret_arns, clients):
            _print(f"valued    {arn} [secret]")
        _print(", ".join(f"{count} {verb}" for verb, count in reconciler.counts.items() if count))
    return 0


def _plan(project: Path, arguments: argparse.Namespace, *, check: bool) -> int:
    overrides = dict(pair.split("=", 1) for pair in arguments.config)
    graph = plan(arguments.stack, project, overrides)
    if not check:
        _print(json.dumps(graph.to_json()))
        return 0
    found = breaches(graph)
    for breach in found:
        _print(breach)
    return 1 if found else 0


@contextmanager
def _exclusively(state_path: Path) -> Iterator[None]:
    """Hold the state's lock: two runs at once would each delete what the other made."""
    state_path.parent.mkdir(parents=True, exist_ok=True)
    with state_path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ProvisionError(f"another run holds {lock.name}; wait for it to end") from None
        yield


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - progress and results of the command


if __name__ == "__main__":
    sys.exit(main())
