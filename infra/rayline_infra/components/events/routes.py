"""All that brings events to the processor and notices to people, in the order in which it is built."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from rayline.names import EstateNames, TopicKind
from rayline_infra.components.events.archives import Archives, ArchivesArgs
from rayline_infra.components.events.bus import Bus, BusArgs
from rayline_infra.components.events.notices import Notices, NoticesArgs
from rayline_infra.components.events.queues import Queues, QueuesArgs
from rayline_infra.components.events.rules import Rules, RulesArgs
from rayline_infra.components.events.schedules import Schedules, SchedulesArgs, rates
from rayline_infra.settings import EventsSettings


@dataclass(frozen=True)
class RoutesArgs:
    """What the routes filter on, the key of queues, and who is told.

    Attributes:
        drift: whether there is an endpoint whose answers can drift.
    """

    names: EstateNames
    site: str
    datastore_id: pulumi.Output[str]
    identified_key_arn: pulumi.Input[str]
    topic_arns: Mapping[TopicKind, pulumi.Output[str]]
    visibility_seconds: int
    events: EventsSettings
    drift: bool


class Routes(pulumi.ComponentResource):
    """Queues, then bus, then the rules, schedules and archives between them."""

    def __init__(self, name: str, args: RoutesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:events:Routes", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names, key_arn = args.names, args.identified_key_arn
        reminded = rates(args.events, drift=args.drift)
        queues = Queues("queues", QueuesArgs(names, key_arn, args.visibility_seconds, tuple(reminded)), child)
        self.queue = queues.queue
        self.dead_letter_queue = queues.dead_letters("events")
        self.bus = Bus("bus", BusArgs(names, key_arn, self.dead_letter_queue.arn), child).bus
        Rules(
            "rules",
            RulesArgs(names, args.datastore_id, self.bus.name, self.queue.arn, self.dead_letter_queue.arn),
            child,
        )
        Notices(
            "notices",
            NoticesArgs(names, args.datastore_id, args.topic_arns, queues.dead_letters("notices").arn),
            child,
        )
        Schedules(
            "schedules",
            SchedulesArgs(
                names,
                args.site,
                reminded,
                self.queue.arn,
                queues.dead_letters("schedules").arn,
            ),
            child,
        )
        Archives(
            "archives",
            ArchivesArgs(names, args.datastore_id, self.bus.arn, key_arn, args.events.archive_days),
            child,
        )
        self.register_outputs({})
