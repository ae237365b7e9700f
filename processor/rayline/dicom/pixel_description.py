"""Does the pixel data have the length that the image's description asks for?"""

from typing import Final, NamedTuple

from rayline.dicom.dictionary import keyword_of
from rayline.dicom.encoding import UNDEFINED_LENGTH
from rayline.dicom.header import Header
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.sop_classes import NATIVE_TRANSFER_SYNTAXES, RLE_LOSSLESS
from rayline.errors import RejectedEvent

PIXEL_DATA: Final = 0x7FE00010
_FLOAT_PIXEL_DATA: Final = 0x7FE00008
_DOUBLE_FLOAT_PIXEL_DATA: Final = 0x7FE00009
PIXEL_DATA_TAGS: Final = (PIXEL_DATA, _FLOAT_PIXEL_DATA, _DOUBLE_FLOAT_PIXEL_DATA)

_SAMPLES_PER_PIXEL: Final = 0x00280002
_PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
_PLANAR_CONFIGURATION: Final = 0x00280006
_NUMBER_OF_FRAMES: Final = 0x00280008
_ROWS: Final = 0x00280010
_COLUMNS: Final = 0x00280011
_BITS_ALLOCATED: Final = 0x00280100
_BITS_STORED: Final = 0x00280101
_HIGH_BIT: Final = 0x00280102
_PIXEL_REPRESENTATION: Final = 0x00280103
# PS3.3 §C.7.6.3.1.5: descriptors of the red, green and blue palette.
_PALETTES: Final = (0x00281101, 0x00281102, 0x00281103)

# PS3.3 §C.7.6.3: type 1 wherever there is pixel data; the integer ones are not in §C.7.6.24, float pixel data.
_TYPE_1: Final = (_SAMPLES_PER_PIXEL, _PHOTOMETRIC_INTERPRETATION, _ROWS, _COLUMNS, _BITS_ALLOCATED)
_TYPE_1_OF_INTEGERS: Final = (_BITS_STORED, _HIGH_BIT, _PIXEL_REPRESENTATION)

# PS3.3 §C.7.6.3.1.2: samples per pixel of each photometric interpretation, retired ones included.
_SAMPLES: Final = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "HSV": 3,
    "ARGB": 4,
    "CMYK": 4,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_PARTIAL_422": 3,
    "YBR_PARTIAL_420": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
    "XYB": 3,
}
# §C.7.6.3.1.2: two chroma samples for two pixels side by side.
_HALVED_CHROMA: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
_BITS: Final = frozenset({1, 8, 16, 32, 64})
_OFFSET_BYTES: Final = 4


class _Description(NamedTuple):
    rows: int
    columns: int
    samples: int
    frames: int
    bits: int
    photometric: str


def check_pixels(header: Header) -> None:
    """Check the pixel data's length, or its fragments, against the description (PS3.3 §C.7.6.3, PS3.5 §8).

    Raises:
        RejectedEvent: ``MISSING_ATTRIBUTE``, ``INVALID_VALUE``, ``MALFORMED`` or ``PIXEL_DATA_LENGTH_MISMATCH``.
    """
    tags = [tag for tag in PIXEL_DATA_TAGS if tag in header]
    if not tags:
        raise _refuse(ReasonCode.MISSING_ATTRIBUTE, "PixelData is absent")
    if len(tags) > 1:
        # §C.7.6.24, §C.7.6.25: one excludes the others; two readers would see two images.
        raise _refuse(ReasonCode.INVALID_VALUE, "there is more than one kind of pixel data")
    (tag,) = tags
    description = _description(header, tag)
    encapsulated = header.elements[tag].length == UNDEFINED_LENGTH
    if tag == PIXEL_DATA and encapsulated == (header.transfer_syntax_uid in NATIVE_TRANSFER_SYNTAXES):
        raise _refuse(
            ReasonCode.MALFORMED,
            f"PixelData is {'encapsulated' if encapsulated else 'native'}, and its transfer syntax is not"
            " (PS3.5 section A.4)",
        )
    if encapsulated:
        _check_fragments(header, description.frames)
    else:
        _check_length(header, tag, description)


def expected_bytes(header: Header, tag: int) -> int:
    """How long native pixel data is by its description, without padding.

    Raises:
        RejectedEvent: ``MISSING_ATTRIBUTE`` or ``INVALID_VALUE``.
    """
    return _expected_bytes(_description(header, tag))


def _refuse(reason: ReasonCode, explanation: str) -> RejectedEvent:
    return RejectedEvent(reason.value, explanation)


def _description(header: Header, tag: int) -> _Description:
    """The image's description, as far as it is possible at all."""
    integers = tag == PIXEL_DATA
    for each in (*_TYPE_1, *(_TYPE_1_OF_INTEGERS if integers else ())):
        if not header.has_value(each):
            raise _refuse(ReasonCode.MISSING_ATTRIBUTE, f"{keyword_of(each)} is absent or empty")
    photometric = header.text(_PHOTOMETRIC_INTERPRETATION)
    found = _Description(
        _integer(header, _ROWS),
        _integer(header, _COLUMNS),
        _integer(header, _SAMPLES_PER_PIXEL),
        _integer(header, _NUMBER_OF_FRAMES) if header.has_value(_NUMBER_OF_FRAMES) else 1,
        _integer(header, _BITS_ALLOCATED),
        photometric,
    )
    if min(found.rows, found.columns, found.frames) < 1:
        raise _refuse(ReasonCode.INVALID_VALUE, "Rows, Columns or NumberOfFrames is less than 1")
    if found.bits not in _BITS:
        raise _refuse(ReasonCode.INVALID_VALUE, "BitsAllocated is none of 1, 8, 16, 32 and 64")
    if photometric not in _SAMPLES:
        raise _refuse(ReasonCode.INVALID_VALUE, "PhotometricInterpretation is none of PS3.3 C.7.6.3.1.2")
    if found.samples != _SAMPLES[photometric]:
        raise _refuse(
            ReasonCode.INVALID_VALUE, "SamplesPerPixel does not go with the PhotometricInterpretation"
        )
    if integers:
        stored, high = _integer(header, _BITS_STORED), _integer(header, _HIGH_BIT)
        # PS3.5 §8.1.1 wants HighBit to be BitsStored - 1; older images have a higher one.
        if not 1 <= stored <= high + 1 <= found.bits:
            raise _refuse(ReasonCode.INVALID_VALUE, "BitsStored and HighBit do not lie in BitsAllocated")
        if _integer(header, _PIXEL_REPRESENTATION) not in (0, 1):
            raise _refuse(ReasonCode.INVALID_VALUE, "PixelRepresentation is neither 0 nor 1")
    if photometric == "PALETTE COLOR" and not all(map(header.has_value, _PALETTES)):
        raise _refuse(ReasonCode.MISSING_ATTRIBUTE, "a palette's descriptor is absent (PS3.3 C.7.6.3.1.5)")
    return found


def _integer(header: Header, tag: int) -> int:
    value = header.integer(tag)
    if value is None:
        raise _refuse(ReasonCode.INVALID_VALUE, f"{keyword_of(tag)} is not one integer")
    return value


def _expected_bytes(image: _Description) -> int:
    bits = image.rows * image.columns * image.samples * image.frames * image.bits
    if image.photometric in _HALVED_CHROMA:
        bits = bits * 2 // 3
    elif image.photometric == "YBR_PARTIAL_420":
        bits = bits // 2
    # PS3.5 §8.1.1: one bit a pixel is packed across rows and frames.
    return (bits + 7) // 8


def _check_length(header: Header, tag: int, image: _Description) -> None:
    if image.samples > 1 and image.photometric not in _HALVED_CHROMA:
        # §C.7.6.3.1.3: without it nobody knows which byte is which sample's.
        if not header.has_value(_PLANAR_CONFIGURATION):
            raise _refuse(ReasonCode.MISSING_ATTRIBUTE, "PlanarConfiguration is absent or empty")
        if header.integer(_PLANAR_CONFIGURATION) not in (0, 1):
            raise _refuse(ReasonCode.INVALID_VALUE, "PlanarConfiguration is neither 0 nor 1")
    expected = _expected_bytes(image)
    length = header.elements[tag].length
    # PS3.5 §8.2: a byte of padding makes the length even.
    if length not in (expected, expected + expected % 2):
        raise _refuse(
            ReasonCode.PIXEL_DATA_LENGTH_MISMATCH,
            f"{keyword_of(tag)} has {length} bytes where the header says {expected}",
        )


def _check_fragments(header: Header, frames: int) -> None:
    """PS3.5 §A.4: the first item is the basic offset table; a frame takes one fragment or more, in RLE exactly one."""
    if not header.fragments:
        raise _refuse(ReasonCode.MISSING_ATTRIBUTE, "PixelData is empty")
    (_, offsets), *fragments = header.fragments
    filled = sum(1 for _, length in fragments if length)
    if not filled:
        raise _refuse(ReasonCode.MISSING_ATTRIBUTE, "PixelData has no fragment with bytes in it")
    if filled < frames or (header.transfer_syntax_uid == RLE_LOSSLESS and filled > frames):
        raise _refuse(
            ReasonCode.PIXEL_DATA_LENGTH_MISMATCH, f"PixelData has {filled} fragments for {frames} frames"
        )
    if offsets % _OFFSET_BYTES:
        raise _refuse(ReasonCode.MALFORMED, "the basic offset table is not one of 32-bit offsets")
