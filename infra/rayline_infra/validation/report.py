"""What a validation came to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Problem:
    """A resource that is not as declared.

    Attributes:
        name: what the program calls it.
        physical_name: what AWS calls it.
        what: one clause, e.g. ``is DISABLED and should be ENABLED``.
    """

    type: str
    name: str
    physical_name: str
    what: str


@dataclass(frozen=True)
class ProbeReport:
    """How far the synthetic study came.

    Attributes:
        reached: the hops that it took, in order, each with the seconds since it was sent.
        stopped_at: the hop that it did not take in time, empty where it took all.
        hint: what may be wrong there.
        removed: how many things of each kind the clean-up took away.
        stays: what it left behind on purpose, and why.
    """

    reached: Mapping[str, float]
    stopped_at: str = ""
    hint: str = ""
    removed: Mapping[str, int] = field(default_factory=dict)
    stays: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the study took every hop."""
        return not self.stopped_at


@dataclass(frozen=True)
class Report:
    """All of a validation.

    Attributes:
        checked: how many resources were read.
        unread: types that no reader knows, with how many resources each has.
        left_out: types that this account cannot have, each with the reason.
    """

    stack: str
    checked: int
    problems: tuple[Problem, ...]
    unread: Mapping[str, int]
    left_out: Mapping[str, str]
    probe: ProbeReport | None = None

    @property
    def ok(self) -> bool:
        """Whether everything that was read is as declared, and the study came through if one was sent."""
        return not self.problems and (self.probe is None or self.probe.ok)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"ok": self.ok, **asdict(self)}
