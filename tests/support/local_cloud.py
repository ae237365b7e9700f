"""A running local cloud for tests: one front on a free loopback port with its own state folder."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
START_SECONDS = 60.0
STOP_SECONDS = 30.0


class LocalCloud:
    """One front process; `start`, `stop` (SIGTERM) and `kill` (SIGKILL) may be called repeatedly."""

    def __init__(self, state_dir: Path, stack: str = "local") -> None:
        self.state_dir = state_dir
        self.stack = stack
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._root_clients: dict[str, Any] = {}  # making a client takes 0.1 s

    @property
    def endpoint_url(self) -> str:
        """Where AWS clients point."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the process printed."""
        return (self.state_dir / "front.log").read_text()

    def start(self) -> None:
        """Start the front (again on the same port) and wait until it is ready."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "rayline_local.front.server", "--state-dir", str(self.state_dir)]
        command += ["--port", str(self.port), "--account-id", ACCOUNT_ID, "--region", REGION]
        with (self.state_dir / "front.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--stack", self.stack], stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_SECONDS
        server_file = self.state_dir / "server.json"
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the front ended with {self._process.returncode}:\n{self.log}")
            if server_file.exists():
                try:
                    server = json.loads(server_file.read_text() or "{}")
                    if server.get("pid") == self._process.pid:
                        self.port = int(server["port"])
                        if self.control("GET", "health")[0] == 200:
                            return
                except (OSError, ValueError, http.client.HTTPException):
                    pass
            time.sleep(0.05)
        raise RuntimeError(f"the front was not ready in {START_SECONDS} s:\n{self.log}")

    def stop(self) -> int:
        """SIGTERM the front and wait for it; returns its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL the front and wait for it."""
        return self._end(signal.SIGKILL)

    def _end(self, signal_number: int) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(signal_number)
        return process.wait(STOP_SECONDS)

    def control(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Call a `/_rayline/` path; returns status and JSON document."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = {"Authorization": token} if token else {}
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/_rayline/{path}", content, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def faults(self, **switches: Any) -> None:
        """Set HealthImaging's fault switches, all others off."""
        status, document = self.control("PUT", "faults", {"healthimaging": switches})
        assert status == 200, document

    def client(self, service: str, role_name: str | None = None, **options: Any) -> Any:
        """An unmodified boto3 client: root of the local account, or a session of a role."""
        if role_name is None and not options:
            if service not in self._root_clients:
                keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
                self._root_clients[service] = self._boto3_client(service, keys, {})
            return self._root_clients[service]
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        if role_name is not None:
            credentials = self._boto3_client("sts", keys, {}).assume_role(
                RoleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/{role_name}", RoleSessionName="test"
            )["Credentials"]
            keys = {
                "aws_access_key_id": credentials["AccessKeyId"],
                "aws_secret_access_key": credentials["SecretAccessKey"],
                "aws_session_token": credentials["SessionToken"],
            }
        return self._boto3_client(service, keys, options)

    def _boto3_client(self, service: str, keys: dict[str, str], options: dict[str, Any]) -> Any:
        config = Config(inject_host_prefix=False, retries={"total_max_attempts": 1}, **options)
        session = boto3.Session(
            aws_access_key_id=keys["aws_access_key_id"],
            aws_secret_access_key=keys["aws_secret_access_key"],
            aws_session_token=keys.get("aws_session_token"),
            region_name=REGION,
        )
        return session.client(service, endpoint_url=self.endpoint_url, config=config)  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A front shared by the session's tests: use resources of your own name in it, and do not stop it."""
    cloud = LocalCloud(tmp_path_factory.mktemp("local-cloud"))
    cloud.start()
    yield cloud
    cloud.stop()


@pytest.fixture
def own_local_cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """A front of one test's own, which it may stop, kill and start again."""
    cloud = LocalCloud(tmp_path / "cloud")
    cloud.start()
    yield cloud
    cloud.stop()
