"""Processing and training jobs as subprocesses under SageMaker's container contract, without containers.

Each job gets a folder that its image's code takes for ``/opt/ml`` through ``SAGEMAKER_BASE_DIR``, credentials
of the job's role and nothing of the front's own environment. Sources: SageMaker developer guide, "How Amazon
SageMaker AI Runs Your Processing Container Image" and "… Training Image".
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rayline_local.sagemaker import guardian
from rayline_local.sagemaker.objects import NoSuchInput, download, pack, upload_file, upload_folder

BASE = "/opt/ml"
SERVICE_PRINCIPAL = "sagemaker.amazonaws.com"
POLL_SECONDS = 0.05
STOP_GRACE_SECONDS = 10.0
MESSAGE_BYTES = 1024
INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV", "PYTHONPATH", "OMP_NUM_THREADS")


class JobHost(Protocol):
    """What a job needs of the local cloud."""

    region: str

    def client(
        self, service_name: str, role_arn: str | None = None, service_principal: str | None = None
    ) -> Any:
        """A boto3 client under a role that a service assumes."""
        ...

    def role_environment(self, role_arn: str) -> dict[str, str]:
        """Environment of a process that runs under a role."""
        ...


@dataclass(frozen=True)
class LocalImage:
    """What stands in for a container image: the command that its entry point would run."""

    entrypoint: tuple[str, ...]


@dataclass
class JobOutcome:
    """How a job ended.

    Attributes:
        status: ``Completed``, ``Failed`` or ``Stopped``.
        interrupted: the front went down; the job is to be run again.
    """

    status: str
    failure_reason: str | None = None
    exit_message: str | None = None
    model_artifacts: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    timed_out: bool = False
    interrupted: bool = False


class StopSwitch:
    """Asks a running job to end: because a user stopped it, or because the front goes down."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.interrupted = False

    def stop(self) -> None:
        """End the job for good."""
        self._event.set()

    def interrupt(self) -> None:
        """End the process; the job runs again when the front is back."""
        self.interrupted = True
        self._event.set()

    @property
    def pulled(self) -> bool:
        """Whether the job should end."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until pulled, at most so long."""
        return self._event.wait(seconds)


class JobRunner:
    """Runs one job at a time per call; calls may come from several threads.

    Args:
        images: local stand-ins by ECR repository name.
        folder: working folders of jobs, ``checkpoints`` of training jobs.
        logs: one file per job.
    """

    def __init__(self, host: JobHost, images: Mapping[str, LocalImage], folder: Path, logs: Path) -> None:
        self._host = host
        self._images = images
        self._folder = folder
        self._logs = logs

    def log_path(self, name: str) -> Path:
        """Where a job's standard output and error are kept."""
        return self._logs / f"{name}.log"

    def clean(self) -> None:
        """Remove working folders that ended jobs left behind; call it while no job runs."""
        shutil.rmtree(self._folder / "work", ignore_errors=True)

    def process(self, name: str, request: Mapping[str, Any], stop: StopSwitch) -> JobOutcome:
        """Run a processing job: inputs down, command, outputs up."""
        base = self._fresh(name)
        client = self._host.client("s3", request["RoleArn"], SERVICE_PRINCIPAL)
        application = request["AppSpecification"]
        try:
            for entry in request.get("ProcessingInputs", ()):
                source = entry["S3Input"]
                download(client, source["S3Uri"], _inside(base, source["LocalPath"]))
            outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", ())
            for entry in outputs:
                _inside(base, entry["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
            command = self._command(application["ImageUri"], application.get("ContainerEntrypoint"))
            command += [str(argument) for argument in application.get("ContainerArguments", ())]
        except (NoSuchInput, UnknownImage) as error:
            return JobOutcome("Failed", f"ClientError: {error}")
        cluster = request["ProcessingResources"]["ClusterConfig"]
        _write_json(base / "config" / "processingjobconfig.json", {"ProcessingJobName": name, **request})
        _write_json(base / "config" / "resourceconfig.json", _resources(str(cluster["InstanceType"])))
        outcome = self._run(name, base, command, request, {}, stop)
        outcome.exit_message = _read_message(base / "output" / "message")
        if outcome.status == "Failed" and not outcome.timed_out:
            outcome.failure_reason = _algorithm_error(outcome.exit_message, outcome.failure_reason)
        if outcome.status == "Completed":
            key = request.get("ProcessingOutputConfig", {}).get("KmsKeyId")
            for entry in outputs:
                target = entry["S3Output"]
                upload_folder(client, _inside(base, target["LocalPath"]), target["S3Uri"], key)
            shutil.rmtree(base, ignore_errors=True)
        return outcome

    def train(
        self, name: str, request: Mapping[str, Any], checkpoint_name: str, stop: StopSwitch
    ) -> JobOutcome:
        """Run a training job: channels down, ``train``, ``model.tar.gz`` and ``output.tar.gz`` up.

        Args:
            checkpoint_name: names the checkpoint folder, which outlives an interrupted job. Checkpoints stay on
                this disk instead of going to ``CheckpointConfig.S3Uri``: the emulator keeps objects in memory.
        """
        base = self._fresh(name)
        client = self._host.client("s3", request["RoleArn"], SERVICE_PRINCIPAL)
        algorithm = request["AlgorithmSpecification"]
        try:
            for channel in request.get("InputDataConfig", ()):
                source = channel["DataSource"]["S3DataSource"]["S3Uri"]
                download(client, source, base / "input" / "data" / channel["ChannelName"])
            command = self._command(algorithm["TrainingImage"], algorithm.get("ContainerEntrypoint"))
            command += [str(argument) for argument in algorithm.get("ContainerArguments") or ("train",)]
        except (NoSuchInput, UnknownImage) as error:
            return JobOutcome("Failed", f"ClientError: {error}")
        config = base / "input" / "config"
        channels = {
            channel["ChannelName"]: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
            for channel in request.get("InputDataConfig", ())
        }
        hyperparameters = {key: str(value) for key, value in request.get("HyperParameters", {}).items()}
        _write_json(config / "hyperparameters.json", hyperparameters)
        _write_json(config / "inputdataconfig.json", channels)
        _write_json(
            config / "resourceconfig.json", _resources(str(request["ResourceConfig"]["InstanceType"]))
        )
        for folder in ("model", "output/data"):
            (base / folder).mkdir(parents=True, exist_ok=True)
        kept = self._folder / "checkpoints" / checkpoint_name
        kept.mkdir(parents=True, exist_ok=True)
        (base / "checkpoints").symlink_to(kept, target_is_directory=True)
        outcome = self._run(name, base, command, request, {"TRAINING_JOB_NAME": name}, stop)
        outcome.metrics = _last_metrics(self.log_path(name), algorithm.get("MetricDefinitions") or ())
        if outcome.status == "Failed" and not outcome.timed_out:
            reason = _read_message(base / "output" / "failure")
            outcome.failure_reason = _algorithm_error(reason, outcome.failure_reason)
        if outcome.status == "Completed":
            target = request["OutputDataConfig"]
            where = f"{str(target['S3OutputPath']).rstrip('/')}/{name}/output"
            pack(base / "model", base / "model.tar.gz")
            outcome.model_artifacts = f"{where}/model.tar.gz"
            upload_file(client, base / "model.tar.gz", outcome.model_artifacts, target.get("KmsKeyId"))
            if any((base / "output" / "data").iterdir()):
                pack(base / "output" / "data", base / "output.tar.gz")
                upload_file(client, base / "output.tar.gz", f"{where}/output.tar.gz", target.get("KmsKeyId"))
            shutil.rmtree(base, ignore_errors=True)
        if not outcome.interrupted:
            shutil.rmtree(kept, ignore_errors=True)
        return outcome

    def _fresh(self, name: str) -> Path:
        base = self._folder / "work" / name
        shutil.rmtree(base, ignore_errors=True)
        (base / "output").mkdir(parents=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        return base

    def _command(self, image_uri: str, entrypoint: Sequence[str] | None) -> list[str]:
        repository = re.split(r"[:@]", image_uri.rsplit("/", 1)[-1])[0]
        image = self._images.get(repository)
        if image is None:
            raise UnknownImage(f"the local cloud has no stand-in for the image {repository}")
        if not entrypoint:
            return list(image.entrypoint)
        # The image's own python is this one.
        first = sys.executable if entrypoint[0] in ("python", "python3") else entrypoint[0]
        return [first, *entrypoint[1:]]

    def _run(
        self,
        name: str,
        base: Path,
        command: Sequence[str],
        request: Mapping[str, Any],
        extra: Mapping[str, str],
        stop: StopSwitch,
    ) -> JobOutcome:
        environment = {
            **{variable: os.environ[variable] for variable in INHERITED if variable in os.environ},
            **{key: str(value) for key, value in (request.get("Environment") or {}).items()},
            **self._host.role_environment(request["RoleArn"]),
            **extra,
            "HOME": str(base),
            "PYTHONUNBUFFERED": "1",
            # Threads that spin while they wait make a training many times slower where cores are shared.
            "OMP_WAIT_POLICY": "PASSIVE",
            "SAGEMAKER_BASE_DIR": str(base),
        }
        limit = float((request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds") or 86_400)
        with self.log_path(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", guardian.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=base,
                start_new_session=True,
            )
            try:
                outcome = _watch(process, limit, stop)
            finally:
                _end_group(process)
        return outcome


class UnknownImage(Exception):
    """No local stand-in exists for a container image."""


def _watch(process: subprocess.Popen[bytes], limit_seconds: float, stop: StopSwitch) -> JobOutcome:
    deadline = time.monotonic() + limit_seconds
    while (status := process.poll()) is None:
        if stop.wait(POLL_SECONDS):
            _terminate(process, STOP_GRACE_SECONDS)
            return JobOutcome("Stopped", "the job was stopped", interrupted=stop.interrupted)
        if time.monotonic() > deadline:
            _terminate(process, STOP_GRACE_SECONDS)
            return JobOutcome(
                "Failed",
                f"ClientError: the job ran past its limit of {limit_seconds:g} seconds; raise MaxRuntimeInSeconds",
                timed_out=True,
            )
    if status == 0:
        return JobOutcome("Completed")
    return JobOutcome("Failed", f"exit code: {status}")


def _terminate(process: subprocess.Popen[bytes], grace_seconds: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_seconds)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _inside(base: Path, local_path: str) -> Path:
    relative = local_path.removeprefix(BASE).lstrip("/")
    path = (base / relative).resolve()
    if not local_path.startswith(BASE + "/") or not path.is_relative_to(base.resolve()):
        raise NoSuchInput(f"LocalPath must lie under {BASE}")
    return path


def _resources(instance_type: str) -> dict[str, Any]:
    return {
        "current_host": "algo-1",
        "hosts": ["algo-1"],
        "current_instance_type": instance_type,
        "network_interface_name": "lo",
    }


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1))


def _read_message(path: Path) -> str | None:
    if not path.is_file():
        return None
    return path.read_bytes()[:MESSAGE_BYTES].decode(errors="replace").strip() or None


def _algorithm_error(message: str | None, status: str | None) -> str:
    return f"AlgorithmError: {message or 'see the job logs for more information'}, {status or 'exit code: 1'}"


def _last_metrics(log: Path, definitions: Sequence[Mapping[str, str]]) -> dict[str, float]:
    text = log.read_text(errors="replace") if log.is_file() else ""
    metrics: dict[str, float] = {}
    for definition in definitions:
        found = re.findall(definition["Regex"], text)
        if found:
            with contextlib.suppress(ValueError, TypeError):
                metrics[definition["Name"]] = float(found[-1])
    return metrics
