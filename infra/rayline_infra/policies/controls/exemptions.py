"""Failures that a stack may have, each with the reason; what is not listed here fails everywhere."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from rayline_infra.policies.controls.control import Finding


@dataclass(frozen=True)
class Exemption:
    """One control that one stack does not keep.

    Attributes:
        stack: name of the stack; a further stack has no exemption until it gets one here.
        resource: logical name, with ``*`` for any characters.
    """

    control: str
    stack: str
    resource: str
    reason: str

    def covers(self, finding: Finding, stack: str) -> bool:
        """Whether it is this failure of this stack."""
        return (
            not finding.passed
            and (self.control, self.stack) == (finding.control, stack)
            and fnmatchcase(finding.resource, self.resource)
        )


_DESTROYED = "the stack holds made-up images only, and is destroyed and made again"
EXEMPTIONS: tuple[Exemption, ...] = (
    *(
        exemption
        for stack in ("dev", "local")
        for exemption in (
            Exemption("RET-1", stack, "logs", f"{_DESTROYED}, so its own trail is kept for a year"),
            Exemption("RET-2", stack, "logs", f"{_DESTROYED}, which a lock in compliance mode would forbid"),
            Exemption(
                "BAK-4", stack, "*", f"{_DESTROYED}, which a name that still waits to be free would forbid"
            ),
            Exemption("DEL-1", stack, "*", _DESTROYED),
            Exemption("DEL-2", stack, "*", _DESTROYED),
            Exemption("DEL-3", stack, "*", _DESTROYED),
            Exemption("DEL-4", stack, "*", f"{_DESTROYED}, and its keys go as soon as KMS lets them"),
        )
    ),
    Exemption(
        "CON-4",
        "local",
        "*-task",
        "the local cloud runs tasks as plain processes beside each other, which cannot share a health port",
    ),
)


def exempt(findings: Iterable[Finding], stack: str) -> tuple[Finding, ...]:
    """The findings, those that are exempt with the reason."""
    return tuple(_with_reason(finding, stack) for finding in findings)


def unused(findings: Iterable[Finding], stack: str) -> tuple[Exemption, ...]:
    """Exemptions of a stack that no finding needs: the failure was mended, or never was."""
    found = list(findings)
    return tuple(
        each
        for each in EXEMPTIONS
        if each.stack == stack and not any(each.covers(finding, stack) for finding in found)
    )


def _with_reason(finding: Finding, stack: str) -> Finding:
    reason = next((each.reason for each in EXEMPTIONS if each.covers(finding, stack)), "")
    return replace(finding, exemption=reason) if reason else finding
