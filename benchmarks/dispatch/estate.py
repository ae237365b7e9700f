"""The estate under measurement: a local cloud of the benchmark's own, with what the processor's task is given."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from rayline_local import running
from rayline_local.running import RunningFront
from rayline_local.tasks import process_environment, root_client, task_environment

ROOT = Path(__file__).resolve().parents[2]
# As deployed (Pulumi.dev.yaml): the local stack's own times are short, for a quick demo.
AS_DEPLOYED = {"visibilitySeconds": "120", "leaseSeconds": "60", "clockSkewSeconds": "60"}
_PLUGIN = "bench-recorder"
_START_SECONDS = 60.0
_STOP_SECONDS = 40.0


class ProcessEnded(RuntimeError):
    """A process under measurement ended by itself; its log says why."""


class Estate:
    """What the sides share: one queue, one table for effects, one task role."""

    def __init__(self, front: RunningFront, folder: Path) -> None:
        self.front = front
        self.folder = folder
        self.sqs: Any = root_client(front, "sqs")
        self.dynamodb: Any = root_client(front, "dynamodb")
        self.s3: Any = root_client(front, "s3")
        self.task = process_environment(task_environment(front, "rayline-local-processor"))
        self.queue_url = self.task["RAYLINE_QUEUE_URL"]
        self.effects_table = self.task["RAYLINE_EFFECTS_TABLE"]
        self.tracking_table = self.task["RAYLINE_IMAGE_TRACKING_TABLE"]
        self.uploads_bucket = self.task["RAYLINE_UPLOADS_BUCKET"]
        self.workers = int(self.task["RAYLINE_WORKERS"])
        self._python_path = [str(ROOT), str(self._install_plugin())]

    def _install_plugin(self) -> Path:
        """Make the recording plugin known as pip would: a dist-info with its entry point."""
        folder = self.folder / "installed"
        dist_info = folder / f"{_PLUGIN.replace('-', '_')}-1.0.0.dist-info"
        dist_info.mkdir(parents=True)
        (dist_info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_PLUGIN}\nVersion: 1.0.0\n")
        (dist_info / "entry_points.txt").write_text(
            f"[rayline.plugins]\n{_PLUGIN} = benchmarks.dispatch.recording_plugin\n"
        )
        return folder

    def keep_schedules(self, on: bool) -> None:
        """Let the estate's schedules send their reminders, or keep the queue for the measured events alone."""
        events: Any = root_client(self.front, "events")
        for rule in events.list_rules()["Rules"]:
            if "ScheduleExpression" in rule:
                (events.enable_rule if on else events.disable_rule)(Name=rule["Name"])
        if not on:
            self.sqs.purge_queue(QueueUrl=self.queue_url)

    def profile(self, trail: Path, additions: int) -> Path:
        """A site profile with the recording plugin alone."""
        path = self.folder / f"{trail.name}.yaml"
        path.write_text(
            "identity: original\n"
            f"plugins:\n  - name: {_PLUGIN}\n"
            f"    settings: {{trail: '{trail.resolve()}', additions: {additions}}}\n"
        )
        return path

    @contextmanager
    def running(
        self, name: str, commands: list[list[str]], environment: Mapping[str, str] | None = None
    ) -> Iterator["Processes"]:
        """Run processes under the task's role and settings; SIGTERM ends them."""
        given = self.task | dict(environment or {})
        path = [*self._python_path, os.environ.get("PYTHONPATH", "")]
        given["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
        log_path = self.folder / f"{name}.log"
        with log_path.open("wb") as log:
            processes = Processes(
                [
                    subprocess.Popen(
                        [sys.executable, *command],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=given,
                        process_group=0,  # so that all its workers pause with it
                    )
                    for command in commands
                ],
                log_path,
            )
        try:
            yield processes
        finally:
            processes.stop()

    def send_all(self, bodies: list[str]) -> None:
        """Put messages into the queue, ten a request."""
        for start in range(0, len(bodies), 10):  # SendMessageBatch takes ten entries
            entries = [
                {"Id": str(index), "MessageBody": body}
                for index, body in enumerate(bodies[start : start + 10])
            ]
            answer = self.sqs.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
            assert len(answer["Successful"]) == len(entries), answer

    def send(self, body: str) -> None:
        """Put one message into the queue."""
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def queue_is_empty(self) -> bool:
        """Whether no message is visible, in flight or delayed."""
        names = [f"ApproximateNumberOfMessages{suffix}" for suffix in ("", "NotVisible", "Delayed")]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return all(int(answer[name]) == 0 for name in names)

    def items(self, table: str) -> Iterator[dict[str, Any]]:
        """Every item of a table."""
        read = TypeDeserializer().deserialize
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                yield {name: read(value) for name, value in item.items()}


class Processes:
    """Processes of one side in one round."""

    def __init__(self, processes: "list[subprocess.Popen[bytes]]", log_path: Path) -> None:
        self._processes = processes
        self._log_path = log_path

    def check(self) -> None:
        """Raise ProcessEnded where one has ended."""
        for process in self._processes:
            if process.poll() is not None:
                raise ProcessEnded(
                    f"a process ended with status {process.returncode}; {self._log_path} ends with:\n"
                    + self._log_path.read_text(errors="replace")[-2_000:]
                )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let none of them run meanwhile, so that a queue can be filled."""
        for process in self._processes:
            os.killpg(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self._processes:
                os.killpg(process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM all, and wait for them."""
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def own_estate(parent: Path) -> Iterator[Estate]:
    """A fresh local cloud with the estate applied; nothing of it stays."""
    folder = Path(tempfile.mkdtemp(prefix="estate-", dir=parent)).resolve()
    state_dir = folder / "cloud"
    settings = [f"--set=rayline:{name}={value}" for name, value in AS_DEPLOYED.items()]
    try:
        _rayline("local", "up", "--port", "0", "--state-dir", str(state_dir), *settings)
        yield Estate(running.require_running(state_dir), folder)
    finally:
        _rayline("local", "down", "--state-dir", str(state_dir))
        shutil.rmtree(folder)


def _rayline(*arguments: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "rayline.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=process_environment({}),
        check=False,
    )
    if finished.returncode:
        raise RuntimeError(f"rayline {' '.join(arguments)} failed:\n{finished.stdout}{finished.stderr}")
