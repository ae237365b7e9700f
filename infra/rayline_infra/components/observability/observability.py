"""All that watches the estate: alarms, then the dashboards that show them, saved queries, and who is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from rayline.names import EstateNames, TopicKind
from rayline_infra.components.observability.dashboards import HourlyPrices
from rayline_infra.components.observability.declared_dashboards import Dashboards, DashboardsArgs
from rayline_infra.components.observability.metric_alarms import Alarms, AlarmsArgs
from rayline_infra.components.observability.notification import Subscriptions, SubscriptionsArgs
from rayline_infra.components.observability.places import Places
from rayline_infra.components.observability.queries import SavedQueries, SavedQueriesArgs
from rayline_infra.settings import ObservabilitySettings


@dataclass(frozen=True)
class ObservabilityArgs:
    """What there is to watch, and who is told.

    Attributes:
        reconcile_seconds: how often the reconciler runs.
        trail_log_groups: log groups of the account's trail; none where the account has a trail of its own.
        prices: what the pipeline's instances cost, where that is known.
    """

    names: EstateNames
    settings: ObservabilitySettings
    reconcile_seconds: int
    places: Places
    topics: Mapping[TopicKind, pulumi.Output[str]]
    service_log_groups: Sequence[str]
    trail_log_groups: Sequence[str]
    prices: HourlyPrices | None


class Observability(pulumi.ComponentResource):
    """Alarms, dashboards, saved queries and subscriptions."""

    def __init__(
        self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("rayline:observability:Observability", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names, settings = args.names, args.settings
        alarms = Alarms(
            "alarms", AlarmsArgs(names, settings, args.reconcile_seconds, args.places, args.topics), child
        )
        Dashboards(
            "dashboards", DashboardsArgs(names, settings, args.places, alarms.pages, args.prices), child
        )
        SavedQueries(
            "queries", SavedQueriesArgs(names, args.service_log_groups, args.trail_log_groups), child
        )
        Subscriptions("subscriptions", SubscriptionsArgs(names, settings, args.topics), child)
        self.register_outputs({})
