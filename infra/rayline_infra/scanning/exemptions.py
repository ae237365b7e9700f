"""What the scanner finds and the estate means: each with the reason, declared next to the resource."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

ATTRIBUTE = "SCANNER_EXEMPTIONS"


@dataclass(frozen=True)
class ScannerExemption:
    """A check of the scanner's that a resource fails on purpose.

    A component's module declares its own as ``SCANNER_EXEMPTIONS``. One that nothing needs fails the scan.

    Attributes:
        check: the scanner's id, e.g. ``CKV_AWS_18``.
        resource: logical name of the resource, with ``*`` for any characters.
        stacks: the stacks that it is for; empty for all.
        when: the settings under which the resource fails, where our own stacks have others; empty otherwise.
    """

    check: str
    resource: str
    reason: str
    stacks: tuple[str, ...] = ()
    when: str = ""

    def covers(self, check: str, resource: str) -> bool:
        """Whether it is this check at this resource."""
        return check == self.check and fnmatchcase(resource, self.resource)


def declared(stack: str) -> tuple[ScannerExemption, ...]:
    """The exemptions of all components that are for a stack."""
    return tuple(each for each in _declared() if not each.stacks or stack in each.stacks)


def _declared() -> Iterator[ScannerExemption]:
    components = importlib.import_module("rayline_infra.components")
    for found in pkgutil.walk_packages(components.__path__, f"{components.__name__}."):
        yield from getattr(importlib.import_module(found.name), ATTRIBUTE, ())
