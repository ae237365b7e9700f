"""Runs the provisioner in a process of its own: Pulumi's runtime keeps global state and an event loop."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rayline_infra.policies.graph import Graph
from rayline_local.provisioner.errors import ProvisionError

FAILURE_PREFIX = "provisioner: "


def apply(
    stack: str,
    endpoint_url: str,
    state_path: Path,
    *,
    project: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Apply the Pulumi program to a local cloud and give its secrets values.

    Applying again changes only what differs, restores what the cloud lost and deletes what is no longer
    declared.

    Args:
        stack: name of the stack, whose ``Pulumi.<stack>.yaml`` is read.
        endpoint_url: the local cloud's front.
        state_path: JSON file that remembers what exists; its ``outputs`` are what is returned.
        project: folder of ``Pulumi.yaml``; by default the checkout that ``rayline_infra`` comes from.
        overrides: settings that replace what the stack's file says.
        report: called with each line of progress.

    Returns:
        The stack's outputs.

    Raises:
        ProvisionError: the program or the local cloud refused.
    """
    arguments = ["apply", "--stack", stack, "--endpoint-url", endpoint_url, "--state", str(state_path)]
    for key, value in (overrides or {}).items():
        arguments += ["--config", f"{key}={value}"]
    _run(_with_project(arguments, project), report)
    outputs: dict[str, Any] = json.loads(state_path.read_text())["outputs"]
    return outputs


def plan(stack: str, *, project: Path | None = None) -> Graph:
    """The resource graph of a stack, with planned outputs and no cloud.

    Raises:
        ProvisionError: the program refused, or declares a type that the local cloud does not know.
    """
    lines = _run(_with_project(["plan", "--stack", stack], project), None)
    return Graph.from_json(json.loads("\n".join(lines)))


def _with_project(arguments: list[str], project: Path | None) -> list[str]:
    return arguments if project is None else [*arguments, "--project", str(project)]


def _run(arguments: list[str], report: Callable[[str], None] | None) -> list[str]:
    command = [sys.executable, "-m", "rayline_local.provisioner", *arguments]
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if report is not None:
                report(lines[-1])
        assert process.stderr is not None
        complaints = process.stderr.read().strip()
    if process.returncode != 0:
        raise ProvisionError(_reason(complaints))
    return lines


def _environment() -> dict[str, str]:
    # A profile or a real account's keys of whoever runs this must not reach the provisioner.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }


def _reason(complaints: str) -> str:
    lines = complaints.splitlines()
    for line in reversed(lines):
        if line.startswith(FAILURE_PREFIX):
            return line.removeprefix(FAILURE_PREFIX)
    return (
        lines[-1]
        if lines
        else "the provisioner ended without a reason; run python -m rayline_local.provisioner"
    )
