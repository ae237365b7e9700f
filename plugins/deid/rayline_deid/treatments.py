"""A profile's decisions as treatments of raw elements."""

from collections.abc import Callable
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from rayline.plugin import (
    EMPTY,
    KEEP,
    REMOVE,
    Descend,
    Element,
    RejectedEvent,
    Replace,
    Treatment,
    Treatments,
)
from rayline_deid.codes import PUBLIC_SCHEMES, is_public_code, is_public_meaning, is_version
from rayline_deid.dates import shifted
from rayline_deid.options import Option
from rayline_deid.patient import PatientScope
from rayline_deid.private import StatedSafe
from rayline_deid.profile import CONCEPT_SEQUENCES, PATIENT_ID, TIMEZONE_OFFSET, Decision, Outcome, Profile
from rayline_deid.text import cleaned, holds_identifier
from rayline_deid.values import (
    CHECKED,
    MOST_VALUES,
    PROSE,
    WORDS,
    dummy_value,
    is_number_or_date,
    is_too_long,
)

#: In a skeleton these stay: defined terms, numbers and references to points say nothing about a person.
SKELETON_KEEPS: Final = frozenset(
    {"AT", "CS", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UI", "UL", "US", "UV"}
)

_CODE_VALUES: Final = frozenset({0x00080100, 0x00080119, 0x00080120})
_CODING_SCHEME_DESIGNATOR: Final = 0x00080102
_CODING_SCHEME_VERSION: Final = 0x00080103
_CODE_MEANING: Final = 0x00080104

# Attributes of an overlay beside its data that say how and what it marks (PS3.3 §C.9.2); the words are cleaned.
_OVERLAY_NUMBERS: Final = frozenset(
    {0x0010, 0x0011, 0x0015, 0x0040, 0x0045, 0x0050, 0x0051, 0x0100, 0x0102, 0x1301, 0x1302, 0x1303, 0x3000}
)
_OVERLAY_WORDS: Final = frozenset({0x0022, 0x1500})

Function = Callable[[Element, PatientScope], bytes | None]


class _Level(Enum):
    """Where an element stands."""

    TOP = auto()  # in no sequence
    ITEMS = auto()  # in a sequence that is treated like the data set
    CLEANED = auto()  # in a sequence whose content is cleaned
    SKELETON = auto()  # in a sequence that keeps its structure only


_PIXEL_VRS: Final = frozenset({"OB", "OW"})
_LIKE_THE_DATA_SET: Final = frozenset({_Level.TOP, _Level.ITEMS})
_PIXEL_GROUP: Final = 0x7FE0


@lru_cache(maxsize=16)
def treatments_of(profile: Profile) -> Treatments:
    """What a profile makes of every tag at the top level, and through it at every depth."""
    return _Levels(profile).at(_Level.TOP)


class _Levels:
    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._at: dict[_Level, Treatments] = {}
        self._private = _Private(self)

    def at(self, level: _Level) -> Treatments:
        if level not in self._at:
            private = self._private if level in _LIKE_THE_DATA_SET else _no_private
            self._at[level] = Treatments(_ByTag(self, level), private)
        return self._at[level]


def _no_private(tag: int, creator: bytes) -> Treatment:
    return REMOVE


class _ByTag(dict[int, Treatment]):
    """Treatment by tag, decided when a tag is met for the first time."""

    def __init__(self, levels: _Levels, level: _Level) -> None:
        super().__init__()
        self._levels = levels
        self._level = level
        self._values = _Values(levels.profile)

    def __missing__(self, tag: int) -> Treatment:
        # Hostile input can name any tag; forget rather than grow.
        if len(self) >= 65_536:
            self.clear()
        treatment = self[tag] = self._decide(tag)
        return treatment

    def _decide(self, tag: int) -> Treatment:
        level = self._level
        decision = self._levels.profile.decide(tag, cleaning=level is _Level.CLEANED)
        outcome = decision.outcome
        if outcome is Outcome.SKELETON:
            return Descend(self._levels.at(_Level.SKELETON))
        if outcome is Outcome.CLEAN_ITEMS:
            return Descend(self._levels.at(_Level.SKELETON if level is _Level.SKELETON else _Level.CLEANED))
        if outcome is Outcome.ITEMS:
            like_the_data_set = level in _LIKE_THE_DATA_SET or tag in CONCEPT_SEQUENCES
            return Descend(self._levels.at(_Level.ITEMS if like_the_data_set else level))
        if level is not _Level.TOP and tag >> 16 == _PIXEL_GROUP:
            # Icons are removed, and no other item has pixels (PS3.3 §C.7.6.1.1.6).
            return REMOVE
        asked_for = decision.option or tag in self._levels.profile.overrides()
        if level not in _LIKE_THE_DATA_SET and outcome is Outcome.KEEP and not asked_for:
            return self._values.beyond_the_table(tag, cleaning=level is _Level.CLEANED)
        return self._values.of(tag, decision)


def with_stated(treatments: Treatments, profile: Profile, stated: StatedSafe) -> Treatments:
    """Treatments of the top level that keep also the private attributes that the data set calls safe."""
    values = _Values(profile)

    def private(tag: int, creator: bytes) -> Treatment:
        known = treatments.private(tag, creator)
        group, element = tag >> 16, tag & 0xFFFF
        if known is not REMOVE or (group, creator) not in stated:
            return known
        if 0x10 <= element <= 0xFF:
            return KEEP
        is_safe = element >= 0x1000 and stated.has(group, creator, element & 0xFF)
        return Replace(values.stated_safe) if is_safe else REMOVE

    return treatments._replace(private=private)


class _Private:
    """Treatment of private attributes by tag and creator."""

    def __init__(self, levels: _Levels) -> None:
        self._levels = levels
        self._values = _Values(levels.profile)
        self._known: dict[tuple[int, bytes], Treatment] = {}

    def __call__(self, tag: int, creator: bytes) -> Treatment:
        # The block's number says nothing: (gggg,11ee) is to (gggg,0011) what (gggg,10ee) is to (gggg,0010).
        key = (tag if not tag & 0xFF00 else tag & 0xFFFF00FF | 0x1000, creator)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= 65_536:
                self._known.clear()
            known = self._known[key] = self._decide(*key)
        return known

    def _decide(self, tag: int, creator: bytes) -> Treatment:
        decision, vr = self._levels.profile.decide_private(tag, creator)
        if decision.outcome is Outcome.ITEMS:
            return Descend(self._levels.at(_Level.ITEMS))
        if decision.outcome is Outcome.KEEP and tag & 0xFF00:
            return self._values.safe_private(vr)
        return self._values.of(tag, decision)


class _Values:
    """Treatments that replace values."""

    def __init__(self, profile: Profile) -> None:
        self._vr = profile.table.vr
        self._options = profile.options
        self._words = profile.words
        self._dummies = profile.dummies
        self._oldest_years = profile.document.patients.oldest_years

    def of(self, tag: int, decision: Decision) -> Treatment:
        """The treatment of an element that is no sequence to descend into."""
        match decision.outcome:
            case Outcome.KEEP:
                return KEEP
            case Outcome.EMPTY:
                return EMPTY
            case Outcome.DUMMY:
                return Replace(self._dummy)
            case Outcome.UID:
                return Replace(_mapped_uid, "UI")
            case Outcome.PSEUDONYM:
                return Replace(_pseudonym, "LO" if tag == PATIENT_ID else "PN")
            case Outcome.HASH:
                return Replace(_hash)
            case Outcome.KEEP_VALID:
                return Replace(self._where(_valid(tag, self._vr(tag)), decision.otherwise))
            case Outcome.SHIFT:
                return Replace(self._where(_shift(self._vr(tag)), decision.otherwise))
            case Outcome.CLEAN:
                return Replace(self._where(self._clean, decision.otherwise))
            case Outcome.LIMIT_AGE:
                return Replace(self._where(self._limited_age, decision.otherwise))
            case Outcome.REPLACE:
                return Replace(lambda element, scope: decision.value)
            case Outcome.REGION_OVERLAY:
                return self._overlay(tag)
        return REMOVE

    def _where(self, function: Function, otherwise: Outcome) -> Function:
        """A function's answer; where it has none, what the basic profile says."""

        def answer(element: Element, scope: PatientScope) -> bytes | None:
            value = function(element, scope)
            if value is not None or otherwise is Outcome.REMOVE:
                return value
            if otherwise is Outcome.UID:
                return _mapped_uid(element, scope)
            return self._dummy(element, scope) if otherwise is Outcome.DUMMY else b""

        return answer

    def _dummy(self, element: Element, scope: PatientScope) -> bytes | None:
        if element.vr == "UI":
            return _mapped_uid(element, scope)
        return dummy_value(element.vr, self._dummies) if element.value else b""

    def _clean(self, element: Element, scope: PatientScope) -> bytes | None:
        if element.vr not in WORDS | PROSE | {"CS"}:
            return None
        text = cleaned(element.value, element.vr, self._words, scope.identifiers)
        return text.upper() if text and element.vr == "CS" else text or None

    def _limited_age(self, element: Element, scope: PatientScope) -> bytes | None:
        if element.vr != "AS" or not is_number_or_date(element.value, "AS"):
            return None
        limit = self._oldest_years or 0
        ages = element.value.strip(b" \0").split(b"\\")
        return b"\\".join(
            b"%03dY" % (limit + 1) if age[3:] == b"Y" and int(age[:3]) > limit else age for age in ages
        )

    def beyond_the_table(self, tag: int, *, cleaning: bool) -> Treatment:
        """What table E.1-1 does not list stays in cleaned content only if it identifies nobody for certain."""
        if cleaning and tag in _CODED:
            return Replace(self._where(self._coded, Outcome.DUMMY))

        def kept(element: Element, scope: PatientScope) -> bytes | None:
            if element.vr in SKELETON_KEEPS:
                return element.value
            text = self._clean(element, scope) if cleaning else None
            return self._dummy(element, scope) if text is None else text

        return Replace(kept)

    def _coded(self, element: Element, scope: PatientScope) -> bytes | None:
        """Part of a coded entry (PS3.3 §8), where it is of a public terminology."""
        if is_too_long(element.value):
            return None
        text = element.value.decode("latin-1").strip(" \0")
        is_public = {_CODE_MEANING: is_public_meaning, _CODING_SCHEME_VERSION: is_version}.get(
            element.tag,
            PUBLIC_SCHEMES.__contains__ if element.tag == _CODING_SCHEME_DESIGNATOR else is_public_code,
        )
        names_the_patient = element.tag != _CODE_MEANING and holds_identifier(
            element.value, scope.identifiers
        )
        if is_public(text) and not names_the_patient:
            return element.value
        return self._clean(element, scope) if element.tag == _CODE_MEANING else None

    def safe_private(self, vr: str) -> Treatment:
        """A private attribute that is known to be safe stays, but for text that names the patient even so."""
        if vr not in WORDS | PROSE:
            return KEEP

        def kept(element: Element, scope: PatientScope) -> bytes | None:
            return None if holds_identifier(element.value, scope.identifiers) else element.value

        return Replace(kept)

    def stated_safe(self, element: Element, scope: PatientScope) -> bytes | None:
        """A private attribute that its sender calls safe stays where its VR has nothing that the options take away."""
        if element.vr == "UI":
            return _mapped_uid(element, scope)
        if element.vr in _PIXEL_VRS and Option.CLEAN_PIXEL_DATA in self._options:
            return None
        if element.vr in ("DA", "DT", "TM"):
            if Option.RETAIN_MODIFIED_DATES in self._options and scope.shift_days is not None:
                return shifted(element.value, element.vr, scope.shift_days)
            return element.value if Option.RETAIN_FULL_DATES in self._options else None
        named = element.vr == "PN" or holds_identifier(element.value, scope.identifiers)
        return None if named and element.vr in WORDS | PROSE | {"AE", "CS", "PN", "UN"} else element.value

    def _overlay(self, tag: int) -> Treatment:
        element = tag & 0xFFFF
        if element not in _OVERLAY_NUMBERS | _OVERLAY_WORDS:
            return REMOVE

        def kept(found: Element, scope: PatientScope) -> bytes | None:
            if found.depth or found.tag >> 16 not in scope.regions:
                return None
            # The dictionary has no repeating groups, so that without a VR of its own the text is UN.
            text = found._replace(vr="LO") if found.vr == "UN" else found
            return found.value if element in _OVERLAY_NUMBERS else self._clean(text, scope)

        return Replace(kept)


_CODED: Final = _CODE_VALUES | {_CODING_SCHEME_DESIGNATOR, _CODING_SCHEME_VERSION, _CODE_MEANING}


def _mapped_uid(element: Element, scope: PatientScope) -> bytes | None:
    if is_too_long(element.value):
        raise RejectedEvent("LIMIT_EXCEEDED", f"an attribute has {MOST_VALUES} UIDs or more")
    uids = [uid.strip(b"\0 ") for uid in element.value.split(b"\\")]
    return b"\\".join(map(scope.pseudonyms.uid, uids))


def _pseudonym(element: Element, scope: PatientScope) -> bytes | None:
    original = element.value.strip(b"\0 ")
    if not element.depth:
        return scope.patient if original or element.tag == PATIENT_ID else b""
    # A patient named inside a sequence may be another one, e.g. a donor.
    return scope.pseudonyms.patient(original) if original and element.tag == PATIENT_ID else b""


def _hash(element: Element, scope: PatientScope) -> bytes | None:
    original = element.value.strip(b"\0 ")
    return scope.pseudonyms.hash(original) if original else b""


def _shift(vr: str) -> Function:
    def shift(element: Element, scope: PatientScope) -> bytes | None:
        # Another VR than the attribute's means that it may not be a date at all; UN, that it is too new.
        if scope.shift_days is None or element.vr not in (vr, "UN"):
            return None
        return shifted(element.value, vr, scope.shift_days)

    return shift


def _valid(tag: int, vr: str) -> Function:
    def valid(element: Element, scope: PatientScope) -> bytes | None:
        if element.vr not in (vr, "UN"):
            return None
        if vr in ("DA", "DT", "TM") or tag == TIMEZONE_OFFSET:
            return element.value if shifted(element.value, vr, 0) is not None else None
        return element.value if vr in CHECKED and is_number_or_date(element.value, vr) else None

    return valid
