"""Pictures of a stack, drawn from its resource graph as Mermaid text, so that none can say what is not there."""

from rayline_infra.diagrams.components import components
from rayline_infra.diagrams.events import events
from rayline_infra.diagrams.network import network
from rayline_infra.diagrams.page import KINDS, page
from rayline_infra.diagrams.zones import zones

__all__ = ["KINDS", "components", "events", "network", "page", "zones"]
