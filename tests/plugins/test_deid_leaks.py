"""Nothing that PS3.15 table E.1-1 names comes out of the de-identification, wherever and however it went in.

Every attribute of the table gets a value that is found nowhere else, at every place a data set has; then the output's
bytes are searched. What the table does not name has to come out byte for byte.
"""

import json
import re
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom._dicom_dict import DicomDictionary
from support.intake_chain import passage, transformed
from support.part10 import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_FORM,
    Element,
    Writer,
    minimal_image,
)
from support.sentinels import CLINICAL, DATA_SET_TAGS, OPTIONS, TABLE, Sentinels, inflated, survivors, vr_of
from support.shared_data import ROOT, part10_files, shared

import rayline_deid

SYNTAXES = [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED]
ENCODINGS = [
    *((syntax, undefined, None) for syntax in SYNTAXES for undefined in (False, True)),
    # Implicit VR writes no VR, so only explicit files can call a known attribute UN (PS3.5 §6.2.2).
    *((syntax, undefined, "UN") for syntax in (EXPLICIT_LITTLE, DEFLATED) for undefined in (False, True)),
]

# Sequences that stay, one inside the other: shared functional groups, pixel measures.
OUTER, INNER = 0x52009229, 0x00289110

# Written by the de-identification itself, PS3.15 §E.2: identity removed, method, its codes, dates modified.
WRITTEN = {0x00120062, 0x00120063, 0x00120064, 0x00280303}


Value = Callable[[int, str], bytes]


def odd_values(sentinels: Sentinels) -> Value:
    """Texts and UIDs, whatever the VR."""
    return lambda tag, vr: sentinels.uid() if vr == "UI" else sentinels.text()


def valid_values(sentinels: Sentinels, writer: Writer, written_vr: str | None) -> Value:
    """Values that the VR allows."""
    order = "<" if written_vr == "UN" else writer.order
    return lambda tag, vr: sentinels.valid(vr, order)


def identifying(tag: int, vr: str, value: Value, written_vr: str | None = None) -> Element:
    """An element of the table with a sentinel; under a sequence, one in each kind of attribute, at two depths."""
    if vr != "SQ":
        return Element(tag, written_vr or vr, value(tag, vr))
    names = [
        (0x00081030, "LO"),
        (0x00081155, "UI"),
        (0x00100010, "PN"),
        (0x00100020, "LO"),
        (0x0040A121, "DA"),
        (0x0040A123, "PN"),
        (0x0040A124, "UI"),
    ]
    if not TABLE[f"{tag:08X}"].startswith("X/Z/U"):
        # No row of their own, but a sequence that does not simply stay may not keep them either.
        names += [(0x00080100, "SH"), (0x00080104, "LO"), (0x0040A160, "UT")]
    item = [Element(each, kind, value(each, kind)) for each, kind in names]
    # What an engine keeps as structure may hide names deeper down.
    again = [Element(each, kind, value(each, kind)) for each, kind in names]
    return Element(tag, written_vr or vr, [[*item, Element(0x00081140, "SQ", [again])]])


def hidden_elsewhere(sentinels: Sentinels, writer: Writer) -> list[Element]:
    """What no row of the table lists by tag: private, unknown, retired and trailing elements."""
    # What UN hides is in little endian (PS3.5 §6.2.2), which a big endian writer cannot make.
    unknown = "SQ" if writer.order == ">" else "UN"

    def named() -> list[list[Element]]:
        return [[Element(0x00100010, "PN", sentinels.text()), Element(0x00081155, "UI", sentinels.uid())]]

    return [
        # Private: a creator that says a name, elements of a block, of a block without creator, and of none.
        Element(0x00090010, "LO", sentinels.text()),
        Element(0x00091001, "LO", sentinels.text()),
        Element(0x00091002, "UN", sentinels.text()),
        Element(0x00091003, "SQ", named()),
        Element(0x00091004, unknown, named()),
        Element(0x00091005, "UI", sentinels.uid()),
        Element(0x00092001, "LO", sentinels.text()),
        Element(0x00090001, "LO", sentinels.text()),
        Element(0x0029000F, "LO", sentinels.text()),
        Element(0x00191001, "SQ", [[Element(0x00191002, "SQ", named())]]),
        Element(0x00110010, "LO", b"SIEMENS CSA HEADER"),
        Element(0x00111001, "OB", sentinels.text()),
        Element(0x7FE10010, "LO", sentinels.text()),
        Element(0x7FE11001, "OB", sentinels.text()),
        # Tags in no dictionary, in even groups, and where no data set has elements (PS3.5 §7.8.1).
        Element(0x0008FFF0, "LO", sentinels.text()),
        Element(0x0018FFF0, "UN", sentinels.text()),
        Element(0x0010FFF1, "SQ", named()),
        Element(0x0012FFF2, "UI", sentinels.uid()),
        Element(0x00770010, "LO", sentinels.text()),
        Element(0xFFFF1000, "LO", sentinels.text()),
        # Curves and overlays (PS3.3 §C.9, §C.10.2).
        Element(0x50000022, "LO", sentinels.text()),
        Element(0x50003000, "OW", sentinels.text()),
        Element(0x501E0022, "LO", sentinels.text()),
        Element(0x501E2600, "SQ", named()),
        Element(0x60003000, "OW", sentinels.text()),
        Element(0x60000022, "LO", sentinels.text()),
        Element(0x60024000, "LT", sentinels.text()),
        Element(0x60020022, "LO", sentinels.text()),
        Element(0x601E1500, "LO", sentinels.text()),
        # An icon, and a picture where none belongs.
        Element(
            0x00880200,
            "SQ",
            [[Element(0x00100010, "PN", sentinels.text()), Element(0x7FE00010, "OB", sentinels.text())]],
        ),
        Element(0x00082112, "SQ", [[Element(0x7FE00010, "OB", sentinels.text())]]),
        # Behind the pixel data: MAC parameters, signatures and padding (PS3.3 §C.12.1.1.3, PS3.10 §7.2).
        Element(0x4FFE0001, "SQ", [[Element(0x04000015, "CS", b"SHA256"), *named()[0]]]),
        Element(0xFFFAFFFA, "SQ", [[Element(0x04000115, "OB", sentinels.text()), *named()[0]]]),
        Element(0xFFFCFFFC, "OB", sentinels.text()),
    ]


def low_groups(sentinels: Sentinels) -> list[Element]:
    """Groups of messages, file meta information and media directories, which no data set may have."""
    return [
        *(Element(group << 16 | 0x1000, "LO", sentinels.text()) for group in (0, 1, 3, 4, 5, 6, 7)),
        Element(0x00001001, "UI", sentinels.uid()),
        Element(0x00041511, "UI", sentinels.uid()),
        Element(0x00041220, "SQ", [[Element(0x00100010, "PN", sentinels.text())]]),
    ]


def talkative_meta(sentinels: Sentinels) -> list[Element]:
    return [
        Element(0x00020013, "SH", sentinels.text()),
        Element(0x00020016, "AE", sentinels.text()),
        Element(0x00020017, "AE", sentinels.text()),
        Element(0x00020018, "AE", sentinels.text()),
        Element(0x00020026, "UR", sentinels.text()),
        Element(0x00020035, "OB", sentinels.text()),
        Element(0x00020100, "UI", sentinels.uid()),
        Element(0x00020102, "OB", sentinels.text()),
        Element(0x00021000, "LO", sentinels.text()),
    ]


def nested(*elements: Element) -> Element:
    return Element(OUTER, "SQ", [[Element(INNER, "SQ", [list(elements)])]])


@pytest.mark.parametrize("values", ["odd", "valid"])
@pytest.mark.parametrize(
    ("syntax", "undefined", "written_vr"),
    ENCODINGS,
    ids=lambda each: {True: "undefined", False: "defined", None: "own"}.get(each, str(each)),
)
def test_no_sentinel_survives(syntax: str, undefined: bool, written_vr: str | None, values: str) -> None:
    writer, sentinels = Writer(syntax, undefined), Sentinels()
    value = odd_values(sentinels) if values == "odd" else valid_values(sentinels, writer, written_vr)
    image = minimal_image(writer)
    own = {each.tag for each in image} | {tag for tag, _, _ in CLINICAL}
    hidden = hidden_elsewhere(sentinels, writer)
    taken = own | {each.tag for each in hidden}
    top = [identifying(tag, vr_of(tag), value, written_vr) for tag in DATA_SET_TAGS if tag not in taken]
    deep = [
        identifying(tag, vr_of(tag), value, written_vr)
        for tag in DATA_SET_TAGS
        if tag not in {each.tag for each in hidden}
    ]
    kept = [Element(*each) for each in CLINICAL if each[0] != 0x00080060]
    content = writer.file(
        [*image, *kept, *top, *hidden, nested(*deep, *hidden_elsewhere(sentinels, writer))],
        preamble=(sentinels.text() * 10)[:128],
        meta=talkative_meta(sentinels),
    )
    assert len(sentinels.values) > 1_251

    after = transformed(content)

    assert survivors(sentinels, content, after) == []
    assert b"SENTINEL" not in inflated(after).upper()
    output, original = pydicom.dcmread(BytesIO(after)), pydicom.dcmread(BytesIO(content))
    assert output.PatientIdentityRemoved == "YES"
    for tag, vr, _ in CLINICAL:
        assert output[tag] == original[tag], vr
    assert output[OUTER][0][INNER].VR == "SQ"
    assert bytes(output[0x7FE00010].value) == bytes(original[0x7FE00010].value)


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("holder", ["private", "unknown", "removed", "kept as UN", "private in kept"])
def test_no_sentinel_survives_inside_other_sequences(syntax: str, undefined: bool, holder: str) -> None:
    writer, sentinels = Writer(syntax, undefined), Sentinels()
    inside_un = holder == "kept as UN" and syntax != IMPLICIT_LITTLE
    value = odd_values(sentinels)
    deep = [identifying(tag, vr_of(tag), value) for tag in DATA_SET_TAGS if tag != 0x00880200]
    outer: list[Element]
    if holder == "private":
        outer = [
            Element(0x00090010, "LO", b"ACME 1.0"),
            Element(0x00091010, "SQ", [[Element(0x00091011, "SQ", [deep])]]),
        ]
    elif holder == "unknown":
        outer = [Element(0x0018FFF0, "SQ", [[Element(0x0018FFF1, "SQ", [deep])]])]
    elif holder == "removed":
        outer = [Element(0x00101002, "SQ", [[Element(INNER, "SQ", [deep])]])]
    elif holder == "kept as UN":
        outer = [Element(OUTER, "UN" if inside_un else "SQ", [[Element(INNER, "SQ", [deep])]])]
    else:
        outer = [nested(Element(0x00290010, "LO", sentinels.text()), Element(0x00291010, "SQ", [deep]))]
    if inside_un and syntax == EXPLICIT_BIG:
        pytest.skip("UN hides implicit VR little endian, which no big endian writer of ours makes")
    content = writer.file([*minimal_image(writer), *outer])
    assert survivors(sentinels, content, transformed(content)) == []
    assert len(sentinels.values) > 600


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_no_sentinel_survives_in_groups_that_no_data_set_has(syntax: str) -> None:
    writer, sentinels = Writer(syntax), Sentinels()
    content = writer.file([*minimal_image(writer), *low_groups(sentinels)])
    found = passage(content)
    # Refusing such a file is as safe as cleaning it; what must not be is that it passes with them.
    assert found.reason in ("", "MALFORMED")
    if found.output is not None:
        assert survivors(sentinels, content, found.output.whole()) == []


@pytest.mark.parametrize(
    ("character_set", "codec"),
    [
        (b"", "ascii"),
        (b"ISO_IR 100", "latin-1"),
        (b"ISO_IR 144", "iso8859_5"),
        (b"ISO_IR 192", "utf-8"),
        (b"GB18030", "gb18030"),
        (b"\\ISO 2022 IR 87", "iso2022_jp"),
        (b"\\ISO 2022 IR 149", "euc_kr"),
        (b"ISO 2022 IR 13\\ISO 2022 IR 87", "iso2022_jp"),
        (b"NO SUCH SET ", "utf-8"),
    ],
)
def test_no_name_survives_in_any_character_set(character_set: bytes, codec: str) -> None:
    name = {
        "ascii": "Yamada^Tarou",
        "latin-1": "Müller^Jürgen",
        "iso8859_5": "Люкceмбypг",
        "utf-8": "山田^太郎",
        "gb18030": "王^小东",
        "iso2022_jp": "山田^太郎",
        "euc_kr": "김희중^길동",
    }[codec]
    encoded = name.encode(codec)
    writer = Writer()
    texts = [tag for tag in DATA_SET_TAGS if vr_of(tag) in ("LO", "LT", "PN", "SH", "ST", "UC", "UT")]
    elements = [Element(tag, vr_of(tag), encoded) for tag in texts]
    content = writer.file(
        [
            *minimal_image(writer),
            Element(0x00080005, "CS", character_set),
            *(each for each in elements if each.tag != 0x00080005),
            nested(Element(0x00080005, "CS", character_set), *elements),
        ]
    )
    assert content.count(encoded) >= 2 * len(texts) > 300
    after = transformed(content)
    assert not [
        each
        for part in name.split("^")
        for each in (part.encode(codec), part.encode("utf-8"), part.encode("utf-16-le"))
        if each in after
    ]


# --- options ------------------------------------------------------------------------------------------------------


def with_options(*options: str) -> rayline_deid.DeidSettings:
    """The plugin's settings with options of PS3.15 §E.3 by their names in table and profile."""
    chosen: dict[str, object] = {}
    for option in options:
        if option in ("retain_full_dates", "retain_modified_dates"):
            chosen["retain_longitudinal_temporal_information"] = option.split("_")[1]
        else:
            chosen[option] = True
    return rayline_deid.DeidSettings.model_validate({"profile": {"options": chosen}})


@pytest.mark.parametrize("values", ["odd", "valid"])
@pytest.mark.parametrize("option", sorted({option for columns in OPTIONS.values() for option in columns}))
def test_an_option_lets_out_only_what_its_column_keeps(option: str, values: str) -> None:
    writer, sentinels = Writer(undefined=True), Sentinels()
    make = odd_values(sentinels) if values == "odd" else valid_values(sentinels, writer, None)
    tags: dict[bytes, int] = {}

    def value(tag: int, vr: str) -> bytes:
        made = make(tag, vr)
        tags[made] = tag
        return made

    image = minimal_image(writer)
    own = {each.tag for each in image}
    hidden = {each.tag for each in hidden_elsewhere(Sentinels(), writer)}
    listed = [tag for tag in DATA_SET_TAGS if tag not in own | hidden]
    content = writer.file(
        [
            *image,
            *(identifying(tag, vr_of(tag), value) for tag in listed),
            *hidden_elsewhere(sentinels, writer),
            nested(*(identifying(tag, vr_of(tag), value) for tag in listed)),
        ]
    )

    after = transformed(content, with_options(option))

    left = [each for each in sentinels.values if each in after]
    kept = {int(tag, 16) for tag, columns in OPTIONS.items() if columns.get(option) == "K"}
    if option == "retain_uids":
        # A UID that the table misses is mapped where the others are, and stays where they stay.
        left = [each for each in left if not each.startswith(b"1.2.777777.")]
    if option == "retain_modified_dates":
        # Days are added, so the time of the day stays (PS3.15 §E.3.6).
        kept |= {tag for tag in tags.values() if vr_of(tag) == "TM"}
    beyond = {tag for tag in tags.values() if f"{tag:08X}" not in TABLE}
    assert [f"{tags.get(each, 0):08X}" for each in left if tags.get(each) not in kept | beyond] == []
    # Codes of items that the option keeps are no row of the table; nothing else may be beyond it.
    assert {tags[each] for each in left if tags[each] in beyond} <= {0x00080100, 0x00080104, 0x0040A160}
    if kept and values == "valid":
        assert [each for each in sentinels.values if each in after]


# --- what stays ---------------------------------------------------------------------------------------------------

VALUES = {
    "AE": b"STORE_1 ",
    "AS": b"064Y",
    "AT": struct.pack("<HH", 0x0018, 0x1063),
    "CS": b"AXIAL ",
    "DA": b"20240501",
    "DS": b"-12.50\\3 ",
    "DT": b"20240501101112",
    "FD": struct.pack("<d", -1.5),
    "FL": struct.pack("<f", 2.25),
    "IS": b"0042",
    "LO": b"Chest 1 ",
    "LT": b"no finding",
    "OB": b"\1\2\3\4",
    "OD": struct.pack("<d", 1.0),
    "OF": struct.pack("<f", 1.0),
    "OL": b"\1\0\0\0",
    "OV": b"\1\0\0\0\0\0\0\0",
    "OW": b"\1\0\2\0",
    "SH": b"AB12",
    "SL": struct.pack("<l", -5),
    "SS": struct.pack("<h", -5),
    "ST": b"helical ",
    "SV": struct.pack("<q", -5),
    "TM": b"101112",
    "UC": b"chest abdomen ",
    "UL": struct.pack("<L", 5),
    "UR": b"urn:x:1 ",
    "US": struct.pack("<H", 5),
    "UT": b"axial images",
    "UV": struct.pack("<Q", 5),
}
# Why what the table does not name may still change; none of it measures or describes what was imaged.
EXCEPTIONS_BY_VR = {
    "UI": "an instance's UID that the table misses would point at what no longer exists: mapped like the others",
    "PN": "every person's name goes, in whatever attribute: the table cannot be complete (PS3.15 §E.1.1)",
    "DA": "a date that the table misses would give away the shift, or the true date (PS3.15 §E.3.6)",
    "DT": "likewise",
    "TM": "likewise",
    "UR": "an address names the institution's servers, and often the patient",
}
EXCEPTIONS_BY_KEYWORD = {
    "Comments?$": "a comment is free text, of which nobody knows what it says",
    "Notes$": "likewise",
    "^TextValue$": "free text of a content item outside a report's content sequence",
    "^HL7InstanceIdentifier$": "names a document of a patient",
    "^TrackingID$": "free text that identifies a finding of one patient in a trial",
}


def may_change(tag: int, vr: str) -> bool:
    keyword = DicomDictionary[tag][4]
    return vr in EXCEPTIONS_BY_VR or any(re.search(pattern, keyword) for pattern in EXCEPTIONS_BY_KEYWORD)


def complement() -> Iterator[tuple[int, str]]:
    """Tag and VR of every attribute of PS3.6 that the table does not name and a data set may have."""
    for tag, (vrs, _, _, _, _) in sorted(DicomDictionary.items()):
        group, vr = tag >> 16, vrs[:2]
        if group < 8 or group & 1 or group >= 0xFFFE or tag & 0xFFFF == 0 or f"{tag:08X}" in TABLE:
            continue
        if vr in VALUES and tag not in WRITTEN and group >> 8 not in (0x50, 0x60):
            yield tag, vr


def raw_elements(content: bytes) -> dict[int, bytes]:
    """The top level's raw values, by a reader that shares nothing with ours."""
    dataset = pydicom.dcmread(BytesIO(content))
    return {int(tag): dataset.get_item(tag).value for tag in dataset.keys() if vr_of(int(tag)) != "SQ"}  # noqa: SIM118


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_the_table_does_not_name_stays_byte_for_byte(syntax: str, undefined: bool) -> None:
    writer = Writer(syntax, undefined)
    image = minimal_image(writer)
    own = {each.tag for each in image} | {0x00080005, 0x00280008, 0x00280301, 0x7FE00008, 0x7FE00009}
    pixel_tables = {0x7FE00001, 0x7FE00002, 0x7FE00003}
    kept = [
        Element(tag, vr, VALUES[vr]) for tag, vr in complement() if tag not in own and tag not in pixel_tables
    ]
    assert len(kept) > 2_500
    deep = [each for each in kept if each.tag >> 16 != 0x7FE0]
    content = writer.file([*image, *kept, nested(*deep)])

    after = transformed(content)

    before, output = raw_elements(content), raw_elements(after)
    changed = {each.tag: each for each in kept if output.get(each.tag) != before[each.tag]}
    assert [f"{tag:08X} {each.vr}" for tag, each in changed.items() if not may_change(tag, each.vr)] == []
    assert len(changed) < 60
    old = pydicom.dcmread(BytesIO(content))[OUTER][0][INNER][0]
    new = pydicom.dcmread(BytesIO(after))[OUTER][0][INNER][0]
    tags = list(old.keys())
    other = [tag for tag in tags if tag not in new or old.get_item(tag).value != new.get_item(tag).value]
    assert {int(tag) for tag in other} <= set(changed)


def test_only_names_and_identifiers_outside_the_table_change() -> None:
    """The VRs that the complement leaves out are names and UIDs, whose fate is tested by itself."""
    vrs = {vrs[:2] for tag, (vrs, *_) in DicomDictionary.items() if 8 <= tag >> 16 < 0xFFFE and vrs}
    assert vrs - set(VALUES) - {"SQ", "UN"} == {"UI", "PN"}
    writer = Writer()
    people = [tag for tag, (vrs, *_) in DicomDictionary.items() if vrs == "PN" and tag >> 16 >= 8]
    elements = [Element(tag, "PN", b"Sentinel^Name") for tag in people if tag >> 24 not in (0x50, 0x60)]
    after = transformed(writer.file([*minimal_image(writer), *elements]))
    assert len(people) > 20
    assert b"Sentinel" not in after


def test_class_and_coding_uids_stay_and_instance_uids_are_mapped() -> None:
    writer = Writer()
    classes = b"1.2.840.10008.5.1.4.1.1.4"
    elements = [
        Element(tag, "UI", classes if keyword.endswith("ClassUID") else b"1.2.777777.9")
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items()
        if vr == "UI" and tag >> 16 >= 8 and f"{tag:08X}" not in TABLE
    ]
    own = {each.tag for each in minimal_image(writer)}
    elements = [each for each in elements if each.tag not in own]
    content = writer.file([*minimal_image(writer), *elements])
    before, after = pydicom.dcmread(BytesIO(content)), pydicom.dcmread(BytesIO(transformed(content)))
    for each in elements:
        if each.value == classes:
            assert after[each.tag].value == before[each.tag].value


# --- real data and the table itself ---------------------------------------------------------------------------


@pytest.mark.shared_data
def test_no_value_of_the_penn_patients_is_left() -> None:
    """Score against the values of the inputs: the reference output is no oracle, it keeps some."""
    texts = {"AE", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UT"}
    files = part10_files("deid", "penn_tcia", "dicom")
    values: set[bytes] = set()
    shown: set[bytes] = set()
    outputs = []
    for path in files:
        content = path.read_bytes()
        for element in pydicom.dcmread(BytesIO(content)).iterall():
            tag = f"{int(element.tag):08X}"
            named = tag in TABLE or element.tag.is_private
            if element.VR in texts and element.value:
                for value in str(element.value).replace("\\", "^").split("^"):
                    (values if named else shown).add(value.strip().encode())
        outputs.append(inflated(transformed(content)))
    # What clinical attributes say too is no identifier, and what is short is found by accident.
    values = {value for value in values - shown if len(value) > 5}
    assert len(values) > 60
    kept = {value for value in values if any(value in output for output in outputs)}
    well_known = {value for value in kept if value.startswith(b"1.2.840.10008.")}
    assert kept - well_known == set()


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


def test_the_writer_of_these_files_can_write_every_vr() -> None:
    assert set(VALUES) | {"UI", "PN", "SQ", "UN"} >= LONG_FORM
