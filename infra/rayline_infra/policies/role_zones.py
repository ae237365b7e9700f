"""Which zone's data each role works on: what keeps the zones apart is derived from this one table."""

from collections.abc import Mapping
from typing import Literal

from rayline.names import RoleKind

RoleZone = Literal["identified", "deidentified", "both", "none"]
# Only the processor takes from one zone to the other, and only an operator looks into both.
ZONE_OF_ROLE: Mapping[RoleKind, RoleZone] = {
    "processor": "both",
    "operator": "both",
    "api": "identified",
    "gateway": "identified",
    "reviewer": "identified",
    "uploader": "identified",
    "replication-identified": "identified",
    "import": "deidentified",
    "training": "deidentified",
    "endpoint": "deidentified",
    "replication-deidentified": "deidentified",
    "execution": "none",
    "flow-logs": "none",
    "trail": "none",
    "config": "none",
    "chat": "none",
}
# Whatever these are tricked into, it can show no patient.
DEIDENTIFIED_ROLES: tuple[RoleKind, ...] = tuple(
    role for role, zone in ZONE_OF_ROLE.items() if zone == "deidentified"
)
