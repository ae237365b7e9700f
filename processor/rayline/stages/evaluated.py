"""evaluated: read what the pipeline measured and registered, record it, and let plugins or a human decide."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rayline.context import HookContext
from rayline.dynamodb import timestamp, to_attributes
from rayline.events import Evaluated
from rayline.instances import training_key_of
from rayline.names import EVALUATION_PREFIX
from rayline.notifications import ModelApproved, ModelRegistered, Notification, outbox_entries
from rayline.observability.meter import measuring
from rayline.plugin import API_VERSION, Approval, Evaluation, Policy, hookimpl
from rayline.services import Services
from rayline.stages.execution_metrics import EndedExecution, measure_execution

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import ModelApprovalStatusType
    from mypy_boto3_sagemaker.type_defs import PipelineExecutionStepTypeDef

_STATUS_OF: "dict[str, ModelApprovalStatusType]" = {"approve": "Approved", "reject": "Rejected"}


class EvaluatedStage:
    """Takes the model's numbers from the report and its package from the registry, never from the event."""

    api = API_VERSION
    name = "rayline.evaluated"
    policies = {  # noqa: RUF012 - the plugin contract's shape
        "on_evaluated": Policy(on_failure="retry", timeout_seconds=120, order=0)
    }

    def __init__(self, services: Services) -> None:
        self._services = services

    @hookimpl
    def on_evaluated(self, event: Evaluated, context: HookContext) -> None:
        """Record metrics by model version and evaluation time, then approve, reject or leave it to a human."""
        arn = event.pipeline_execution_arn
        execution = self._services.clients.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        steps = self._steps(arn)
        package_arn = _package_arn(steps)
        report = self._report(arn.rsplit("/", 1)[-1])
        approval: Approval | None = None
        approval_status: str | None = None
        if package_arn is not None and report is not None:
            approval, approval_status = self._decide(package_arn, report)
        approved = approval_status == "Approved"
        model_version = _model_version(package_arn, arn)
        metrics = {
            "model_version": model_version,
            "evaluated_at": timestamp(execution["LastModifiedTime"]),
            "site": event.site,
            "execution_arn": arn,
            "status": event.status,
            "failure_reason": execution.get("FailureReason"),
            "model_package_arn": package_arn,
            "metrics": report["metrics"] if report else None,
            "threshold": report["threshold"] if report else None,
            "images": report["images"] if report else None,
            "decision": approval.decision if approval else None,
            "decision_reason": approval.reason if approval else None,
        }
        put = {
            "Put": {"TableName": self._services.settings.model_metrics_table, "Item": to_attributes(metrics)}
        }
        entries = outbox_entries(self._told(event, package_arn, report, approval if approved else None))
        assert context.effect is not None
        context.effect.commit(
            [put, *map(self._services.outbox.write, entries)],
            result={"model_version": model_version},
        )
        self._services.outbox.publish(entries)
        with measuring():
            model = self._services.settings.model_package_group
            measure_execution(
                self._services.meter,
                model,
                EndedExecution(
                    status=event.status,
                    started_at=execution["CreationTime"],
                    ended_at=execution["LastModifiedTime"],
                    steps=steps,
                    approval_status=approval_status,
                    report=report,
                    newest_verified_at=self._newest_verified_at(
                        execution.get("PipelineExecutionDisplayName", "")
                    ),
                ),
            )
        context.log.info(
            "model_evaluated",
            execution_arn=arn,
            status=event.status,
            model_package_arn=package_arn,
            decision=approval.decision if approval else "none",
        )

    def _newest_verified_at(self, training_id: str) -> datetime | None:
        key = training_key_of(self._services.settings.site, training_id)
        run = self._services.ledger.item(key) if key else None
        newest = run.get("newest_verified_at") if run else None
        return datetime.fromisoformat(newest) if newest else None

    def _steps(self, execution_arn: str) -> "list[PipelineExecutionStepTypeDef]":
        pages = self._services.clients.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
            PipelineExecutionArn=execution_arn
        )
        return [step for page in pages for step in page["PipelineExecutionSteps"]]

    def _report(self, execution_id: str) -> dict[str, Any] | None:
        """The evaluation report, None where the execution ended before it was written."""
        key = f"{EVALUATION_PREFIX}{execution_id}/evaluation.json"
        try:
            body = self._services.clients.s3.get_object(
                Bucket=self._services.settings.reports_bucket, Key=key
            )["Body"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return None
            raise
        # A measure without a value, e.g. the ROC-AUC of a single class, is NaN in the report and absent here.
        report: dict[str, Any] = json.loads(body.read(), parse_constant=lambda _: None)
        report["metrics"] = {name: value for name, value in report["metrics"].items() if value is not None}
        return report

    def _decide(self, package_arn: str, report: dict[str, Any]) -> tuple[Approval, str]:
        """What the plugins say, and the package's approval status now, by them or by a human."""
        approval = self._services.hooks().approve_model(
            Evaluation(
                model_package_arn=package_arn,
                metrics=report["metrics"],
                threshold=float(report["threshold"]),
                test_images=int(report["images"]["test"]),
            )
        )
        package = self._services.clients.sagemaker.describe_model_package(ModelPackageName=package_arn)
        # A human may have decided in between, and a repeated delivery has: neither is overruled.
        status = package["ModelApprovalStatus"]
        if approval.decision in _STATUS_OF and status == "PendingManualApproval":
            status = _STATUS_OF[approval.decision]
            self._services.clients.sagemaker.update_model_package(
                ModelPackageArn=package_arn,
                ModelApprovalStatus=status,
                ApprovalDescription=approval.reason[:1024],
            )
        return approval, status

    def _told(
        self,
        event: Evaluated,
        package_arn: str | None,
        report: dict[str, Any] | None,
        approved: Approval | None,
    ) -> list[Notification]:
        """What other systems are to know of a package.

        Args:
            approved: what the plugins said of a package that is approved now.
        """
        if package_arn is None:
            return []
        fields: dict[str, Any] = {
            "site": event.site,
            "occurred_at": event.occurred_at,
            "model_package_arn": package_arn,
            "pipeline_execution_arn": event.pipeline_execution_arn,
            "metrics": report["metrics"] if report else {},
        }
        told: list[Notification] = [ModelRegistered(**fields)]
        if approved is not None:
            reason = approved.reason if approved.decision == "approve" else ""
            told.append(ModelApproved(**fields, reason=reason))
        return told


def _package_arn(steps: "list[PipelineExecutionStepTypeDef]") -> str | None:
    for step in steps:
        registered = step.get("Metadata", {}).get("RegisterModel", {}).get("Arn")
        if registered:
            return registered
    return None


def _model_version(package_arn: str | None, execution_arn: str) -> str:
    """``group/version`` of a registered package, ``refused/execution`` of a model that was not registered."""
    if package_arn is None:
        return f"refused/{execution_arn.rsplit('/', 1)[-1]}"
    return package_arn.split(":model-package/", 1)[-1]
