"""Metrics, dashboards, alarms, objectives and who is told."""

from rayline_infra.components.observability.dashboards import HourlyPrices
from rayline_infra.components.observability.notification import Topics, TopicsArgs
from rayline_infra.components.observability.observability import Observability, ObservabilityArgs
from rayline_infra.components.observability.places import Place, Places, named_places
from rayline_infra.components.observability.prices import hourly_prices
from rayline_infra.components.observability.service_logs import ServiceLogs, ServiceLogsArgs

__all__ = [
    "HourlyPrices",
    "Observability",
    "ObservabilityArgs",
    "Place",
    "Places",
    "ServiceLogs",
    "ServiceLogsArgs",
    "Topics",
    "TopicsArgs",
    "hourly_prices",
    "named_places",
]
