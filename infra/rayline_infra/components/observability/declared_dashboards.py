"""Declares the three dashboards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import DashboardKind, EstateNames
from rayline_infra.components.observability import imaging_dashboard, mlops_dashboard, pipeline_dashboard
from rayline_infra.components.observability.dashboards import Guide, HourlyPrices
from rayline_infra.components.observability.places import KnownPlaces, Places
from rayline_infra.components.observability.widgets import Surroundings, Widget, dashboard_body, within
from rayline_infra.settings import ObservabilitySettings


@dataclass(frozen=True)
class DashboardsArgs:
    """What there is to draw.

    Attributes:
        pages: the runbook of each alarm that the stack has.
    """

    names: EstateNames
    settings: ObservabilitySettings
    places: Places
    pages: Mapping[str, str]
    prices: HourlyPrices | None


class Dashboards(pulumi.ComponentResource):
    """Imaging, pipeline and MLOps."""

    def __init__(self, name: str, args: DashboardsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:observability:Dashboards", name, None, opts)
        known = pulumi.Output.all(**{place.name: value for place, value in args.places.items()})
        places = known.apply(lambda values: {place: str(values[place.name]) for place in args.places})
        for kind, rows in _rows(args).items():
            aws.cloudwatch.Dashboard(
                f"{kind}-dashboard",
                dashboard_name=args.names.dashboard(kind),
                dashboard_body=places.apply(_drawn(rows, args)),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})


def _rows(args: DashboardsArgs) -> Mapping[DashboardKind, Sequence[Sequence[Widget]]]:
    settings, guide = args.settings, Guide(args.names, args.settings.runbook_url, args.pages)
    return {
        "imaging": imaging_dashboard.rows(settings, guide),
        "pipeline": pipeline_dashboard.rows(settings, guide),
        "mlops": mlops_dashboard.rows(settings, guide, args.prices),
    }


def _drawn(rows: Sequence[Sequence[Widget]], args: DashboardsArgs) -> Callable[[KnownPlaces], str]:
    def draw(places: KnownPlaces) -> str:
        kept = [row for each in rows if (row := within(each, frozenset(places)))]
        return dashboard_body(kept, Surroundings(args.names, places, frozenset(args.pages)))

    return draw
