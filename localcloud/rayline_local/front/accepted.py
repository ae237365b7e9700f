"""The receiver's own record of the starts that it accepted, kept in a file that outlives the process.

It is what a sender's ledger can be held against: it is written by the stand-ins alone, one JSON line each, with
client tokens and identifiers of ours, and no input value.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any


class AcceptedStarts:
    """An append-only log; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; it is in the file when this returns."""
        line = json.dumps(record) + "\n"
        with self._lock, self._path.open("a") as file:
            file.write(line)

    def records(self) -> list[dict[str, Any]]:
        """Every record, oldest first; a line that a kill cut off is left out."""
        if not self._path.exists():
            return []
        lines = self._path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]
