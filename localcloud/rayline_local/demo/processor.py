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
    """``rayline process`` under the estate's task role; its log goes to a file.

    Args:
        folder: where it runs, with the site profile below; here where None.
    """

    def __init__(
        self, front: RunningFront, task_definition: str, log_path: Path, folder: Path | None = None
    ) -> None:
        self._front = front
        self._task_definition = task_definition
        self._folder = folder
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
                cwd=self._folder,
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

    def kill_supervisor(self) -> None:
        """SIGKILL the supervisor alone; its workers find out."""
        self._end(signal.SIGKILL)

    def workers(self) -> list[int]:
        """Process ids of the workers that run now, oldest first."""
        if self._process is None or self._process.poll() is not None:
            return []
        parent = self._process.pid
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            return []
        return [int(child) for child in children if _is_worker(int(child))]

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


def _is_worker(pid: int) -> bool:
    """Whether a child of the supervisor is a worker, not multiprocessing's resource tracker."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
