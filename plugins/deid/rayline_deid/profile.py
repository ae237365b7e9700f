"""What a profile does with every attribute there is, and why (PS3.15 Annex E)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from rayline.plugin import ConfigurationError, dictionary
from rayline_deid.document import Action, DeidProfile, Options, Override, Private, read_profile, tag_of
from rayline_deid.options import Option
from rayline_deid.private import load_safe_private
from rayline_deid.table import ActionTable, Row, load_table
from rayline_deid.text import vocabulary
from rayline_deid.values import CHECKED, DUMMIES, PROSE, WORDS, is_valid

if TYPE_CHECKING:
    from rayline_deid.pixels.settings import PixelSettings

#: Part of every profile's digest: raised when the same profile would treat an attribute otherwise.
ENGINE_VERSION: Final = 2


class Outcome(StrEnum):
    """What becomes of an attribute; each comment is what the word means."""

    # It stays as it is.
    KEEP = "keep"
    # It stays if its value is what its VR says, e.g. a date.
    KEEP_VALID = "keep_valid"
    # It goes.
    REMOVE = "remove"
    # It stays without a value.
    EMPTY = "empty"
    # It gets a value that is valid for its VR and says nothing.
    DUMMY = "dummy"
    # It gets a keyed UID; references to the same instance stay whole.
    UID = "uid"
    # It gets the patient's keyed pseudonym.
    PSEUDONYM = "pseudonym"
    # It gets 16 keyed characters.
    HASH = "hash"
    # Its dates move by the patient's number of days.
    SHIFT = "shift"
    # Of its text stay the words that identify nobody.
    CLEAN = "clean"
    # It gets the value that the profile gives.
    REPLACE = "replace"
    # Ages above the profile's limit become one year more than it.
    LIMIT_AGE = "limit_age"
    # The sequence stays, and its items are treated like the data set.
    ITEMS = "items"
    # The sequence stays; in its items stay codes, numbers and the words that identify nobody.
    CLEAN_ITEMS = "clean_items"
    # The sequence stays; in its items stay numbers and defined terms, and all else becomes a dummy.
    SKELETON = "skeleton"
    # An overlay stays if it marks a region, and its text is cleaned.
    REGION_OVERLAY = "region_overlay"
    # It is written anew, and says what was done.
    WRITTEN = "written"


@dataclass(frozen=True)
class Decision:
    """What becomes of one attribute, and why.

    Attributes:
        otherwise: what becomes of a value that cannot stay, e.g. what should be a date and is none.
        because: one sentence for people.
        row: the row of table E.1-1, None where it has none.
        option: the option that decided.
        value: what REPLACE writes.
    """

    outcome: Outcome
    because: str
    otherwise: Outcome = Outcome.REMOVE
    row: Row | None = None
    option: Option | None = None
    value: bytes = b""


PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
PATIENT_BIRTH_DATE: Final = 0x00100030
PATIENT_AGE: Final = 0x00101010
SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E
TIMEZONE_OFFSET: Final = 0x00080201
MODALITY: Final = 0x00080060
BODY_PART_EXAMINED: Final = 0x00180015
ROWS: Final = 0x00280010
BURNED_IN_ANNOTATION: Final = 0x00280301
RECOGNIZABLE_VISUAL_FEATURES: Final = 0x00280302
TEMPORAL_INFORMATION_MODIFIED: Final = 0x00280303
PATIENT_IDENTITY_REMOVED: Final = 0x00120062
METHOD: Final = 0x00120063
METHOD_CODE_SEQUENCE: Final = 0x00120064

#: What says that, and how, a data set was de-identified (PS3.15 §E.1.1).
WRITTEN: Final = frozenset(
    {PATIENT_IDENTITY_REMOVED, METHOD, METHOD_CODE_SEQUENCE, TEMPORAL_INFORMATION_MODIFIED}
)

#: Items under these name concepts and units from coding schemes, never people (PS3.3 §10.24).
CONCEPT_SEQUENCES: Final = frozenset({0x0040A043, 0x004008EA})

#: Attributes that identify, whose parts are taken out of free text beside all that is no word of the vocabulary.
IDENTIFYING: Final = frozenset(
    {
        0x00080050,  # Accession Number
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x00080090,  # Referring Physician's Name
        0x0008009C,  # Consulting Physician's Name
        0x00081010,  # Station Name
        0x00081040,  # Institutional Department Name
        0x00081048,  # Physician(s) of Record
        0x00081050,  # Performing Physician's Name
        0x00081060,  # Name of Physician(s) Reading Study
        0x00081070,  # Operators' Name
        PATIENT_NAME,
        PATIENT_ID,
        0x00100021,  # Issuer of Patient ID
        PATIENT_BIRTH_DATE,
        0x00101000,  # Other Patient IDs
        0x00101001,  # Other Patient Names
        0x00101005,  # Patient's Birth Name
        0x00101040,  # Patient's Address
        0x00101060,  # Patient's Mother's Birth Name
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00102297,  # Responsible Person
        0x00102299,  # Responsible Organization
        0x00120040,  # Clinical Trial Subject ID
        0x00200010,  # Study ID
        0x00321032,  # Requesting Physician
        0x00380010,  # Admission ID
    }
)

# UIDs of classes, syntaxes and coding schemes say what kind of thing it is, not which one.
_CLASS_UID_ENDINGS: Final = ("SOPClassUID", "TransferSyntaxUID", "ContextUID", "SchemeUID")
_CLASS_UID_KEYWORDS: Final = frozenset(
    {"MappingResourceUID", "PertinentSOPClassesInSeries", "PertinentSOPClassesInStudy", "SOPClassesSupported"}
)
# Addresses of objects contain their UIDs; these are addresses of coding schemes.
_HARMLESS_URLS: Final = frozenset({"CodingSchemeURL", "URNCodeValue"})
# Free text, or an identifier in text, that table E.1-1 does not list.
_FREE_TEXT: Final = frozenset({"TextValue", "HL7InstanceIdentifier", "TrackingID"})

# Where a row leaves a choice by the attribute's type in the IOD (PS3.15 §E.2), the one that fits every IOD
# and says nothing: a dummy is never non-conformant; for sequences, an empty one.
_CHOICES: Final = {
    "X": Outcome.REMOVE,
    "Z": Outcome.EMPTY,
    "D": Outcome.DUMMY,
    "U": Outcome.UID,
    "X/Z": Outcome.EMPTY,
    "X/D": Outcome.DUMMY,
    "Z/D": Outcome.DUMMY,
    "X/Z/D": Outcome.DUMMY,
    "X/Z/U*": Outcome.ITEMS,
}
_SEQUENCE_CHOICES: Final = _CHOICES | {
    "D": Outcome.SKELETON,
    "X/D": Outcome.REMOVE,
    "Z/D": Outcome.SKELETON,
    "X/Z/D": Outcome.EMPTY,
}
# Versions of context groups and templates are dates that PS3.16 prints.
_PUBLISHED_DATES: Final = frozenset({0x00080106, 0x00080107, 0x0040DB06, 0x0040DB07})
_TEXT: Final = WORDS | PROSE | {"CS"}
_DATES: Final = frozenset({"DA", "DT", "TM"})

# How much of an attribute an outcome lets out, to tell an override that protects from one that does not. Keyed
# replacements let out that two values are the same, and nothing of the values.
_EXPOSURE: Final = {
    Outcome.REMOVE: 0,
    Outcome.EMPTY: 0,
    Outcome.DUMMY: 0,
    Outcome.REPLACE: 0,
    Outcome.SKELETON: 0,
    Outcome.PSEUDONYM: 0,
    Outcome.UID: 0,
    Outcome.HASH: 0,
    Outcome.SHIFT: 2,
    Outcome.CLEAN: 2,
    Outcome.CLEAN_ITEMS: 2,
    Outcome.REGION_OVERLAY: 2,
    Outcome.LIMIT_AGE: 2,
    Outcome.KEEP_VALID: 3,
    Outcome.ITEMS: 3,
    Outcome.KEEP: 3,
}

_HASHABLE: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
# Without these no instance can be found again or shown.
_HIERARCHY: Final = frozenset({SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID})
_STRUCTURAL_GROUPS: Final = frozenset({0x0028, 0x7FE0})


class Profile:
    """A profile, resolved over table E.1-1 for every tag there is.

    Beyond the table it removes or empties what nothing is known about or what is known to identify: private
    attributes, tags that PS3.6 lacks, names, addresses of objects and free text; and UIDs of instances are mapped.

    Attributes:
        digest: of all that decides what comes out, but the secret: 64 hexadecimal digits.
        edition: the editions of the tables.
        options: those that are applied.
    """

    def __init__(
        self, document: DeidProfile, table: ActionTable | None = None, directory: Path | None = None
    ) -> None:
        self.document: Final = document
        self.table: Final = table or load_table()
        self.edition: Final = self.table.edition
        self.options: Final = document.options.applied()
        self.words: Final = vocabulary() | {word.lower() for word in document.descriptors.words}
        self.dummies: Final[Mapping[str, bytes]] = dict(DUMMIES) | {
            vr: _even(value.encode("ascii")) for vr, value in document.dummies.items()
        }
        self.devices_path: Final = _devices_path(document, directory)
        self._private: Final = self._safe_private()
        self._overrides: Final = {
            tag_of(name): (name, override) for name, override in document.attributes.items()
        }
        for tag, (name, override) in self._overrides.items():
            self._check_override(tag, name, override)
        self.digest: Final[str] = self._digest()
        if document.pixels.devices is not None:
            _ = self.pixel_settings

    # -- attributes of the standard ----------------------------------------------------------------------------

    def decide(self, tag: int, *, cleaning: bool = False) -> Decision:
        """What becomes of a tag of an even group.

        Args:
            cleaning: inside a sequence whose content is cleaned, where descriptors are cleaned in any case.
        """
        if tag in self._overrides and not tag >> 16 & 1:
            return self._overridden(tag, *self._overrides[tag])
        return self._without_overrides(tag, cleaning=cleaning)

    def _without_overrides(self, tag: int, *, cleaning: bool = False) -> Decision:
        group, element = tag >> 16, tag & 0xFFFF
        if group & 1:
            return Decision(Outcome.REMOVE, "a private attribute", row=self.table.private)
        if group == 0x0002:
            return Decision(
                Outcome.WRITTEN,
                "the file meta information is written anew, with mapped UIDs",
                row=self.table.row(tag),
            )
        if element == 0 or group < 0x0008 or group == 0xFFFE:
            return Decision(Outcome.REMOVE, "no attribute of a data set", row=self.table.row(tag))
        if tag in WRITTEN:
            return Decision(Outcome.WRITTEN, "says that, and how, the data set was de-identified")
        if tag in (PATIENT_NAME, PATIENT_ID):
            return Decision(
                Outcome.PSEUDONYM,
                "a dummy by which a patient's studies are still one patient's",
                row=self.table.row(tag),
            )
        row = self.table.row(tag)
        if group >> 8 in (0x50, 0x60):
            return self._graphics(group, row)
        options = self.options | {Option.CLEAN_DESCRIPTORS} if cleaning else self.options
        if row is not None:
            return self._by_row(tag, row, options)
        return self._beyond_the_table(tag, options)

    def _graphics(self, group: int, row: Row | None) -> Decision:
        if group >> 8 == 0x60 and Option.CLEAN_GRAPHICS in self.options:
            return Decision(
                Outcome.REGION_OVERLAY,
                "an overlay that marks a region stays; one of graphics may show words, and goes",
                row=row,
                option=Option.CLEAN_GRAPHICS,
            )
        what = "curves" if group >> 8 == 0x50 else "overlays"
        return Decision(
            Outcome.REMOVE, f"{what} can hold words, and their attributes say nothing without them", row=row
        )

    def _by_row(self, tag: int, row: Row, options: frozenset[Option]) -> Decision:
        vr = self.table.vr(tag)
        basic = (_SEQUENCE_CHOICES if vr == "SQ" else _CHOICES)[row.basic]
        if basic is Outcome.DUMMY and vr == "UI":
            basic = Outcome.UID
        applied = [option for option in row.options if option in options]
        # A date that one option keeps and another moves is moved, or it would betray by how much the others were.
        for option in sorted(applied, key=lambda each: row.options[each]):
            kept = self._kept(tag, vr, basic, row.options[option], option)
            if kept is not None:
                outcome, because = kept
                return Decision(outcome, because, basic, row, option)
        because = "the basic profile"
        if applied:
            because = f"nothing of a value of VR {vr} can be cleaned, so the basic profile"
        return Decision(basic, because, basic, row)

    def _kept(
        self, tag: int, vr: str, basic: Outcome, code: str, option: Option
    ) -> tuple[Outcome, str] | None:
        """What an option's code means for an attribute; None where nothing but the basic action is left."""
        if code == "K":
            if vr == "SQ":
                return Outcome.ITEMS, "the option keeps the sequence; its items are treated like the data set"
            if tag == PATIENT_AGE and self.document.patients.oldest_years is not None:
                return Outcome.LIMIT_AGE, "the option keeps the age, up to the profile's limit"
            if vr in CHECKED or tag == TIMEZONE_OFFSET:
                return Outcome.KEEP_VALID, "the option keeps it where it is a value of its VR"
            return Outcome.KEEP, "the option keeps it"
        if option is Option.RETAIN_MODIFIED_DATES:
            if tag in _PUBLISHED_DATES:
                return basic, "everybody knows the date, so that moved it would betray by how much"
            if vr in _DATES or tag == TIMEZONE_OFFSET:
                return Outcome.SHIFT, "dates move by the patient's number of days; times of the day stay"
            return None
        if option is Option.RETAIN_DEVICE_IDENTITY:
            return Outcome.HASH, "AE titles can name institutions; keyed characters still tell devices apart"
        if vr == "SQ":
            return (
                Outcome.CLEAN_ITEMS,
                "codes and numbers of the items stay, and the words that identify nobody",
            )
        if vr in _TEXT:
            return Outcome.CLEAN, "the words that identify nobody stay"
        return None

    def _beyond_the_table(self, tag: int, options: frozenset[Option]) -> Decision:
        if not dictionary.known(tag):
            return Decision(Outcome.REMOVE, "PS3.6 does not have it, so nothing is known about it")
        vr, keyword = self.table.vr(tag), dictionary.keyword_of(tag)
        if vr == "SQ":
            return Decision(
                Outcome.ITEMS, "table E.1-1 does not list it; its items are treated like the data set"
            )
        if vr == "UI":
            if keyword.endswith(_CLASS_UID_ENDINGS) or keyword in _CLASS_UID_KEYWORDS:
                return Decision(
                    Outcome.KEEP_VALID, "a UID that says what kind of thing it is, not which one", Outcome.UID
                )
            if Option.RETAIN_UIDS in options:
                return Decision(
                    Outcome.KEEP_VALID, "the option keeps UIDs", Outcome.UID, option=Option.RETAIN_UIDS
                )
            return Decision(Outcome.UID, "a UID that table E.1-1 does not list may be an instance's")
        if vr == "PN":
            return Decision(Outcome.EMPTY, "a name that table E.1-1 does not list", Outcome.EMPTY)
        if vr in _DATES:
            return self._unlisted_date(options)
        if vr == "UR" and keyword not in _HARMLESS_URLS:
            return Decision(Outcome.EMPTY, "the address of an object can contain its UID")
        if keyword in _FREE_TEXT or (vr in _TEXT and keyword.endswith(("Comment", "Comments", "Notes"))):
            if Option.CLEAN_DESCRIPTORS in options:
                return Decision(
                    Outcome.CLEAN,
                    "the words that identify nobody stay",
                    Outcome.DUMMY,
                    option=Option.CLEAN_DESCRIPTORS,
                )
            return Decision(Outcome.DUMMY, "free text that table E.1-1 does not list", Outcome.DUMMY)
        return Decision(Outcome.KEEP, "table E.1-1 does not list it")

    def _unlisted_date(self, options: frozenset[Option]) -> Decision:
        if Option.RETAIN_MODIFIED_DATES in options:
            return Decision(
                Outcome.SHIFT,
                "a date that table E.1-1 does not list moves with the others",
                Outcome.EMPTY,
                option=Option.RETAIN_MODIFIED_DATES,
            )
        if Option.RETAIN_FULL_DATES in options:
            return Decision(
                Outcome.KEEP_VALID, "the option keeps dates", Outcome.EMPTY, option=Option.RETAIN_FULL_DATES
            )
        return Decision(Outcome.EMPTY, "a date that table E.1-1 does not list", Outcome.EMPTY)

    # -- overrides ---------------------------------------------------------------------------------------------

    def _overridden(self, tag: int, name: str, override: Override) -> Decision:
        usual = self._without_overrides(tag)
        outcome = Outcome(override.action.value)
        if self.table.vr(tag) == "SQ" and outcome is Outcome.KEEP:
            outcome = Outcome.ITEMS
        value = _even((override.value or "").encode("utf-8"))
        plain = (Outcome.REMOVE, Outcome.EMPTY, Outcome.DUMMY, Outcome.UID)
        otherwise = next((each for each in (usual.outcome, usual.otherwise) if each in plain), Outcome.EMPTY)
        return Decision(outcome, f"`attributes: {name}` of the profile", otherwise, usual.row, None, value)

    def _check_override(self, tag: int, name: str, override: Override) -> None:
        """Refuse what cannot be done, or lets out more than the options do without saying so."""
        where, action, vr = f"attributes.{name}", override.action, self.table.vr(tag)
        if tag >> 16 & 1:
            raise ConfigurationError(f"{where}: a private attribute; list its creator under private.keep")
        if not dictionary.known(tag):
            raise ConfigurationError(f"{where}: PS3.6 does not have this tag, so it is always removed")
        if tag in WRITTEN or tag == SOP_CLASS_UID or tag >> 16 in _STRUCTURAL_GROUPS or tag >> 16 < 8:
            raise ConfigurationError(f"{where}: it describes the data set itself, and cannot be changed")
        if tag in _HIERARCHY and action not in (Action.UID, Action.KEEP):
            raise ConfigurationError(f"{where}: no instance is without it; only uid and keep are possible")
        if action is Action.PSEUDONYM and tag not in (PATIENT_NAME, PATIENT_ID):
            raise ConfigurationError(f"{where}: only PatientName and PatientID take the pseudonym; use hash")
        if tag == PATIENT_ID and action not in (Action.PSEUDONYM, Action.KEEP):
            raise ConfigurationError(
                f"{where}: patients must be told apart; only pseudonym and keep are possible"
            )
        possible = {
            Action.HASH: vr in _HASHABLE,
            Action.UID: vr == "UI",
            Action.SHIFT: vr in _DATES,
            Action.CLEAN: vr in _TEXT,
            Action.DUMMY: vr not in ("SQ", "UI"),
            Action.REPLACE: vr not in ("SQ", "UI"),
        }
        if not possible.get(action, True):
            raise ConfigurationError(f"{where}: {action} does not go with VR {vr}; use keep, empty or remove")
        if action is Action.REPLACE and not is_valid(vr, override.value or ""):
            raise ConfigurationError(f"{where}: the value is none of VR {vr} (PS3.5 §6.2)")
        usual = self._without_overrides(tag)
        decided = self._overridden(tag, name, override)
        if _EXPOSURE[decided.outcome] > _EXPOSURE[usual.outcome] and not override.unsafe:
            raise ConfigurationError(
                f"{where}: {action} lets out more than this profile's options do ({usual.outcome}); "
                f"{_retaining(usual.row)}write `{name}: {{action: {action}, unsafe: true}}`"
            )
        if tag == PATIENT_ID and action is Action.KEEP and Option.RETAIN_MODIFIED_DATES in self.options:
            raise ConfigurationError(
                f"{where}: dates move by patient, which a PatientID that stays would undo"
            )

    # -- private attributes ------------------------------------------------------------------------------------

    def _safe_private(self) -> dict[bytes, dict[tuple[int, int], str]]:
        if Option.RETAIN_SAFE_PRIVATE not in self.options:
            if self.document.private != Private():
                raise ConfigurationError("private: select options.retain_safe_private to keep any of them")
            return {}
        safe = {creator: dict(elements) for creator, elements in load_safe_private().elements.items()}
        for listed in self.document.private.keep:
            own = safe.setdefault(listed.creator.encode("ascii"), {})
            own.update((key, own.get(key, "")) for key in listed.places())
        return safe

    def decide_private(self, tag: int, creator: bytes) -> tuple[Decision, str]:
        """What becomes of an element of an odd group under its creator, and the VR that the standard gives it.

        The element that reserves a block stays if anything of the block could.
        """
        group, element = tag >> 16, tag & 0xFFFF
        elements = self._private.get(creator, {})
        gone = Decision(
            Outcome.REMOVE, "a private attribute that is not known to be safe", row=self.table.private
        )
        if 0x10 <= element <= 0xFF:
            if not any(group == known for known, _ in elements):
                return gone, ""
            return Decision(
                Outcome.KEEP, "its block has attributes known to be safe", row=self.table.private
            ), "LO"
        vr = elements.get((group, element & 0xFF)) if element >= 0x1000 else None
        if vr is None:
            return gone, ""
        if vr in ("OB", "OW") and Option.CLEAN_PIXEL_DATA in self.options:
            return Decision(Outcome.REMOVE, "private pixels cannot be cleaned", row=self.table.private), vr
        outcome = {"SQ": Outcome.ITEMS, "UI": Outcome.UID}.get(vr, Outcome.KEEP)
        return (
            Decision(outcome, "known to be safe", row=self.table.private, option=Option.RETAIN_SAFE_PRIVATE),
            vr,
        )

    # -- pixels ------------------------------------------------------------------------------------------------

    @cached_property
    def pixel_settings(self) -> "PixelSettings | None":
        """How pixels are cleaned; None where they are not.

        Raises:
            ConfigurationError: a device rule is none.
        """
        if Option.CLEAN_PIXEL_DATA not in self.options:
            return None
        # Only what cleans pixels has to wait for what that needs.
        from rayline_deid.pixels.settings import PixelSettings

        pixels = self.document.pixels
        try:
            return PixelSettings.model_validate(
                {
                    "device_rules": self._device_rules(),
                    "packaged_device_rules": pixels.packaged_devices,
                    "text_detection": pixels.text_detection != "never",
                    "every_image": pixels.text_detection == "always",
                    "believe_no": pixels.believe_no,
                    "frames_examined": pixels.frames_examined,
                }
            )
        except ValidationError as invalid:
            error = invalid.errors(include_url=False, include_context=False)[0]
            place = ".".join(str(part) for part in error["loc"][1:])
            raise ConfigurationError(f"pixels.devices: {place}: {error['msg']}") from None

    def _device_rules(self) -> Any:
        devices = self.document.pixels.devices
        if self.devices_path is None:
            return devices or ()
        import yaml

        try:
            document = yaml.safe_load(self.devices_path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            raise ConfigurationError(
                f"pixels.devices: {self.devices_path} is no YAML that can be read"
            ) from None
        if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
            raise ConfigurationError(f"pixels.devices: {self.devices_path} has no list of `rules`")
        return document["rules"]

    # -- the whole ---------------------------------------------------------------------------------------------

    def warnings(self) -> list[str]:
        """What is allowed, and yet should be known."""
        return list(_warnings(self))

    def overrides(self) -> Mapping[int, tuple[str, Override]]:
        """The profile's own word on single attributes, by tag."""
        return self._overrides

    def _digest(self) -> str:
        described = self.document.model_dump(mode="json", exclude={"description"})
        if self.devices_path is not None:
            try:
                described["pixels"]["devices"] = hashlib.sha256(self.devices_path.read_bytes()).hexdigest()
            except OSError as missing:
                raise ConfigurationError(
                    f"pixels.devices: {self.devices_path} cannot be read: {missing.strerror}"
                ) from None
        table = {
            row.tag: [row.basic, dict(sorted(row.options.items()))]
            for row in (*self.table.rows.values(), *self.table.repeating.values(), self.table.private)
        }
        whole: dict[str, Any] = {
            "engine": ENGINE_VERSION,
            "edition": self.edition,
            "table": table,
            "profile": described,
            "words": sorted(self.words),
            "dummies": {vr: value.hex() for vr, value in self.dummies.items()},
            "private": [
                [creator.decode("ascii"), group, element, vr]
                for creator, elements in sorted(self._private.items())
                for (group, element), vr in sorted(elements.items())
            ],
        }
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode("utf-8")).hexdigest()


def _retaining(row: Row | None) -> str:
    """Which options would keep a row."""
    options = [f"options.{option}" for option, code in row.options.items() if code == "K"] if row else []
    return f"select {' or '.join(options)}, or " if options else ""


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) & 1)


def _devices_path(document: DeidProfile, directory: Path | None) -> Path | None:
    devices = document.pixels.devices
    return (directory or Path()) / devices if isinstance(devices, str) else None


def _warnings(profile: Profile) -> Any:
    options, document = profile.options, profile.document
    default = DeidProfile()
    if Option.RETAIN_UIDS in options:
        yield "retain_uids: whoever can ask the PACS finds the patient by any of the UIDs that stay"
        if Option.RETAIN_MODIFIED_DATES in options:
            yield "retain_uids with modified dates: by the UIDs the true dates are found, so moving them hides nothing"
        if document.uids != default.uids:
            yield "uids.root: UIDs are retained, so it is used for none but those that are not valid"
    if Option.RETAIN_FULL_DATES in options:
        yield "full dates: dates of service identify in many countries, e.g. under HIPAA; modified ones keep intervals"
    if Option.RETAIN_MODIFIED_DATES in options:
        if document.dates.last - document.dates.first < 30:
            yield "dates: with a window of less than a month, true dates are nearly known"
    elif document.dates != default.dates:
        yield "dates: they move only with retain_longitudinal_temporal_information: modified"
    if Option.CLEAN_PIXEL_DATA not in options:
        yield "clean_pixel_data is off: text in the pixels stays, but for images that say so, which are refused"
        if document.pixels != default.pixels:
            yield "pixels: they are cleaned only with options.clean_pixel_data"
    elif document.pixels.text_detection == "never":
        yield "pixels.text_detection: without it, text is found only where headers or device rules say so"
    if document.descriptors.words and not options & {
        Option.CLEAN_DESCRIPTORS,
        Option.CLEAN_STRUCTURED_CONTENT,
        Option.CLEAN_GRAPHICS,
        Option.RETAIN_PATIENT_CHARACTERISTICS,
    }:
        yield "descriptors.words: no text is cleaned without options.clean_descriptors"
    if document.private.believe_sender:
        yield "private.believe_sender: what whoever wrote a file calls safe stays, and nobody looks whether it is"
    if document.patients.oldest_years is not None and Option.RETAIN_PATIENT_CHARACTERISTICS not in options:
        yield "patients.oldest_years: ages are removed without options.retain_patient_characteristics"
    if options >= {Option.RETAIN_PATIENT_CHARACTERISTICS, Option.RETAIN_INSTITUTION_IDENTITY}:
        yield "patient characteristics with the institution: few patients of one place share sex, age, size and weight"
    for tag, (name, override) in profile.overrides().items():
        usual, decided = profile._without_overrides(tag), profile.decide(tag)
        weaker = _EXPOSURE[decided.outcome] > _EXPOSURE[usual.outcome]
        if weaker:
            yield f"attributes.{name}: marked unsafe; {override.action} in place of {usual.outcome}"
        elif override.unsafe:
            yield f"attributes.{name}: marked unsafe, but lets out no more than the options do"


@cache
def basic_profile() -> Profile:
    """The basic profile alone, over the tables that ship with the plugin."""
    return Profile(DeidProfile(options=Options(clean_pixel_data=False)))


@cache
def default_profile() -> Profile:
    """What is used where a site writes no profile: the basic profile, with pixels cleaned."""
    return Profile(DeidProfile())


def load_profile(path: Path | None) -> Profile:
    """The profile of a YAML file, or the default one.

    Raises:
        ConfigurationError: there is no such file, or it holds no profile that can be carried out.
    """
    if path is None:
        return default_profile()
    try:
        return Profile(read_profile(path), directory=path.parent)
    except ConfigurationError as wrong:
        message = str(wrong)
        raise ConfigurationError(message if str(path) in message else f"{path}: {message}") from None
