"""Rules that tell people what no alarm tells them.

Alarms publish to the topic by themselves; a rule for their state changes would tell each of them twice. What a notice
says is made of fields that hold no name of ours or a patient's: findings and failure reasons may quote object keys.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, NoticeKind, TopicKind
from rayline_infra.components.events.patterns import notice_pattern
from rayline_infra.components.events.rules import DEFAULT_BUS
from rayline_infra.components.events.targets import Target


@dataclass(frozen=True)
class Notice:
    """One sentence, with the event's fields that it names.

    Attributes:
        text: names each field in angle brackets, as EventBridge's input transformer does.
        fields: JSON path of each.
        topic: who is told: whoever is on call, or whoever looks in the day.
    """

    text: str
    fields: Mapping[str, str]
    topic: TopicKind = "notices"


NOTICES: Mapping[NoticeKind, Notice] = {
    "pipeline-failed": Notice(
        "the training pipeline failed: <execution>", {"execution": "$.detail.pipelineExecutionArn"}
    ),
    "job-failed": Notice(
        "a SageMaker job failed: <training><processing>",
        {"training": "$.detail.TrainingJobArn", "processing": "$.detail.ProcessingJobArn"},
    ),
    "import-failed": Notice(
        "HealthImaging could not import a batch: job <job>; `rayline quarantine list` says why",
        {"job": "$.detail.jobId"},
    ),
    "deployment-failed": Notice(
        "an ECS deployment failed and was rolled back: <deployment>", {"deployment": "$.detail.deploymentId"}
    ),
    "out-of-memory": Notice(
        "a task ran out of memory: <group>, <task>", {"group": "$.detail.group", "task": "$.detail.taskArn"}
    ),
    "finding": Notice(
        "GuardDuty found <type>, severity <severity>: <finding>",
        {"type": "$.detail.type", "severity": "$.detail.severity", "finding": "$.detail.id"},
        "alarms",
    ),
    "health": Notice(
        "AWS Health tells of <service>: <type>, <event>",
        {"service": "$.detail.service", "type": "$.detail.eventTypeCode", "event": "$.detail.eventArn"},
    ),
    "alarm-silenced": Notice(
        "the alarm <alarm> was deleted or its actions were switched off",
        {"alarm": "$.detail.alarmName"},
        "alarms",
    ),
    "alarm-blind": Notice(
        "the alarm <alarm> fired and has no data any more, so that it cannot say whether it is over",
        {"alarm": "$.detail.alarmName"},
    ),
}


@dataclass(frozen=True)
class NoticesArgs:
    """What the rules filter on, and where they deliver."""

    names: EstateNames
    datastore_id: pulumi.Output[str]
    topic_arns: Mapping[TopicKind, pulumi.Output[str]]
    dead_letter_arn: pulumi.Output[str]


class Notices(pulumi.ComponentResource):
    """One rule for each notice, from the default bus to one of the topics."""

    def __init__(self, name: str, args: NoticesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:events:Notices", name, None, opts)
        kinds: tuple[NoticeKind, ...] = get_args(NoticeKind)
        for kind in kinds:
            notice = NOTICES[kind]
            rule = aws.cloudwatch.EventRule(
                f"{kind}-rule",
                name=args.names.rule(kind),
                description=f"rayline {args.names.stack}: tells people of {kind}",
                event_bus_name=DEFAULT_BUS,
                event_pattern=_pattern(kind, args),
                state="ENABLED",
                opts=pulumi.ResourceOptions(parent=self),
            )
            Target(
                kind,
                rule,
                args.topic_arns[notice.topic],
                args.dead_letter_arn,
                paths=tuple(notice.fields.items()),
                # A template in quotes is text, not JSON (user guide, "Input transformation").
                template=json.dumps(f"Rayline {args.names.stack}: {notice.text}"),
            ).declare(self)
        self.register_outputs({})


def _pattern(kind: NoticeKind, args: NoticesArgs) -> pulumi.Output[str]:
    return args.datastore_id.apply(
        lambda datastore_id: json.dumps(notice_pattern(kind, args.names, datastore_id), sort_keys=True)
    )
