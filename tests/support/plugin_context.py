"""A context for plugin tests that also remembers what was logged."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rayline.plugin import Ingested, StoredInstance
from rayline.testing import InMemoryContext


class RecordingLog:
    """Keeps log events, to be looked at."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.events.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        self.events.append(("warning", event, fields))


@dataclass
class PluginContext(InMemoryContext):
    """An in-memory context with a log to look at, and instances in an order of the test's choice."""

    instances: list[StoredInstance] = field(default_factory=list)
    recorded: RecordingLog = field(default_factory=RecordingLog)

    @property
    def log(self) -> RecordingLog:
        return self.recorded

    def stored_instances(self, event: Ingested) -> Iterator[StoredInstance]:
        return iter(self.instances)
