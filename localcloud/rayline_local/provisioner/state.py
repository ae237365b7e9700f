"""What the provisioner remembers of an estate between two runs."""

import json
import math
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rayline_local.provisioner.errors import ProvisionError

VERSION = 1
SECONDS_BETWEEN_SAVES = 1.0


@dataclass(frozen=True)
class Provisioned:
    """One resource that exists; ``inputs`` are those that it was last brought to."""

    urn: str
    type: str
    name: str
    id: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    parent: str
    dependencies: tuple[str, ...]
    protect: bool
    retain_on_delete: bool


@dataclass
class EstateState:
    """Every provisioned resource by URN, in order of creation, and the stack's outputs."""

    path: Path
    stack: str
    resources: dict[str, Provisioned] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    _saved_at: float = field(default=-math.inf, repr=False)

    @classmethod
    def load(cls, path: Path, stack: str) -> "EstateState":
        """Read the state, or start an empty one.

        Raises:
            ProvisionError: the file is another stack's, or another version's.
        """
        if not path.exists():
            return cls(path, stack)
        document = json.loads(path.read_text())
        if document.get("version") != VERSION or document.get("stack") != stack:
            raise ProvisionError(
                f"{path} holds stack {document.get('stack')} version {document.get('version')}, not {stack} "
                f"version {VERSION}; use another state folder or rayline local reset"
            )
        resources = [
            Provisioned(**{**each, "dependencies": tuple(each["dependencies"])})
            for each in document["resources"]
        ]
        return cls(path, stack, {each.urn: each for each in resources}, document["outputs"])

    def save_soon(self) -> None:
        """Write the state, once a second at most: an estate's takes long, and adapters adopt what they find."""
        if time.monotonic() - self._saved_at >= SECONDS_BETWEEN_SAVES:
            self.save()

    def save(self) -> None:
        """Write the state so that a reader or a crash sees the old file or the new one, never half."""
        document = {
            "version": VERSION,
            "stack": self.stack,
            "outputs": self.outputs,
            "resources": [vars(each) for each in self.resources.values()],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=self.path.parent, prefix=self.path.name, suffix=".part", delete=False
        ) as file:
            # Without indentation json's own C code does it, ten times as fast.
            file.write(json.dumps(document, sort_keys=True))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(self.path)
        self._saved_at = time.monotonic()
