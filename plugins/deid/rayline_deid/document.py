"""A site's de-identification profile as it is written in YAML."""

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rayline.plugin import ConfigurationError, dictionary
from rayline_deid.options import Option
from rayline_deid.pseudonyms import DEFAULT_PATIENT_PREFIX, DEFAULT_UID_ROOT, LONGEST_UID_ROOT
from rayline_deid.values import DUMMIES, is_valid

_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),? ?([0-9A-Fa-f]{4})\)?")
_ELEMENT = re.compile(r"\(?([0-9A-Fa-f]{4}),? ?xx([0-9A-Fa-f]{2})\)?")


def tag_of(name: str) -> int:
    """The tag of a keyword, or of ``(gggg,eeee)`` or ``ggggeeee``.

    Raises:
        ValueError: PS3.6 has no such attribute; says which keyword is near.
    """
    found = _TAG.fullmatch(name.strip())
    if found:
        return int(found[1] + found[2], 16)
    tag = dictionary.TAG_OF.get(name.strip())
    if tag is None:
        near = _nearest(name, dictionary.TAG_OF)
        hint = f"did you mean {near}?" if near else "write a keyword of PS3.6, or (gggg,eeee)"
        raise ValueError(f"{name!r} is no attribute of PS3.6; {hint}")
    return tag


def _nearest(name: str, known: Iterable[str]) -> str:
    # Only a mistake has to wait for this import.
    import difflib

    return next(iter(difflib.get_close_matches(name, known, 1)), "")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Options(_Part):
    """Which options of PS3.15 §E.3 are applied beside the basic profile."""

    clean_pixel_data: bool = Field(
        default=True,
        description="Blank text burned into pixels, and refuse what cannot be cleaned (§E.3.1).",
    )
    clean_recognizable_visual_features: bool = Field(
        default=False,
        description="Refuse images that could show a face, since features are not removed (§E.3.2).",
    )
    clean_graphics: bool = Field(
        default=False,
        description="Keep graphic annotations without their words, and overlays that mark a region (§E.3.3).",
    )
    clean_structured_content: bool = Field(
        default=False,
        description="Keep codes and numbers of structured reports, and of their text what identifies nobody (§E.3.4).",
    )
    clean_descriptors: bool = Field(
        default=False,
        description="Keep of descriptions and comments the words that identify nobody (§E.3.5).",
    )
    retain_longitudinal_temporal_information: Literal["none", "modified", "full"] = Field(
        default="none",
        description="Remove dates and times, move a patient's dates by the same number of days, or keep them (§E.3.6).",
    )
    retain_patient_characteristics: bool = Field(
        default=False, description="Keep sex, age, size, weight and the like (§E.3.7)."
    )
    retain_device_identity: bool = Field(
        default=False, description="Keep serial numbers, station names and the like (§E.3.8)."
    )
    retain_uids: bool = Field(
        default=False, description="Keep UIDs, so that images can be found in the PACS (§E.3.9)."
    )
    retain_safe_private: bool = Field(
        default=False,
        description="Keep the private attributes of table E.3.10-1 and those listed under `private` (§E.3.10).",
    )
    retain_institution_identity: bool = Field(
        default=False, description="Keep the institution's name, address and department (§E.3.11)."
    )

    def applied(self) -> frozenset[Option]:
        """The options that are on."""
        names = {name for name, value in self if value is True}
        if self.retain_longitudinal_temporal_information != "none":
            names.add(f"retain_{self.retain_longitudinal_temporal_information}_dates")
        return frozenset(Option(name) for name in names)


class Dates(_Part):
    """By how many days dates move where they are retained modified."""

    first: int = Field(default=-365, ge=-36_500, le=36_500, description="The least number of days to add.")
    last: int = Field(default=-1, ge=-36_500, le=36_500, description="The greatest number of days to add.")

    @model_validator(mode="after")
    def _is_a_window(self) -> "Dates":
        if self.first > self.last or self.first == self.last == 0:
            raise ValueError(
                "`first` must not be after `last`, and the window must hold another number than 0"
            )
        return self


class Uids(_Part):
    """What new UIDs look like."""

    root: str = Field(
        default=DEFAULT_UID_ROOT,
        max_length=LONGEST_UID_ROOT,
        pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$",
        description="Root of all UIDs that are made: 2.25 (PS3.5 §B.2), or one registered to the site.",
        examples=["2.25", "1.2.826.0.1.3680043.10.1"],
    )


class Patients(_Part):
    """What becomes of the patient's own attributes."""

    prefix: str = Field(
        default=DEFAULT_PATIENT_PREFIX,
        pattern=r"^[A-Z0-9_-]{0,16}$",
        description="Stands before the 20 characters of every pseudonym.",
        examples=["RL-", "TRIAL7_"],
    )
    oldest_years: int | None = Field(
        default=None,
        ge=1,
        le=120,
        description="Where characteristics are retained, patients older than this are given as one year older than it.",
        examples=[89],
    )


class Action(StrEnum):
    """What a profile can ask for a single attribute."""

    KEEP = "keep"
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    HASH = "hash"
    UID = "uid"
    PSEUDONYM = "pseudonym"
    SHIFT = "shift"
    CLEAN = "clean"
    REPLACE = "replace"


class Override(_Part):
    """What becomes of one attribute, wherever it stands."""

    action: Action = Field(
        description="keep, remove, empty (no value), dummy (a valid value that says nothing), hash (16 keyed "
        "characters), uid (a keyed UID), pseudonym (the patient's), shift (a date moved), clean (the words that "
        "identify nobody) or replace (by `value`)."
    )
    value: str | None = Field(
        default=None, description="What `replace` writes; valid for the attribute's VR."
    )
    unsafe: bool = Field(
        default=False,
        description="Has to be true where more of the attribute stays than the options of this profile let stay.",
    )

    @model_validator(mode="after")
    def _has_a_value(self) -> "Override":
        if (self.value is None) == (self.action is Action.REPLACE):
            raise ValueError("`value` belongs to `action: replace`, and to it alone")
        if self.value is not None and not self.value.isascii():
            raise ValueError("`value` has to be ASCII, since files differ in their character sets")
        return self


class SafeCreator(_Part):
    """Private attributes of one creator that the site knows to be safe."""

    creator: str = Field(
        min_length=1,
        max_length=64,
        description="The private creator, as (gggg,00bb) has it.",
        examples=["SIEMENS CSA HEADER"],
    )
    elements: tuple[str, ...] = Field(
        min_length=1, description="Elements with `xx` for the block.", examples=[["(0029,xx08)"]]
    )

    @field_validator("creator")
    @classmethod
    def _is_ascii(cls, creator: str) -> str:
        if not creator.isascii() or not creator.isprintable():
            raise ValueError("a private creator has printable characters of ASCII only")
        return creator

    @field_validator("elements")
    @classmethod
    def _are_private(cls, elements: tuple[str, ...]) -> tuple[str, ...]:
        for each in elements:
            found = _ELEMENT.fullmatch(each)
            if not found or not int(found[1], 16) & 1:
                raise ValueError(f"{each!r} is no private element; write e.g. (0029,xx08), with an odd group")
        return elements

    def places(self) -> list[tuple[int, int]]:
        """(group, last two digits of the element) of each element."""
        return [
            (int(found[1], 16), int(found[2], 16))
            for found in map(_ELEMENT.fullmatch, self.elements)
            if found
        ]


class Private(_Part):
    """Private attributes that stay beside those of table E.3.10-1."""

    keep: tuple[SafeCreator, ...] = Field(default=(), description="Elements by their creator.")
    believe_sender: bool = Field(
        default=False,
        description="Keep, at the top level, what a file itself calls safe, in (0008,0300).",
    )


class Descriptors(_Part):
    """What free text may say where it is cleaned."""

    words: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")], ...] = Field(
        default=(),
        description="Words that may stay beside those of the vocabulary; none that could be a name or a number.",
        examples=[["mp2rage", "prostateprotocol"]],
    )


class Pixels(_Part):
    """How text burned into pixels is found."""

    text_detection: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Look for text in images at risk, in all of them, or in none; then images at risk are refused "
        "that neither a device rule nor their ultrasound regions clean.",
    )
    believe_no: bool = Field(
        default=True,
        description="Take Burned In Annotation NO as true, but for what shows text by its nature, e.g. ultrasound.",
    )
    devices: str | tuple[dict[str, Any], ...] | None = Field(
        default=None,
        description="The site's own rules on where machines burn in text, inline or as a path relative to this file.",
        examples=["devices.yaml"],
    )
    packaged_devices: bool = Field(
        default=True, description="Whether the rules by device that come with the plugin hold as well."
    )
    frames_examined: int = Field(
        default=24,
        ge=2,
        le=1000,
        description="Frames of a multi-frame image that are looked at one by one, the others in projections.",
    )
    on_uncleanable: Literal["reject"] = Field(
        default="reject",
        description="An image whose text cannot be blanked is refused; there is no other way.",
    )


class DeidProfile(_Part):
    """A de-identification profile: PS3.15 Annex E's basic profile, its options, and what a site wants otherwise."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        title="De-identification profile",
        json_schema_extra={"$id": "profile.schema.json"},
    )

    profile: Literal[1] = Field(default=1, description="Version of this format.")
    description: str = Field(default="", description="For people; says what the profile is for.")
    options: Options = Field(default_factory=Options, description="Which options of PS3.15 §E.3 are applied.")
    dates: Dates = Field(default_factory=Dates, description="By how many days dates move.")
    uids: Uids = Field(default_factory=Uids, description="What new UIDs look like.")
    patients: Patients = Field(
        default_factory=Patients, description="What becomes of the patient's own attributes."
    )
    attributes: dict[str, Override] = Field(
        default_factory=dict,
        description="What becomes of single attributes, by keyword or (gggg,eeee): an action, or an action with more.",
        examples=[{"AccessionNumber": "hash", "(0008,0070)": "remove"}],
    )
    private: Private = Field(
        default_factory=Private, description="Private attributes that stay beside those of table E.3.10-1."
    )
    descriptors: Descriptors = Field(
        default_factory=Descriptors, description="What free text may say where it is cleaned."
    )
    dummies: dict[str, str] = Field(
        default_factory=dict,
        description="Dummy values by VR, in place of those that ship with the plugin.",
        examples=[{"LO": "REMOVED", "DA": "19700101"}],
    )
    pixels: Pixels = Field(default_factory=Pixels, description="How text burned into pixels is found.")

    @field_validator("attributes", mode="before")
    @classmethod
    def _accept_an_action_alone(cls, attributes: Any) -> Any:
        if not isinstance(attributes, dict):
            return attributes
        return {
            name: {"action": given} if isinstance(given, str) else given for name, given in attributes.items()
        }

    @field_validator("attributes")
    @classmethod
    def _name_attributes(cls, attributes: dict[str, Override]) -> dict[str, Override]:
        seen: dict[int, str] = {}
        for name in attributes:
            tag = tag_of(name)
            if tag in seen:
                raise ValueError(f"{name} and {seen[tag]} are the same attribute; write one of them")
            seen[tag] = name
        return attributes

    @field_validator("dummies")
    @classmethod
    def _are_valid_dummies(cls, dummies: dict[str, str]) -> dict[str, str]:
        for vr, value in dummies.items():
            if vr not in DUMMIES or not DUMMIES[vr].strip(b"\0"):
                raise ValueError(f"{vr} takes no dummy of one's own; those of characters do, e.g. LO, DA, PN")
            if not value or not value.isascii() or not is_valid(vr, value):
                raise ValueError(
                    f"{value!r} is no value of VR {vr} (PS3.5 §6.2); e.g. {DUMMIES[vr].decode().strip()!r}"
                )
        return dummies


def parse_profile(document: object, where: str) -> DeidProfile:
    """A profile from what YAML holds.

    Raises:
        ConfigurationError: it is none; names the field, what is wrong with it, and an example.
    """
    if not isinstance(document, dict):
        raise ConfigurationError(f"{where} is no de-identification profile; begin it with `profile: 1`")
    if "profile" not in document:
        raise ConfigurationError(
            f"{where} does not say which version of the format it has; begin it with `profile: 1`"
        )
    try:
        return DeidProfile.model_validate(document)
    except ValidationError as invalid:
        raise ConfigurationError(f"{where}: " + "; ".join(_problems(invalid))) from None


def read_profile(path: Path) -> DeidProfile:
    """A profile from a YAML file.

    Raises:
        ConfigurationError: there is no such file, or it holds no profile.
    """
    # The default profile needs no YAML.
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as missing:
        raise ConfigurationError(f"the profile {path} cannot be read: {missing.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the profile {path} is not UTF-8") from None
    except yaml.YAMLError as broken:
        mark = getattr(broken, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"the profile {path} is no YAML{line}") from None
    return parse_profile(document, str(path))


def profile_schema() -> dict[str, Any]:
    """The JSON schema of a profile, for editors."""
    schema = DeidProfile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    # An action may stand alone, which the validator reads as an override without more.
    schema["properties"]["attributes"]["additionalProperties"] = {
        "anyOf": [{"$ref": "#/$defs/Action"}, {"$ref": "#/$defs/Override"}]
    }
    return schema


def _problems(invalid: ValidationError) -> list[str]:
    problems = []
    for error in invalid.errors(include_url=False, include_context=False):
        place = [str(part) for part in error["loc"]]
        field = _field_at(place)
        message = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            known = _names_beside(place)
            near = _nearest(place[-1], known)
            message = (
                f"there is no such field; did you mean {near}?" if near else f"one of {', '.join(known)}"
            )
        examples = getattr(field, "examples", None)
        example = f", e.g. {examples[0]}" if examples and error["type"] != "extra_forbidden" else ""
        problems.append(f"{'.'.join(place)}: {message}{example}")
    return problems


def _names_beside(place: list[str]) -> list[str]:
    model = _model_at(place[:-1])
    return list(model.model_fields) if model is not None else []


def _model_at(place: list[str]) -> type[BaseModel] | None:
    model: type[BaseModel] = DeidProfile
    for part in place:
        field = model.model_fields.get(part)
        annotation = field.annotation if field is not None else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return Override if place[:1] == ["attributes"] else None
        model = annotation
    return model


def _field_at(place: list[str]) -> Any:
    for depth in range(len(place) - 1, -1, -1):
        model = _model_at(place[:depth])
        if model is not None and place[depth] in model.model_fields:
            return model.model_fields[place[depth]]
    return None
