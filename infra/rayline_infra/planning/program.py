"""Runs the Pulumi program of a project under our monitor; once per process, as Pulumi's state is global."""

import gc
import json
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime.mocks import set_mocks
from pulumi.runtime.settings import get_root_resource
from pulumi.runtime.stack import Stack, run_pulumi_func
from pulumi.runtime.sync_await import _sync_await

import rayline_infra
from rayline_infra.planning.errors import ProgramError
from rayline_infra.planning.monitor import RecordingMonitor

PROJECT_FILE = "Pulumi.yaml"
OURS = "rayline:"


def find_project() -> Path:
    """The folder of ``Pulumi.yaml``, found from where ``rayline_infra`` is installed.

    Raises:
        ProgramError: the program is not installed from a checkout.
    """
    for folder in Path(rayline_infra.__file__).resolve().parents:
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise ProgramError(
        f"no {PROJECT_FILE} above the installed rayline_infra; install it with pip install -e infra, or name "
        "the project's folder"
    )


def read_configuration(
    project: Path, stack: str, overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The stack's configuration as Pulumi hands it to a program: every value is text.

    Args:
        overrides: replace what the stack's file says, as ``pulumi up --config`` does.

    Raises:
        ProgramError: the stack has no file, or an override is none of its settings.
    """
    path = project / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.name.split(".")[1] for each in project.glob("Pulumi.*.yaml")))
        raise ProgramError(f"no stack {stack} in {project}; it has {known}")
    document = yaml.safe_load(path.read_text()) or {}
    configuration = {key: _text(value) for key, value in (document.get("config") or {}).items()}
    for key, value in (overrides or {}).items():
        # The program itself refuses unknown settings of ours, and knows those that the file leaves out.
        if key not in configuration and not key.startswith(OURS):
            raise ProgramError(
                f"no setting {key} in {path.name}; its settings are {', '.join(configuration)}"
            )
        configuration[key] = value
    return configuration


def run_program(
    project: Path, stack: str, configuration: Mapping[str, str], monitor: RecordingMonitor
) -> dict[str, Any]:
    """Run the project's program to its end and answer the stack's outputs.

    Raises:
        ProgramError: the program used an output that no resource answered.
        Exception: whatever the program or the backend raised.
    """
    # pulumi_aws makes classes by the ten thousand, and this process ends with the program: looking for garbage
    # among them is a third of the time.
    gc.disable()
    definition = yaml.safe_load((project / PROJECT_FILE).read_text())
    pulumi.runtime.set_all_config(dict(configuration))
    set_mocks(monitor.mocks, project=definition["name"], stack=stack, preview=False, monitor=monitor)
    _refuse_missing_outputs()
    main = project / definition.get("main", ".")
    sys.path.insert(0, str(main))
    outputs: dict[str, Any] = {}

    async def run() -> None:
        runpy.run_path(str(main / "__main__.py"), run_name="__main__")
        root = get_root_resource()
        if not isinstance(root, Stack):
            raise ProgramError("the program replaced Pulumi's root resource")
        resolved: Mapping[str, Any] = await _resolve(root.outputs)
        outputs.update(resolved)

    _sync_await(run_pulumi_func(run))
    if missing := sorted(name for name, value in outputs.items() if value is None):
        raise ProgramError(f"stack outputs without a value: {', '.join(missing)}")
    return outputs


async def _resolve(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    resolved: Mapping[str, Any] = await pulumi.Output.from_input(dict(outputs)).future() or {}
    return resolved


def _refuse_missing_outputs() -> None:
    """Make the program fail where it reads an output that nobody answered.

    Pulumi resolves such an output to None, which would go unnoticed into names and policies.
    """
    original = pulumi.get

    def get(self: Any, name: str) -> Any:
        value = original(self, name)
        if not isinstance(self, pulumi.Resource) or not isinstance(value, pulumi.Output):
            return value

        def present(resolved: Any) -> Any:
            if resolved is None:
                raise ProgramError(
                    f"{type(self).__name__} {self._name} answered no {name}; give it a rule in "
                    "rayline_infra/planning/outputs.py, and have its adapter return it if it has one"
                )
            return resolved

        return value.apply(present)

    pulumi.get = get


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)
