"""SageMaker in memory: pipeline executions that end when a test says so, and the packages that they register."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Literal

from support.in_memory_cloud.calls import aws_error

ACCOUNT = "arn:aws:sagemaker:us-east-1:123456789012"


@dataclass
class Execution:
    """One run of the pipeline."""

    arn: str
    request: Mapping[str, Any]
    started_at: datetime
    modified_at: datetime
    status: str = "Executing"
    package_arn: str | None = None
    steps: dict[str, str] = field(default_factory=dict)


class InMemorySageMaker:
    """The operations of the client that Rayline uses.

    Attributes:
        starts: the request token of each accepted start, repeated ones too.
        packages: approval status by package ARN; each change of one is appended to ``approvals``.
    """

    def __init__(self, clock: Callable[[], datetime], package_group: str) -> None:
        self._clock = clock
        self._package_group = package_group
        self._numbers = count(1)
        self.starts: list[str] = []
        self.executions: dict[str, Execution] = {}
        self.packages: dict[str, str] = {}
        self.approvals: list[tuple[str, str]] = []
        self._by_token: dict[str, str] = {}

    def end_execution(
        self,
        arn: str,
        status: Literal["Succeeded", "Failed", "Stopped"] = "Succeeded",
        *,
        register: bool = True,
    ) -> Execution:
        """Let an execution end; one that succeeds may register a package."""
        execution = self.executions[arn]
        assert execution.status == "Executing"
        execution.status, execution.modified_at = status, self._clock()
        execution.steps["Train"] = status
        if status == "Succeeded" and register:
            execution.package_arn = f"{ACCOUNT}:model-package/{self._package_group}/{len(self.packages) + 1}"
            self.packages[execution.package_arn] = "PendingManualApproval"
            execution.steps["Register"] = "Succeeded"
        return execution

    # -- operations ----------------------------------------------------------------------------------------------

    def start_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        token = request["ClientRequestToken"]
        self.starts.append(token)
        if token not in self._by_token:
            arn = f"{ACCOUNT}:pipeline/{request['PipelineName']}/execution/{next(self._numbers):012d}"
            now = self._clock()
            self._by_token[token] = arn
            self.executions[arn] = Execution(arn, request, now, now)
        return {"PipelineExecutionArn": self._by_token[token]}

    def describe_pipeline_execution(self, *, PipelineExecutionArn: str) -> dict[str, Any]:
        execution = self._execution(PipelineExecutionArn, "DescribePipelineExecution")
        return {
            "PipelineArn": execution.arn.split("/execution/")[0],
            "PipelineExecutionArn": execution.arn,
            "PipelineExecutionDisplayName": execution.request.get("PipelineExecutionDisplayName", ""),
            "PipelineExecutionStatus": execution.status,
            "CreationTime": execution.started_at,
            "LastModifiedTime": execution.modified_at,
        }

    def list_pipeline_executions(self, *, PipelineName: str, **_: Any) -> dict[str, Any]:
        return {
            "PipelineExecutionSummaries": [
                {
                    "PipelineExecutionArn": each.arn,
                    "StartTime": each.started_at,
                    "PipelineExecutionStatus": each.status,
                    "PipelineExecutionDisplayName": each.request.get("PipelineExecutionDisplayName", ""),
                }
                for each in reversed(self.executions.values())
            ]
        }

    def list_pipeline_execution_steps(self, *, PipelineExecutionArn: str, **_: Any) -> dict[str, Any]:
        execution = self._execution(PipelineExecutionArn, "ListPipelineExecutionSteps")
        steps = []
        for name, status in execution.steps.items():
            step: dict[str, Any] = {"StepName": name, "StepStatus": status, "Metadata": {}}
            if name == "Register":
                step["Metadata"] = {"RegisterModel": {"Arn": execution.package_arn}}
            if status != "Executing":
                step["StartTime"], step["EndTime"] = execution.started_at, execution.modified_at
            steps.append(step)
        return {"PipelineExecutionSteps": steps}

    def describe_model_package(self, *, ModelPackageName: str) -> dict[str, Any]:
        if ModelPackageName not in self.packages:
            raise aws_error("ValidationException", "ModelPackage does not exist", "DescribeModelPackage")
        return {
            "ModelPackageArn": ModelPackageName,
            "ModelPackageGroupName": self._package_group,
            "ModelPackageVersion": int(ModelPackageName.rsplit("/", 1)[1]),
            "ModelApprovalStatus": self.packages[ModelPackageName],
        }

    def update_model_package(
        self, *, ModelPackageArn: str, ModelApprovalStatus: str, **_: Any
    ) -> dict[str, Any]:
        if ModelPackageArn not in self.packages:
            raise aws_error("ValidationException", "ModelPackage does not exist", "UpdateModelPackage")
        self.packages[ModelPackageArn] = ModelApprovalStatus
        self.approvals.append((ModelPackageArn, ModelApprovalStatus))
        return {"ModelPackageArn": ModelPackageArn}

    def _execution(self, arn: str, operation: str) -> Execution:
        if arn not in self.executions:
            raise aws_error("ResourceNotFound", "Pipeline execution does not exist", operation)
        return self.executions[arn]
