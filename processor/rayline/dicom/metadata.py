"""What the ledger keeps of a de-identified instance: few typed attributes of its patient, study, series and image.

Read it of the header that is stored, after de-identification, and never of the one that was received. People's names,
free text and identifiers are left out all the same; the instance's item has its UIDs and modality already.
"""

import math
import re
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, time
from typing import Any, Final

from rayline.dicom.header import Header

# PS3.5 table 6.2-1: DA, TM, AS and CS.
_DATE: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_TIME: Final = re.compile(r"([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:\.([0-9]{1,6}))?)?)?")
_AGE: Final = re.compile(r"([0-9]{3})([DWMY])")
_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")
# Of multi-valued code strings, so that the item stays small.
_MOST_CODES: Final = 8
_LONGEST_NAME: Final = 64
_OF_A_YEAR: Final = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


@dataclass(frozen=True)
class PatientMetadata:
    """Of PS3.3 §C.7.1.1 and §C.7.2.2.

    Attributes:
        sex: M, F or O.
        age_years: from PatientAge, which counts days, weeks, months or years.
        size_m: metres.
        weight_kg: kilograms.
    """

    sex: str | None
    age_years: float | None
    size_m: float | None
    weight_kg: float | None


@dataclass(frozen=True)
class StudyMetadata:
    """Of PS3.3 §C.7.2.1: when it was, as the profile left it."""

    study_date: date | None
    study_time: time | None


@dataclass(frozen=True)
class SeriesMetadata:
    """Of PS3.3 §C.7.3.1 and §C.7.5.1."""

    series_number: int | None
    body_part_examined: str | None
    laterality: str | None
    manufacturer: str | None
    manufacturer_model_name: str | None


@dataclass(frozen=True)
class ImageMetadata:
    """Of PS3.3 §C.7.6.1 to §C.7.6.3 and §C.7.6.6; all None of what is no image.

    Attributes:
        pixel_spacing_mm: between rows, then between columns.
        slice_thickness_mm: millimetres.
    """

    instance_number: int | None
    image_type: tuple[str, ...] | None
    rows: int | None
    columns: int | None
    frames: int | None
    samples_per_pixel: int | None
    bits_allocated: int | None
    bits_stored: int | None
    photometric_interpretation: str | None
    pixel_spacing_mm: tuple[float, float] | None
    slice_thickness_mm: float | None
    view_position: str | None


@dataclass(frozen=True)
class InstanceMetadata:
    """What the ledger keeps of an instance."""

    transfer_syntax_uid: str
    patient: PatientMetadata
    study: StudyMetadata
    series: SeriesMetadata
    image: ImageMetadata

    def to_item(self) -> dict[str, Any]:
        """The same as plain values for an item of the ledger, without what is None: dates and times in ISO 8601."""
        return {name: value for name, value in _plain(self).items() if value != {}}


def metadata_of(header: Header) -> InstanceMetadata:
    """Read the metadata of a de-identified instance; what is absent or not a value of its VR is None."""
    rows = _integer(header, 0x00280010)
    return InstanceMetadata(
        transfer_syntax_uid=header.transfer_syntax_uid,
        patient=PatientMetadata(
            sex=_one_of(header, 0x00100040, frozenset("MFO")),
            age_years=_age_years(header.text(0x00101010)),
            size_m=_number(header, 0x00101020),
            weight_kg=_number(header, 0x00101030),
        ),
        study=StudyMetadata(
            study_date=_date(header.text(0x00080020)), study_time=_time(header.text(0x00080030))
        ),
        series=SeriesMetadata(
            series_number=_integer(header, 0x00200011),
            body_part_examined=_code(header, 0x00180015),
            laterality=_one_of(header, 0x00200060, frozenset("LR"))
            or _one_of(header, 0x00200062, frozenset("LRUB")),
            manufacturer=_name(header, 0x00080070),
            manufacturer_model_name=_name(header, 0x00081090),
        ),
        image=ImageMetadata(
            instance_number=_integer(header, 0x00200013),
            image_type=_codes(header, 0x00080008),
            rows=rows,
            columns=_integer(header, 0x00280011),
            frames=None if rows is None else _integer(header, 0x00280008, absent=1),
            samples_per_pixel=_integer(header, 0x00280002),
            bits_allocated=_integer(header, 0x00280100),
            bits_stored=_integer(header, 0x00280101),
            photometric_interpretation=_code(header, 0x00280004),
            # PixelSpacing, or where the detector's is all there is, ImagerPixelSpacing.
            pixel_spacing_mm=_pair(header, 0x00280030) or _pair(header, 0x00181164),
            slice_thickness_mm=_number(header, 0x00180050),
            view_position=_code(header, 0x00185101),
        ),
    )


def _integer(header: Header, tag: int, absent: int | None = None) -> int | None:
    return header.integer(tag) if header.has_value(tag) else absent


def _numbers(header: Header, tag: int) -> list[float]:
    numbers = [float(number) for number in header.numbers(tag) or ()]
    return numbers if all(map(math.isfinite, numbers)) else []


def _number(header: Header, tag: int) -> float | None:
    numbers = _numbers(header, tag)
    return numbers[0] if len(numbers) == 1 else None


def _pair(header: Header, tag: int) -> tuple[float, float] | None:
    numbers = _numbers(header, tag)
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def _code(header: Header, tag: int) -> str | None:
    text = header.text(tag)
    return text if _CODE.fullmatch(text) else None


def _codes(header: Header, tag: int) -> tuple[str, ...] | None:
    texts = header.texts(tag)[:_MOST_CODES]
    return tuple(texts) if texts and all(map(_CODE.fullmatch, filter(None, texts))) else None


def _one_of(header: Header, tag: int, values: frozenset[str]) -> str | None:
    text = header.text(tag)
    return text if text in values else None


def _name(header: Header, tag: int) -> str | None:
    return header.text(tag)[:_LONGEST_NAME] or None


def _date(text: str) -> date | None:
    found = _DATE.fullmatch(text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def _time(text: str) -> time | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second, fraction = found.groups(default="0")
    try:
        return time(int(hour), int(minute), int(second), int(fraction.ljust(6, "0")))
    except ValueError:
        return None


def _age_years(text: str) -> float | None:
    found = _AGE.fullmatch(text)
    return round(int(found[1]) * _OF_A_YEAR[found[2]], 2) if found else None


def _plain(value: Any) -> Any:
    """Dataclasses to mappings without None, dates and times to ISO 8601, tuples to lists."""
    if is_dataclass(value):
        named = ((field.name, _plain(getattr(value, field.name))) for field in fields(value))
        return {name: plain for name, plain in named if plain is not None}
    if isinstance(value, date | time):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
