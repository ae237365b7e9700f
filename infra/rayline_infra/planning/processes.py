"""Runs the program in a process of its own: Pulumi's runtime keeps global state and an event loop."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from rayline.errors import ConfigurationError
from rayline_infra.planning.errors import ProgramError
from rayline_infra.policies.graph import Graph

FAILURE_PREFIX = "rayline: "
"""What the process starts the line with that says why it failed."""


def plan(stack: str, project: Path | None = None, overrides: Mapping[str, str] | None = None) -> Graph:
    """The resource graph of a stack, with planned ids and outputs.

    Args:
        stack: name of the stack, whose ``Pulumi.<stack>.yaml`` is read.
        project: folder of ``Pulumi.yaml``; by default the checkout that ``rayline_infra`` comes from.
        overrides: settings that replace what the stack's file says, e.g. ``{"rayline:epochs": "6"}``.

    Raises:
        ProgramError: the program refused.
    """
    lines = run_module("rayline_infra.planning", program_arguments(stack, project, overrides))
    return Graph.from_json(json.loads("\n".join(lines)))


def program_arguments(stack: str, project: Path | None, overrides: Mapping[str, str] | None) -> list[str]:
    """The options that say which program runs with which settings."""
    arguments = ["--stack", stack]
    if project is not None:
        arguments += ["--project", str(project)]
    for key, value in (overrides or {}).items():
        arguments += ["--set", f"{key}={value}"]
    return arguments


def add_program_options(parser: argparse.ArgumentParser) -> None:
    """Have a process of ours understand ``program_arguments``."""
    parser.add_argument("--stack", required=True, help="the stack, whose Pulumi.<stack>.yaml is read")
    parser.add_argument("--project", type=Path, help="folder of Pulumi.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replaces a setting")


def parse_overrides(pairs: Iterable[str]) -> dict[str, str]:
    """Settings given as ``KEY=VALUE``.

    Raises:
        ConfigurationError: one of them is no pair.
    """
    overrides = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigurationError(f"--set wants KEY=VALUE, e.g. rayline:epochs=6, not {pair!r}")
        overrides[key] = value
    return overrides


def run_module(
    module: str, arguments: Sequence[str], report: Callable[[str], None] | None = None
) -> list[str]:
    """Run a module of ours that runs the program, and answer the lines that it printed.

    Args:
        report: called with each line as it comes.

    Raises:
        ProgramError: the module failed; the message is its own.
    """
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if report is not None:
                report(lines[-1])
        assert process.stderr is not None
        complaints = process.stderr.read().strip()
    if process.returncode != 0:
        raise ProgramError(_reason(module, complaints))
    return lines


def _environment() -> dict[str, str]:
    # A profile or a real account's keys of whoever runs this must not reach the program.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }


def _reason(module: str, complaints: str) -> str:
    lines = complaints.splitlines()
    for line in reversed(lines):
        if line.startswith(FAILURE_PREFIX):
            return line.removeprefix(FAILURE_PREFIX)
    return lines[-1] if lines else f"the program ended without a reason; run python -m {module}"
