"""Device rules: where machines that are known by their headers burn in text."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from rayline.plugin import Attributes
from rayline_deid.pixels.boxes import Box

_MANUFACTURER: Final = 0x00080070
_MODEL: Final = 0x00081090
_SOFTWARE_VERSIONS: Final = 0x00181020
_SERIES_DESCRIPTION: Final = 0x0008103E
_MODALITY: Final = 0x00080060
_SOP_CLASS_UID: Final = 0x00080016
_IMAGE_TYPE: Final = 0x00080008
_ROWS: Final = 0x00280010
_COLUMNS: Final = 0x00280011

# Hostile input can name any machine; forget rather than grow.
_REMEMBERED: Final = 1024

_Pixels = Annotated[int, Field(ge=0, le=65535)]
_Size = Annotated[int, Field(ge=1, le=65535)]
_Text = Annotated[str, Field(min_length=1)]


class DeviceRule(BaseModel):
    """What to blank in the images of one kind of machine; all criteria that are given must hold.

    Attributes:
        name: what the rule is for.
        source: who found it, e.g. a publication.
        manufacturer: part of Manufacturer, in any case; ``model``, ``software_versions`` and
            ``series_description`` likewise.
        modality: Modality.
        sop_class_uid: SOP Class UID.
        image_type: words that Image Type holds, in any case.
        rows: Rows.
        columns: Columns.
        boxes: left, top, width and height of each rectangle, in pixels; cut to the image.
        refuse: the images cannot be cleaned and are quarantined.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Text
    source: str = ""
    manufacturer: _Text | None = None
    model: _Text | None = None
    software_versions: _Text | None = None
    series_description: _Text | None = None
    modality: _Text | None = None
    sop_class_uid: _Text | None = None
    image_type: tuple[_Text, ...] = ()
    rows: _Size | None = None
    columns: _Size | None = None
    boxes: tuple[tuple[_Pixels, _Pixels, _Size, _Size], ...] = ()
    refuse: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.manufacturer or self.model or self.sop_class_uid or self.series_description):
            raise ValueError("a rule names a manufacturer, model, sop_class_uid or series_description")
        if bool(self.boxes) == self.refuse:
            raise ValueError("a rule has boxes to blank, or refuse: true")
        return self

    def may_apply(self, manufacturer: str, model: str, modality: str) -> bool:
        """Whether the rule is for such machines, in lower case, or some of them."""
        return (
            (self.manufacturer or "").lower() in manufacturer
            and (self.model or "").lower() in model
            and self.modality in (None, modality)
        )

    def applies(self, header: Attributes) -> bool:
        """Whether the rule is for the machine that made an image."""
        parts = (
            (self.manufacturer, _MANUFACTURER),
            (self.model, _MODEL),
            (self.software_versions, _SOFTWARE_VERSIONS),
            (self.series_description, _SERIES_DESCRIPTION),
        )
        if any(part is not None and part.lower() not in header.text(tag).lower() for part, tag in parts):
            return False
        exact = ((self.modality, _MODALITY), (self.sop_class_uid, _SOP_CLASS_UID))
        if any(value is not None and value != header.text(tag) for value, tag in exact):
            return False
        sizes = ((self.rows, _ROWS), (self.columns, _COLUMNS))
        if any(size is not None and size != header.integer(tag) for size, tag in sizes):
            return False
        words = {word.upper() for word in header.texts(_IMAGE_TYPE)}
        return all(word.upper() in words for word in self.image_type)

    def rectangles(self) -> tuple[Box, ...]:
        """The boxes, not cut to an image yet."""
        return tuple(Box(*box) for box in self.boxes)


class _DeviceRules(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[DeviceRule, ...]


@cache
def packaged_rules() -> tuple[DeviceRule, ...]:
    """The rules that come with the plugin, each with its source."""
    document = yaml.safe_load(files("rayline_deid").joinpath("devices.yaml").read_text(encoding="utf-8"))
    return _DeviceRules.model_validate(document).rules


class DeviceRules:
    """Rules to be asked about many images: those for a machine are looked for once."""

    def __init__(self, rules: Iterable[DeviceRule]) -> None:
        self._rules = tuple(rules)
        self._by_machine: dict[tuple[str, str, str], tuple[DeviceRule, ...]] = {}

    def matching(self, header: Attributes) -> list[DeviceRule]:
        """The rules for the machine that made an image."""
        machine = (header.text(_MANUFACTURER).lower(), header.text(_MODEL).lower(), header.text(_MODALITY))
        rules = self._by_machine.get(machine)
        if rules is None:
            if len(self._by_machine) >= _REMEMBERED:
                self._by_machine.clear()
            rules = self._by_machine[machine] = tuple(
                rule for rule in self._rules if rule.may_apply(*machine)
            )
        return [rule for rule in rules if rule.applies(header)]
