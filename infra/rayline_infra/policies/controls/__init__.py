"""Policies as code: every control, over the resource graph of any stack."""

from rayline_infra.policies.controls import (
    activity,
    authentication,
    backups,
    containers,
    deletion,
    encryption,
    iam,
    public_access,
    reach,
    retention,
    tags,
    transport,
    wiring_deliveries,
    wiring_keys,
    wiring_roles,
    zones,
)
from rayline_infra.policies.controls.control import Control, Finding
from rayline_infra.policies.controls.exemptions import exempt
from rayline_infra.policies.graph import Graph

__all__ = ["CONTROLS", "THEMES", "Control", "Finding", "check"]

THEMES: tuple[tuple[str, tuple[Control, ...]], ...] = (
    ("Encryption", encryption.CONTROLS),
    ("Transport", transport.CONTROLS),
    ("Public access", public_access.CONTROLS),
    ("Identities", iam.CONTROLS),
    ("Signing in", authentication.CONTROLS),
    ("Zones", zones.CONTROLS),
    ("Network reach", reach.CONTROLS),
    ("Records of activity", activity.CONTROLS),
    ("Retention", retention.CONTROLS),
    ("Backups", backups.CONTROLS),
    ("Deletion", deletion.CONTROLS),
    ("Tags", tags.CONTROLS),
    ("Containers", containers.CONTROLS),
    ("Keys of readers and writers", wiring_keys.CONTROLS),
    ("Deliveries", wiring_deliveries.CONTROLS),
    ("Roles that are handed on", wiring_roles.CONTROLS),
)
CONTROLS: tuple[Control, ...] = tuple(control for _, controls in THEMES for control in controls)


def check(graph: Graph) -> tuple[Finding, ...]:
    """What every control finds in a stack's graph; a failure that the stack may have bears the reason."""
    return exempt((finding for control in CONTROLS for finding in control.findings(graph)), graph.stack)
