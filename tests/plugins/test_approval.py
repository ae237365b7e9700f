"""The gate approves, rejects, or asks a human, and says why."""

import math

import pytest
from pydantic import ValidationError

import rayline_approval
from rayline.plugin import Evaluation
from rayline.testing import InMemoryContext
from rayline_approval import ApprovalSettings, Gate

GATES = {
    "accuracy": Gate(approve_at=0.9, reject_below=0.85),
    "roc_auc": Gate(approve_at=0.95, reject_below=0.8),
}


def decide(
    metrics: dict[str, float], *, images: int = 60, package: str | None = "arn:package/1", minimum: int = 60
) -> tuple[str, str] | None:
    settings = ApprovalSettings(gates=GATES, minimum_test_images=minimum)
    approval = rayline_approval.approve_model(
        Evaluation(package, metrics, 0.85, images), InMemoryContext(settings=settings)
    )
    return (approval.decision, approval.reason) if approval else None


@pytest.mark.parametrize(
    ("metrics", "images", "decision", "because"),
    [
        ({"accuracy": 0.9, "roc_auc": 0.95}, 60, "approve", "60 test images"),
        ({"accuracy": 0.899, "roc_auc": 0.99}, 60, "ask_human", "accuracy"),
        ({"accuracy": 0.85, "roc_auc": 0.99}, 60, "ask_human", "accuracy"),
        ({"accuracy": 0.849, "roc_auc": 0.99}, 60, "reject", "accuracy"),
        ({"accuracy": 0.99, "roc_auc": 0.79}, 60, "reject", "roc_auc"),
        ({"accuracy": 0.99, "roc_auc": 0.99}, 59, "ask_human", "59 test images"),
        ({"accuracy": 0.84}, 10, "reject", "accuracy"),
        ({"accuracy": 0.99}, 60, "ask_human", "roc_auc"),
        ({"accuracy": 0.99, "roc_auc": math.nan}, 60, "ask_human", "roc_auc"),
    ],
)
def test_each_branch(metrics: dict[str, float], images: int, decision: str, because: str) -> None:
    found = decide(metrics, images=images)
    assert found is not None
    assert found[0] == decision
    assert because in found[1]


def test_without_gates_a_human_decides() -> None:
    approval = rayline_approval.approve_model(
        Evaluation("arn:package/1", {"accuracy": 1.0}, 0.85, 600),
        InMemoryContext(settings=ApprovalSettings()),
    )
    assert approval is not None
    assert approval.decision == "ask_human"


def test_what_was_not_registered_is_not_judged() -> None:
    assert decide({"accuracy": 0.1}, package=None) is None


@pytest.mark.parametrize(
    "gate",
    [{"approve_at": 0.8, "reject_below": 0.9}, {"approve_at": 85, "reject_below": 0.5}, {"approve_at": 0.9}],
)
def test_impossible_gates_are_refused(gate: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ApprovalSettings.model_validate({"gates": {"accuracy": gate}})
