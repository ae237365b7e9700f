"""Rules that bring the five events to the queue."""

import json
from dataclasses import dataclass
from typing import get_args

import pulumi
import pulumi_aws as aws

from rayline.names import ARCHIVED, EstateNames, RuleKind
from rayline_infra.components.events.patterns import event_pattern
from rayline_infra.components.events.targets import Target

DEFAULT_BUS = "default"


@dataclass(frozen=True)
class RulesArgs:
    """What the rules filter on, and where they deliver."""

    names: EstateNames
    datastore_id: pulumi.Output[str]
    bus_name: pulumi.Output[str]
    queue_arn: pulumi.Output[str]
    dead_letter_arn: pulumi.Output[str]


class Rules(pulumi.ComponentResource):
    """One rule for each of the five events."""

    def __init__(self, name: str, args: RulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:events:Rules", name, None, opts)
        kinds: tuple[RuleKind, ...] = get_args(RuleKind)
        for kind in kinds:
            # aws.* events arrive on the default bus only: customers cannot put them on another.
            bus = args.bus_name if kind in ARCHIVED["own"] else pulumi.Output.from_input(DEFAULT_BUS)
            rule = aws.cloudwatch.EventRule(
                f"{kind}-rule",
                name=args.names.rule(kind),
                description=f"rayline {args.names.stack}: brings {kind} to the event queue",
                event_bus_name=bus,
                event_pattern=_pattern(kind, args),
                state="ENABLED",
                opts=pulumi.ResourceOptions(parent=self),
            )
            Target(kind, rule, args.queue_arn, args.dead_letter_arn).declare(self)
        self.register_outputs({})


def _pattern(kind: RuleKind, args: RulesArgs) -> pulumi.Output[str]:
    return args.datastore_id.apply(
        lambda datastore_id: json.dumps(event_pattern(kind, args.names, datastore_id), sort_keys=True)
    )
