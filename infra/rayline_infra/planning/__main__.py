"""The process of ``plan``: prints the graph as JSON on one line."""

import argparse
import json
import sys
from pathlib import Path

from rayline.errors import RaylineError
from rayline_infra.planning.monitor import RecordingMonitor
from rayline_infra.planning.planner import Planner
from rayline_infra.planning.processes import FAILURE_PREFIX, add_program_options, parse_overrides
from rayline_infra.planning.program import find_project, read_configuration, run_program
from rayline_infra.policies.graph import Graph


def main() -> int:
    """Plan one stack; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m rayline_infra.planning", description=__doc__)
    add_program_options(parser)
    arguments = parser.parse_args()
    try:
        graph = _plan(arguments.project or find_project(), arguments.stack, parse_overrides(arguments.set))
    except RaylineError as error:
        print(f"{FAILURE_PREFIX}{error}", file=sys.stderr)  # noqa: T201 - this is the process's answer
        return 1
    print(json.dumps(graph.to_json()))  # noqa: T201
    return 0


def _plan(project: Path, stack: str, overrides: dict[str, str]) -> Graph:
    configuration = read_configuration(project, stack, overrides)
    planner = Planner(configuration.get("rayline:accountId", ""), configuration.get("aws:region", ""))
    monitor = RecordingMonitor(planner)
    outputs = run_program(project, stack, configuration, monitor)
    return Graph(stack, (*monitor.structure, *planner.resources), outputs)


if __name__ == "__main__":
    sys.exit(main())
