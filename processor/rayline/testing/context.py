"""A context in memory, whose clock a test moves and whose log a test reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from rayline.errors import ConfigurationError
from rayline.events import Ingested
from rayline.plugin import Destination, StoredInstance

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class LogRecord:
    """One call of a logger: its level, the event's name and all fields, before anything is redacted."""

    level: str
    event: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordingLog:
    """A structlog logger that keeps what it is told; loggers bound to it write to the same list."""

    records: list[LogRecord]
    bound: Mapping[str, Any] = field(default_factory=dict)

    def bind(self, **fields: Any) -> "RecordingLog":
        """A logger that adds these fields to each record."""
        return RecordingLog(self.records, {**self.bound, **fields})

    def unbind(self, *names: str) -> "RecordingLog":
        """A logger without these fields."""
        return RecordingLog(
            self.records, {name: value for name, value in self.bound.items() if name not in names}
        )

    def _record(self, level: str, event: str, values: tuple[Any, ...], fields: Mapping[str, Any]) -> None:
        # As structlog does; but an event that is no constant is shown as [redacted] in service.
        self.records.append(LogRecord(level, event % values if values else event, {**self.bound, **fields}))

    def debug(self, event: str, *values: Any, **fields: Any) -> None:
        """For the plugin's author."""
        self._record("debug", event, values, fields)

    def info(self, event: str, *values: Any, **fields: Any) -> None:
        """What happened."""
        self._record("info", event, values, fields)

    def warning(self, event: str, *values: Any, **fields: Any) -> None:
        """What somebody should look at."""
        self._record("warning", event, values, fields)

    def error(self, event: str, *values: Any, **fields: Any) -> None:
        """What failed."""
        self._record("error", event, values, fields)

    def exception(self, event: str, *values: Any, **fields: Any) -> None:
        """What failed, with a traceback."""
        self._record("error", event, values, fields)

    def critical(self, event: str, *values: Any, **fields: Any) -> None:
        """What stops the processor."""
        self._record("critical", event, values, fields)


@dataclass
class InMemoryContext:
    """What a hook may use, without AWS: see :class:`rayline.plugin.Context`.

    Attributes:
        settings: an instance of the plugin's ``settings_model``.
        contents: Part 10 bytes by SOP Instance UID, which ``stored_instances`` hands out in their order.
        answers: what ``destinations`` answers.
        now: the time; it stands still until :meth:`pass_time`.
        logged: what the hook logged, before redaction.
    """

    site: str = "test-site"
    settings: Any = None
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)
    answers: list[Destination] = field(default_factory=list)
    now: datetime = START
    logged: list[LogRecord] = field(default_factory=list)

    @property
    def log(self) -> RecordingLog:
        """A logger that writes to ``logged``."""
        return RecordingLog(self.logged)

    def clock(self) -> datetime:
        """The time of this context, which stands still."""
        return self.now

    def pass_time(self, seconds: float) -> None:
        """Move the clock on."""
        self.now += timedelta(seconds=seconds)

    def secret(self, name: str) -> bytes:
        """A secret of the site.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self.secrets:
            raise ConfigurationError(f"the site has no secret {name!r}")
        return self.secrets[name]

    def stored_instances(self, event: Ingested) -> Iterator[StoredInstance]:
        """The instances in ``contents``."""
        for uid, content in self.contents.items():
            yield StoredInstance(uid, lambda content=content: content)  # type: ignore[misc]

    def destinations(self, event: Ingested) -> list[Destination]:
        """The answers given to this context."""
        return list(self.answers)
