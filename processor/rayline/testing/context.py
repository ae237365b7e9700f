"""A context in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from rayline.errors import ConfigurationError
from rayline.events import Ingested
from rayline.plugin import Destination, StoredInstance

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class InMemoryContext:
    """What a hook may use, without AWS: see :class:`rayline.plugin.Context`.

    Attributes:
        contents: Part 10 bytes by SOP Instance UID, which ``stored_instances`` hands out.
        now: the time; move it with :meth:`pass_time`.
    """

    site: str = "test-site"
    settings: Any = None
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)
    answers: list[Destination] = field(default_factory=list)
    now: datetime = START

    @property
    def log(self) -> Any:
        """A logger."""
        return structlog.get_logger()

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
