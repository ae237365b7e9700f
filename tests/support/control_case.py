"""What a test of a control is made of: a graph that keeps it, and one that breaks it."""

from dataclasses import dataclass

from rayline_infra.policies.graph import Graph


@dataclass(frozen=True)
class Case:
    """One way to keep a control and one to break it.

    Attributes:
        control: id of the control.
        why: what is wrong with the second graph.
        broken: logical name of the resource that is found.
    """

    control: str
    why: str
    good: Graph
    bad: Graph
    broken: str

    def __str__(self) -> str:
        return f"{self.control}: {self.why}"
