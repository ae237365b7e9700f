"""Pixel data has the length, or the fragments, that the description of the image asks for."""

from collections.abc import Sequence

import pytest
from support.part10 import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Element,
    Writer,
    changed,
    fragments,
    minimal_image,
)

from rayline.dicom.instance import Instance
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.validation import screen

LITTLE = Writer()
JPEG_2000 = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"
PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00010, 0x7FE00008, 0x7FE00009
OF_INTEGERS = (0x00280101, 0x00280102, 0x00280103)


def us(tag: int, number: int, writer: Writer = LITTLE) -> Element:
    return Element(tag, "US", writer.us(number))


def image(*others: Element, without: Sequence[int] = (), writer: Writer = LITTLE) -> bytes:
    """4 × 4 × 16 bits, MONOCHROME2, 32 bytes, unless ``others`` say something else."""
    return writer.file(changed(minimal_image(writer), *others, without=without))


def color(photometric: str, length: int, *others: Element) -> bytes:
    """4 × 4 × 3 samples of 8 bits."""
    return image(
        us(0x00280002, 3),
        Element(0x00280004, "CS", photometric.encode()),
        us(0x00280006, 0),
        us(0x00280100, 8),
        us(0x00280101, 8),
        us(0x00280102, 7),
        Element(PIXEL_DATA, "OB", bytes(length)),
        *others,
    )


def bits(rows: int, columns: int, frames: int, length: int) -> bytes:
    """One bit a pixel."""
    return image(
        Element(0x00280008, "IS", str(frames).encode()),
        us(0x00280010, rows),
        us(0x00280011, columns),
        us(0x00280100, 1),
        us(0x00280101, 1),
        us(0x00280102, 0),
        Element(PIXEL_DATA, "OB", bytes(length)),
    )


def floats(tag: int, vr: str, allocated: int, length: int) -> bytes:
    return image(
        us(0x00280100, allocated), Element(tag, vr, bytes(length)), without=(PIXEL_DATA, *OF_INTEGERS)
    )


def encapsulated(syntax: str, *values: bytes, frames: int | None = None) -> bytes:
    writer = Writer(syntax)
    number = [] if frames is None else [Element(0x00280008, "IS", str(frames).encode())]
    elements = changed(minimal_image(writer), *number, without=(PIXEL_DATA,))
    return writer.file_of_body(b"".join(map(writer.element, elements)) + fragments(*values))


def refusal(content: bytes) -> tuple[str, str]:
    rejection = screen(Instance(content))
    return (rejection.reason, rejection.explanation) if rejection else ("", "")


@pytest.mark.parametrize(
    "content",
    [
        *(image(writer=Writer(syntax)) for syntax in (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)),
        image(Element(0x00280008, "IS", b"2"), Element(PIXEL_DATA, "OW", bytes(64))),
        # PS3.5 §8.2: 9 bytes and one of padding.
        image(
            us(0x00280010, 3),
            us(0x00280011, 3),
            us(0x00280100, 8),
            us(0x00280101, 8),
            us(0x00280102, 7),
            Element(PIXEL_DATA, "OB", bytes(9)),
        ),
        # PS3.5 §8.1.1: 3 × 3 × 5 bits are 45, in 6 bytes; each frame by itself would take 2.
        bits(3, 3, 5, 6),
        color("RGB", 48),
        color("YBR_FULL", 48, us(0x00280006, 1)),
        # PS3.3 §C.7.6.3.1.2: 16 of luminance, and 8 of each chroma.
        color("YBR_FULL_422", 32),
        floats(FLOAT_PIXEL_DATA, "OF", 32, 64),
        floats(DOUBLE_FLOAT_PIXEL_DATA, "OD", 64, 128),
        image(us(0x00280102, 15)),  # stored in the high bits, as older images are
        encapsulated(JPEG_2000, b"", b"frame!"),
        encapsulated(JPEG_2000, b"", b"fra", b"me!!", frames=1),
        encapsulated(JPEG_2000, bytes(8), b"one!", b"two!", frames=2),
        encapsulated(RLE, b"", b"one!", b"two!", frames=2),
    ],
)
def test_pixel_data_of_the_right_length_is_taken(content: bytes) -> None:
    assert refusal(content) == ("", "")


@pytest.mark.parametrize(
    "content",
    [
        image(Element(0x00280008, "IS", b"2")),
        image(Element(0x00280008, "IS", b"999999")),
        image(Element(PIXEL_DATA, "OW", bytes(34))),
        bits(3, 3, 5, 10),
        color("RGB", 32),
        color("YBR_FULL_422", 48),
        floats(FLOAT_PIXEL_DATA, "OF", 32, 60),
        floats(DOUBLE_FLOAT_PIXEL_DATA, "OD", 64, 64),
        encapsulated(JPEG_2000, b"", b"one!", frames=2),
        # The offset table is no frame, and neither is a fragment without bytes.
        encapsulated(JPEG_2000, bytes(8), b"one!", frames=2),
        encapsulated(JPEG_2000, b"", b"one!", b"", frames=2),
        # PS3.5 §A.4.2: a frame of RLE is one fragment.
        encapsulated(RLE, b"", b"one!", b"two!"),
    ],
)
def test_pixel_data_of_another_length_is_refused(content: bytes) -> None:
    assert refusal(content)[0] == ReasonCode.PIXEL_DATA_LENGTH_MISMATCH


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (image(us(0x00280011, 0)), "Columns"),
        (image(Element(0x00280008, "IS", b"0")), "NumberOfFrames"),
        (image(Element(0x00280008, "IS", b"1A")), "NumberOfFrames"),
        (image(Element(0x00280010, "US", b"\4\0\4\0")), "Rows"),
        (image(us(0x00280100, 24)), "BitsAllocated"),
        (image(us(0x00280101, 0)), "BitsStored"),
        (image(us(0x00280101, 17)), "BitsStored"),
        (image(us(0x00280102, 16)), "HighBit"),
        (image(us(0x00280102, 10)), "HighBit"),
        (image(us(0x00280103, 2)), "PixelRepresentation"),
        (image(Element(0x00280004, "CS", b"PURPLE")), "PhotometricInterpretation"),
        (image(Element(0x00280004, "CS", b"RGB")), "SamplesPerPixel"),
        (color("RGB", 48, us(0x00280006, 2)), "PlanarConfiguration"),
        (image(Element(FLOAT_PIXEL_DATA, "OF", bytes(64))), "more than one kind"),
    ],
)
def test_a_description_of_no_image_is_refused(content: bytes, named: str) -> None:
    reason, explanation = refusal(content)
    assert reason == ReasonCode.INVALID_VALUE
    assert named in explanation


@pytest.mark.parametrize(
    ("content", "named"),
    [
        *(
            (image(without=[tag]), keyword)
            for tag, keyword in {
                0x00280002: "SamplesPerPixel",
                0x00280004: "PhotometricInterpretation",
                0x00280010: "Rows",
                0x00280011: "Columns",
                0x00280100: "BitsAllocated",
                0x00280101: "BitsStored",
                0x00280102: "HighBit",
                0x00280103: "PixelRepresentation",
                PIXEL_DATA: "PixelData",
            }.items()
        ),
        (color("RGB", 48, Element(0x00280006, "US", b"")), "PlanarConfiguration"),
        (image(Element(0x00280004, "CS", b"PALETTE COLOR")), "palette"),
        (encapsulated(JPEG_2000), "PixelData"),
        (encapsulated(JPEG_2000, b""), "PixelData"),
        (encapsulated(JPEG_2000, bytes(4), b""), "PixelData"),
    ],
)
def test_what_an_image_lacks_is_named(content: bytes, named: str) -> None:
    reason, explanation = refusal(content)
    assert reason == ReasonCode.MISSING_ATTRIBUTE
    assert named in explanation


def test_a_palette_image_has_its_palettes() -> None:
    palettes = [Element(tag, "US", bytes(6)) for tag in (0x00281101, 0x00281102, 0x00281103)]
    for number in range(3):
        content = image(Element(0x00280004, "CS", b"PALETTE COLOR"), *palettes[:number])
        assert refusal(content)[0] == ReasonCode.MISSING_ATTRIBUTE
    assert refusal(image(Element(0x00280004, "CS", b"PALETTE COLOR"), *palettes)) == ("", "")


def test_pixel_data_is_encapsulated_where_the_transfer_syntax_says_so_and_only_there() -> None:
    native = LITTLE.file(minimal_image(LITTLE))
    inside = Writer(JPEG_2000).file(minimal_image(LITTLE))
    outside = LITTLE.file_of_body(
        b"".join(map(LITTLE.element, minimal_image(LITTLE)[:-1])) + fragments(b"", b"frame!")
    )
    assert refusal(native) == ("", "")
    for content in (inside, outside):
        reason, explanation = refusal(content)
        assert reason == ReasonCode.MALFORMED
        assert "A.4" in explanation


def test_an_offset_table_has_offsets_of_four_bytes() -> None:
    assert refusal(encapsulated(JPEG_2000, bytes(6), b"frame!"))[0] == ReasonCode.MALFORMED


def test_pixel_data_of_what_is_no_image_is_checked_too() -> None:
    report = changed(
        minimal_image(LITTLE),
        Element(0x0040A040, "CS", b"CONTAINER"),
        sop_class="1.2.840.10008.5.1.4.1.1.88.33",
    )
    content = LITTLE.file(report, sop_class="1.2.840.10008.5.1.4.1.1.88.33")
    assert refusal(content) == ("", "")
    longer = changed(report, us(0x00280010, 5))
    content = LITTLE.file(longer, sop_class="1.2.840.10008.5.1.4.1.1.88.33")
    assert refusal(content)[0] == ReasonCode.PIXEL_DATA_LENGTH_MISMATCH
