"""The one event queue, and a dead-letter queue each for events, for notices and for schedules."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, NoticeKind, RuleKind, ScheduleKind
from rayline_infra.policies.resources import queue_policy

DeadLetterKind = Literal["events", "notices", "schedules"]

RETENTION_SECONDS = 14 * 24 * 3600
MAX_RECEIVE_COUNT = 5
LONG_POLL_SECONDS = 20


@dataclass(frozen=True)
class QueuesArgs:
    """Names, key and visibility of the queues.

    Attributes:
        key_arn: of the identified zone, since object keys that senders chose are in the messages.
        schedules: those that send reminders.
    """

    names: EstateNames
    key_arn: pulumi.Input[str]
    visibility_seconds: int
    schedules: Sequence[ScheduleKind]


class Queues(pulumi.ComponentResource):
    """What the processor reads, and where everything goes that could not be delivered or handled.

    Undelivered events lie with the messages that crashed the processor, since `rayline replay` brings both back.
    """

    def __init__(self, name: str, args: QueuesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:events:Queues", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        names = args.names
        self._dead_letters = {
            "events": self._dead_letter_queue(
                "dead-letter-queue", names.dead_letter_queue, get_args(RuleKind), redriven=True
            ),
            "notices": self._dead_letter_queue(
                "notices-dead-letter-queue", names.notices_dead_letter_queue, get_args(NoticeKind)
            ),
            "schedules": self._dead_letter_queue(
                "schedules-dead-letter-queue", names.schedules_dead_letter_queue, args.schedules
            ),
        }
        self.queue = self._event_queue()
        self.register_outputs({})

    def dead_letters(self, kind: DeadLetterKind) -> aws.sqs.Queue:
        """A dead-letter queue."""
        return self._dead_letters[kind]

    def _dead_letter_queue(
        self,
        resource_name: str,
        queue_name: str,
        rules: Sequence[RuleKind | NoticeKind | ScheduleKind],
        *,
        redriven: bool = False,
    ) -> aws.sqs.Queue:
        args = self._args
        sources = {
            "redrivePermission": "byQueue",
            "sourceQueueArns": [args.names.queue_arn(args.names.queue)],
        }
        queue = aws.sqs.Queue(
            resource_name,
            name=queue_name,
            message_retention_seconds=RETENTION_SECONDS,
            kms_master_key_id=args.key_arn,
            # EventBridge is no queue: what it sends is let in by the policy.
            redrive_allow_policy=json.dumps(sources if redriven else {"redrivePermission": "denyAll"}),
            opts=self._child,
        )
        self._policy(f"{resource_name}-policy", queue, queue_name, rules, of_the_bus=redriven)
        return queue

    def _event_queue(self) -> aws.sqs.Queue:
        args = self._args
        queue = aws.sqs.Queue(
            "queue",
            name=args.names.queue,
            visibility_timeout_seconds=args.visibility_seconds,
            message_retention_seconds=RETENTION_SECONDS,
            receive_wait_time_seconds=LONG_POLL_SECONDS,
            kms_master_key_id=args.key_arn,
            redrive_policy=pulumi.Output.json_dumps(
                {
                    "deadLetterTargetArn": self.dead_letters("events").arn,
                    "maxReceiveCount": MAX_RECEIVE_COUNT,
                },
                sort_keys=True,
            ),
            opts=self._child,
        )
        self._policy("queue-policy", queue, args.names.queue, (*get_args(RuleKind), *args.schedules))
        return queue

    def _policy(
        self,
        resource_name: str,
        queue: aws.sqs.Queue,
        queue_name: str,
        rules: Sequence[RuleKind | NoticeKind | ScheduleKind],
        *,
        of_the_bus: bool = False,
    ) -> None:
        aws.sqs.QueuePolicy(
            resource_name,
            queue_url=queue.url,
            policy=queue_policy(queue_name, self._args.names, rules, of_the_bus=of_the_bus),
            opts=self._child,
        )
