"""The events that every side handles: SageMaker's word that a training step ended, as EventBridge sends it."""

import json
import uuid
from collections.abc import Iterator

_ARN_PREFIX = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/bench/execution/"


def names(run: str, count: int) -> list[str]:
    """So many event names that no other run uses."""
    return [f"{run}-{number:06d}" for number in range(count)]


def body(name: str) -> str:
    """The SQS message of one event, about 700 bytes."""
    return json.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            "detail-type": "SageMaker Model Building Pipeline Execution Step Status Change",
            "source": "aws.sagemaker",
            "account": "123456789012",
            "time": "2026-01-02T03:04:05Z",
            "region": "us-east-1",
            "resources": [_ARN_PREFIX + name],
            "detail": {
                "metadata": {},
                "stepStartTime": "2026-01-02T03:00:00Z",
                "stepEndTime": "2026-01-02T03:04:05Z",
                "stepName": "Train",
                "stepType": "Training",
                "previousStepStatus": "Executing",
                "currentStepStatus": "Succeeded",
                "pipelineArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/bench",
                "pipelineExecutionArn": _ARN_PREFIX + name,
            },
        }
    )


def name_of(execution_arn: str) -> str:
    """The event's name again, from what a hook is given."""
    return execution_arn.rsplit("/", 1)[-1]


def in_tens(bodies: list[str]) -> Iterator[list[str]]:
    """Bodies by ten: SendMessageBatch takes ten entries."""
    for start in range(0, len(bodies), 10):
        yield bodies[start : start + 10]
