"""The plugin under measurement: it notes that it ran, and computes for as long as the site profile asks."""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmarks.dispatch.hook_trail import TrailWriter
from benchmarks.dispatch.training_events import name_of
from rayline.plugin import Policy, hookimpl

api = 1
name = "bench-recorder"
policies = {"on_trained": Policy(on_failure="retry", timeout_seconds=60)}


class RecorderSettings(BaseModel):
    """Where to note calls, and how many additions each call computes in plain Python (0: a no-op)."""

    trail: Path
    additions: int = 0


@hookimpl
def settings_model() -> type[BaseModel]:
    """The settings of this plugin."""
    return RecorderSettings


@cache
def _writer(folder: Path) -> TrailWriter:
    return TrailWriter(folder)


@hookimpl
def on_trained(event: Any, context: Any) -> None:
    """Note the call, then compute."""
    _writer(context.settings.trail).hook_runs(name_of(event.pipeline_execution_arn))
    total = 0
    for number in range(context.settings.additions):
        total += number
