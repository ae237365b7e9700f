"""Runs the provisioner in a process of its own."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rayline_infra.planning.processes import program_arguments, run_module


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
        ProgramError: the program or the local cloud refused.
    """
    arguments = [
        *program_arguments(stack, project, overrides),
        *("--endpoint-url", endpoint_url, "--state", str(state_path)),
    ]
    run_module("rayline_local.provisioner", arguments, report)
    outputs: dict[str, Any] = json.loads(state_path.read_text())["outputs"]
    return outputs
