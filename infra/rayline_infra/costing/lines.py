"""A line of a bill, and what pricing a resource may look at."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rayline_infra.costing.prices import PriceList
from rayline_infra.costing.usage import Usage
from rayline_infra.policies.graph import Graph, Resource

Driver = Literal["fixed", "scan", "training"]
"""What makes a line grow: nothing, another scan, or another training."""


@dataclass(frozen=True)
class Line:
    """What one thing about one resource costs in a month."""

    service: str
    what: str
    resource: str
    quantity: float
    unit: str
    usd: float
    driver: Driver


@dataclass(frozen=True)
class Month:
    """The graph, its use and the prices, and how a line is made of them."""

    graph: Graph
    usage: Usage
    prices: PriceList

    def line(
        self,
        service: str,
        what: str,
        resource: Resource,
        price: str,
        quantity: float,
        driver: Driver = "fixed",
        *,
        discount: str | None = None,
    ) -> Line:
        """A line of ``quantity`` units at a price, less a discount."""
        found = self.prices[price]
        share = self.prices.discounts[discount].share if discount else 0
        usd = found.of(quantity) * (1 - share)
        return Line(service, what, resource.name, quantity, found.unit, usd, driver)

    @property
    def stack_prefix(self) -> str:
        """What the names of the stack's resources start with."""
        return f"rayline-{self.graph.stack}-"


Pricer = Callable[[Resource, Month], Iterator[Line]]
Pricers = Mapping[str, Pricer]
