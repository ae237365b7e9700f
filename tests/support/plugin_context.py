"""A context for plugin tests that keeps everything in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rayline.plugin import ConfigurationError, Destination, Ingested, StoredInstance


class RecordingLog:
    """Keeps log events, to be looked at."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.events.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        self.events.append(("warning", event, fields))


@dataclass
class PluginContext:
    """Implements :class:`rayline.plugin.Context`."""

    settings: Any = None
    site: str = "north"
    secrets: dict[str, bytes] = field(default_factory=dict)
    instances: list[StoredInstance] = field(default_factory=list)
    answers: list[Destination] = field(default_factory=list)
    log: RecordingLog = field(default_factory=RecordingLog)

    def clock(self) -> datetime:
        return datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)

    def secret(self, name: str) -> bytes:
        if name not in self.secrets:
            raise ConfigurationError(f"no secret {name}")
        return self.secrets[name]

    def stored_instances(self, event: Ingested) -> Iterator[StoredInstance]:
        return iter(self.instances)

    def destinations(self, event: Ingested) -> list[Destination]:
        return self.answers
