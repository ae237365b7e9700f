"""De-identify a Part 10 file after a profile: the rules that :func:`rayline.plugin.rewrite` follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from rayline.plugin import (
    EMPTY,
    KEEP,
    REMOVE,
    Content,
    Descend,
    Element,
    FileMeta,
    Insertion,
    Plan,
    RejectedEvent,
    Replace,
    Treatment,
    Treatments,
    rewrite,
)
from rayline_deid.profile import (
    CONCEPT_NAME_CODE_SEQUENCE,
    PATIENT_ID,
    PATIENT_NAME,
    SKELETON_KEEPS,
    Action,
    BasicProfile,
    dummy_value,
)
from rayline_deid.pseudonyms import Pseudonyms

_MEDIA_STORAGE_DIRECTORY: Final = b"1.2.840.10008.1.3.10"

_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018
_PATIENT_BIRTH_DATE: Final = 0x00100030
_PATIENT_IDENTITY_REMOVED: Final = 0x00120062
_METHOD: Final = 0x00120063
_METHOD_CODE_SEQUENCE: Final = 0x00120064
_STUDY_INSTANCE_UID: Final = 0x0020000D
_BURNED_IN_ANNOTATION: Final = 0x00280301
_TEMPORAL_INFORMATION_MODIFIED: Final = 0x00280303


def deidentify(source: Content, profile: BasicProfile, pseudonyms: Pseudonyms) -> Content:
    """Rewrite a Part 10 file after a profile, in its own transfer syntax.

    Raises:
        RejectedEvent: ``DICOMDIR_REFUSED``, ``BURNED_IN_ANNOTATION``, or the file cannot be read whole
            (``NOT_DICOM``, ``TRUNCATED``, ``MALFORMED``, ``LIMIT_EXCEEDED``).
    """
    return rewrite(source, DeidRules(profile, pseudonyms))


@dataclass(frozen=True)
class _Scope:
    pseudonyms: Pseudonyms
    patient: bytes


class _Treatments(dict[int, Treatment]):
    """Treatment by tag, decided when a tag is met for the first time."""

    def __init__(self, profile: BasicProfile, *, skeleton: bool) -> None:
        super().__init__()
        self._profile = profile
        self._skeleton = skeleton

    def __missing__(self, tag: int) -> Treatment:
        # Hostile input can name any tag; forget rather than grow.
        if len(self) >= 65_536:
            self.clear()
        treatment = self[tag] = self._decide(tag)
        return treatment

    def _decide(self, tag: int) -> Treatment:
        action = self._profile.action(tag)
        if self._skeleton:
            if action is Action.SEQUENCE and tag != CONCEPT_NAME_CODE_SEQUENCE:
                return _skeleton(self._profile)
            if action is Action.SEQUENCE:
                return Descend(treatments_of(self._profile))
            if action is Action.KEEP:
                return _KEEP_IN_SKELETON
        match action:
            case Action.KEEP:
                return KEEP
            case Action.EMPTY:
                return EMPTY
            case Action.DUMMY:
                return _DUMMY
            case Action.UID:
                return _UID
            case Action.PATIENT:
                return Replace(_pseudonym, "LO" if tag == PATIENT_ID else "PN")
            case Action.SEQUENCE:
                return Descend()
            case Action.SKELETON:
                return _skeleton(self._profile)
        return REMOVE


@cache
def treatments_of(profile: BasicProfile) -> Treatments:
    """What a profile makes of every tag; private attributes go."""
    return Treatments(_Treatments(profile, skeleton=False), _no_private)


@cache
def _skeleton(profile: BasicProfile) -> Descend:
    """Keep a sequence's structure, codes and measurements; every other value becomes a dummy."""
    return Descend(Treatments(_Treatments(profile, skeleton=True), _no_private))


def _no_private(tag: int, creator: bytes) -> Treatment:
    return REMOVE


def _dummy(element: Element, scope: _Scope) -> bytes | None:
    return dummy_value(element.vr) if element.value else b""


def _kept_in_skeleton(element: Element, scope: _Scope) -> bytes | None:
    kept = element.vr in SKELETON_KEEPS or element.vr == "UI"
    return element.value if kept else _dummy(element, scope)


def _mapped_uid(element: Element, scope: _Scope) -> bytes | None:
    return b"\\".join(scope.pseudonyms.uid(uid.strip(b"\0 ")) for uid in element.value.split(b"\\"))


def _pseudonym(element: Element, scope: _Scope) -> bytes | None:
    original = element.value.strip(b"\0 ")
    if not element.depth:
        return scope.patient if original or element.tag == PATIENT_ID else b""
    # A patient named inside a sequence may be another one, e.g. a donor.
    return scope.pseudonyms.patient(original) if original and element.tag == PATIENT_ID else b""


_DUMMY: Final = Replace(_dummy)
_KEEP_IN_SKELETON: Final = Replace(_kept_in_skeleton)
_UID: Final = Replace(_mapped_uid, "UI")


class DeidRules:
    """The rules of a profile under one site's secret."""

    facts = frozenset(
        {
            _SOP_CLASS_UID,
            _SOP_INSTANCE_UID,
            PATIENT_NAME,
            PATIENT_ID,
            _PATIENT_BIRTH_DATE,
            _STUDY_INSTANCE_UID,
            _BURNED_IN_ANNOTATION,
        }
    )

    def __init__(self, profile: BasicProfile, pseudonyms: Pseudonyms) -> None:
        self._profile = profile
        self._pseudonyms = pseudonyms

    def begin(self, meta: FileMeta, facts: Mapping[int, bytes]) -> Plan[_Scope]:
        """Find out who the patient is, and refuse what its header alone cannot make safe."""
        if meta.sop_class_uid == _MEDIA_STORAGE_DIRECTORY:
            raise RejectedEvent("DICOMDIR_REFUSED", "a media directory; send the instances that it lists")
        if facts.get(_BURNED_IN_ANNOTATION, b"").upper() == b"YES":
            raise RejectedEvent(
                "BURNED_IN_ANNOTATION", "the pixels show text, and this profile cleans headers only"
            )
        return Plan(
            treatments=treatments_of(self._profile),
            scope=_Scope(self._pseudonyms, self._patient(facts)),
            sop_class_uid=facts.get(_SOP_CLASS_UID) or meta.sop_class_uid,
            sop_instance_uid=self._pseudonyms.uid(facts.get(_SOP_INSTANCE_UID) or meta.sop_instance_uid),
            insertions=_METHOD_ATTRIBUTES,
        )

    def _patient(self, facts: Mapping[int, bytes]) -> bytes:
        name, birth_date = facts.get(PATIENT_NAME, b""), facts.get(_PATIENT_BIRTH_DATE, b"")
        # Patients without an id must not become one patient.
        identifier = facts.get(PATIENT_ID) or (name and name + b"\0" + birth_date)
        return self._pseudonyms.patient(identifier or b"\0" + facts.get(_STUDY_INSTANCE_UID, b""))


_METHOD_ATTRIBUTES: Final = (
    Insertion(_PATIENT_IDENTITY_REMOVED, "CS", b"YES"),
    Insertion(_METHOD, "LO", b"rayline_deid 1: PS3.15 basic profile, 2026c"),
    Insertion(
        _METHOD_CODE_SEQUENCE,
        "SQ",
        (
            (
                Insertion(0x00080100, "SH", b"113100"),
                Insertion(0x00080102, "SH", b"DCM"),
                Insertion(0x00080104, "LO", b"Basic Application Confidentiality Profile"),
            ),
        ),
    ),
    Insertion(_TEMPORAL_INFORMATION_MODIFIED, "CS", b"REMOVED"),
)
