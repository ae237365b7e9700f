"""A front process from outside: start it detached, find it again, ask it, stop it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayline.errors import ConfigurationError
from rayline_local.front.server import LOOPBACK, SERVER_FILE, TOKEN_FILE
from rayline_local.front.services import role_environment, role_token

START_SECONDS = 90.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.1
ASK_SECONDS = 5.0
LOG_TAIL_LINES = 15


@dataclass(frozen=True)
class RunningFront:
    """A front that answers on its port."""

    state_dir: Path
    pid: int
    port: int
    account_id: str
    region: str
    stack: str

    @property
    def endpoint_url(self) -> str:
        """Where AWS clients point."""
        return f"http://{LOOPBACK}:{self.port}"

    def role_environment(self, role: str) -> dict[str, str]:
        """The AWS environment of a process under a role, named in full, by ARN or by its kind
        (`operator`).
        """
        name = role.rsplit("/", 1)[-1]
        prefix = f"rayline-{self.stack}-"
        full = name if name.startswith(prefix) else prefix + name
        arn = f"arn:aws:iam::{self.account_id}:role/{full}"
        secret = (self.state_dir / TOKEN_FILE).read_text().strip()
        return role_environment(self.endpoint_url, self.region, arn, role_token(secret, arn))

    def ask(self, path: str, timeout_seconds: float = ASK_SECONDS) -> Any:
        """GET a `/_rayline/` path; raises OSError when nobody answers and ValueError when it is not JSON."""
        return ask(self.port, path, timeout_seconds)[1]


def ask(port: int, path: str, timeout_seconds: float = ASK_SECONDS) -> tuple[int, Any]:
    """Status and JSON document of a `/_rayline/` path on a loopback port."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_seconds)
    try:
        connection.request("GET", f"/_rayline/{path}")
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def find_running(state_dir: Path) -> RunningFront | None:
    """The front that serves a state folder, or None; a file left by a killed front is not believed."""
    try:
        server = json.loads((state_dir / SERVER_FILE).read_text())
        status, health = ask(int(server["port"]), "health")
    except (OSError, ValueError, KeyError):
        return None
    if status != 200 or health.get("pid") != server["pid"]:
        return None
    return RunningFront(
        state_dir=state_dir,
        pid=int(server["pid"]),
        port=int(server["port"]),
        account_id=server["account_id"],
        region=server["region"],
        stack=server["stack"],
    )


def require_running(state_dir: Path) -> RunningFront:
    """The front that serves a state folder; raises ConfigurationError when there is none."""
    front = find_running(state_dir)
    if front is None:
        raise ConfigurationError(f"no local cloud runs on {state_dir}: start one with `rayline local up`")
    return front


def require_free_port(port: int) -> None:
    """Raise ConfigurationError when the loopback port cannot be bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} is in use: give another one with --port, or --port 0 for any free one"
            ) from error


def _log_tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    except OSError:
        return ""


def start(
    state_dir: Path,
    *,
    port: int,
    account_id: str,
    region: str,
    stack: str,
    waiting: Callable[[float], None] | None = None,
) -> RunningFront:
    """Start a detached front and wait until it is healthy; raises ConfigurationError with the log's end."""
    if port:
        require_free_port(port)
    log_path = state_dir / "log" / "front.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "rayline_local.front.server", "--state-dir", str(state_dir)]
    command += ["--port", str(port), "--account-id", account_id, "--region", region, "--stack", stack]
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=front_environment(),
        )
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < START_SECONDS:
        if process.poll() is not None:
            raise ConfigurationError(
                f"the local cloud ended with status {process.returncode}; {log_path} ends with:\n{_log_tail(log_path)}"
            )
        front = find_running(state_dir)
        if front is not None and front.pid == process.pid:
            return front
        if waiting is not None:
            waiting(elapsed)
        time.sleep(POLL_SECONDS)
    raise ConfigurationError(f"the local cloud was not ready in {START_SECONDS:.0f} s; read {log_path}")


def front_environment() -> dict[str, str]:
    """The front's environment: the caller's, without AWS settings or estate settings of any kind."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RAYLINE_SECRET_"))
    }


def stop(front: RunningFront) -> None:
    """SIGTERM this very front and wait until it is gone; raises ConfigurationError when it does not end."""
    os.kill(front.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if not _alive(front.pid):
            return
        time.sleep(POLL_SECONDS)
    raise ConfigurationError(
        f"process {front.pid} did not end in {STOP_SECONDS:.0f} s: look at it, then end it"
    )


def _alive(pid: int) -> bool:
    try:
        # A child of ours stays a zombie until it is waited for; a detached front is somebody else's child.
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
