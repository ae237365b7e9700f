"""State of the stand-in: SQLite for what is asked by key or filter, files for metadata documents and frames.

Every change that a client can see is one SQLite transaction; files are written before it and are never
changed
afterwards, so a killed process leaves at most unreferenced files.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS datastore (
    id TEXT PRIMARY KEY, name TEXT, status TEXT, kms_key_arn TEXT, lambda_authorizer_arn TEXT, storage_format
    TEXT,
    client_token TEXT UNIQUE, request TEXT, created_at REAL, updated_at REAL);
CREATE TABLE IF NOT EXISTS import_job (
    id TEXT PRIMARY KEY, datastore_id TEXT, name TEXT, status TEXT, role_arn TEXT, input_uri TEXT, output_uri
    TEXT,
    client_token TEXT, request TEXT, submitted_at REAL, ended_at REAL, message TEXT, result TEXT,
    UNIQUE (datastore_id, client_token));
CREATE TABLE IF NOT EXISTS image_set (
    id TEXT PRIMARY KEY, datastore_id TEXT, is_primary INTEGER, version INTEGER, state TEXT, workflow TEXT,
    created_at REAL, updated_at REAL, deleted_at REAL, message TEXT, pending TEXT,
    study_uid TEXT, series_uid TEXT, elements TEXT, instances INTEGER,
    patient_id TEXT, accession_number TEXT, study_id TEXT, study_moment TEXT, tags TEXT);
CREATE INDEX IF NOT EXISTS image_set_series ON image_set (datastore_id, series_uid);
CREATE INDEX IF NOT EXISTS image_set_study ON image_set (datastore_id, study_uid);
CREATE TABLE IF NOT EXISTS image_set_version (
    image_set_id TEXT, version INTEGER, state TEXT, workflow TEXT, created_at REAL, updated_at REAL,
    deleted_at REAL,
    message TEXT, forced INTEGER, document TEXT, PRIMARY KEY (image_set_id, version));
CREATE TABLE IF NOT EXISTS frame (
    id TEXT PRIMARY KEY, datastore_id TEXT, image_set_id TEXT, path TEXT, content_type TEXT);
CREATE INDEX IF NOT EXISTS frame_image_set ON frame (image_set_id);
CREATE TABLE IF NOT EXISTS tag (arn TEXT, key TEXT, value TEXT, PRIMARY KEY (arn, key));
"""


def new_id() -> str:
    """An identifier of the service: 32 lower-case hexadecimal digits."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class NewFrame:
    """A frame file that a transaction is about to reference."""

    id: str
    path: str
    content_type: str


class Store:
    """The stand-in's state under one folder; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._transaction_thread: int | None = None
        self._writer = self._connect()
        self._writer.execute("PRAGMA journal_mode=WAL")
        self._writer.executescript(SCHEMA)
        # A second connection, so that reads on the event loop never wait for an import's transaction.
        self._reader = self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._folder / "healthimaging.sqlite", check_same_thread=False, isolation_level=None
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def close(self) -> None:
        """Close the database."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One atomic change; other writers wait, readers see the state before it; nested calls join the
        outer.
        """
        if self._transaction_thread == threading.get_ident():
            yield
            return
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            self._transaction_thread = threading.get_ident()
            try:
                yield
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            else:
                self._writer.execute("COMMIT")
            finally:
                self._transaction_thread = None

    def rows(self, query: str, *parameters: Any) -> list[Row]:
        """All rows of a query; inside a transaction, with its own changes."""
        if self._transaction_thread == threading.get_ident():
            return [dict(row) for row in self._writer.execute(query, parameters)]
        with self._read_lock:
            return [dict(row) for row in self._reader.execute(query, parameters)]

    def row(self, query: str, *parameters: Any) -> Row | None:
        """The first row of a query, or None."""
        rows = self.rows(query, *parameters)
        return rows[0] if rows else None

    def insert(self, table: str, values: Mapping[str, Any]) -> None:
        """Insert or replace one row of a table of ours."""
        columns = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        with self._write_lock:
            self._writer.execute(
                f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - names are ours
                tuple(values.values()),
            )

    def update(self, table: str, row_id: str, values: Mapping[str, Any]) -> None:
        """Change columns of the row with an id."""
        assignments = ", ".join(f"{column} = ?" for column in values)
        with self._write_lock:
            self._writer.execute(
                f"UPDATE {table} SET {assignments} WHERE id = ?",  # noqa: S608 - names are ours
                (*values.values(), row_id),
            )

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run one statement."""
        with self._write_lock:
            self._writer.execute(statement, parameters)

    # Files

    def write_document(self, datastore_id: str, document: Mapping[str, Any]) -> str:
        """Write one metadata document as gzip; returns its path below the folder."""
        relative = f"{datastore_id}/metadata/{new_id()}.json.gz"
        path = self._folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(json.dumps(document).encode(), compresslevel=6, mtime=0))
        return relative

    def read_document(self, relative: str) -> dict[str, Any]:
        """Read a metadata document."""
        document: dict[str, Any] = json.loads(gzip.decompress(self.path(relative).read_bytes()))
        return document

    def write_frame(self, datastore_id: str, content: bytes, content_type: str) -> NewFrame:
        """Write one frame's bytes under a new frame id."""
        frame_id = new_id()
        relative = f"{datastore_id}/frames/{frame_id[:2]}/{frame_id}"
        path = self._folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return NewFrame(frame_id, relative, content_type)

    def path(self, relative: str) -> Path:
        """Where a stored file lies."""
        return self._folder / relative

    def add_frames(self, datastore_id: str, image_set_id: str, frames: Iterable[NewFrame]) -> None:
        """Reference frame files from an image set."""
        for frame in frames:
            self.insert(
                "frame",
                {
                    "id": frame.id,
                    "datastore_id": datastore_id,
                    "image_set_id": image_set_id,
                    "path": frame.path,
                    "content_type": frame.content_type,
                },
            )
