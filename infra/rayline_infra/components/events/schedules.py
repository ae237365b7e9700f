"""Schedules that remind the processor of what is due.

They are EventBridge rules and not EventBridge Scheduler's: a reminder needs no time zone and no role to be passed, and
its target has a dead-letter queue and a queue policy as every rule's has.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, ScheduleKind
from rayline.reminders import DriftDue, ReconcileDue, RetriesDue, reminder_body
from rayline_infra.components.events.rules import DEFAULT_BUS
from rayline_infra.components.events.targets import Target
from rayline_infra.settings import EventsSettings

REMINDERS: Mapping[ScheduleKind, type[RetriesDue | ReconcileDue | DriftDue]] = {
    "retries-due": RetriesDue,
    "reconcile-due": ReconcileDue,
    "drift-due": DriftDue,
}


@dataclass(frozen=True)
class SchedulesArgs:
    """How often each reminder is sent, for whom, and where it goes."""

    names: EstateNames
    site: str
    rates: Mapping[ScheduleKind, str]
    queue_arn: pulumi.Output[str]
    dead_letter_arn: pulumi.Output[str]


class Schedules(pulumi.ComponentResource):
    """One scheduled rule for each reminder, each with a constant message."""

    def __init__(self, name: str, args: SchedulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:events:Schedules", name, None, opts)
        for kind, rate in args.rates.items():
            rule = aws.cloudwatch.EventRule(
                f"{kind}-rule",
                name=args.names.rule(kind),
                description=f"rayline {args.names.stack}: reminds the processor, {kind}",
                # Schedules work on the default bus only (EventBridge user guide, "Scheduled rules").
                event_bus_name=DEFAULT_BUS,
                schedule_expression=rate,
                state="ENABLED",
                opts=pulumi.ResourceOptions(parent=self),
            )
            body = reminder_body(REMINDERS[kind](site=args.site))
            Target(kind, rule, args.queue_arn, args.dead_letter_arn, body=body).declare(self)
        self.register_outputs({})


def rates(events: EventsSettings, *, drift: bool) -> dict[ScheduleKind, str]:
    """How often each reminder is sent.

    Args:
        drift: whether there is an endpoint whose answers can drift.
    """
    always: dict[ScheduleKind, str] = {
        "retries-due": events.retries_rate,
        "reconcile-due": events.reconcile_rate,
    }
    return {**always, "drift-due": events.drift_rate} if drift else always
