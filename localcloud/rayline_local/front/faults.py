"""Fault switches of the hosted services: what goes wrong on purpose, by count or by seeded chance."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

#: a chance from 0 to 1; JSON's true and false are 1 and 0
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class RequestFaults(BaseModel):
    """Fault switches of any service: what becomes of requests."""

    model_config = ConfigDict(extra="forbid")

    seed: int = 0
    """What the chances below are drawn from; setting the switches starts the draw again."""
    throttle: Count = 0
    """The next n requests answer ThrottlingException (429 in REST protocols; S3: SlowDown, 503)."""
    throttle_share: Share = 0
    """This share of requests answers so."""
    lost_answers: Share = 0
    """This share of requests is carried out and answered with a server error (500) all the same."""


class ServiceFaults(RequestFaults):
    """Fault switches of each hosted service; a service adds its own by subclassing."""

    drop_events: Share = 0
    """This share of events is not delivered (EventBridge delivers HealthImaging's and SageMaker's best effort)."""
    duplicate_events: Share = 0
    """This share of events is delivered twice."""
    late_events_seconds: Seconds = 0
    """Each delivery comes late by up to this, by chance, so that events overtake each other."""


class FaultSwitches:
    """The switches of all services; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._switches: dict[str, RequestFaults] = {}
        self._chances: dict[str, random.Random] = {}
        self._of_source: dict[str, str] = {}
        self._struck: dict[str, Counter[str]] = {}

    def register(self, name: str, source: str | None, switches: RequestFaults) -> None:
        """Declare a service's switches and the event source that they govern (`aws.medical-imaging`)."""
        self._switches[name] = switches
        self._struck[name] = Counter()
        self._chances[name] = random.Random(switches.seed)  # noqa: S311 - to be repeatable, not secret
        if source is not None:
            self._of_source[source] = name

    def of(self, name: str) -> RequestFaults:
        """A service's current switches."""
        return self._switches[name]

    def document(self) -> dict[str, Any]:
        """All switches as a JSON document."""
        return {name: switches.model_dump() for name, switches in self._switches.items()}

    def replace(self, document: Mapping[str, Any]) -> None:
        """Replace the switches of each service named; one that is not mentioned there is off.

        Raises KeyError for an unknown service and pydantic.ValidationError for an unknown or wrong switch.
        """
        given = {name: type(self._switches[name]).model_validate(values) for name, values in document.items()}
        with self._lock:
            self._switches.update(given)
            for name, switches in given.items():
                self._chances[name] = random.Random(switches.seed)  # noqa: S311

    def take(self, name: str, switch: str) -> bool:
        """Whether a fault strikes now: a count that is left, which goes down by one, or a share by chance."""
        with self._lock:
            switches = self._switches.get(name)
            value = getattr(switches, switch, 0)
            if switches is None or not value:
                return False
            if isinstance(value, float):
                if self._chances[name].random() >= value:
                    return False
            else:
                setattr(switches, switch, value - 1)
            self._struck[name][switch] += 1
            return True

    def struck(self) -> dict[str, dict[str, int]]:
        """How often each fault has struck since the front started."""
        with self._lock:
            return {name: dict(counts) for name, counts in self._struck.items()}

    def deliveries(self, source: str) -> list[float]:
        """Delay in seconds of each delivery of an event; none where it is dropped."""
        name = self._of_source.get(source)
        if name is None:
            return [0.0]
        if self.take(name, "drop_events"):
            return []
        count = 2 if self.take(name, "duplicate_events") else 1
        with self._lock:
            latest: float = getattr(self._switches[name], "late_events_seconds", 0.0)
            return [self._chances[name].uniform(0, latest) if latest else 0.0 for _ in range(count)]
