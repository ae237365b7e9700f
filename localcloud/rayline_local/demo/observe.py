"""What the estate says of the demo's progress, read as an operator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rayline.cli.estate import Estate
from rayline.dynamodb import Item, scan
from rayline.healthimaging.frames import instances_in
from rayline.names import EVALUATION_PREFIX
from rayline_local.demo.truth import image_set_documents

_COUNTED = ("type", "stage", "state", "verified_site", "execution_arn", "train_status")

ImageSetDocument = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True)
class Tally:
    """Counts of one look at the ledger.

    Attributes:
        instances: instances by stage.
        open_batches: import batches that are not accounted for yet.
        recorded: verifications that the processor pinned or refused.
    """

    instances: Mapping[str, int]
    open_batches: int
    verified: int
    executions: tuple[str, ...]
    trained: Mapping[str, str]

    @property
    def settled(self) -> int:
        """Instances that were screened, whatever came of it."""
        return sum(self.instances.values())

    @property
    def validated(self) -> int:
        """Instances that passed the intake."""
        return sum(count for stage, count in self.instances.items() if stage in ("batched", "imported"))


class EstateView:
    """Reads the ledger, HealthImaging and SageMaker."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def tally(self) -> Tally:
        """Count the ledger's items."""
        instances: dict[str, int] = {}
        open_batches = verified = 0
        executions: list[str] = []
        trained: dict[str, str] = {}
        # So often is it looked at that whole items would keep a core busy.
        for item in self._estate.ledger.everything(*_COUNTED):
            match item.get("type"):
                case "instance":
                    instances[item["stage"]] = instances.get(item["stage"], 0) + 1
                case "batch":
                    open_batches += item["state"] != "accounted"
                case "image_set":
                    verified += "verified_site" in item
                case "training":
                    executions.append(item["execution_arn"])
                case "execution":
                    trained[item["execution_arn"]] = item["train_status"]
        return Tally(instances, open_batches, verified, tuple(executions), trained)

    def quarantined_uploads(self) -> dict[str, str]:
        """Reason by entry id of what the quarantine bucket holds."""
        return {record.entry_id: record.reason for record in self._estate.quarantine.records()}

    def image_sets(self) -> list[ImageSetDocument]:
        """Every image set, from HealthImaging itself."""
        settings = self._estate.settings
        return list(image_set_documents(self._estate.clients.medical_imaging, settings.datastore_id))

    def steps(self, execution_arn: str) -> list[tuple[str, str]]:
        """Name and status of each step that an execution has reached, oldest first."""
        answer = self._estate.clients.sagemaker.list_pipeline_execution_steps(
            PipelineExecutionArn=execution_arn, SortOrder="Ascending"
        )
        return [(step["StepName"], step["StepStatus"]) for step in answer["PipelineExecutionSteps"]]

    def execution(self, execution_arn: str) -> tuple[str, str]:
        """Status and failure reason of an execution."""
        answer = self._estate.clients.sagemaker.describe_pipeline_execution(
            PipelineExecutionArn=execution_arn
        )
        return answer["PipelineExecutionStatus"], answer.get("FailureReason", "")

    def evaluation(self, execution_arn: str) -> Item | None:
        """The model metrics that the processor recorded for an execution."""
        table = self._estate.settings.model_metrics_table
        for item in scan(self._estate.clients.dynamodb, table):
            if item["execution_arn"] == execution_arn:
                return item
        return None

    def report(self, execution_arn: str) -> bytes:
        """The evaluation report of an execution, a page."""
        key = f"{EVALUATION_PREFIX}{execution_arn.rsplit('/', 1)[-1]}/report.html"
        bucket = self._estate.settings.reports_bucket
        return self._estate.clients.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def model_package(self, arn: str) -> dict[str, Any]:
        """A model package, from the registry."""
        answer = self._estate.clients.sagemaker.describe_model_package(ModelPackageName=arn)
        return {
            "package_arn": answer["ModelPackageArn"],
            "approval_status": answer["ModelApprovalStatus"],
            "version": answer["ModelPackageVersion"],
        }


def instance_count(documents: list[ImageSetDocument]) -> int:
    """Instances in image sets, as their metadata lists them."""
    return sum(1 for _, _, metadata in documents for _ in instances_in(metadata))
