"""A month's bill of a graph: a line for everything that costs, and a reason for everything that does not."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rayline.errors import ConfigurationError
from rayline_infra.costing.lines import Driver, Line, Month
from rayline_infra.costing.prices import PriceList
from rayline_infra.costing.types import FREE, NOT_PRICED, PRICED
from rayline_infra.costing.usage import Usage
from rayline_infra.policies.graph import Graph

K = TypeVar("K")


@dataclass(frozen=True)
class Estimate:
    """What a stack costs in a month of a certain use."""

    stack: str
    usage: Usage
    prices: PriceList
    lines: Sequence[Line]

    @property
    def total(self) -> float:
        """US dollars in all."""
        return _sum(self.lines)

    def driven_by(self, driver: Driver) -> float:
        """US dollars of what is there anyhow (fixed), comes with scans, or with trainings."""
        return _sum(each for each in self.lines if each.driver == driver)

    @property
    def per_scan(self) -> float:
        """US dollars that one scan adds; 0 where none is assumed."""
        scans = self.usage.scans_per_month
        return self.driven_by("scan") / scans if scans else 0.0

    @property
    def per_training(self) -> float:
        """US dollars that one training adds; 0 where none is assumed."""
        trainings = self.usage.trainings_per_month
        return self.driven_by("training") / trainings if trainings else 0.0

    def by_service(self) -> dict[str, float]:
        """US dollars by service, the dearest first."""
        return _grouped(self.lines, lambda line: line.service)

    def by_item(self) -> dict[tuple[str, str], float]:
        """US dollars by service and what is paid for, the dearest first."""
        return _grouped(self.lines, lambda line: (line.service, line.what))


def estimate(graph: Graph, usage: Usage, prices: PriceList) -> Estimate:
    """Price every resource of a graph.

    Raises:
        ConfigurationError: a type is neither priced, free nor left out with a reason, or a price is missing.
    """
    require_known(each.type for each in graph.resources if each.custom)
    month = Month(graph, usage, prices)
    lines = [
        line
        for resource in graph.resources
        if resource.type in PRICED
        for line in PRICED[resource.type](resource, month)
    ]
    return Estimate(graph.stack, usage, prices, lines)


def require_known(types: Iterable[str]) -> None:
    """Refuse types of which nobody said what they cost.

    Raises:
        ConfigurationError: names each one and where to add it.
    """
    unknown = sorted(set(types) - set(PRICED) - set(FREE) - set(NOT_PRICED))
    if unknown:
        raise ConfigurationError(
            f"nobody said what {', '.join(unknown)} costs; price it in rayline_infra/costing, or list it in "
            "FREE or NOT_PRICED of rayline_infra/costing/types.py with the reason"
        )


def _sum(lines: Iterable[Line]) -> float:
    return sum((each.usd for each in lines), 0.0)


def _grouped(lines: Sequence[Line], key: Callable[[Line], K]) -> dict[K, float]:
    found: dict[K, float] = {}
    for line in lines:
        found[key(line)] = found.get(key(line), 0.0) + line.usd
    return dict(sorted(found.items(), key=lambda item: -item[1]))
