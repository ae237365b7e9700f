"""The process of ``apply``: applies the program to a local cloud, and prints what it does."""

import argparse
import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rayline.errors import RaylineError
from rayline_infra.planning import parse_overrides
from rayline_infra.planning.monitor import RecordingMonitor
from rayline_infra.planning.processes import FAILURE_PREFIX, add_program_options
from rayline_infra.planning.program import find_project, read_configuration, run_program
from rayline_local.provisioner.clients import Clients
from rayline_local.provisioner.errors import ProvisionError
from rayline_local.provisioner.reconcile import Reconciler
from rayline_local.provisioner.secret_values import put_missing_values
from rayline_local.provisioner.state import EstateState

SECRET_TYPE = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a resource type


def main() -> int:
    """Apply one stack; answers the exit status."""
    arguments = _parser().parse_args()
    try:
        return _apply(arguments.project or find_project(), arguments)
    except RaylineError as error:
        print(f"{FAILURE_PREFIX}{error}", file=sys.stderr)  # noqa: T201 - this is the command's answer
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rayline_local.provisioner", description=__doc__)
    add_program_options(parser)
    parser.add_argument("--endpoint-url", required=True, help="the local cloud's front")
    parser.add_argument("--state", required=True, type=Path, help="JSON file that remembers what exists")
    return parser


def _apply(project: Path, arguments: argparse.Namespace) -> int:
    stack, state_path = arguments.stack, arguments.state
    with _exclusively(state_path):
        configuration = read_configuration(project, stack, parse_overrides(arguments.set))
        clients = Clients(
            arguments.endpoint_url,
            account_id=configuration.get("rayline:accountId", ""),
            region=configuration.get("aws:region", ""),
        )
        state = EstateState.load(state_path, stack)
        reconciler = Reconciler(state, clients, _print)
        try:
            outputs = run_program(project, stack, configuration, RecordingMonitor(reconciler))
            reconciler.finish(outputs)
        finally:
            if state.resources or state.path.exists():
                state.save()
        secret_arns = [each.id for each in state.resources.values() if each.type == SECRET_TYPE]
        for arn in put_missing_values(secret_arns, clients):
            _print(f"valued    {arn} [secret]")
        _print(", ".join(f"{count} {verb}" for verb, count in reconciler.counts.items() if count))
    return 0


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
