"""PS3.15 table E.1-1, the basic profile's action for every attribute, with the edition of its source."""

import json
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class ActionTable(NamedTuple):
    """The derived table.

    Attributes:
        edition: which edition of PS3.15 the rows come from.
        actions: raw action code (``X``, ``Z``, ``D``, ``U``, ``X/Z`` …) by tag as a number.
        groups: action by repeating group, 0x50 and 0x60 (curves and overlays).
    """

    edition: str
    actions: dict[int, str]
    groups: dict[int, str]


@cache
def load_table() -> ActionTable:
    """Read the table that ships with the plugin; ``derive_table.py`` makes it."""
    document = json.loads(files("rayline_deid").joinpath("table_e1_1.json").read_text())
    rows: dict[str, str] = document["actions"]
    return ActionTable(
        edition=document["edition"],
        actions={int(tag, 16): action for tag, action in rows.items() if "x" not in tag},
        groups={int(tag[:2], 16): action for tag, action in rows.items() if "x" in tag},
    )
