"""Grants that no local run uses, each with the reason why its role needs it in AWS."""

from dataclasses import dataclass

from rayline.names import RoleKind


@dataclass(frozen=True)
class Unobserved:
    """Actions of one statement that the local cloud never sees, and why they stay."""

    role: RoleKind
    sid: str
    actions: tuple[str, ...]
    reason: str

    def covers(self, role: str, sid: str, action: str) -> bool:
        """Whether this is the reason for a grant."""
        return (self.role, self.sid) == (role, sid) and action in self.actions


UNOBSERVED: tuple[Unobserved, ...] = ()
