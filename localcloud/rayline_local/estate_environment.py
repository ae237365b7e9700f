"""The dotenv file that lets `rayline` and any AWS SDK talk to the local estate as its operator."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rayline_local.running import RunningFront

FILE_NAME = "env"
ESTATE_FILE = "estate.json"  # what the provisioner remembers


def settings(outputs: Mapping[str, Any]) -> dict[str, str]:
    """The estate's `RAYLINE_*` settings for people, from its outputs."""
    return {name: str(value) for name, value in outputs["operator_environment"].items()}


def write(front: RunningFront, outputs: Mapping[str, Any]) -> Path:
    """Write the file for the operator role; only its owner may read it, for it holds the role's token."""
    variables = {**settings(outputs), **front.role_environment("operator")}
    path = front.state_dir / FILE_NAME
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        for name, value in sorted(variables.items()):
            stream.write(f"{name}={value}\n")
    draft.replace(path)
    return path
