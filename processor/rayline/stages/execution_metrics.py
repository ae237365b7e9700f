"""Measures an execution of the pipeline that has ended: its time, its model's scores, and what became of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rayline.observability.meter import Meter
from rayline.observability.metrics import (
    ACCURACY,
    EPOCH_SECONDS,
    EXECUTION_SECONDS,
    EXECUTIONS_ENDED,
    F1,
    IMAGES_TRAINED_ON,
    MODELS_APPROVED,
    MODELS_REJECTED,
    MODELS_WAITING,
    PRECISION,
    RECALL,
    ROC_AUC,
    STEP_SECONDS,
    VERIFIED_TO_MODEL_SECONDS,
)

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import PipelineExecutionStepTypeDef

_SCORES: Final = {
    "accuracy": ACCURACY,
    "precision": PRECISION,
    "recall": RECALL,
    "f1": F1,
    "roc_auc": ROC_AUC,
}
_DECIDED: Final = {"Approved": MODELS_APPROVED, "Rejected": MODELS_REJECTED}


@dataclass(frozen=True)
class EndedExecution:
    """What is known of an execution that has ended.

    Attributes:
        status: as its event says, e.g. ``Succeeded``.
        approval_status: of its model package, None where it registered none.
        report: its evaluation report, None where it ended before there was one.
        newest_verified_at: of the newest label that its model was made with, where that is known.
    """

    status: str
    started_at: datetime
    ended_at: datetime
    steps: "Sequence[PipelineExecutionStepTypeDef]"
    approval_status: str | None
    report: Mapping[str, Any] | None
    newest_verified_at: datetime | None


def measure_execution(meter: Meter, model: str, execution: EndedExecution) -> None:
    """Take in what an execution's end says.

    Args:
        model: name of the model package group.
    """
    meter.record(EXECUTIONS_ENDED, 1, execution.status)
    meter.record(EXECUTION_SECONDS, (execution.ended_at - execution.started_at).total_seconds())
    for step in execution.steps:
        # A step that was never reached, or whose job was not started, has no times.
        if "StartTime" in step and "EndTime" in step:
            meter.record(
                STEP_SECONDS, (step["EndTime"] - step["StartTime"]).total_seconds(), step["StepName"]
            )
    if execution.report is not None:
        _measure_report(meter, model, execution.report)
        if execution.approval_status is None:
            meter.record(MODELS_REJECTED, 1, model)
    if execution.approval_status is not None:
        meter.record(_DECIDED.get(execution.approval_status, MODELS_WAITING), 1, model)
        if execution.newest_verified_at is not None:
            waited = (execution.ended_at - execution.newest_verified_at).total_seconds()
            meter.record(VERIFIED_TO_MODEL_SECONDS, waited)


def _measure_report(meter: Meter, model: str, report: Mapping[str, Any]) -> None:
    for name, metric in _SCORES.items():
        if name in report["metrics"]:
            meter.record(metric, float(report["metrics"][name]), model)
    meter.record(IMAGES_TRAINED_ON, int(report["images"]["train"]))
    # Of models that were evaluated before training told of its epochs, nothing is known.
    for seconds in report.get("epoch_seconds", ()):
        meter.record(EPOCH_SECONDS, float(seconds))
