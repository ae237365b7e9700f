"""Metrics, dashboards, alarms, objectives and who is told."""

from rayline_infra.components.observability.alarms import Alarms, AlarmsArgs
from rayline_infra.components.observability.notification import Topics, TopicsArgs

__all__ = ["Alarms", "AlarmsArgs", "Topics", "TopicsArgs"]
