"""What the instances that a training runs on cost, for the graph of what one costs."""

from rayline_infra.components.observability.dashboards import HourlyPrices
from rayline_infra.costing.prices import load_prices
from rayline_infra.settings import TrainingSettings

# The one price file that there is; other regions differ by a few percent, and the graph's title says which it is.
PRICED_REGION = "us-east-1"
NOT_AWS = "local"


def hourly_prices(training: TrainingSettings) -> HourlyPrices | None:
    """Prices of the pipeline's default instances; nothing where one of them is in no price file."""
    listed = load_prices(PRICED_REGION).prices
    found: list[float] = []
    for kind in (
        training.processing_instance_type,
        training.training_instance_type,
        training.evaluation_instance_type,
    ):
        if kind == NOT_AWS:
            found.append(0.0)
        elif price := listed.get(f"sagemaker.{kind}"):
            found.append(price.usd)
    return HourlyPrices(*found) if len(found) == 3 else None
