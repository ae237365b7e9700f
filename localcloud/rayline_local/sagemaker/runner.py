"""Runs pipeline executions: one thread each, steps in order, every change of state stored and announced."""

from __future__ import annotations

import json
import secrets
import socket
import string
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from rayline_local.front.faults import RequestFaults
from rayline_local.front.rest import ServiceError
from rayline_local.sagemaker.definition import (
    PipelineDefinition,
    Step,
    UnresolvedExpression,
    evaluate_conditions,
    parse_definition,
    resolve,
)
from rayline_local.sagemaker.events import SageMakerEvents
from rayline_local.sagemaker.jobs import SERVICE_PRINCIPAL, JobOutcome, JobRunner, StopSwitch
from rayline_local.sagemaker.objects import split_uri
from rayline_local.sagemaker.store import DocumentStore

FRONT_WAIT_SECONDS = 30.0
ROLE_WAIT_SECONDS = 60.0
ENDED = ("Succeeded", "Failed", "Stopped")
STEP_FAILURE = "Step failure: One or multiple steps failed."
JOB_NAME_LENGTH = 63

log = structlog.get_logger("rayline.local")


class RunnerHost(Protocol):
    """What running an execution needs of the local cloud."""

    account_id: str
    region: str
    endpoint_url: str
    clock: Callable[[], datetime]

    def client(
        self, service_name: str, role_arn: str | None = None, service_principal: str | None = None
    ) -> Any:
        """A boto3 client under a role that a service assumes."""
        ...

    def role_credentials(self, role_arn: str, service_principal: str | None = None) -> Any:
        """Credentials of a role that trusts the principal; raises ServiceError while there is none."""
        ...

    def faults(self, fault_name: str) -> RequestFaults:
        """A service's current fault switches."""
        ...

    def take_fault(self, service: str, name: str) -> bool:
        """Whether a fault strikes now."""
        ...


class StepFailed(Exception):
    """A step cannot succeed; the message becomes its failure reason."""


class StepStopped(Exception):
    """The execution was asked to stop while the step ran."""


class Interrupted(Exception):
    """The front goes down; the step runs again at the next start."""


def random_suffix(length: int) -> str:
    """Lower-case letters and digits, as in SageMaker's own names."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(length))


class ExecutionRunner:
    """Starts, resumes and stops executions.

    RetryPolicies and CacheConfig have no effect: nothing here fails by AWS's fault, and no step is cached.

    An execution's document says all that is needed to go on: after a crash of the front, steps that had succeeded
    are kept, the one that ran is run again, and training resumes from its checkpoint.
    """

    def __init__(
        self, host: RunnerHost, store: DocumentStore, jobs: JobRunner, events: SageMakerEvents
    ) -> None:
        self._host = host
        self._store = store
        self._jobs = jobs
        self._events = events
        self._lock = threading.Lock()
        self._running: dict[str, tuple[threading.Thread, StopSwitch]] = {}

    def start(self, execution_arn: str) -> None:
        """Run an execution in a thread of its own, from its first step that has not succeeded."""
        switch = StopSwitch()
        thread = threading.Thread(
            target=self._run,
            args=(execution_arn, switch),
            name=f"execution {execution_arn[-12:]}",
            daemon=True,
        )
        with self._lock:
            self._running[execution_arn] = (thread, switch)
        thread.start()

    def resume_all(self) -> None:
        """Go on with every execution that the last stop of the front interrupted."""
        for execution in self._store.list("execution"):
            if execution["status"] not in ENDED:
                log.info("pipeline_execution_resumed", execution=execution["arn"])
                self.start(execution["arn"])

    def stop(self, execution_arn: str) -> None:
        """Ask an execution to stop; its job's processes are killed and it ends as Stopped."""
        self._set_execution(execution_arn, "Stopping")
        with self._lock:
            running = self._running.get(execution_arn)
        if running:
            running[1].stop()
        else:
            self._set_execution(execution_arn, "Stopped")

    def interrupt_all(self, wait_seconds: float) -> None:
        """End all jobs because the front goes down; their executions stay Executing."""
        with self._lock:
            running = list(self._running.values())
        for _, switch in running:
            switch.interrupt()
        deadline = time.monotonic() + wait_seconds
        for thread, _ in running:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, arn: str, switch: StopSwitch) -> None:
        try:
            self._wait_for_front(switch)
            self._wait_for_role(arn, switch)
            _Execution(self, arn, switch).run()
        except Interrupted:
            log.info("pipeline_execution_interrupted", execution=arn)
        except Exception as error:
            log.exception("pipeline_execution_failed_unexpectedly", execution=arn)
            self._set_execution(arn, "Failed", f"InternalError: {type(error).__name__}; see the front's log")
        finally:
            with self._lock:
                self._running.pop(arn, None)

    def _wait_for_front(self, switch: StopSwitch) -> None:
        # A resumed execution starts before the front listens, and its clients talk to the front.
        address = urlsplit(self._host.endpoint_url)
        deadline = time.monotonic() + FRONT_WAIT_SECONDS
        while time.monotonic() < deadline:
            if switch.pulled:
                return
            try:
                with socket.create_connection((address.hostname or "", address.port or 80), timeout=1):
                    return
            except OSError:
                switch.wait(0.05)

    def _wait_for_role(self, arn: str, switch: StopSwitch) -> None:
        # A killed emulator forgets its roles; the estate is applied again once the front is ready.
        execution = self._store.get("execution", arn) or {}
        deadline = time.monotonic() + ROLE_WAIT_SECONDS
        while time.monotonic() < deadline:
            try:
                self._host.role_credentials(execution["role_arn"], SERVICE_PRINCIPAL)
                return
            except ServiceError:
                if switch.wait(0.25):
                    return

    def _now(self) -> float:
        return self._host.clock().timestamp()

    def _set_execution(self, arn: str, status: str, reason: str | None = None) -> None:
        previous: list[str] = []

        def change(execution: dict[str, Any]) -> dict[str, Any]:
            previous.append(execution["status"])
            if execution["status"] in ENDED or (execution["status"] == "Stopping" and status == "Executing"):
                return execution
            execution |= {"status": status, "modified": self._now()}
            if reason is not None:
                execution["failure_reason"] = reason
            if status in ENDED:
                execution["ended"] = self._now()
            return execution

        execution = self._store.update("execution", arn, change)
        if execution["status"] != previous[0]:
            self._events.execution_changed(execution, previous[0])


class _Execution:
    """One run of one execution's remaining steps; what an expression may refer to."""

    def __init__(self, runner: ExecutionRunner, arn: str, switch: StopSwitch) -> None:
        self._runner = runner
        self._host = runner._host
        self._store = runner._store
        self._events = runner._events
        self._switch = switch
        document = self._store.get("execution", arn)
        if document is None:
            raise KeyError(arn)
        self._document = document
        self._arn = arn
        self._definition: PipelineDefinition = parse_definition(document["definition"])

    # What expressions resolve to

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Parameter values in their types."""
        return self._definition.parameter_values(self._document["parameters"])

    @property
    def execution(self) -> Mapping[str, Any]:
        """Execution variables."""
        started = datetime.fromtimestamp(self._document["created"], self._host.clock().tzinfo)
        return {
            "PipelineExecutionId": self._arn.rsplit("/", 1)[-1],
            "PipelineExecutionArn": self._arn,
            "PipelineName": self._document["pipeline_name"],
            "PipelineArn": self._document["pipeline_arn"],
            "StartDateTime": started.isoformat(),
            "CurrentDateTime": self._host.clock().isoformat(),
        }

    def step_properties(self, name: str) -> Mapping[str, Any]:
        """What a step's job describes."""
        step = self._step(name)
        if step is None or step["status"] != "Succeeded":
            raise UnresolvedExpression(f"step {name} has not succeeded")
        properties: Mapping[str, Any] = step["properties"]
        return properties

    def property_file(self, step: str, name: str) -> Any:
        """A property file's content, read from the step's output with the execution's role."""
        file = self._definition.property_files.get(step, {}).get(name)
        if file is None:
            raise UnresolvedExpression(f"step {step} has no property file {name}")
        outputs = self.step_properties(step)["ProcessingOutputConfig"]["Outputs"]
        folder = outputs[file["OutputName"]]["S3Output"]["S3Uri"].rstrip("/")
        bucket, key = split_uri(f"{folder}/{file['FilePath']}")
        client = self._host.client("s3", self._document["role_arn"], SERVICE_PRINCIPAL)
        try:
            return json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
        except (ClientError, ValueError):
            raise UnresolvedExpression(f"step {step} did not write {file['FilePath']} as JSON") from None

    # Running

    def run(self) -> None:
        """Run what is left, then end the execution."""
        if self._document["status"] == "Stopping" or (self._switch.pulled and not self._switch.interrupted):
            self._runner._set_execution(self._arn, "Stopped")
            return
        skipped: set[str] = set()
        for step in self._definition.steps:
            if self._left_out(step, skipped):
                skipped.add(step.name)
                continue
            held = self._step(step.name)
            if held is not None and held["status"] == "Succeeded":
                continue
            if self._switch.pulled:
                if self._switch.interrupted:
                    raise Interrupted
                self._runner._set_execution(self._arn, "Stopped")
                return
            try:
                self._run_step(step, held)
            except StepStopped:
                self._runner._set_execution(self._arn, "Stopped")
                return
            except StepFailed as error:
                # AWS gives the general sentence; the step's own reason after it saves a second look-up.
                self._runner._set_execution(self._arn, "Failed", f"{STEP_FAILURE} {step.name}: {error}")
                return
        self._runner._set_execution(self._arn, "Succeeded")

    def _left_out(self, step: Step, skipped: set[str]) -> bool:
        if step.needs & skipped:
            return True
        if step.chosen_by is None:
            return False
        condition = self._step(step.chosen_by[0])
        outcome = str(step.chosen_by[1])
        return condition is None or condition["metadata"]["Condition"]["Outcome"] != outcome

    def _run_step(self, step: Step, held: Mapping[str, Any] | None) -> None:
        attempt = int(held["attempt"]) + 1 if held else 1
        self._store.put(
            "step",
            f"{self._arn}#{step.name}",
            {
                "name": step.name,
                "type": step.type,
                "display_name": step.display_name,
                "description": step.description,
                "status": None,
                "attempt": attempt,
                "started": self._runner._now(),
                "properties": {},
                "metadata": {},
            },
            parent=self._arn,
        )
        self._set_step(step.name, "Starting")
        try:
            if step.type == "Condition":
                self._condition(step)
            elif step.type == "Fail":
                self._fail(step)
            elif step.type == "RegisterModel":
                self._register(step)
            else:
                self._job(step, attempt)
        except (StepFailed, UnresolvedExpression, ServiceError) as error:
            self._set_step(step.name, "Failed", failure_reason=str(error))
            raise StepFailed(str(error)) from None
        except StepStopped:
            self._set_step(step.name, "Stopped")
            raise
        except ClientError as error:
            reason = f"ClientError: {error}"
            self._set_step(step.name, "Failed", failure_reason=reason)
            raise StepFailed(reason) from None
        except (BotoCoreError, Boto3Error) as error:
            # No answer at all: most likely the front closes its port just before it interrupts us.
            if self._switch.wait(FRONT_WAIT_SECONDS) and self._switch.interrupted:
                raise Interrupted from None
            reason = f"InternalServerError: no answer from the local cloud ({type(error).__name__})"
            self._set_step(step.name, "Failed", failure_reason=reason)
            raise StepFailed(reason) from None
        self._set_step(step.name, "Succeeded")

    def _condition(self, step: Step) -> None:
        self._set_step(step.name, "Executing")
        outcome = evaluate_conditions(step.arguments["Conditions"], self)
        self._set_step(step.name, None, metadata={"Condition": {"Outcome": str(outcome)}})

    def _fail(self, step: Step) -> None:
        message = str(resolve(step.arguments.get("ErrorMessage", ""), self))
        self._set_step(step.name, "Executing", metadata={"Fail": {"ErrorMessage": message}})
        raise StepFailed(message)

    def _register(self, step: Step) -> None:
        self._set_step(step.name, "Executing")
        request = _without_empty(resolve(step.arguments, self))
        # The service would make a second version if a crash came between its answer and our note.
        token = f"{self._arn.rsplit('/', 1)[-1]}-{step.name}"[:36]
        client = self._host.client("sagemaker", self._document["role_arn"], SERVICE_PRINCIPAL)
        arn = client.create_model_package(**request, ClientToken=token)["ModelPackageArn"]
        self._set_step(
            step.name,
            None,
            metadata={"RegisterModel": {"Arn": arn}},
            properties={"ModelPackageArn": arn, "ModelPackageName": arn},
        )

    def _job(self, step: Step, attempt: int) -> None:
        request = _without_empty(resolve(step.arguments, self))
        training = step.type == "Training"
        execution_id = self._arn.rsplit("/", 1)[-1]
        name = f"pipelines-{execution_id}-{step.name}"[: JOB_NAME_LENGTH - 11] + f"-{random_suffix(10)}"
        job = _Job(self._runner, training, name, request, self._arn)
        self._set_step(
            step.name,
            "Executing",
            metadata={"TrainingJob" if training else "ProcessingJob": {"Arn": job.arn}},
        )
        job.announce("InProgress", "Training")
        if delay := getattr(self._host.faults("sagemaker"), "job_delay_seconds", 0.0):
            self._switch.wait(delay)
        if self._host.take_fault("sagemaker", "fail_jobs"):
            outcome = JobOutcome("Failed", failure_reason="InternalServerError: internal server error")
        elif training:
            outcome = self._runner._jobs.train(name, request, f"{execution_id}-{step.name}", self._switch)
        else:
            outcome = self._runner._jobs.process(name, request, self._switch)
        job.finish(outcome)
        if outcome.interrupted:
            raise Interrupted
        if outcome.status == "Stopped":
            raise StepStopped
        if outcome.status == "Failed":
            raise StepFailed(outcome.failure_reason or "the job failed")
        self._set_step(step.name, None, properties=job.properties())

    def _step(self, name: str) -> dict[str, Any] | None:
        return self._store.get("step", f"{self._arn}#{name}")

    def _set_step(self, name: str, status: str | None, **fields: Any) -> None:
        previous: list[str | None] = []

        def change(step: dict[str, Any]) -> dict[str, Any]:
            previous.append(step["status"])
            step |= fields
            if status is not None:
                step["status"] = status
            if status in ENDED:
                step["ended"] = self._runner._now()
            return step

        step = self._store.update("step", f"{self._arn}#{name}", change)
        if status is not None:
            self._events.step_changed(self._document, step, previous[0])


class _Job:
    """The record of one job, as DescribeTrainingJob and DescribeProcessingJob show it."""

    def __init__(
        self,
        runner: ExecutionRunner,
        training: bool,
        name: str,
        request: Mapping[str, Any],
        execution_arn: str,
    ) -> None:
        self._runner = runner
        self._training = training
        self._prefix = "TrainingJob" if training else "ProcessingJob"
        kind = "training-job" if training else "processing-job"
        host = runner._host
        self.name = name
        self.arn = f"arn:aws:sagemaker:{host.region}:{host.account_id}:{kind}/{name}"
        now = runner._now()
        self._document: dict[str, Any] = {
            **request,
            f"{self._prefix}Name": name,
            f"{self._prefix}Arn": self.arn,
            "CreationTime": now,
            "TrainingStartTime" if training else "ProcessingStartTime": now,
            "PipelineExecutionArn": execution_arn,
        }

    def announce(self, status: str, secondary: str) -> None:
        self._document |= {f"{self._prefix}Status": status, "LastModifiedTime": self._runner._now()}
        if self._training:
            self._document["SecondaryStatus"] = secondary
            self._runner._store.put("training-job", self.name, self._document)
            self._runner._events.training_job_changed(self._document)
        else:
            self._runner._store.put("processing-job", self.name, self._document)
            self._runner._events.processing_job_changed(self._document)

    def finish(self, outcome: JobOutcome) -> None:
        now = self._runner._now()
        self._document["TrainingEndTime" if self._training else "ProcessingEndTime"] = now
        if outcome.failure_reason:
            self._document["FailureReason"] = outcome.failure_reason
        if self._training:
            seconds = round(now - self._document["CreationTime"])
            self._document |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
            self._document["FinalMetricDataList"] = [
                {"MetricName": name, "Value": value, "Timestamp": now}
                for name, value in outcome.metrics.items()
            ]
            if outcome.model_artifacts:
                self._document["ModelArtifacts"] = {"S3ModelArtifacts": outcome.model_artifacts}
        elif outcome.exit_message:
            self._document["ExitMessage"] = outcome.exit_message
        self.announce(outcome.status, "MaxRuntimeExceeded" if outcome.timed_out else outcome.status)

    def properties(self) -> dict[str, Any]:
        """What ``Steps.X.`` expressions see: outputs by name, where the description lists them."""
        properties = dict(self._document)
        if not self._training and "ProcessingOutputConfig" in properties:
            config: Mapping[str, Any] = properties["ProcessingOutputConfig"]
            properties["ProcessingOutputConfig"] = {
                **config,
                "Outputs": _by_name(config["Outputs"], "OutputName"),
            }
        if not self._training and "ProcessingInputs" in properties:
            properties["ProcessingInputs"] = _by_name(properties["ProcessingInputs"], "InputName")
        return properties


def _by_name(entries: Sequence[Mapping[str, Any]], key: str) -> dict[str, Mapping[str, Any]]:
    return {entry[key]: entry for entry in entries}


def _without_empty(value: Any) -> Any:
    """Without the nulls and empty groups that the SDK writes and no service accepts."""
    if isinstance(value, Mapping):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None and item != {}}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value
