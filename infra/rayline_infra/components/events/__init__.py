"""Events: the queues, the custom bus, the rules and schedules that fill the one queue, notices, and the archives."""

from rayline_infra.components.events.queues import MAX_RECEIVE_COUNT
from rayline_infra.components.events.routes import Routes, RoutesArgs

__all__ = ["MAX_RECEIVE_COUNT", "Routes", "RoutesArgs"]
