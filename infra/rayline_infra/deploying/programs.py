"""The programs that a deployment calls: Pulumi and Docker."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from rayline.errors import ConfigurationError


class Programs(Protocol):
    """Runs programs of this machine."""

    def has(self, name: str) -> bool:
        """Whether a program is on the path."""
        ...

    def read(self, command: Sequence[str]) -> str:
        """What a command prints; raises ConfigurationError with its complaint where it fails."""
        ...

    def run(self, command: Sequence[str], *, given: str | None = None) -> None:
        """Run a command before the user's eyes, ``given`` on its standard input; raises as ``read`` does."""
        ...


class MachinePrograms:
    """The real ones, run in the project's folder."""

    def __init__(self, project: Path) -> None:
        self._project = project

    def has(self, name: str) -> bool:
        return shutil.which(name) is not None

    def read(self, command: Sequence[str]) -> str:
        finished = self._started(command, capture_output=True)
        if finished.returncode:
            raise ConfigurationError(f"{' '.join(command[:3])} failed: {finished.stderr.strip()}")
        return finished.stdout

    def run(self, command: Sequence[str], *, given: str | None = None) -> None:
        finished = self._started(command, input=given)
        if finished.returncode:
            raise ConfigurationError(
                f"{' '.join(command[:3])} ended with status {finished.returncode}; see above"
            )

    def _started(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(command, cwd=self._project, text=True, check=False, **options)
        except FileNotFoundError:
            raise ConfigurationError(f"{command[0]} is not on the path; install it") from None
