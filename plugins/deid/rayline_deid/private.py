"""Private attributes that are known to be safe (PS3.15 §E.3.10, Retain Safe Private Option)."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from rayline.plugin import Attributes

_CHARACTERISTICS: Final = 0x00080300
_GROUP: Final = 0x00080301
_CREATOR: Final = 0x00080302
_STATUS: Final = 0x00080303
_NONIDENTIFYING: Final = 0x00080304
_MOST_BLOCKS: Final = 1000


class SafePrivate(NamedTuple):
    """Table E.3.10-1.

    Attributes:
        edition: which edition of PS3.15 the rows come from.
        elements: VR by private creator and (group, last two digits of the element).
    """

    edition: str
    elements: Mapping[bytes, Mapping[tuple[int, int], str]]


@cache
def load_safe_private() -> SafePrivate:
    """Read the table that ships with the plugin."""
    document = json.loads(files("rayline_deid").joinpath("safe_private.json").read_text(encoding="ascii"))
    return SafePrivate(
        document["edition"],
        {
            creator.encode("ascii"): {
                (int(group, 16), int(row[:2], 16)): row[2:]
                for group, rows in groups.items()
                for row in rows.split()
            }
            for creator, groups in document["creators"].items()
        },
    )


class StatedSafe:
    """Private attributes that a data set itself calls safe (PS3.3 §C.12.1.1.7): whole blocks, or elements of them."""

    def __init__(self, header: Attributes) -> None:
        self._elements: dict[tuple[int, bytes], frozenset[int] | None] = {}
        for number, item in enumerate(header.items(_CHARACTERISTICS)):
            if number == _MOST_BLOCKS:
                break
            group, status = item.integer(_GROUP), item.text(_STATUS).upper()
            if group is None or not group & 1:
                continue
            block = (group, item.text(_CREATOR).encode("utf-8"))
            if status == "SAFE":
                self._elements[block] = None
            elif status == "MIXED":
                listed = frozenset(int(each) & 0xFF for each in item.numbers(_NONIDENTIFYING) or [])
                self._elements[block] = listed

    def __contains__(self, block: tuple[int, bytes]) -> bool:
        """Whether anything under a group and creator is called safe."""
        return block in self._elements

    def has(self, group: int, creator: bytes, element: int) -> bool:
        """Whether an element, given by the last two digits of its number, is called safe."""
        listed = self._elements.get((group, creator), frozenset())
        return listed is None or element in listed
