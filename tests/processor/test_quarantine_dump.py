"""A header dump reads whatever was refused as far as that goes, says where it stops, and hides who it is about."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary
from support.hostile_files import HOSTILE
from support.part10 import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Element, Writer
from support.shared_data import part10_files

from rayline.dicom.content import Content, InMemory, LocalFile
from rayline.quarantining.dump import DumpedElement, HeaderDump, dump_header, dump_lines
from rayline.testing import ImageSpec, image_content
from rayline.testing.phi import found_in_text

SENTINEL = b"QZSENTINEL"
SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)
SEQUENCE = 0x00400275
BINARY = {"FL": "f", "FD": "d", "SL": "l", "SS": "h", "UL": "L", "US": "H", "SV": "q", "UV": "Q"}


def everything(content: bytes, *, phi: bool) -> str:
    """All that a dump tells, as JSON and as lines."""
    dump = dump_header(InMemory(content), phi=phi)
    assert HeaderDump.from_json(json.loads(json.dumps(dump.as_json()))) == dump
    return json.dumps(dump.as_json()) + "\n".join(dump_lines(dump))


def by_tag(dump: HeaderDump, tag: str, depth: int = 0) -> DumpedElement:
    """The one element with a tag."""
    (found,) = [each for each in dump.elements if each.tag == tag and each.depth == depth]
    return found


def sentinel_of(vr: str) -> bytes:
    """The sentinel as a value of any VR: numbers hold its bytes."""
    if vr in BINARY:
        size = struct.calcsize("<" + BINARY[vr])
        return SENTINEL[:size].ljust(size, b"Q")
    return SENTINEL


# Every attribute of PS3.6 that is not a sequence, pixels or a group length.
ATTRIBUTES = [
    (tag, entry[0][:2])
    for tag, entry in sorted(DicomDictionary.items())
    if tag >> 16 >= 8
    and tag >> 16 != 0x7FE0
    and entry[0][:2] not in ("SQ", "OB", "OW", "NO")
    and tag & 0xFFFF
]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_text_in_every_attribute_at_every_depth_stays_hidden(syntax: str, undefined: bool) -> None:
    text = [Element(tag, vr, sentinel_of(vr)) for tag, vr in ATTRIBUTES if vr not in BINARY]
    assert len(text) > 2_000
    once = Element(SEQUENCE, "SQ", [text[:1200]])
    content = Writer(syntax, undefined).file(
        [*text[:1500], Element(0x00401001, "SQ", [[once], text[1200:2400]])],
        preamble=SENTINEL.ljust(128, b"\0"),
        meta=[Element(0x00020016, "AE", SENTINEL), Element(0x00020102, "OB", SENTINEL)],
    )
    told = everything(content, phi=False)
    assert "QZ" not in told
    assert "PatientName" in told
    # The sentinels are there to be found: whoever may see patients sees them.
    assert SENTINEL.decode() in everything(content, phi=True)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_numbers_are_hidden_but_for_those_of_pixels(syntax: str) -> None:
    numbers = [Element(tag, vr, sentinel_of(vr)) for tag, vr in ATTRIBUTES if vr in BINARY]
    dump = dump_header(InMemory(Writer(syntax).file(numbers)), phi=False)
    shown = {each.keyword for each in dump.elements if each.value is not None and each.vr in BINARY}
    assert shown <= {
        "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
        "PlanarConfiguration", "FileMetaInformationGroupLength",
    }  # fmt: skip
    assert len([each for each in dump.elements if each.hidden]) > 100


def test_terms_of_the_standard_are_shown_and_what_is_put_in_their_place_is_not() -> None:
    terms = {
        0x00080005: ("CS", b"ISO_IR 192"),
        0x00080008: ("CS", b"ORIGINAL\\PRIMARY"),
        0x00080016: ("UI", b"1.2.840.10008.5.1.4.1.1.2"),
        0x00080060: ("CS", b"CT"),
        0x00280004: ("CS", b"MONOCHROME2"),
        0x00280008: ("IS", b"12"),
        0x00280010: ("US", struct.pack("<H", 512)),
        0x00280301: ("CS", b"NO"),
    }
    dump = dump_header(
        InMemory(Writer().file([Element(tag, vr, value) for tag, (vr, value) in terms.items()])), phi=False
    )
    shown = {each.keyword: each.value for each in dump.elements if each.value is not None}
    assert shown.items() >= {
        "SpecificCharacterSet": "ISO_IR 192", "ImageType": "ORIGINAL\\PRIMARY", "Modality": "CT",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": "12", "Rows": "512", "BurnedInAnnotation": "NO", "TransferSyntaxUID": EXPLICIT_LITTLE,
    }.items()  # fmt: skip
    # A name, a birth date or a UID where a term should be; text where a number should be.
    foul = {tag: (vr, b"DOE JANE") for tag, (vr, _) in terms.items()}
    foul[0x00280008] = ("IS", b"19620106")
    foul[0x00280010] = ("LO", b"DJ")
    foul[0x00080008] = ("CS", b"ORIGINAL\\DOE JANE")
    foul[0x00080016] = ("UI", b"1.2.3.4711")
    told = everything(
        Writer().file([Element(tag, vr, value) for tag, (vr, value) in foul.items()]), phi=False
    )
    for leaked in ("DOE", "1962", "4711", "DJ"):
        assert leaked not in told


def test_an_identified_image_is_hidden_and_shown_whole_to_those_who_may() -> None:
    content = image_content(ImageSpec(identified=True))
    assert found_in_text(everything(content, phi=False)) == []
    assert "qzname" in everything(content, phi=True)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_nested_elements_stand_below_their_items(syntax: str, undefined: bool) -> None:
    inner = Element(SEQUENCE, "SQ", [[Element(0x00100020, "LO", b"P1")], [Element(0x00100020, "LO", b"P2")]])
    content = Writer(syntax, undefined).file(
        [Element(0x00080005, "CS", b"ISO_IR 100"), Element(SEQUENCE, "SQ", [[inner]])]
    )
    dump = dump_header(InMemory(content), phi=True)
    found = [(each.depth, each.keyword, each.value) for each in dump.elements if each.tag != "(0002,0000)"]
    assert found[-7:] == [
        (0, "RequestAttributesSequence", None),
        (1, "item 1", None),
        (2, "RequestAttributesSequence", None),
        (3, "item 1", None),
        (4, "PatientID", "P1"),
        (3, "item 2", None),
        (4, "PatientID", "P2"),
    ]
    assert dump.stopped_because == ""
    assert (by_tag(dump, "(0040,0275)").length is None) == undefined


def test_names_are_read_in_the_character_set_of_their_data_set() -> None:
    name = Element(0x00100010, "PN", "Äneas^Rüdiger".encode("latin-1"))
    inner = Element(
        SEQUENCE,
        "SQ",
        [
            [
                Element(0x00080005, "CS", b"ISO_IR 144"),
                Element(0x00100010, "PN", "Люкceмбург".encode("iso8859-5")),
            ]
        ],
    )
    dump = dump_header(
        InMemory(Writer().file([Element(0x00080005, "CS", b"ISO_IR 100"), name, inner])), phi=True
    )
    assert by_tag(dump, "(0010,0010)").value == "Äneas^Rüdiger"
    assert by_tag(dump, "(0010,0010)", depth=2).value == "Люкceмбург"


def test_what_a_terminal_would_obey_is_escaped() -> None:
    name = Element(0x00100010, "PN", b"\x1b]0;owned\x07\r\nfake line\x9b31m")
    told = "\n".join(dump_lines(dump_header(InMemory(Writer().file([name])), phi=True)))
    assert "\x1b" not in told
    assert "\x9b" not in told
    assert "\\x1b]0;owned\\x07\\r\\nfake line" in told


def test_pixels_are_never_read_and_what_follows_them_is() -> None:
    content = Writer().file(
        [Element(0x7FE00010, "OW", b"\0" * 50_000_000), Element(0xFFFCFFFC, "OB", b"padding ")]
    )
    reading = Counting(content)
    dump = dump_header(reading, phi=True)
    assert by_tag(dump, "(7FE0,0010)").value is None
    assert by_tag(dump, "(FFFC,FFFC)").length == 8
    assert reading.bytes_read < 200_000
    assert reading.reads <= 3


def test_a_multi_frame_object_costs_no_more_reads_than_it_may() -> None:
    fragments = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, 20_000) + bytes(20_000) for _ in range(500))
    content = Writer("1.2.840.10008.1.2.4.50").file([Element(0x00280010, "US", b"\x10\0")])
    content += b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + fragments + b"\xfe\xff\xdd\xe0\0\0\0\0"
    reading = Counting(content)
    dump = dump_header(reading, phi=False, reads=20)
    assert reading.reads == 20
    assert "more to read" in dump.stopped_because
    assert by_tag(dump, "(0028,0010)").value == "16"
    whole = dump_header(InMemory(content), phi=False, reads=600)
    assert whole.stopped_because == ""


class Counting(Content):
    """Counts what is read."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)
        self.reads = self.bytes_read = 0

    def read(self, start: int, length: int) -> bytes:
        """A stretch."""
        self.reads += 1
        data = self._content[start : start + length]
        self.bytes_read += len(data)
        return data


# -- what is broken


GOOD = Writer().file(
    [Element(0x00100020, "LO", b"P1"), Element(SEQUENCE, "SQ", [[Element(0x00080050, "SH", b"A1")]])]
)
PROSE = bytes(Random(1).choices(range(32, 92), k=2_000))
DATA_SET = GOOD.index(struct.pack("<HH", 0x0010, 0x0020))


def odd(tag: int, rest: bytes) -> bytes:
    """A file that ends with an odd element."""
    return GOOD[:DATA_SET] + struct.pack("<HH", tag >> 16, tag & 0xFFFF) + rest


@pytest.mark.parametrize(
    ("content", "at", "because"),
    [
        (b"", 0, "no bytes"),
        (b"Dear colleague", 14, "prefix DICM"),
        (b"x" * 2000, 128, "prefix DICM"),
        (GOOD[:-1], None, "says 2 bytes, and 1 are left"),
        (GOOD + b"\x01", len(GOOD), "inside an element header"),
        (odd(0x00100020, b"ZZ\2\0P1"), DATA_SET, "no VR"),
        (odd(0x00100020, b"LO\xff\xffP1"), DATA_SET, "says 65535 bytes, and 2 are left"),
        (odd(0xFFFEE000, b"\0\0\0\0"), DATA_SET, "outside a sequence"),
        (odd(0x00104000, b"UT\0\0\xff\xff\xff\xff"), DATA_SET, "defined length only"),
        (odd(SEQUENCE, b"SQ\0\0\xff\xff\xff\xff\x08\0\x05\0\0\0\0\0"), DATA_SET + 12, "not an item"),
        (odd(SEQUENCE, b"SQ\0\0\x08\0\0\0\xfe\xff\0\xe0\x08\0\0\0"), DATA_SET + 12, "the item says 8 bytes, and 0"),
    ],
)  # fmt: skip
def test_a_dump_says_where_and_why_it_stops(content: bytes, at: int | None, because: str) -> None:
    dump = dump_header(InMemory(content), phi=False)
    assert because in dump.stopped_because
    assert at is None or dump.stopped_at == at
    assert list(dump_lines(dump))[-1].startswith(f"# stopped at byte {dump.stopped_at}: ")


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (GOOD[132:], "preamble"),
        (GOOD[1:], "byte 127"),
        (GOOD.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0"), "explicit VR, other than"),
        (
            Writer(IMPLICIT_LITTLE).file([Element(0x00100020, "LO", b"P1")])
            .replace(b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.9\0"),
            "implicit VR, other than",
        ),
        (
            Writer(DEFLATED).file([Element(0x00100020, "LO", b"P1"), Element(0x00104000, "LT", PROSE)])[:-400],
            "cut short",
        ),
    ],
)  # fmt: skip
def test_what_can_be_read_nevertheless_is_shown_with_a_note(content: bytes, note: str) -> None:
    dump = dump_header(InMemory(content), phi=True)
    assert any(note in each for each in dump.notes), dump.notes
    assert by_tag(dump, "(0010,0020)").value == "P1"


def test_deep_nesting_and_many_elements_end_at_their_limits() -> None:
    nested = GOOD[:DATA_SET] + (
        struct.pack("<HH", 0x0040, 0x0275) + b"SQ\0\0\xff\xff\xff\xff" + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ) * 10_000  # fmt: skip
    assert "nested deeper" in dump_header(InMemory(nested), phi=False).stopped_because
    many = GOOD[:DATA_SET] + (struct.pack("<HH", 0x0010, 0x0020) + b"LO\2\0P1") * 50_000
    dump = dump_header(InMemory(many), phi=False, elements=100)
    assert len(dump.elements) == 100
    assert "first 100 elements" in dump.stopped_because


def in_bounds(dump: HeaderDump) -> None:
    """What holds of every dump."""
    assert len(dump.elements) <= 5_000
    assert (dump.stopped_at is None) == (dump.stopped_because == "")
    assert all(ord(character) >= 32 for line in dump_lines(dump) for character in line)


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_no_hostile_file_breaks_a_dump(name: str) -> None:
    content = InMemory(HOSTILE[name].build())
    for phi in (False, True):
        in_bounds(dump_header(content, phi=phi))


@pytest.mark.shared_data
def test_no_malformed_real_file_breaks_a_dump() -> None:
    files = [*part10_files("malformed"), *part10_files("misc_pydicom"), *part10_files("charset")]
    assert len(files) > 100
    for path in files:
        for phi in (False, True):
            in_bounds(dump_header(LocalFile(path), phi=phi))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_cut_anywhere_shows_what_comes_before_the_cut(syntax: str) -> None:
    content = Writer(syntax, undefined=True).file(
        [Element(0x00100020, "LO", b"P1"), Element(SEQUENCE, "SQ", [[Element(0x00080050, "SH", b"A1")]])]
    )
    whole = dump_header(InMemory(content), phi=True).elements
    for end in range(len(content)):
        cut = dump_header(InMemory(content[:end]), phi=True)
        in_bounds(cut)
        # The last one may be cut itself.
        assert cut.elements[:-1] == whole[: max(0, len(cut.elements) - 1)]


BUILDS: list[Callable[[], bytes]] = [
    lambda: GOOD,
    *(lambda each=each: image_content(ImageSpec(identified=True, transfer_syntax=each)) for each in SYNTAXES),  # type: ignore[misc]
]


@settings(max_examples=300)
@given(
    st.integers(0, len(BUILDS) - 1),
    st.lists(st.tuples(st.integers(120, 1200), st.binary(min_size=1, max_size=8)), max_size=6),
    st.booleans(),
)
def test_no_damage_breaks_a_dump(which: int, damages: list[tuple[int, bytes]], phi: bool) -> None:
    content = bytearray(BUILDS[which]())
    for position, damage in damages:
        content[position : position + len(damage)] = damage
    in_bounds(dump_header(InMemory(bytes(content)), phi=phi))


def test_a_file_is_dumped_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    path.write_bytes(GOOD)
    assert dump_header(LocalFile(path), phi=True) == dump_header(InMemory(GOOD), phi=True)
