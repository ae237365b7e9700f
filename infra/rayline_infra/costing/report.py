"""A bill for people (tables and bars in a terminal) and for programs (JSON)."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rayline.errors import ConfigurationError
from rayline_infra.costing.estimate import Estimate
from rayline_infra.costing.savings import Saving

BAR_WIDTH = 30
ITEMS_SHOWN = 12
DRIVERS = {"fixed": "there anyhow", "scan": "with scans", "training": "with trainings"}


def report(bill: Estimate, saved: Sequence[Saving], budget: float) -> RenderableType:
    """Everything that a person wants to know, on one screen."""
    return Group(
        _summary(bill, budget), "", _services(bill), "", _items(bill), "", _drivers(bill), "", _savings(saved)
    )


def _summary(bill: Estimate, budget: float) -> Text:
    usage, prices = bill.usage, bill.prices
    dated = len(prices.prices) + len(prices.discounts)
    return Text(
        f"stack {bill.stack}: ${bill.total:,.2f} a month of a budget of ${budget:,.0f}, after {usage.months:g} months, "
        f"with {usage.scans_per_month:g} scans and {usage.trainings_per_month:g} trainings a month\n"
        f"${bill.per_scan:,.4f} a scan, ${bill.per_training:,.4f} a training; list prices of {prices.region} collected "
        f"on {prices.collected}, without free tiers and tax; {len(prices.unconfirmed)} of {dated} not confirmed by a "
        "dated page"
    )


def _services(bill: Estimate) -> Table:
    table = Table("service", "$ a month", "share", "", title="by service", show_edge=False)
    _right(table, 1, 2)
    most = max(bill.by_service().values(), default=0.0)
    for service, usd in bill.by_service().items():
        bar = Bar(size=most or 1, begin=0, end=usd, width=BAR_WIDTH)
        table.add_row(service, f"{usd:,.2f}", f"{usd / bill.total:.1%}" if bill.total else "", bar)
    return table


def _items(bill: Estimate) -> Table:
    table = Table("service", "for", "$ a month", title="the dearest items", show_edge=False)
    _right(table, 2)
    for (service, what), usd in list(bill.by_item().items())[:ITEMS_SHOWN]:
        table.add_row(service, what, f"{usd:,.2f}")
    return table


def _drivers(bill: Estimate) -> Table:
    table = Table("what is paid", "$ a month", title="fixed and variable", show_edge=False)
    _right(table, 1)
    table.add_row(DRIVERS["fixed"], f"{bill.driven_by('fixed'):,.2f}")
    table.add_row(DRIVERS["scan"], f"{bill.driven_by('scan'):,.2f}")
    table.add_row(DRIVERS["training"], f"{bill.driven_by('training'):,.2f}")
    return table


def _savings(saved: Sequence[Saving]) -> Table:
    table = Table("saving", "$ a month", "what is given up", title="the biggest savings", show_edge=False)
    _right(table, 1)
    for each in saved:
        title = f"{each.title} (taken)" if each.taken else each.title
        table.add_row(title, f"{each.usd:,.2f}", each.given_up)
    return table


def _right(table: Table, *columns: int) -> None:
    for column in columns:
        table.columns[column].justify = "right"


def as_json(bill: Estimate, saved: Sequence[Saving], budget: float) -> dict[str, Any]:
    """The same as JSON values; dollars are not rounded."""
    return {
        "stack": bill.stack,
        "region": bill.prices.region,
        "prices_collected": bill.prices.collected.isoformat(),
        "prices_unconfirmed": bill.prices.unconfirmed,
        "usage": asdict(bill.usage),
        "budget_usd": budget,
        "total_usd": bill.total,
        "fixed_usd": bill.driven_by("fixed"),
        "scans_usd": bill.driven_by("scan"),
        "trainings_usd": bill.driven_by("training"),
        "per_scan_usd": bill.per_scan,
        "per_training_usd": bill.per_training,
        "services": bill.by_service(),
        "lines": [asdict(each) for each in bill.lines],
        "savings": [asdict(each) for each in saved],
    }


def plot(bill: Estimate, path: Path) -> None:
    """Draw the services as bars.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError(
            "matplotlib is not installed; install it with pip install -c constraints.txt matplotlib"
        ) from None
    services = dict(reversed(bill.by_service().items()))
    figure = Figure(figsize=(8, 0.4 * len(services) + 1))
    axes = figure.subplots()
    axes.barh(list(services), list(services.values()))
    axes.set_xlabel("US dollars a month")
    axes.set_title(f"{bill.stack}: ${bill.total:,.0f} a month")
    figure.tight_layout()
    figure.savefig(path)
