"""A Mermaid flowchart, built line by line with names that Mermaid takes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

SHAPES = {
    "box": ('["', '"]'),
    "store": ('[("', '")]'),
    "round": ('(["', '"])'),
    "queue": ('[["', '"]]'),
    "work": ('{{"', '"}}'),
}


class Flowchart:
    """Nodes, edges and frames in the order in which they are added; an edge that is there is not added twice."""

    def __init__(self, direction: str = "LR") -> None:
        self._lines = [f"flowchart {direction}"]
        self._depth = 1
        self._edges: set[tuple[str, str, str]] = set()

    def node(self, name: str, label: str, shape: str = "box") -> None:
        """Add a node; ``<br>`` breaks its label."""
        before, after = SHAPES[shape]
        self._add(f"{_id(name)}{before}{label}{after}")

    def edge(self, start: str, end: str, label: str = "", *, dotted: bool = False) -> None:
        """Add an edge between two nodes by their names."""
        if (start, end, label) in self._edges:
            return
        self._edges.add((start, end, label))
        arrow = "-.->" if dotted else "-->"
        middle = f'{arrow}|"{label}"|' if label else arrow
        self._add(f"{_id(start)} {middle} {_id(end)}")

    @contextmanager
    def frame(self, name: str, label: str) -> Iterator[None]:
        """Put what is added meanwhile into a frame."""
        self._add(f'subgraph {_id(name)}["{label}"]')
        self._depth += 1
        yield
        self._depth -= 1
        self._add("end")

    def text(self) -> str:
        """The chart."""
        return "\n".join(self._lines)

    def _add(self, line: str) -> None:
        self._lines.append("    " * self._depth + line)


def _id(name: str) -> str:
    # Mermaid reads some words, like `end`, as its own.
    return "n_" + re.sub(r"\W", "_", name)
