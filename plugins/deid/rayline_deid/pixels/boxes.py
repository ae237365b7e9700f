"""Rectangles of an image that are to be blanked, and the arithmetic on them."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple


class Box(NamedTuple):
    """``width`` × ``height`` pixels from column ``left`` and row ``top``, both counted from 0."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column after it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row after it."""
        return self.top + self.height

    def within(self, rows: int, columns: int) -> "Box":
        """The part inside an image; its width or height is 0 where there is none."""
        left, top = min(max(self.left, 0), columns), min(max(self.top, 0), rows)
        right, bottom = min(max(self.right, left), columns), min(max(self.bottom, top), rows)
        return Box(left, top, right - left, bottom - top)

    def contains(self, other: "Box") -> bool:
        """Whether every pixel of the other one is its own."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )

    def touches(self, other: "Box") -> bool:
        """Whether they share a pixel."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def simplified(boxes: Iterable[Box], rows: int, columns: int) -> tuple[Box, ...]:
    """The boxes cut to an image, sorted from the top, without empty ones and those that lie in another."""
    inside = sorted(
        {box.within(rows, columns) for box in boxes},
        key=lambda box: (-box.width * box.height, box.top, box.left),
    )
    kept: list[Box] = []
    for box in inside:
        if box.width and box.height and not any(other.contains(box) for other in kept):
            kept.append(box)
    return tuple(sorted(kept, key=lambda box: (box.top, box.left, box.width, box.height)))


def outside(regions: Sequence[Box], rows: int, columns: int) -> list[Box]:
    """Boxes that cover exactly those pixels of an image that lie in no region."""
    clipped = [region.within(rows, columns) for region in regions]
    edges = sorted({0, rows} | {edge for region in clipped for edge in (region.top, region.bottom)})
    boxes: list[Box] = []
    for top, bottom in pairwise(edges):
        column = 0
        spans = sorted(
            (region.left, region.right) for region in clipped if region.top <= top and region.bottom >= bottom
        )
        for left, right in [*spans, (columns, columns)]:
            if left > column:
                boxes.append(Box(column, top, left - column, bottom - top))
            column = max(column, right)
    return boxes
