"""Nothing that PS3.15 table E.1-1 names comes out of the de-identification, wherever and however it went in."""

import json
import struct
import zlib
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from support.part10 import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Element,
    Writer,
    minimal_image,
)
from support.shared_data import ROOT, shared

from rayline.plugin import InMemory
from rayline_deid.engine import deidentify
from rayline_deid.profile import basic_profile
from rayline_deid.pseudonyms import Pseudonyms

PROFILE = basic_profile()
PSEUDONYMS = Pseudonyms(b"0123456789abcdef0123456789abcdef", "north")
TABLE = json.loads((ROOT / "plugins/deid/rayline_deid/table_e1_1.json").read_text())["actions"]
TAGS = [int(tag, 16) for tag in TABLE if "x" not in tag]
# Group 0000 is of messages and 0004 of media directories; 0002 is tested on its own below.
DATA_SET_TAGS = [tag for tag in TAGS if tag >> 16 >= 0x0008]

# Sequences that stay, one inside the other: shared functional groups, pixel measures.
OUTER, INNER = 0x52009229, 0x00289110

# Clinical attributes that the basic profile keeps, with values as they stand in real files.
CLINICAL = [
    (0x00080008, "CS", b"ORIGINAL\\PRIMARY\\AXIAL "),
    (0x00080060, "CS", b"CT"),
    (0x00080070, "LO", b"Philips "),
    (0x00081090, "LO", b"Brilliance 16P"),
    (0x00180015, "CS", b"CHEST "),
    (0x00180050, "DS", b"1.0 "),
    (0x00180060, "DS", b"120 "),
    (0x00181020, "LO", b"3.5.4 "),
    (0x00185100, "CS", b"FFS "),
    (0x00200013, "IS", b"0109"),
    (0x00200032, "DS", b"-201\\-59\\-513.800049 "),
    (0x00200037, "DS", b"1\\0\\0\\0\\1\\0 "),
    (0x00201041, "DS", b"-889.50 "),
    (0x00280030, "DS", b"0.78125\\0.78125 "),
    (0x00281050, "DS", b"-0450 "),
    (0x00281051, "DS", b"02000 "),
    (0x00281052, "DS", b"-1000 "),
    (0x00281053, "DS", b"1 "),
]


def vr_of(tag: int) -> str:
    try:
        return dictionary_VR(tag)[:2]
    except KeyError:
        return "LO"


class Sentinels:
    """Values that are found nowhere else, remembered as they are handed out."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def text(self) -> bytes:
        value = f"SENTINEL{len(self.values):06}".encode()
        self.values.append(value)
        return value

    def uid(self) -> bytes:
        value = f"1.2.777777.{len(self.values):06}1".encode()
        self.values.append(value)
        return value


def identifying(tag: int, vr: str, sentinels: Sentinels, written_vr: str | None = None) -> Element:
    """An element of the table that holds a sentinel, whatever its VR."""
    if vr == "SQ":
        return Element(
            tag,
            written_vr or vr,
            [
                [
                    Element(0x00081030, "LO", sentinels.text()),
                    Element(0x00081155, "UI", sentinels.uid()),
                    Element(0x00100010, "PN", sentinels.text()),
                    Element(0x00100020, "LO", sentinels.text()),
                ]
            ],
        )
    return Element(tag, written_vr or vr, sentinels.uid() if vr == "UI" else sentinels.text())


def hidden_elsewhere(sentinels: Sentinels) -> list[Element]:
    """What no row of the table lists by tag: private, unknown, retired and trailing elements."""
    return [
        Element(0x00090010, "LO", sentinels.text()),
        Element(0x00091001, "LO", sentinels.text()),
        Element(0x00091002, "UN", sentinels.text()),
        Element(0x00091003, "SQ", [[Element(0x00100010, "PN", sentinels.text())]]),
        Element(0x0008FFF0, "LO", sentinels.text()),  # in no dictionary
        Element(0x0018FFF0, "UN", sentinels.text()),
        Element(0x50003000, "OW", sentinels.text()),
        Element(0x501E0022, "LO", sentinels.text()),
        Element(0x60003000, "OW", sentinels.text()),
        Element(0x60024000, "LT", sentinels.text()),
        Element(0x60020022, "LO", sentinels.text()),
        Element(0x7FE10010, "LO", sentinels.text()),
        Element(0x7FE11001, "OB", sentinels.text()),
    ]


def talkative_meta(sentinels: Sentinels) -> list[Element]:
    return [
        Element(0x00020013, "SH", sentinels.text()),
        Element(0x00020016, "AE", sentinels.text()),
        Element(0x00020017, "AE", sentinels.text()),
        Element(0x00020018, "AE", sentinels.text()),
        Element(0x00020100, "UI", sentinels.uid()),
        Element(0x00020102, "OB", sentinels.text()),
    ]


def inflated(content: bytes) -> bytes:
    if DEFLATED.encode() not in content[:600]:
        return content
    start = 144 + struct.unpack_from("<L", content, 140)[0]
    return content[:start] + zlib.decompressobj(-15).decompress(content[start:])


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
@pytest.mark.parametrize(
    ("syntax", "as_unknown"),
    [
        (IMPLICIT_LITTLE, False),
        (EXPLICIT_LITTLE, False),
        (EXPLICIT_BIG, False),
        (DEFLATED, False),
        # Implicit VR writes no VR, so only explicit files can call a known attribute UN.
        (EXPLICIT_LITTLE, True),
        (DEFLATED, True),
    ],
)
def test_no_sentinel_survives(syntax: str, undefined: bool, as_unknown: bool) -> None:
    writer, sentinels = Writer(syntax, undefined), Sentinels()
    written_vr = "UN" if as_unknown else None
    image = minimal_image(writer)
    own = {each.tag for each in image} | {tag for tag, _, _ in CLINICAL}
    top = [identifying(tag, vr_of(tag), sentinels, written_vr) for tag in DATA_SET_TAGS if tag not in own]
    deep = [identifying(tag, vr_of(tag), sentinels, written_vr) for tag in DATA_SET_TAGS]
    kept = [Element(*each) for each in CLINICAL if each[0] != 0x00080060]
    nesting = Element(OUTER, "SQ", [[Element(INNER, "SQ", [[*deep, *hidden_elsewhere(sentinels)]])]])
    content = writer.file(
        [*image, *kept, *top, *hidden_elsewhere(sentinels), nesting],
        preamble=(sentinels.text() * 10)[:128],
        meta=talkative_meta(sentinels),
    )
    before = inflated(content)
    assert len(sentinels.values) > 1_251
    assert not [value for value in sentinels.values if value not in before]

    after = inflated(deidentify(InMemory(content), PROFILE, PSEUDONYMS).whole())

    assert [value for value in sentinels.values if value in after] == []
    output = pydicom.dcmread(BytesIO(deidentify(InMemory(content), PROFILE, PSEUDONYMS).whole()))
    assert output.PatientIdentityRemoved == "YES"
    for tag, vr, value in CLINICAL:
        original = pydicom.dcmread(BytesIO(content))[tag]
        assert output[tag] == original, (vr, value)
    assert output[OUTER][0][INNER].VR == "SQ"
    assert bytes(output[0x7FE00010].value) == bytes(pydicom.dcmread(BytesIO(content))[0x7FE00010].value)


def test_the_table_has_every_row_of_the_standard() -> None:
    base = json.loads(shared("ps3.15", "table_e1_1_2024b.json").read_text())
    added = json.loads(shared("ps3.15", "added_in_2026c.json").read_text())
    rows = {row["id"].upper().replace("X", "x") for row in base if "gggg" not in row["id"]}
    rows |= {tag.strip("()").replace(",", "").upper() for tag in added}
    assert set(TABLE) == rows
    assert len(TABLE) == len(base) - 1 + len(added)


def test_the_search_for_leaks_knows_the_same_rows() -> None:
    listed = Path(ROOT / "localcloud/rayline_local/identifying_attributes.txt").read_text().split("\n")
    assert {line for line in listed if line and not line.startswith("#")} == set(TABLE)
