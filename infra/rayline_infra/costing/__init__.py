"""What a stack costs in a month, from its resource graph, a dated price file and stated assumptions of its use."""

from rayline_infra.costing.estimate import Estimate, estimate
from rayline_infra.costing.prices import PriceList, load_prices
from rayline_infra.costing.usage import Usage

__all__ = ["Estimate", "PriceList", "Usage", "estimate", "load_prices"]
