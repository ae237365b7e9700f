"""What the provisioner remembers of an estate between two runs."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rayline_local.provisioner.errors import ProvisionError

VERSION = 1


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

    def save(self) -> None:
        """Write the state so that a reader or a crash sees the old file or the new one, never half."""
        document = {
            "version": VERSION,
            "stack": self.stack,
            "outputs": self.outputs,
            "resources": [asdict(each) for each in self.resources.values()],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=self.path.parent, prefix=self.path.name, suffix=".part", delete=False
        ) as file:
            json.dump(document, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(self.path)
