"""The groups that people of the estate's user pool are in, and what each may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rayline.http_api.access import Permission

Group = Literal["administrator", "operator", "reviewer", "radiologist"]


@dataclass(frozen=True)
class People:
    """A group.

    Attributes:
        description: who is in it, as the user pool says it.
    """

    description: str
    permissions: frozenset[Permission]


PEOPLE: Mapping[Group, People] = {
    "administrator": People("may see who a patient is, which is recorded", frozenset(Permission)),
    "operator": People(
        "watches the estate and empties quarantine",
        frozenset({Permission.QUARANTINE_READ, Permission.QUARANTINE_WRITE}),
    ),
    "reviewer": People(
        "sees what was refused and why, and no patient", frozenset({Permission.QUARANTINE_READ})
    ),
    "radiologist": People("reads and verifies images", frozenset()),
}
