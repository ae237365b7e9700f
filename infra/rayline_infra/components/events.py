"""EventBridge routes and schedules into the one queue, the custom bus and the archives."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from rayline.envelopes import EXECUTION_CHANGE, STEP_CHANGE
from rayline.names import TRAIN_STEP, UPLOAD_PREFIX, EstateNames, RuleKind, ScheduleKind
from rayline.reminders import ReconcileDue, RetriesDue, reminder_body
from rayline_infra.policies.resources import queue_policy

ROUTED: tuple[RuleKind, ...] = ("uploaded", "ingested", "verified", "trained", "evaluated")
# What the processor sees to by the clock (see rayline.reminders). Parked events come back within the minute.
SCHEDULES: Mapping[ScheduleKind, tuple[str, type[RetriesDue | ReconcileDue]]] = {
    "retries-due": ("rate(1 minute)", RetriesDue),
    "reconcile-due": ("rate(15 minutes)", ReconcileDue),
}
RETENTION_SECONDS = 14 * 24 * 3600
MAX_RECEIVE_COUNT = 5
ARCHIVE_DAYS = 30
LONG_POLL_SECONDS = 20
ENDED = ["Succeeded", "Failed", "Stopped"]


@dataclass(frozen=True)
class RoutesArgs:
    """What the routes filter on, the queue's key, and who is told of failed pipelines."""

    names: EstateNames
    site: str
    datastore_id: pulumi.Output[str]
    identified_key_arn: pulumi.Input[str]
    notices_topic_arn: pulumi.Output[str]
    visibility_seconds: int


def event_pattern(kind: RuleKind, names: EstateNames, datastore_id: str) -> Mapping[str, Any]:
    """The pattern of a rule, narrowed to this stack's resources."""
    if kind == "uploaded":
        return {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {
                "bucket": {"name": [names.bucket("uploads")]},
                "object": {"key": [{"prefix": UPLOAD_PREFIX}]},
            },
        }
    if kind == "ingested":
        return {
            "source": ["aws.medical-imaging"],
            "detail-type": [
                "Import Job Completed",
                "Import Job Failed",
                "Image Set Created",
                "Image Set Updated",
            ],
            "detail": {"datastoreId": [datastore_id]},
        }
    if kind == "verified":
        return {"source": ["rayline.api"], "detail-type": ["Image Verified", "Verification Revoked"]}
    if kind == "trained":
        return {
            "source": ["aws.sagemaker"],
            "detail-type": [STEP_CHANGE],
            "detail": {
                "pipelineArn": [names.pipeline_arn],
                "stepName": [TRAIN_STEP],
                "currentStepStatus": ENDED,
            },
        }
    statuses = ENDED if kind == "evaluated" else ["Failed"]
    return {
        "source": ["aws.sagemaker"],
        "detail-type": [EXECUTION_CHANGE],
        "detail": {
            "pipelineArn": [names.pipeline_arn],
            "currentPipelineExecutionStatus": statuses,
        },
    }


class Routes(pulumi.ComponentResource):
    """Rules and schedules into one queue with a dead-letter queue, and pipeline failures into a topic."""

    def __init__(self, name: str, args: RoutesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:events:Routes", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self.dead_letter_queue = self._declare_dead_letter_queue()
        self.queue = self._declare_queue()
        self.bus = aws.cloudwatch.EventBus(
            "event-bus",
            name=args.names.event_bus,
            description="Rayline's own events; aws.* events stay on the default bus",
            opts=self._child,
        )
        self._declare_rules()
        self._declare_archives()
        self.register_outputs({})

    def _declare_dead_letter_queue(self) -> aws.sqs.Queue:
        args = self._args
        queue = aws.sqs.Queue(
            "dead-letter-queue",
            name=args.names.dead_letter_queue,
            message_retention_seconds=RETENTION_SECONDS,
            kms_master_key_id=args.identified_key_arn,
            redrive_allow_policy=json.dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [args.names.queue_arn(args.names.queue)]}
            ),
            opts=self._child,
        )
        self._policy("dead-letter-queue-policy", queue, args.names.dead_letter_queue)
        return queue

    def _declare_queue(self) -> aws.sqs.Queue:
        args = self._args
        queue = aws.sqs.Queue(
            "queue",
            name=args.names.queue,
            visibility_timeout_seconds=args.visibility_seconds,
            message_retention_seconds=RETENTION_SECONDS,
            receive_wait_time_seconds=LONG_POLL_SECONDS,
            kms_master_key_id=args.identified_key_arn,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": self.dead_letter_queue.arn, "maxReceiveCount": MAX_RECEIVE_COUNT},
                sort_keys=True,
            ),
            opts=self._child,
        )
        self._policy("queue-policy", queue, args.names.queue)
        return queue

    def _policy(self, resource_name: str, queue: aws.sqs.Queue, queue_name: str) -> None:
        rules: tuple[RuleKind | ScheduleKind, ...] = (*ROUTED, *SCHEDULES)
        if queue_name == self._args.names.dead_letter_queue:
            rules = (*rules, "pipeline-failed")
        aws.sqs.QueuePolicy(
            resource_name,
            queue_url=queue.url,
            policy=queue_policy(queue_name, self._args.names, rules),
            opts=self._child,
        )

    def _declare_rules(self) -> None:
        for kind in ROUTED:
            self._route(kind, self.queue.arn)
        self._route("pipeline-failed", self._args.notices_topic_arn)
        for schedule in SCHEDULES:
            self._schedule(schedule)

    def _route(self, kind: RuleKind, target_arn: pulumi.Output[str]) -> None:
        names = self._args.names
        # aws.* events arrive on the default bus only: customers cannot put them on another.
        bus = self.bus.name if kind == "verified" else pulumi.Output.from_input("default")
        rule = aws.cloudwatch.EventRule(
            f"{kind}-rule",
            name=names.rule(kind),
            event_bus_name=bus,
            event_pattern=self._args.datastore_id.apply(
                lambda datastore_id: json.dumps(event_pattern(kind, names, datastore_id), sort_keys=True)
            ),
            state="ENABLED",
            opts=self._child,
        )
        self._target(kind, rule, target_arn)

    def _schedule(self, kind: ScheduleKind) -> None:
        rate, reminder = SCHEDULES[kind]
        rule = aws.cloudwatch.EventRule(
            f"{kind}-rule",
            name=self._args.names.rule(kind),
            # Schedules work on the default bus only (EventBridge user guide, "Scheduled rules").
            event_bus_name="default",
            schedule_expression=rate,
            state="ENABLED",
            opts=self._child,
        )
        self._target(kind, rule, self.queue.arn, body=reminder_body(reminder(site=self._args.site)))

    def _target(
        self,
        kind: RuleKind | ScheduleKind,
        rule: aws.cloudwatch.EventRule,
        target_arn: pulumi.Output[str],
        *,
        body: str | None = None,
    ) -> None:
        aws.cloudwatch.EventTarget(
            f"{kind}-target",
            rule=rule.name,
            event_bus_name=rule.event_bus_name,
            target_id=kind,
            arn=target_arn,
            input=body,
            dead_letter_config=aws.cloudwatch.EventTargetDeadLetterConfigArgs(arn=self.dead_letter_queue.arn),
            retry_policy=aws.cloudwatch.EventTargetRetryPolicyArgs(
                maximum_event_age_in_seconds=24 * 3600, maximum_retry_attempts=185
            ),
            opts=self._child,
        )

    def _declare_archives(self) -> None:
        """Thirty days of events for replay.

        Object keys chosen by senders may name patients, so the archives count as identified.
        """
        args = self._args
        names = args.names
        aws.cloudwatch.EventArchive(
            "aws-event-archive",
            name=names.archive("aws"),
            event_source_arn=names.archived_bus_arn("aws"),
            event_pattern=args.datastore_id.apply(
                lambda datastore_id: json.dumps(archive_pattern(names, datastore_id), sort_keys=True)
            ),
            retention_days=ARCHIVE_DAYS,
            kms_key_identifier=args.identified_key_arn,
            opts=self._child,
        )
        aws.cloudwatch.EventArchive(
            "own-event-archive",
            name=names.archive("own"),
            event_source_arn=self.bus.arn,
            retention_days=ARCHIVE_DAYS,
            kms_key_identifier=args.identified_key_arn,
            opts=self._child,
        )


def archive_pattern(names: EstateNames, datastore_id: str) -> Mapping[str, Any]:
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
