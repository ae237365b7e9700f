"""Private attributes that are known to be safe (PS3.15 §E.3.10, Retain Safe Private Option)."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple


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
