"""The processor as a child process, in the environment that its task definition gives it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from rayline.errors import RaylineError
from rayline_local.running import RunningFront
from rayline_local.tasks import process_environment, task_environment

_DRAIN_SECONDS = 40.0


class ProcessorEnded(RaylineError):
    """The processor ended by itself."""


class ProcessorProcess:
    """``rayline process`` under the estate's task role; its log goes to a file."""

    def __init__(self, front: RunningFront, task_definition: str, log_path: Path) -> None:
        self._front = front
        self._task_definition = task_definition
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; whether it stays up, :meth:`check` tells."""
        environment = process_environment(task_environment(self._front, self._task_definition))
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rayline.cli", "process"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                # A group of its own: a kill takes the workers along, and Ctrl-C reaches only the demo, which drains.
                process_group=0,
            )

    def check(self) -> None:
        """See that it runs.

        Raises:
            ProcessorEnded: it does not; the message holds the last line of its log.
        """
        if self._process is None or self._process.poll() is None:
            return
        lines = self.log_path.read_text(errors="replace").strip().splitlines()
        raise ProcessorEnded(
            f"the processor ended with status {self._process.returncode}: "
            f"{lines[-1] if lines else 'no message'}; its log is {self.log_path}"
        )

    def stop(self) -> None:
        """Let it drain, and wait for it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL the supervisor and its workers at once, as a machine that fails would."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(_DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
