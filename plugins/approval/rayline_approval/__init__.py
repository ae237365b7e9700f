"""A gate over a model's metrics with three ways out: approve, reject, ask a human."""

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rayline.plugin import Approval, Context, Evaluation, Policy, hookimpl

api = 1
name = "approval"
policies = {"approve_model": Policy(on_failure="reject", timeout_seconds=30, order=100, sees_phi=False)}


class Gate(BaseModel):
    """The two limits of one metric, each 0–1.

    Attributes:
        approve_at: the metric must reach it for an approval without a human.
        reject_below: a model under it is rejected without a human.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    approve_at: float = Field(ge=0, le=1)
    reject_below: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Self:
        if self.reject_below > self.approve_at:
            raise ValueError("reject_below is above approve_at; swap them")
        return self


class ApprovalSettings(BaseModel):
    """Settings of the plugin in the site profile.

    Attributes:
        gates: by metric, e.g. ``accuracy``; without any, a human decides on every model.
        minimum_test_images: an evaluation over fewer images approves nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gates: dict[str, Gate] = {}
    minimum_test_images: int = Field(default=0, ge=0)


@hookimpl
def settings_model() -> type[BaseModel]:
    """Settings of the plugin."""
    return ApprovalSettings


@hookimpl
def approve_model(evaluation: Evaluation, context: Context) -> Approval | None:
    """Judge a registered model; None where the pipeline registered none."""
    if evaluation.model_package_arn is None:
        return None
    settings: ApprovalSettings = context.settings
    return judge(evaluation, settings)


def judge(evaluation: Evaluation, settings: ApprovalSettings) -> Approval:
    """What the gates say; a rejection outweighs a doubt, and a doubt an approval."""
    poor: list[str] = []
    doubts: list[str] = [] if settings.gates else ["no gate is set"]
    for metric, gate in sorted(settings.gates.items()):
        value = evaluation.metrics.get(metric)
        if value is None or not math.isfinite(value):
            doubts.append(f"{metric} was not measured")
        elif value < gate.reject_below:
            poor.append(f"{metric} {value:.3f} is below {gate.reject_below:g}")
        elif value < gate.approve_at:
            doubts.append(f"{metric} {value:.3f} does not reach {gate.approve_at:g}")
    if poor:
        return Approval("reject", "; ".join(poor))
    if evaluation.test_images < settings.minimum_test_images:
        doubts.append(f"{evaluation.test_images} test images are fewer than {settings.minimum_test_images}")
    if doubts:
        return Approval("ask_human", "; ".join(doubts))
    passed = ", ".join(
        f"{metric} {evaluation.metrics[metric]:.3f} reaches {gate.approve_at:g}"
        for metric, gate in sorted(settings.gates.items())
    )
    return Approval("approve", f"{passed} over {evaluation.test_images} test images")
