"""Derive ``rayline_deid/table_e1_1.json`` from a machine-readable PS3.15 table E.1-1.

Usage: ``python derive_table.py TABLE_2024B.json ADDED_2026C.json``. The first is a list of rows with
``id`` and ``basicProfile`` (innolitics/dicom-standard), the second maps ``(gggg,eeee)`` to the basic action.
"""

import json
import sys
from pathlib import Path

EDITION = "PS3.15 2024b table E.1-1 with the 35 attributes added up to 2026c"


def derive(table: Path, added: Path) -> dict[str, object]:
    """Rows as ``{"GGGGEEEE": action}``; ``x`` stands for any digit of a repeating group."""
    actions: dict[str, str] = {}
    for row in json.loads(table.read_text()):
        if "gggg" not in row["id"]:  # private attributes are a rule of the engine, not a row
            actions[row["id"].upper().replace("X", "x")] = row["basicProfile"]
    for tag, action in json.loads(added.read_text()).items():
        actions[tag.strip("()").replace(",", "").upper()] = action.replace("_", "/")
    return {"edition": EDITION, "actions": dict(sorted(actions.items()))}


if __name__ == "__main__":
    derived = derive(Path(sys.argv[1]), Path(sys.argv[2]))
    target = Path(__file__).parent / "rayline_deid" / "table_e1_1.json"
    target.write_text(json.dumps(derived, indent=0) + "\n")
