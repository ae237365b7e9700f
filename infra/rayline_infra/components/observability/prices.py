"""List prices of the instances that a training runs on, for the graph of what one costs."""

from collections.abc import Mapping

from rayline_infra.components.observability.dashboards import HourlyPrices
from rayline_infra.settings import TrainingSettings

# US dollars for an hour in us-east-1, November 2025 (Amazon SageMaker AI pricing).
USD_AN_HOUR: Mapping[str, float] = {
    "local": 0.0,
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.g4dn.xlarge": 0.736,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
}


def hourly_prices(training: TrainingSettings) -> HourlyPrices:
    """Prices of the pipeline's default instances; one that is not listed counts nothing."""
    return HourlyPrices(
        processing=USD_AN_HOUR.get(training.processing_instance_type, 0.0),
        training=USD_AN_HOUR.get(training.training_instance_type, 0.0),
        evaluation=USD_AN_HOUR.get(training.evaluation_instance_type, 0.0),
    )
