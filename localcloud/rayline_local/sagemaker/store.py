"""What the local SageMaker remembers: documents by kind and name in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

Kind = Literal[
    "pipeline", "execution", "step", "token", "group", "package", "training-job", "processing-job", "tags"
]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  parent TEXT NOT NULL DEFAULT '',
  body TEXT NOT NULL,
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  UNIQUE (kind, name)
);
CREATE INDEX IF NOT EXISTS by_parent ON documents (kind, parent, position);
"""


class DocumentStore:
    """Documents in the order in which they were made; every call is one transaction, from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False)
        # A write survives a killed process; only a power cut could take the last ones.
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; no call may follow."""
        with self._lock:
            self._connection.close()

    def put(self, kind: Kind, name: str, body: Mapping[str, Any], parent: str = "") -> None:
        """Make or replace a document; a replaced one keeps its place."""
        with self._lock, self._connection:
            self._connection.execute(
                "INSERT INTO documents (kind, name, parent, body) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body, parent = excluded.parent",
                (kind, name, parent, json.dumps(body)),
            )

    def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        """A document, or None."""
        with self._lock:
            row = self._connection.execute(
                "SELECT body FROM documents WHERE kind = ? AND name = ?", (kind, name)
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def update(
        self, kind: Kind, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any]:
        """Change a document under the lock and return it.

        Raises:
            KeyError: there is none.
        """
        with self._lock:
            body = self.get(kind, name)
            if body is None:
                raise KeyError(name)
            changed = change(body)
            with self._connection:
                self._connection.execute(
                    "UPDATE documents SET body = ? WHERE kind = ? AND name = ?",
                    (json.dumps(changed), kind, name),
                )
            return changed

    def delete(self, kind: Kind, name: str) -> None:
        """Forget a document; one that is not there is no error."""
        with self._lock, self._connection:
            self._connection.execute("DELETE FROM documents WHERE kind = ? AND name = ?", (kind, name))

    def list(self, kind: Kind, parent: str | None = None) -> list[dict[str, Any]]:
        """Documents of a kind, oldest first; of one parent where given."""
        query = "SELECT body FROM documents WHERE kind = ?"
        values: tuple[str, ...] = (kind,)
        if parent is not None:
            query, values = f"{query} AND parent = ?", (kind, parent)
        with self._lock:
            rows = self._connection.execute(f"{query} ORDER BY position", values).fetchall()
        return [json.loads(row[0]) for row in rows]
