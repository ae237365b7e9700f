"""PS3.15 table E.1-1: what the basic profile and its options do with every attribute, with its edition."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from rayline.plugin import dictionary
from rayline_deid.options import Option


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        tag: ``GGGGEEEE``, with ``x`` for any digit of a repeating group.
        name: the attribute's name in the table.
        basic: raw action code of the basic profile, e.g. ``X/Z/D``.
        options: ``K`` (keep) or ``C`` (clean) by option.
    """

    tag: str
    name: str
    basic: str
    options: Mapping[Option, str]

    @property
    def codes(self) -> str:
        """All codes of the row on one line."""
        return ", ".join(
            [f"basic profile {self.basic}", *(f"{each} {code}" for each, code in self.options.items())]
        )


class ActionTable(NamedTuple):
    """The derived table.

    Attributes:
        edition: which edition of PS3.15 the rows come from.
        rows: by tag as a number.
        repeating: rows of repeating groups by their pattern, ``50xxxxxx``, ``60xx3000`` and ``60xx4000``.
        private: the row of all private attributes.
    """

    edition: str
    rows: dict[int, Row]
    repeating: dict[str, Row]
    private: Row

    def vr(self, tag: int) -> str:
        """The VR of a tag; of those too new for the dictionary, what the row's name gives away, else UN."""
        row = self.rows.get(tag)
        if row is None or dictionary.known(tag):
            return dictionary.vr_of(tag)
        return {"Sequence": "SQ", "DateTime": "DT"}.get(row.name.rpartition(" ")[2], "UN")

    def row(self, tag: int) -> Row | None:
        """The row that names a tag of an even group, also through a repeating group."""
        found = self.rows.get(tag)
        if found is None and tag >> 24 in (0x50, 0x60):
            found = self.repeating.get(f"{tag >> 24:02X}xx{tag & 0xFFFF:04X}") or self.repeating.get(
                f"{tag >> 24:02X}xxxxxx"
            )
        return found


@cache
def load_table() -> ActionTable:
    """Read the table that ships with the plugin; ``derive_table.py`` makes it."""
    document = json.loads(files("rayline_deid").joinpath("table_e1_1.json").read_text(encoding="utf-8"))
    names, options = document["names"], document["options"]
    rows = {
        tag: Row(tag, names[tag], basic, {Option(name): code for name, code in options.get(tag, {}).items()})
        for tag, basic in document["actions"].items()
    }
    private = document["private"]
    return ActionTable(
        edition=document["edition"],
        rows={int(tag, 16): row for tag, row in rows.items() if "x" not in tag},
        repeating={tag: row for tag, row in rows.items() if "x" in tag},
        private=Row(
            "private",
            "Private Attributes",
            private["action"],
            {Option(name): code for name, code in private["options"].items()},
        ),
    )
