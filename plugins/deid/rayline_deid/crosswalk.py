"""An encrypted list of who is behind which pseudonym, for those who hold its key.

The file is text: a line that names the format and the key, then one encrypted record a line. Records are only ever
appended, under a lock, so that several processes and runs can share one crosswalk. Nothing in it or of its size
depends on the secret of the pseudonyms, and its key opens nothing else.
"""

import base64
import fcntl
import hmac
import json
import os
import pwd
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

from rayline.plugin import ConfigurationError
from rayline_deid.naming import Identity

MINIMUM_KEY_BYTES: Final = 16
_FORMAT: Final = "rayline-crosswalk"
_VERSION: Final = 1
_NONCE_BYTES: Final = 12  # NIST SP 800-38D §8.2.2: drawn at random for each record
_LONGEST_HEADER: Final = 1024

Level = Literal["patient", "study", "series", "instance"]


class Entry(NamedTuple):
    """One pseudonym and what it stands for; text that is not UTF-8 keeps its bytes as surrogates."""

    level: Level
    original: str
    pseudonym: str


class CrosswalkKey:
    """The key of a crosswalk, which is not that of the pseudonyms.

    Raises:
        ConfigurationError: it is too short to be a key.
    """

    def __init__(self, key: bytes) -> None:
        # Imported late: most runs keep no crosswalk.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(key) < MINIMUM_KEY_BYTES:
            raise ConfigurationError(
                f"the crosswalk's key is shorter than {MINIMUM_KEY_BYTES} bytes; "
                "make one with `openssl rand -hex 32`"
            )
        self.key_id: Final = hmac.digest(key, b"rayline-crosswalk/1/key-id", "sha256").hex()[:16]
        self._cipher = AESGCM(hmac.digest(key, b"rayline-crosswalk/1/encrypt", "sha256"))

    def header(self) -> bytes:
        """The first line of a crosswalk with this key."""
        header = {"format": _FORMAT, "version": _VERSION, "key_id": self.key_id}
        return json.dumps(header).encode("ascii") + b"\n"

    def encrypt(self, entries: Sequence[Entry]) -> bytes:
        """One record, as a line."""
        nonce = os.urandom(_NONCE_BYTES)
        plain = json.dumps(entries).encode("ascii")
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, plain, self.header())) + b"\n"

    def decrypt(self, line: bytes) -> list[Entry] | None:
        """The entries of a record, None where it was cut off or altered."""
        from cryptography.exceptions import InvalidTag

        try:
            record = base64.b64decode(line, validate=True)
            plain = self._cipher.decrypt(record[:_NONCE_BYTES], record[_NONCE_BYTES:], self.header())
        except (ValueError, InvalidTag):
            return None
        return [Entry(*each) for each in json.loads(plain)]


class CrosswalkWriter:
    """Appends to a crosswalk, which it begins where there is none.

    Raises:
        ConfigurationError: the file is no crosswalk, or one with another key.
    """

    def __init__(self, path: Path, key: CrosswalkKey) -> None:
        self._path, self._key = path, key
        self._known: set[Entry] = set()
        self._append(b"")

    def add(self, identities: Iterable[Identity]) -> None:
        """Append what these instances are and were, as far as this process has not done so before.

        Raises:
            OSError: the file cannot be written.
        """
        entries: list[Entry] = []
        for identity in identities:
            for entry in entries_of(identity):
                if entry not in self._known:
                    # An instance is met once, so only what is met again is worth remembering.
                    if entry.level != "instance":
                        self._known.add(entry)
                    entries.append(entry)
        if entries:
            self._append(self._key.encrypt(entries))

    def _append(self, record: bytes) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            header = self._key.header()
            if not size:
                record = header + record
            else:
                check_header(os.pread(descriptor, _LONGEST_HEADER, 0), self._key)
                if os.pread(descriptor, 1, size - 1) != b"\n":
                    record = b"\n" + record  # a crash cut the last record off
            while record:
                record = record[os.write(descriptor, record) :]
        finally:
            os.close(descriptor)


def check_header(head: bytes, key: CrosswalkKey) -> None:
    """Make sure that a file which begins like this is a crosswalk with this key.

    Raises:
        ConfigurationError: it is not.
    """
    try:
        header = json.loads(head.partition(b"\n")[0])
        if not (isinstance(header, dict) and header["format"] == _FORMAT and header["version"] == _VERSION):
            raise ValueError
    except (ValueError, KeyError):
        raise ConfigurationError("the file is no crosswalk, or one of another version") from None
    if header["key_id"] != key.key_id:
        raise ConfigurationError("the crosswalk has another key; name the key file that it was begun with")


def entries_of(identity: Identity) -> Iterator[Entry]:
    """The entries of an instance; what is empty, or was not replaced, needs none."""
    levels: tuple[Level, ...] = ("patient", "study", "series", "instance")
    for level, replaced in zip(levels, identity, strict=True):
        if replaced.original and replaced.replacement and replaced.original != replaced.replacement:
            yield Entry(
                level,
                replaced.original.decode("utf-8", "surrogateescape"),
                replaced.replacement.decode("utf-8", "surrogateescape"),
            )


class Crosswalk(NamedTuple):
    """What a crosswalk holds.

    Attributes:
        entries: each once, in the order in which they were added.
        unreadable: how many records are cut off or altered.
    """

    entries: list[Entry]
    unreadable: int


def read_crosswalk(path: Path, key: CrosswalkKey) -> Crosswalk:
    """Decrypt a crosswalk.

    Raises:
        ConfigurationError: there is none, or it has another key.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise ConfigurationError(f"the crosswalk {path} cannot be read: {reason}") from None
    check_header(lines[0] if lines else b"", key)
    entries: dict[Entry, None] = {}
    unreadable = 0
    for line in lines[1:]:
        found = key.decrypt(line.rstrip(b"\n"))
        if found is None:
            unreadable += 1
        else:
            entries |= dict.fromkeys(found)
    return Crosswalk(list(entries), unreadable)


def record_look_up(
    path: Path, at: datetime, action: str, pseudonyms: Sequence[str], count: int, reason: str
) -> Path:
    """Append to the audit log beside a crosswalk who looked what up, before the answer is shown.

    Args:
        pseudonyms: those that the crosswalk has; what else was asked for may be anything, even a name.
        count: how many entries the answer has.

    Returns:
        The log, a JSON object a line.

    Raises:
        ConfigurationError: it cannot be written, so nothing may be shown.
    """
    log = path.with_name(path.name + ".audit.jsonl")
    line = {
        "at": at.isoformat(timespec="seconds"),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "action": action,
        "entries": count,
        "pseudonyms": list(pseudonyms),
        "reason": reason,
    }
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, json.dumps(line).encode("ascii") + b"\n")
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise ConfigurationError(f"the audit log {log} cannot be written: {reason}") from None
    return log
