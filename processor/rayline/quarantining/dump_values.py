"""How a header dump shows values: all to those who may see a patient's data, to others the standard's own terms only.

Without that right a value is shown where it is a number of pixels or bits, or a term that DICOM itself defines: what
somebody has written into a term's place is not one, and stays hidden.
"""

import re
import struct
import warnings
from collections.abc import Callable, Sequence
from typing import Final

from rayline.dicom.character_sets import CHARACTER_SETS, decode
from rayline.dicom.dictionary import REGISTERED_UIDS, TAG_OF
from rayline.dicom.sop_classes import ALLOWED_MODALITIES

# What pydicom cannot decode it warns of, on stderr.
warnings.filterwarnings("ignore", module=r"pydicom\.charset$")

#: What is read of a value, and so the most that is shown of it.
SHOWN_BYTES: Final = 128
_HEX_BYTES: Final = 16

_TEXT_VRS: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)
_CHARSET_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_NUMBERS: Final = {
    "FD": "d", "FL": "f", "OD": "d", "OF": "f", "OL": "L", "OV": "Q", "SL": "l", "SS": "h", "SV": "q", "UL": "L",
    "US": "H", "UV": "Q",
}  # fmt: skip
_FEW_DIGITS: Final = re.compile(r"[0-9]{1,6}")
_PHOTOMETRIC: Final = frozenset(
    {
        "ARGB",
        "CMYK",
        "HSV",
        "MONOCHROME1",
        "MONOCHROME2",
        "PALETTE COLOR",
        "RGB",
        "XYB",
        "YBR_FULL",
        "YBR_FULL_422",
    }
    | {"YBR_ICT", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_RCT"}
)
_IMAGE_TYPES: Final = frozenset(
    {
        "AXIAL",
        "DERIVED",
        "LOCALIZER",
        "MIXED",
        "MPR",
        "ORIGINAL",
        "OTHER",
        "PRIMARY",
        "PROJECTION",
        "SECONDARY",
        "VOLUME",
    }
)


def _one_of(terms: frozenset[str]) -> Callable[[str], bool]:
    return lambda text: all(each.strip() in terms for each in text.split("\\"))


# Attributes of the allow-list whose text is shown, and which texts of theirs are.
_TERMS: Final[dict[int, Callable[[str], bool]]] = {
    TAG_OF[keyword]: shown
    for shown, keywords in (
        (
            _one_of(REGISTERED_UIDS),
            ("TransferSyntaxUID", "MediaStorageSOPClassUID", "SOPClassUID", "ReferencedSOPClassUID"),
        ),
        (_one_of(ALLOWED_MODALITIES), ("Modality",)),
        (_one_of(CHARACTER_SETS), ("SpecificCharacterSet",)),
        (_one_of(_PHOTOMETRIC), ("PhotometricInterpretation",)),
        (_one_of(_IMAGE_TYPES), ("ImageType",)),
        (_one_of(frozenset({"YES", "NO"})), ("BurnedInAnnotation", "PatientIdentityRemoved")),
        (_one_of(frozenset({"00", "01"})), ("LossyImageCompression",)),
        (lambda text: _FEW_DIGITS.fullmatch(text) is not None, ("NumberOfFrames",)),
    )
    for keyword in keywords
}
_BINARY: Final = {
    TAG_OF[keyword]: vr
    for vr, keywords in (
        (
            "US",
            (
                "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
                "SamplesPerPixel", "PlanarConfiguration",
            ),
        ),
        ("UL", ("FileMetaInformationGroupLength",)),
    )
    for keyword in keywords
}  # fmt: skip


def may_always_be_shown(tag: int, vr: str, raw: bytes, length: int, order: str) -> str | None:
    """A value that says nothing of a person, as text; None where it might.

    Args:
        raw: the value's first bytes.
        order: ``<`` or ``>``, the byte order of numbers.
    """
    expected = (
        "UL" if not tag & 0xFFFF and not tag >> 16 & 1 else _BINARY.get(tag)
    )  # (gggg,0000): a group's length
    if expected is not None:
        whole = vr == expected and length == len(raw) == struct.calcsize("<" + _NUMBERS[vr])
        return _numbers(vr, raw, order) if whole else None
    accepts = _TERMS.get(tag)
    if accepts is None or vr not in _TEXT_VRS or length != len(raw):
        return None
    text = raw.decode("ascii", "replace").rstrip("\0 ")
    return text if accepts(text) else None


def as_text(vr: str, raw: bytes, length: int, order: str, charsets: Sequence[str]) -> str:
    """The first bytes of any value as a person reads them; what a terminal would obey is escaped.

    Args:
        charsets: the values of Specific Character Set that hold where the element stands.
    """
    more = "…" if length > len(raw) else ""
    if vr in _NUMBERS and not vr.startswith("O"):
        return _numbers(vr, raw, order) + more
    if vr in _TEXT_VRS:
        decoded = decode(raw, charsets) if vr in _CHARSET_VRS else raw.decode("latin-1")
        return printable(decoded.rstrip("\0 ")) + more
    head = raw[:_HEX_BYTES].hex(" ")
    return f"{head} …" if length > _HEX_BYTES else head


def printable(text: str) -> str:
    """Text whose control characters, and others that cannot be seen, are written as escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _numbers(vr: str, raw: bytes, order: str) -> str:
    code = _NUMBERS[vr]
    size = struct.calcsize("<" + code)
    count = len(raw) // size
    found = struct.unpack_from(f"{order}{count}{code}", raw)
    return "\\".join(f"{each:g}" if isinstance(each, float) else str(each) for each in found)
