"""Whose file it is: what every value of one file is replaced by, found from its header."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from rayline_deid.options import Option
from rayline_deid.profile import (
    IDENTIFYING,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_INSTANCE_UID,
    Profile,
)
from rayline_deid.pseudonyms import Pseudonyms
from rayline_deid.text import identifier_parts

#: Overlay Type (60xx,0040) of each repeating group: R marks a region, G is graphics (PS3.3 §C.9.2.1).
OVERLAY_TYPES = frozenset(0x60000040 | group << 16 for group in range(0, 0x20, 2))

#: What says whose a file is; without any of them it is nobody's.
IDENTITY = (PATIENT_ID, PATIENT_NAME, STUDY_INSTANCE_UID)


@dataclass(frozen=True, slots=True)
class PatientScope:
    """What the values of one file depend on beside the profile.

    Attributes:
        pseudonyms: under the profile's UID root and prefix.
        patient: the patient's pseudonym.
        shift_days: what is added to the patient's dates, None where nothing says whose they are.
        identifiers: parts of the identifying values of the header, in lower case.
        regions: groups of overlays that mark a region.
    """

    pseudonyms: Pseudonyms
    patient: bytes
    shift_days: int | None
    identifiers: frozenset[str]
    regions: frozenset[int]


def patient_facts(profile: Profile) -> frozenset[int]:
    """Tags of the top level that :func:`patient_scope` wants to know the values of."""
    wanted = {PATIENT_ID, PATIENT_NAME, PATIENT_BIRTH_DATE, STUDY_INSTANCE_UID}
    if _needs_identifiers(profile):
        wanted |= IDENTIFYING
    if Option.CLEAN_GRAPHICS in profile.options:
        wanted |= OVERLAY_TYPES
    return frozenset(wanted)


@lru_cache(maxsize=16)
def _needs_identifiers(profile: Profile) -> bool:
    cleaning = {
        Option.CLEAN_DESCRIPTORS,
        Option.CLEAN_GRAPHICS,
        Option.CLEAN_STRUCTURED_CONTENT,
        Option.RETAIN_PATIENT_CHARACTERISTICS,
        Option.RETAIN_SAFE_PRIVATE,
    }
    return bool(profile.options & cleaning) or any(
        override.action == "clean" for _, override in profile.overrides().values()
    )


def patient_scope(profile: Profile, pseudonyms: Pseudonyms, facts: Mapping[int, bytes]) -> PatientScope:
    """The scope of a file, given the values of :func:`patient_facts` as far as they are there, stripped."""
    pseudonyms = pseudonyms.under(profile.document.uids.root, profile.document.patients.prefix)
    patient, known = _patient(pseudonyms, facts)
    shift_days: int | None = 0
    if not known:
        dates, anybody = profile.document.dates, any(facts.get(tag) for tag in IDENTITY)
        shift_days = pseudonyms.shift_days(patient, dates.first, dates.last) if anybody else None
    identifiers: frozenset[str] = frozenset()
    if _needs_identifiers(profile):
        identifiers = identifier_parts(facts[tag] for tag in IDENTIFYING if tag in facts)
    return PatientScope(
        pseudonyms=pseudonyms,
        patient=patient,
        shift_days=shift_days,
        identifiers=identifiers,
        regions=frozenset(tag >> 16 for tag in OVERLAY_TYPES if facts.get(tag, b"").upper() == b"R"),
    )


def _patient(pseudonyms: Pseudonyms, facts: Mapping[int, bytes]) -> tuple[bytes, bool]:
    """The patient's pseudonym, and whether the file has it already, so that its dates were moved before."""
    identifier, name = facts.get(PATIENT_ID, b""), facts.get(PATIENT_NAME, b"")
    if identifier:
        return pseudonyms.patient(identifier), pseudonyms.is_patient(identifier)
    if pseudonyms.is_patient(name):
        return name, True
    # Patients without an id must not become one patient.
    if name:
        return pseudonyms.patient(name + b"\0" + facts.get(PATIENT_BIRTH_DATE, b"")), False
    return pseudonyms.patient(b"\0" + facts.get(STUDY_INSTANCE_UID, b"")), False
