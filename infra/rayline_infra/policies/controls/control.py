"""What a control is: a question to the resource graph, and the rule that it serves."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from rayline_infra.policies.controls.hipaa import RULES
from rayline_infra.policies.graph import Graph, Resource

Severity = Literal["critical", "high", "medium", "low"]


@dataclass(frozen=True)
class Observation:
    """What a control saw at one resource: whether it is well, and the setting that proves it.

    ``resource`` is None for a resource that should be there and is not; ``missing`` says which.
    """

    resource: Resource | None
    passed: bool
    setting: str
    missing: str = ""


@dataclass(frozen=True)
class Finding:
    """An observation with its control, as it is printed and kept as evidence.

    Attributes:
        resource: logical name; of a resource that is missing, what it would be.
        exemption: why a failure is accepted in this stack; empty when it is not.
    """

    control: str
    resource: str
    type: str
    urn: str
    passed: bool
    setting: str
    exemption: str = ""

    @property
    def accepted(self) -> bool:
        """Whether nobody needs to do anything about it."""
        return self.passed or bool(self.exemption)


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        rules: citations within 45 CFR, e.g. ``164.312(b)``; the first is the one that it chiefly serves.
        looks_at: the resources and settings that are looked at, in a reader's words.
        observe: what it sees in a graph; a control that sees nothing has nothing to look at.
    """

    id: str
    title: str
    rules: tuple[str, ...]
    severity: Severity
    looks_at: str
    observe: Callable[[Graph], Iterable[Observation]] = field(repr=False)

    def __post_init__(self) -> None:
        unknown = [rule for rule in self.rules if rule not in RULES]
        if unknown or not self.rules:
            raise ValueError(f"{self.id} cites {unknown or 'no rule'}; add it to RULES with its name")

    def findings(self, graph: Graph) -> Iterator[Finding]:
        """What the control finds in a graph."""
        for seen in self.observe(graph):
            resource = seen.resource
            yield Finding(
                control=self.id,
                resource=resource.name if resource else seen.missing,
                type=resource.type if resource else "",
                urn=resource.urn if resource else "",
                passed=seen.passed,
                setting=seen.setting,
            )


def well(resource: Resource, setting: str) -> Observation:
    """The resource is as the control wants it."""
    return Observation(resource, True, setting)


def breach(resource: Resource, setting: str) -> Observation:
    """The resource breaks the control."""
    return Observation(resource, False, setting)


def absent(what: str, setting: str) -> Observation:
    """Something that the control wants to see is not declared."""
    return Observation(None, False, setting, missing=what)


def judged(resource: Resource, passed: bool, setting: str) -> Observation:
    """The resource passes or fails, with the setting that decides."""
    return Observation(resource, passed, setting)
