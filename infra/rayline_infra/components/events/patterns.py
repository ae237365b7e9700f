"""Event patterns, each narrowed to one stack's resources.

Sources of the shapes: Amazon EventBridge Events Reference, and the pages of the services that it links to.
"""

from collections.abc import Mapping
from typing import Any

from rayline.envelopes import API_SOURCE, EXECUTION_CHANGE, STEP_CHANGE
from rayline.names import TRAIN_STEP, UPLOAD_PREFIX, EstateNames, NoticeKind, RuleKind

Pattern = Mapping[str, Any]

ENDED = ["Succeeded", "Failed", "Stopped"]
IMPORT_FAILED = "Import Job Failed"
# GuardDuty calls 7.0 to 8.9 high and 9.0 to 10.0 critical (GuardDuty user guide, "Findings severity levels").
HIGH_SEVERITY = 7


def event_pattern(kind: RuleKind, names: EstateNames, datastore_id: str) -> Pattern:
    """What a rule takes for one of the five events."""
    match kind:
        case "uploaded":
            return {
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {
                    "bucket": {"name": [names.bucket("uploads")]},
                    "object": {"key": [{"prefix": UPLOAD_PREFIX}]},
                },
            }
        case "ingested":
            return {
                "source": ["aws.medical-imaging"],
                "detail-type": [
                    "Import Job Completed",
                    IMPORT_FAILED,
                    "Image Set Created",
                    "Image Set Updated",
                ],
                "detail": {"datastoreId": [datastore_id]},
            }
        case "verified":
            return {"source": [API_SOURCE], "detail-type": ["Image Verified", "Verification Revoked"]}
        case "trained":
            return {
                "source": ["aws.sagemaker"],
                "detail-type": [STEP_CHANGE],
                "detail": {
                    "pipelineArn": [names.pipeline_arn],
                    "stepName": [TRAIN_STEP],
                    "currentStepStatus": ENDED,
                },
            }
        case "evaluated":
            return _execution_change(names, ENDED)


def notice_pattern(kind: NoticeKind, names: EstateNames, datastore_id: str) -> Pattern:
    """What a rule takes for a notice to people."""
    place = f"{names.region}:{names.account_id}"
    match kind:
        case "pipeline-failed":
            return _execution_change(names, ["Failed"])
        case "job-failed":
            return {
                "source": ["aws.sagemaker"],
                "detail-type": [
                    "SageMaker Training Job State Change",
                    "SageMaker Processing Job State Change",
                ],
                # Jobs of a pipeline have names that SageMaker makes up; their role is the stack's.
                "detail": {
                    "RoleArn": [names.role_arn("training")],
                    "$or": [{"TrainingJobStatus": ["Failed"]}, {"ProcessingJobStatus": ["Failed"]}],
                },
            }
        case "import-failed":
            return {
                "source": ["aws.medical-imaging"],
                "detail-type": [IMPORT_FAILED],
                "detail": {"datastoreId": [datastore_id]},
            }
        case "deployment-failed":
            return {
                "source": ["aws.ecs"],
                "detail-type": ["ECS Deployment State Change"],
                "resources": [{"prefix": f"arn:aws:ecs:{place}:service/{names.cluster}/"}],
                "detail": {"eventName": ["SERVICE_DEPLOYMENT_FAILED"]},
            }
        case "out-of-memory":
            return {
                "source": ["aws.ecs"],
                "detail-type": ["ECS Task State Change"],
                "detail": {
                    "clusterArn": [f"arn:aws:ecs:{place}:cluster/{names.cluster}"],
                    "lastStatus": ["STOPPED"],
                    "containers": {"reason": [{"prefix": "OutOfMemoryError"}]},
                },
            }
        case "finding":
            return {
                "source": ["aws.guardduty"],
                "detail-type": ["GuardDuty Finding"],
                "detail": {"severity": [{"numeric": [">=", HIGH_SEVERITY]}]},
            }
        case "health":
            # Every service's: AWS publishes no list of Health's service codes, and a wrong one would hide an outage.
            return {
                "source": ["aws.health"],
                "detail-type": ["AWS Health Event"],
                "detail": {"eventTypeCategory": ["issue", "scheduledChange"]},
            }
        case "alarm-silenced":
            return {
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm Configuration Change"],
                "resources": [{"prefix": _alarms(names)}],
                "detail": {
                    "$or": [{"operation": ["delete"]}, {"configuration": {"actionsEnabled": [False]}}],
                },
            }
        case "alarm-blind":
            return {
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "resources": [{"prefix": _alarms(names)}],
                "detail": {
                    "previousState": {"value": ["ALARM"]},
                    "state": {"value": ["INSUFFICIENT_DATA"]},
                },
            }


def archive_pattern(names: EstateNames, datastore_id: str) -> Pattern:
    """What the archive of the default bus keeps: this stack's events, not the account's."""
    return {
        "source": ["aws.s3", "aws.medical-imaging", "aws.sagemaker"],
        "detail": {
            "$or": [
                {"bucket": {"name": [names.bucket("uploads")]}},
                {"datastoreId": [datastore_id]},
                {"pipelineArn": [names.pipeline_arn]},
            ]
        },
    }


def _execution_change(names: EstateNames, statuses: list[str]) -> Pattern:
    return {
        "source": ["aws.sagemaker"],
        "detail-type": [EXECUTION_CHANGE],
        "detail": {"pipelineArn": [names.pipeline_arn], "currentPipelineExecutionStatus": statuses},
    }


def _alarms(names: EstateNames) -> str:
    return f"arn:aws:cloudwatch:{names.region}:{names.account_id}:alarm:{names.prefix}-"
