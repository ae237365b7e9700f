"""The price file: each price with its unit, source and date."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from rayline.errors import ConfigurationError

FOLDER = Path(__file__).parent


class _Dated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    read: date | None = None
    quoted: str = ""
    confirmed: bool = True

    @model_validator(mode="after")
    def _dated_or_unconfirmed(self) -> "_Dated":
        if self.confirmed == (self.read is None):
            raise ValueError("give the date on which it was read, or say that it is not confirmed")
        return self


class Price(_Dated):
    """US dollars for ``per`` units."""

    usd: float
    unit: str
    per: float = 1

    def of(self, quantity: float) -> float:
        """US dollars of a quantity."""
        return quantity / self.per * self.usd


class Discount(_Dated):
    """A share that is taken off the on-demand price."""

    share: float
    meaning: str


@dataclass(frozen=True)
class PriceList:
    """The prices of one region.

    Attributes:
        collected: when the file was put together; each price has a date of its own.
    """

    region: str
    collected: date
    prices: Mapping[str, Price]
    discounts: Mapping[str, Discount]

    def __getitem__(self, name: str) -> Price:
        """A price by name.

        Raises:
            ConfigurationError: there is none; the message says where to add it.
        """
        if name not in self.prices:
            raise ConfigurationError(
                f"no price {name} for {self.region}; add it to prices-{self.region}.yaml with its source and date"
            )
        return self.prices[name]

    @property
    def unconfirmed(self) -> list[str]:
        """Names of prices and discounts for which no dated page was found."""
        dated: Mapping[str, _Dated] = {**self.prices, **self.discounts}
        return [name for name, each in dated.items() if not each.confirmed]

    def reduced(self, prefix: str, discount: str) -> "PriceList":
        """The list with a discount on every price whose name starts with a prefix."""
        factor = 1 - self.discounts[discount].share
        prices = {
            name: price.model_copy(update={"usd": price.usd * factor}) if name.startswith(prefix) else price
            for name, price in self.prices.items()
        }
        return replace(self, prices=prices)


@cache
def load_prices(region: str) -> PriceList:
    """The prices of a region.

    Raises:
        ConfigurationError: there is no price file for it.
    """
    path = FOLDER / f"prices-{region}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem.removeprefix("prices-") for each in FOLDER.glob("prices-*.yaml")))
        raise ConfigurationError(f"no prices for {region}; there are some for {known}")
    document = yaml.safe_load(path.read_text())
    return PriceList(
        region=document["region"],
        collected=document["collected"],
        prices={name: Price.model_validate(each) for name, each in document["prices"].items()},
        discounts={name: Discount.model_validate(each) for name, each in document["discounts"].items()},
    )
