"""Which statement of which role allowed each call: what least privilege is held against.

Only names of roles, statements, actions and the policies' own resource patterns are kept, never what was asked for.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Grant:
    """One cell of a role's policy: a statement allows an action on what one of its resource patterns matches."""

    role: str
    sid: str
    action: str
    resource: str


class ObservedGrants:
    """The grants that allowed a call, each kept once in a file that outlives the process; thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: set[Grant] = set()
        if path.exists():
            whole = path.read_text()
            # A kill may have cut the last line off; what comes next must not be glued to it.
            kept = whole[: whole.rfind("\n") + 1]
            if kept != whole:
                path.write_text(kept)
            self._seen.update(Grant(**json.loads(line)) for line in kept.splitlines())

    def add(self, grant: Grant) -> None:
        """Keep a grant; one that is known costs a look into a set."""
        if grant in self._seen:
            return
        with self._lock, self._path.open("a") as file:
            if grant not in self._seen:
                file.write(json.dumps(asdict(grant)) + "\n")
                self._seen.add(grant)

    def all(self) -> list[Grant]:
        """Every grant that was used, in order."""
        with self._lock:
            return sorted(self._seen)
