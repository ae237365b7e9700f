"""trained: record how the training step of a pipeline execution ended."""

from rayline.context import HookContext
from rayline.dynamodb import timestamp, to_attribute
from rayline.events import Trained
from rayline.plugin import API_VERSION, Policy, hookimpl
from rayline.services import Services


class TrainedStage:
    """Keeps the training step's end beside its execution."""

    api = API_VERSION
    name = "rayline.trained"
    policies = {  # noqa: RUF012 - the plugin contract's shape
        "on_trained": Policy(on_failure="retry", timeout_seconds=60, order=0)
    }

    def __init__(self, services: Services) -> None:
        self._services = services

    @hookimpl
    def on_trained(self, event: Trained, context: HookContext) -> None:
        """Record status and reason on the execution's item."""
        assert context.effect is not None
        update = {
            "Update": {
                "TableName": self._services.ledger.table,
                "Key": {"pk": {"S": f"EXECUTION#{event.pipeline_execution_arn}"}},
                "UpdateExpression": "SET #type = :type, #site = :site, execution_arn = :arn, "
                "train_status = :status, train_ended_at = :at, train_failure = :failure",
                "ExpressionAttributeNames": {"#type": "type", "#site": "site"},
                "ExpressionAttributeValues": {
                    ":type": to_attribute("execution"),
                    ":site": to_attribute(event.site),
                    ":arn": to_attribute(event.pipeline_execution_arn),
                    ":status": to_attribute(event.step_status),
                    ":at": to_attribute(timestamp(event.occurred_at)),
                    ":failure": to_attribute(event.failure_reason),
                },
            }
        }
        context.effect.commit_soon([update])
        context.log.info(
            "training_ended", execution_arn=event.pipeline_execution_arn, status=event.step_status
        )
