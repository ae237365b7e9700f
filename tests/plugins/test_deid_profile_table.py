"""Every row of PS3.15 table E.1-1 under every option: what becomes of a value by the row's raw code."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.config import RAISE
from pydicom.valuerep import validate_value
from support.shared_data import ROOT, shared

from rayline.plugin import EMPTY, KEEP, REMOVE, Descend, Element, Replace, Treatment
from rayline_deid.document import parse_profile
from rayline_deid.patient import PatientScope, patient_scope
from rayline_deid.profile import Profile
from rayline_deid.pseudonyms import Pseudonyms
from rayline_deid.treatments import treatments_of

DOCUMENT: dict[str, Any] = json.loads((ROOT / "plugins/deid/rayline_deid/table_e1_1.json").read_text())
BASIC: dict[str, str] = DOCUMENT["actions"]
TAGS = [tag for tag in BASIC if "x" not in tag and int(tag[:4], 16) >= 8]
PSEUDONYMS = Pseudonyms(b"0123456789abcdef0123456789abcdef", "north")
GONE, ITEMS = "gone", "items"

# One profile for each option column of the table, with nothing else in it.
COLUMNS: dict[str, dict[str, object]] = {
    "basic": {},
    "retain_safe_private": {"retain_safe_private": True},
    "retain_uids": {"retain_uids": True},
    "retain_device_identity": {"retain_device_identity": True},
    "retain_institution_identity": {"retain_institution_identity": True},
    "retain_patient_characteristics": {"retain_patient_characteristics": True},
    "retain_full_dates": {"retain_longitudinal_temporal_information": "full"},
    "retain_modified_dates": {"retain_longitudinal_temporal_information": "modified"},
    "clean_descriptors": {"clean_descriptors": True},
    "clean_structured_content": {"clean_structured_content": True},
    "clean_graphics": {"clean_graphics": True},
}
PROFILES = {
    column: Profile(
        parse_profile({"profile": 1, "options": {"clean_pixel_data": False, **options}}, "a test")
    )
    for column, options in COLUMNS.items()
}

# Valid for their VR, and nothing that a vocabulary of anatomy and technique has.
VALUES = {
    "AE": b"ZORGBLATT_AE",
    "AS": b"037Y",
    "CS": b"ZORGBLATT",
    "DA": b"20240229",
    "DS": b"81.5",
    "DT": b"20240229101112.123456+0100",
    "FD": bytes(7) + b"\x40",
    "IS": b"4711",
    "LO": b"Zorgblatt Quux",
    "LT": b"Zorgblatt\r\nQuux",
    "OB": b"Zorgblatt ",
    "PN": b"Zorgblatt^Quux",
    "SH": b"Zorgblatt",
    "ST": b"Zorgblatt Quux",
    "TM": b"101112.5",
    "UC": b"Zorgblatt Quux",
    "UI": b"1.2.777.4711",
    "UN": b"Zorgblatt ",
    "UR": b"urn:zorgblatt:4711",
    "US": b"\x11\x47",
    "UT": b"Zorgblatt Quux",
}
TEXT_VRS = frozenset(VALUES) - {"FD", "OB", "UN", "US", "UC", "UR"}
NAMES_TO_KEEP_APART = {0x00100010, 0x00100020}
TIMEZONE = 0x00080201
PUBLISHED_DATES = {0x00080106, 0x00080107, 0x0040DB06, 0x0040DB07}


def scope(profile: Profile) -> PatientScope:
    return patient_scope(profile, PSEUDONYMS, {0x00100010: b"Doe^Jane", 0x00100020: b"MRN17"})


def vr_of(tag: int) -> str:
    entry = DicomDictionary.get(tag)
    if entry is not None and entry[0]:
        return entry[0][:2]
    ending = DOCUMENT["names"][f"{tag:08X}"].split()[-1]
    return {"Sequence": "SQ", "DateTime": "DT"}.get(ending, "UN")


def result(profile: Profile, tag: int, vr: str, value: bytes) -> bytes | str:
    """What a value becomes: other bytes, ``gone``, or ``items`` where a sequence is looked into."""
    treatment: Treatment = treatments_of(profile).of[tag]
    if treatment is KEEP:
        return value
    if treatment is REMOVE:
        return GONE
    if treatment is EMPTY:
        return b""
    if isinstance(treatment, Descend):
        return ITEMS
    assert isinstance(treatment, Replace)
    if vr == "SQ":
        return GONE
    replaced = treatment.function(Element(tag, vr, value, 0), scope(profile))
    return GONE if replaced is None else replaced


def value_of(tag: int) -> bytes:
    return b"+0100" if tag == TIMEZONE else VALUES.get(vr_of(tag), b"Zorgblatt ")


def assert_basic(tag: int, vr: str, value: bytes, after: bytes | str) -> None:
    """The basic profile's action; where the row leaves a choice, one of those that it leaves."""
    code = BASIC[f"{tag:08X}"]
    if vr == "SQ":
        allowed = {"X": {GONE}, "Z": {b"", GONE}, "D": {ITEMS}, "X/Z/U*": {ITEMS}}
        assert after in allowed.get(code, {GONE, b"", ITEMS}), (f"{tag:08X}", code, after)
        return
    assert value.strip() not in (after if isinstance(after, bytes) else b""), f"{tag:08X}"
    match code:
        case "X":
            assert after == GONE
        case "Z":
            assert after == b"" or tag in NAMES_TO_KEEP_APART
        case "D" | "U":
            assert isinstance(after, bytes)
            assert after
        case _:
            assert after == b"" or (isinstance(after, bytes) and "D" in code)
    if isinstance(after, bytes) and after:
        assert_valid(tag, vr, after)


def assert_valid(tag: int, vr: str, value: bytes) -> None:
    if vr in TEXT_VRS:
        validate_value(vr, value.decode("ascii").rstrip(" \0"), RAISE)
    elif vr in ("FD", "FL", "US", "UL"):
        assert len(value) % {"FD": 8, "FL": 4, "UL": 4, "US": 2}[vr] == 0


@pytest.mark.parametrize("column", COLUMNS)
def test_every_row_is_treated_by_its_code(column: str) -> None:
    profile, seen = PROFILES[column], {"K": 0, "C": 0, "": 0}
    for name in TAGS:
        tag = int(name, 16)
        vr, value = vr_of(tag), value_of(tag)
        after = result(profile, tag, vr, value)
        code = DOCUMENT["options"].get(name, {}).get(column, "")
        seen[code] += 1
        if code == "K":
            assert after == (ITEMS if vr == "SQ" else value), name
        elif code == "C" and vr == "SQ":
            assert after == ITEMS, name
        elif code == "C" and column == "retain_modified_dates":
            assert_moved(tag, vr, value, after)
        elif code == "C":
            assert b"Zorgblatt" not in (after if isinstance(after, bytes) else b""), name
            assert b"ZORGBLATT" not in (after if isinstance(after, bytes) else b""), name
        else:
            assert_basic(tag, vr, value, after)
    assert seen["K"] + seen["C"] == sum(
        column in codes for tag, codes in DOCUMENT["options"].items() if tag in set(TAGS)
    )


def assert_moved(tag: int, vr: str, value: bytes, after: bytes | str) -> None:
    if vr in ("DA", "DT") and tag not in PUBLISHED_DATES:
        assert isinstance(after, bytes)
        assert after[:8] != value[:8]
        assert after[8:] == value[8:]
        assert_valid(tag, vr, after)
    elif vr == "TM" or tag == TIMEZONE:
        assert after == value
    else:
        assert_basic(tag, vr, value, after)


@pytest.mark.parametrize(
    ("column", "phrase", "kept"),
    [
        ("clean_descriptors", b"Chest Zorgblatt axial 5 mm", b"Chest axial 5mm"),
        ("retain_patient_characteristics", b"acute Zorgblatt asthma", b"acute asthma"),
    ],
)
def test_cleaned_text_keeps_what_identifies_nobody(column: str, phrase: bytes, kept: bytes) -> None:
    cleaned = 0
    for name, codes in DOCUMENT["options"].items():
        tag = int(name, 16) if "x" not in name else 0
        if codes.get(column) == "C" and vr_of(tag) in ("LO", "ST", "LT", "UT"):
            assert result(PROFILES[column], tag, vr_of(tag), phrase) == kept, name
            cleaned += 1
    assert cleaned >= 3


@pytest.mark.parametrize("column", COLUMNS)
def test_what_cannot_be_a_date_or_a_number_is_never_kept(column: str) -> None:
    """Words in an attribute that an option keeps because of its VR may be a patient's."""
    for name in TAGS:
        tag = int(name, 16)
        if vr_of(tag) in ("AS", "DA", "DS", "DT", "IS", "TM"):
            after = result(PROFILES[column], tag, vr_of(tag), b"Zorgblatt ")
            assert b"Zorgblatt" not in (after if isinstance(after, bytes) else b""), name


@pytest.mark.parametrize("column", COLUMNS)
def test_a_value_under_another_vr_than_its_own_is_not_believed(column: str) -> None:
    codes = {"retain_full_dates", "retain_modified_dates"}
    for name in TAGS:
        tag = int(name, 16)
        if codes & DOCUMENT["options"].get(name, {}).keys() and vr_of(tag) in ("DA", "DT", "TM"):
            after = result(PROFILES[column], tag, "LO", b"20240229")
            kept_for_the_device = "retain_device_identity" in DOCUMENT["options"][name]
            assert after != b"20240229" or (kept_for_the_device and column == "retain_device_identity"), name


def test_private_attributes_and_repeating_groups_have_their_rows() -> None:
    assert DOCUMENT["private"] == {"action": "X", "options": {"retain_safe_private": "C"}}
    assert {tag for tag in BASIC if "x" in tag} == {"50xxxxxx", "60xx3000", "60xx4000"}
    for profile in PROFILES.values():
        of = treatments_of(profile).of
        assert all(of[tag] is REMOVE for tag in (0x50000010, 0x50003000, 0x501E2600))
    graphics = treatments_of(PROFILES["clean_graphics"]).of
    for tag in (0x60003000, 0x60020022, 0x601E3000):
        assert treatments_of(PROFILES["basic"]).of[tag] is REMOVE
        assert isinstance(graphics[tag], Replace)


def _derivation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("derive_table", ROOT / "plugins/deid/derive_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.shared_data
def test_the_table_is_what_is_derived_from_the_standard() -> None:
    derive = _derivation().derive
    derived = derive(shared("ps3.15", "table_e1_1_2024b.json"), shared("ps3.15", "added_in_2026c.json"))
    assert derived == DOCUMENT


@pytest.mark.shared_data
def test_every_raw_code_of_every_column_is_in_the_table() -> None:
    raw = json.loads(shared("ps3.15", "table_e1_1_2024b.json").read_text())
    columns = {
        "rtnSafePrivOpt": "retain_safe_private",
        "rtnUIDsOpt": "retain_uids",
        "rtnDevIdOpt": "retain_device_identity",
        "rtnInstIdOpt": "retain_institution_identity",
        "rtnPatCharsOpt": "retain_patient_characteristics",
        "rtnLongFullDatesOpt": "retain_full_dates",
        "rtnLongModifDatesOpt": "retain_modified_dates",
        "cleanDescOpt": "clean_descriptors",
        "cleanStructContOpt": "clean_structured_content",
        "cleanGraphOpt": "clean_graphics",
    }
    known = {"id", "tag", "name", "stdCompIOD", "basicProfile"}
    assert {key for row in raw for key in row} - known == set(columns)
    for row in raw:
        if "gggg" in row["id"]:
            continue
        tag = row["id"].upper().replace("X", "x")
        assert BASIC[tag] == row["basicProfile"]
        assert DOCUMENT["options"].get(tag, {}) == {
            name: row[column] for column, name in columns.items() if column in row
        }
    added = json.loads(shared("ps3.15", "added_in_2026c.json").read_text())
    for name, code in added.items():
        assert BASIC[name.strip("()").replace(",", "")] == code.replace("_", "/")
    assert len(BASIC) == len(raw) - 1 + len(added)


def test_the_edition_is_stated() -> None:
    assert DOCUMENT["edition"] == "PS3.15 2024b table E.1-1 with the 35 attributes added up to 2026c"
    assert PROFILES["basic"].edition == DOCUMENT["edition"]
    assert Path(ROOT / "plugins/deid/README.md").read_text().count("2024b") >= 1
