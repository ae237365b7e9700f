"""The basic profile: what becomes of each attribute, and what replaces it."""

import hashlib
import json
from enum import Enum, auto
from typing import Final

from pydicom._dicom_dict import DicomDictionary

from rayline_deid.table import ActionTable, load_table

ENGINE_VERSION: Final = 1


class Action(Enum):
    """What the engine does with an element."""

    KEEP = auto()
    REMOVE = auto()
    EMPTY = auto()  # zero length
    DUMMY = auto()  # a value that says nothing, valid for the VR
    UID = auto()  # keyed replacement
    PATIENT = auto()  # keyed pseudonym
    SEQUENCE = auto()  # keep, and treat each item the same way
    SKELETON = auto()  # keep structure, codes of CS and measurements; every other value becomes a dummy


PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
# Items under this sequence name concepts from coding schemes, never people (PS3.3 §10.24).
CONCEPT_NAME_CODE_SEQUENCE: Final = 0x0040A043

# UIDs of classes, syntaxes and coding schemes say what kind of thing it is, not which one.
_CLASS_UID_ENDINGS: Final = ("SOPClassUID", "TransferSyntaxUID", "ContextUID", "SchemeUID")
_CLASS_UID_KEYWORDS: Final = frozenset(
    {"MappingResourceUID", "PertinentSOPClassesInSeries", "PertinentSOPClassesInStudy", "SOPClassesSupported"}
)

# Where a row leaves a choice by the attribute's type in the IOD (PS3.15 §E.2), the one that fits every IOD
# and says nothing: a dummy is never non-conformant; for sequences, an empty one.
_CHOICES: Final = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.DUMMY,
    "U": Action.UID,
    "X/Z": Action.EMPTY,
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "X/Z/U*": Action.SEQUENCE,
}
_SEQUENCE_CHOICES: Final = _CHOICES | {
    "D": Action.SKELETON,
    "X/D": Action.REMOVE,
    "Z/D": Action.SKELETON,
    "X/Z/D": Action.EMPTY,
}

_DUMMIES: Final[dict[str, bytes]] = {
    "AE": b"ANONYMIZED",
    "AS": b"000Y",
    "CS": b"ANONYMIZED",
    "DA": b"19000101",
    "DS": b"0 ",
    "DT": b"19000101000000",
    "IS": b"0 ",
    "LO": b"ANONYMIZED",
    "LT": b"ANONYMIZED",
    "PN": b"ANONYMIZED",
    "SH": b"ANONYMIZED",
    "ST": b"ANONYMIZED",
    "TM": b"000000",
    "UC": b"ANONYMIZED",
    "UR": b"urn:anonymized",
    "UT": b"ANONYMIZED",
    "AT": bytes(4),
    "FL": bytes(4),
    "OF": bytes(4),
    "OL": bytes(4),
    "SL": bytes(4),
    "UL": bytes(4),
    "FD": bytes(8),
    "OD": bytes(8),
    "OV": bytes(8),
    "SV": bytes(8),
    "UV": bytes(8),
}
# In a skeleton these stay: defined terms, numbers and references to points say nothing about a person.
SKELETON_KEEPS: Final = frozenset({"AT", "CS", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})


def dummy_value(vr: str) -> bytes:
    """A value of even length that is valid for a VR (PS3.5 §6.2) and says nothing."""
    return _DUMMIES.get(vr, b"\0\0")


def dictionary_vr(tag: int) -> str:
    """The VR that PS3.6 gives a tag, the first where it gives two, UN where it is unknown."""
    entry = DicomDictionary.get(tag)
    return entry[0][:2] if entry is not None and entry[0] else "UN"


class BasicProfile:
    """The basic application level confidentiality profile (PS3.15 §E.2), for every tag there is.

    Beyond the table it removes what nothing is known about: private attributes, tags that PS3.6 lacks,
    and whole curve and overlay groups, whose descriptions make no sense without their data.
    """

    def __init__(self, table: ActionTable) -> None:
        self.edition = table.edition
        self._table = table
        self._actions: dict[int, Action] = {}
        rows = {f"{tag:08X}": action for tag, action in sorted(table.actions.items())}
        groups = {f"{group:02X}": action for group, action in sorted(table.groups.items())}
        dummies = {vr: value.hex() for vr, value in sorted(_DUMMIES.items())}
        described = json.dumps(
            {
                "engine": ENGINE_VERSION,
                "edition": table.edition,
                "rows": rows,
                "groups": groups,
                "dummies": dummies,
            },
            sort_keys=True,
        )
        self.digest: Final[str] = hashlib.sha256(described.encode("utf-8")).hexdigest()

    def action(self, tag: int) -> Action:
        """What becomes of the elements of a tag."""
        known = self._actions.get(tag)
        if known is None:
            known = self._actions[tag] = self._decide(tag)
            # Hostile input can name any tag; forget rather than grow.
            if len(self._actions) > 65_536:
                self._actions.clear()
        return known

    def _decide(self, tag: int) -> Action:
        group, element = tag >> 16, tag & 0xFFFF
        # Group FFFE delimits items: it is no data, and the engine looks at what does not simply stay.
        if group & 1 or element == 0 or group < 0x0008 or group == 0xFFFE or group >> 8 in self._table.groups:
            return Action.REMOVE
        if tag in (PATIENT_NAME, PATIENT_ID):
            return Action.PATIENT
        entry = DicomDictionary.get(tag)
        row = self._table.actions.get(tag)
        if row is not None:
            is_sequence = entry is not None and entry[0] == "SQ"
            return (_SEQUENCE_CHOICES if is_sequence else _CHOICES)[row]
        if entry is None:
            return Action.REMOVE
        vr, keyword = entry[0], entry[4]
        if vr == "SQ":
            return Action.SEQUENCE
        if vr == "UI":
            is_class = keyword.endswith(_CLASS_UID_ENDINGS) or keyword in _CLASS_UID_KEYWORDS
            return Action.KEEP if is_class else Action.UID
        if vr == "PN":
            return Action.EMPTY
        return Action.KEEP


def basic_profile() -> BasicProfile:
    """The basic profile over the table that ships with the plugin."""
    return BasicProfile(load_table())
