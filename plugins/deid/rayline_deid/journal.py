"""What earlier runs have written into an output folder, so that a run can go on where another one was stopped.

An input is known by a keyed hash of its path, size and time of change; the journal names nothing of it.
"""

import hmac
import os
from collections.abc import Iterable
from typing import Final

FOLDER: Final = ".rayline-deid"


class Journal:
    """The inputs that are done for one profile, key and layout."""

    def __init__(self, output: str, secret: bytes, *purpose: str) -> None:
        self._key = hmac.digest(secret, b"rayline-deid/journal", "sha256")
        name = hmac.digest(self._key, "\0".join(purpose).encode("utf-8"), "sha256").hex()[:32]
        self._path = os.path.join(output, FOLDER, f"{name}.done")
        self._below = os.getcwd()
        self._done: dict[str, str] = {}

    def load(self) -> None:
        """Read what is done; a line that was cut off by a crash is ignored."""
        try:
            with open(self._path, encoding="utf-8") as file:
                for line in file:
                    token, _, name = line.rstrip("\n").partition(" ")
                    if line.endswith("\n"):
                        self._done[token] = name
        except FileNotFoundError:
            return

    def token(self, path: str, status: os.stat_result) -> str:
        """What an input is known by."""
        described = f"{os.path.join(self._below, path)}\0{status.st_size}\0{status.st_mtime_ns}"
        return hmac.digest(self._key, os.fsencode(described), "sha256").hex()[:32]

    def output_of(self, token: str) -> str | None:
        """The output that was written for an input, if it was."""
        return self._done.get(token)

    def add(self, done: Iterable[tuple[str, str]]) -> None:
        """Note outputs that are there now, each with its input's token, in one write."""
        lines = "".join(f"{token} {name}\n" for token, name in done)
        if not lines:
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags, 0o600)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, lines.encode("utf-8"))
        finally:
            os.close(descriptor)
