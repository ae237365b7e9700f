"""The EventBridge events that SageMaker sends, in its own words.

Source: SageMaker developer guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

SOURCE = "aws.sagemaker"
EXECUTION_CHANGE = "SageMaker Model Building Pipeline Execution Status Change"
STEP_CHANGE = "SageMaker Model Building Pipeline Execution Step Status Change"
TRAINING_JOB_CHANGE = "SageMaker Training Job State Change"
PROCESSING_JOB_CHANGE = "SageMaker Processing Job State Change"
MODEL_PACKAGE_CHANGE = "SageMaker Model Package State Change"


class EventHost(Protocol):
    """Where events go."""

    def put_service_event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> None:
        """Deliver one event on the default bus."""
        ...


class SageMakerEvents:
    """Sends one event per change of state."""

    def __init__(self, host: EventHost) -> None:
        self._host = host

    def execution_changed(self, execution: Mapping[str, Any], previous: str | None) -> None:
        """A pipeline execution's status changed."""
        detail = {
            "pipelineArn": execution["pipeline_arn"],
            "pipelineExecutionArn": execution["arn"],
            "pipelineExecutionDisplayName": execution["display_name"],
            "currentPipelineExecutionStatus": execution["status"],
            "previousPipelineExecutionStatus": previous,
            "executionStartTime": _iso(execution["created"]),
            "executionEndTime": _iso(execution.get("ended")),
        }
        self._put(EXECUTION_CHANGE, detail, [execution["pipeline_arn"], execution["arn"]])

    def step_changed(
        self, execution: Mapping[str, Any], step: Mapping[str, Any], previous: str | None
    ) -> None:
        """A step's status changed."""
        detail = {
            "pipelineArn": execution["pipeline_arn"],
            "pipelineExecutionArn": execution["arn"],
            "stepName": step["name"],
            "stepType": step["type"],
            "currentStepStatus": step["status"],
            "previousStepStatus": previous,
            "stepStartTime": _iso(step.get("started")),
            "stepEndTime": _iso(step.get("ended")),
            "failureReason": step.get("failure_reason"),
            "metadata": {
                kind[0].lower() + kind[1:]: {"arn": value["Arn"]}
                for kind, value in (step.get("metadata") or {}).items()
                if "Arn" in value
            },
        }
        self._put(STEP_CHANGE, detail, [execution["pipeline_arn"], execution["arn"]])

    def training_job_changed(self, job: Mapping[str, Any]) -> None:
        """A training job's status changed; times are milliseconds."""
        detail = {
            **{
                name: job.get(name)
                for name in (
                    "TrainingJobName",
                    "TrainingJobArn",
                    "TrainingJobStatus",
                    "SecondaryStatus",
                    "FailureReason",
                    "HyperParameters",
                    "InputDataConfig",
                    "OutputDataConfig",
                    "ModelArtifacts",
                    "RoleArn",
                )
            },
            **{name: _milliseconds(job.get(name)) for name in ("CreationTime", "TrainingEndTime")},
        }
        self._put(TRAINING_JOB_CHANGE, detail, [job["TrainingJobArn"]])

    def processing_job_changed(self, job: Mapping[str, Any]) -> None:
        """A processing job's status changed; times are milliseconds."""
        detail = {
            **{
                name: job.get(name)
                for name in (
                    "ProcessingJobName",
                    "ProcessingJobArn",
                    "ProcessingJobStatus",
                    "FailureReason",
                    "ExitMessage",
                    "RoleArn",
                )
            },
            **{name: _milliseconds(job.get(name)) for name in ("CreationTime", "ProcessingEndTime")},
        }
        self._put(PROCESSING_JOB_CHANGE, detail, [job["ProcessingJobArn"]])

    def model_package_changed(self, package: Mapping[str, Any], updated: Sequence[str] = ()) -> None:
        """A model package was registered, or some of its fields were updated."""
        detail = {
            "ModelPackageGroupName": package.get("ModelPackageGroupName"),
            "ModelPackageName": package["ModelPackageName"],
            "ModelPackageVersion": package.get("ModelPackageVersion"),
            "ModelPackageArn": package["ModelPackageArn"],
            "ModelPackageStatus": package["ModelPackageStatus"],
            "ModelApprovalStatus": package.get("ModelApprovalStatus"),
            "CustomerMetadataProperties": package.get("CustomerMetadataProperties"),
            "CreationTime": _milliseconds(package["CreationTime"]),
            "UpdatedModelPackageFields": list(updated),
        }
        self._put(MODEL_PACKAGE_CHANGE, detail, [package["ModelPackageArn"]])

    def _put(self, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]) -> None:
        known = {name: value for name, value in detail.items() if value is not None}
        self._host.put_service_event(SOURCE, detail_type, known, resources)


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
