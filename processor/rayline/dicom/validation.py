"""The built-in screening: is this a whole instance of an accepted class that HealthImaging can import?"""

import re
from typing import Any, Final

from pydicom.dataset import Dataset

from rayline.dicom.reading import read_dataset
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.sop_classes import (
    ALLOWED_MODALITIES,
    ALLOWED_SOP_CLASSES,
    IMPORTABLE_TRANSFER_SYNTAXES,
    MEDIA_STORAGE_DIRECTORY,
    NATIVE_TRANSFER_SYNTAXES,
    SOP_CLASSES_WITH_PIXELS,
)
from rayline.errors import RejectedEvent
from rayline.plugin import Rejection

# PS3.5 §9.1: components without leading zeros, 64 characters in all. Archives hold UIDs with leading zeros in
# number, and they stay unique, so only what cannot be an object identifier is refused.
_UID: Final = re.compile(r"^[0-2](\.[0-9]+)+$")
_UID_LENGTH: Final = 64

_UID_KEYWORDS: Final = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# PS3.3 §C.7.6.3: type 1 for every image with pixel data.
_PIXEL_KEYWORDS: Final = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
_PIXEL_DATA_TAGS: Final = (0x7FE00010, 0x7FE00008, 0x7FE00009)


def screen(content: bytes, dataset: Dataset | None = None) -> Rejection | None:
    """Decide whether the intake takes an instance.

    Args:
        content: Part 10 bytes.
        dataset: the same, parsed; it is parsed here where not given.

    Returns:
        None to take it, or the rejection, whose reason is a :class:`ReasonCode`.
    """
    try:
        if dataset is None or not content:
            dataset = read_dataset(content)
        _check(dataset)
    except RejectedEvent as refusal:
        return Rejection(refusal.reason, refusal.explanation)
    return None


def _refuse(reason: ReasonCode, explanation: str) -> RejectedEvent:
    return RejectedEvent(reason.value, explanation)


def _value(dataset: Dataset, keyword: str) -> Any:
    """An attribute's value, None where it is absent or empty."""
    try:
        value = dataset.get(keyword)
    except Exception as error:
        # pydicom decodes here for the first time, and hostile values raise nearly anything.
        raise _refuse(
            ReasonCode.INVALID_VALUE, f"{keyword} has a value that cannot be decoded ({type(error).__name__})"
        ) from None
    return None if value is None or value == "" else value


def _required(dataset: Dataset, keyword: str) -> Any:
    value = _value(dataset, keyword)
    if value is None:
        raise _refuse(ReasonCode.MISSING_ATTRIBUTE, f"{keyword} is absent or empty")
    return value


def _integer(dataset: Dataset, keyword: str) -> int:
    value = _required(dataset, keyword)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise _refuse(ReasonCode.INVALID_VALUE, f"{keyword} is not an integer") from None


def _check(dataset: Dataset) -> None:
    meta = getattr(dataset, "file_meta", Dataset())
    transfer_syntax = str(_required(meta, "TransferSyntaxUID"))
    sop_class = str(_value(dataset, "SOPClassUID") or _required(meta, "MediaStorageSOPClassUID"))
    if sop_class == MEDIA_STORAGE_DIRECTORY:
        raise _refuse(ReasonCode.DICOMDIR_REFUSED, "a media directory; send the instances that it lists")
    _required(dataset, "SOPClassUID")
    if sop_class not in ALLOWED_SOP_CLASSES:
        raise _refuse(ReasonCode.SOP_CLASS_NOT_ALLOWED, "the SOP class is not one that this intake accepts")
    for keyword in _UID_KEYWORDS:
        uid = str(_required(dataset, keyword))
        if len(uid) > _UID_LENGTH or not _UID.match(uid):
            raise _refuse(ReasonCode.INVALID_UID, f"{keyword} is not a UID (PS3.5 section 9.1)")
    for keyword, meta_keyword in (
        ("SOPInstanceUID", "MediaStorageSOPInstanceUID"),
        ("SOPClassUID", "MediaStorageSOPClassUID"),
    ):
        announced = _value(meta, meta_keyword)
        if announced is not None and str(announced) != str(_value(dataset, keyword)):
            raise _refuse(ReasonCode.INVALID_UID, f"file meta information and data set disagree on {keyword}")
    modality = str(_required(dataset, "Modality"))
    if modality not in ALLOWED_MODALITIES:
        raise _refuse(
            ReasonCode.MODALITY_NOT_ALLOWED, "the modality is not a defined term of PS3.3 C.7.3.1.1.1"
        )
    if transfer_syntax not in IMPORTABLE_TRANSFER_SYNTAXES:
        raise _refuse(
            ReasonCode.TRANSFER_SYNTAX_NOT_SUPPORTED, "HealthImaging does not import this transfer syntax"
        )
    if sop_class in SOP_CLASSES_WITH_PIXELS:
        _check_pixels(dataset, transfer_syntax)


def _check_pixels(dataset: Dataset, transfer_syntax: str) -> None:
    tag = next((each for each in _PIXEL_DATA_TAGS if each in dataset), None)
    if tag is None:
        raise _refuse(ReasonCode.MISSING_ATTRIBUTE, "PixelData is absent")
    for keyword in _PIXEL_KEYWORDS:
        # Float pixel data has no BitsStored, HighBit and PixelRepresentation (PS3.3 §C.7.6.24).
        if tag == _PIXEL_DATA_TAGS[0] or keyword not in ("BitsStored", "HighBit", "PixelRepresentation"):
            _required(dataset, keyword)
    rows, columns = _integer(dataset, "Rows"), _integer(dataset, "Columns")
    samples, bits = _integer(dataset, "SamplesPerPixel"), _integer(dataset, "BitsAllocated")
    frames = 1 if _value(dataset, "NumberOfFrames") is None else _integer(dataset, "NumberOfFrames")
    if rows < 1 or columns < 1 or frames < 1 or samples < 1 or bits not in (1, 8, 16, 32, 64):
        raise _refuse(
            ReasonCode.INVALID_VALUE, "rows, columns, frames, samples or bits allocated are out of range"
        )
    value = dataset.get_item(tag).value
    length = len(value) if isinstance(value, bytes | bytearray | memoryview) else 0
    if transfer_syntax not in NATIVE_TRANSFER_SYNTAXES:
        if length == 0:
            raise _refuse(ReasonCode.MISSING_ATTRIBUTE, "PixelData is empty")
        return
    total_bits = rows * columns * samples * frames * bits
    if str(_value(dataset, "PhotometricInterpretation")) == "YBR_FULL_422":
        # PS3.3 §C.7.6.3.1.2: two chroma samples are shared by two pixels.
        total_bits = total_bits * 2 // 3
    expected = (total_bits + 7) // 8
    if length not in (expected, expected + expected % 2):
        raise _refuse(
            ReasonCode.PIXEL_DATA_LENGTH_MISMATCH,
            f"PixelData has {length} bytes where the header says {expected}",
        )
