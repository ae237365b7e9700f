"""Whatever a data set holds and whatever a profile says: no sentinel out, twice is once, everywhere the same."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.intake_chain import passage, transformed
from support.part10 import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Element,
    Writer,
    minimal_image,
)
from support.sentinels import DATA_SET_TAGS, OPTIONS, TABLE, Sentinels, inflated, vr_of
from support.shared_data import ROOT

import rayline_deid

SYNTAXES = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)
PIXEL_DATA = 0x7FE00010
# Sequences that the table does not name, so that their items are treated like the data set.
KEPT_SEQUENCES = (0x52009229, 0x00289110, 0x00082112, 0x00081140, 0x00400260)
# Attributes that the table does not name, of each way of writing lengths.
CLINICAL = {
    0x00180050: ("DS", b"1.25"),
    0x00180060: ("DS", b"120 "),
    0x00189087: ("FD", b"\0\0\0\0\0\0\xf0?"),
    0x00185100: ("CS", b"HFS "),
    0x00281053: ("DS", b"1 "),
    0x00189074: ("DT", b"20240501101112"),
}
SWITCHES = (
    "clean_pixel_data",
    "clean_recognizable_visual_features",
    "clean_graphics",
    "clean_structured_content",
    "clean_descriptors",
    "retain_patient_characteristics",
    "retain_device_identity",
    "retain_uids",
    "retain_safe_private",
    "retain_institution_identity",
)


class Case(NamedTuple):
    """A file, a profile, and where each sentinel lies: tags from the outermost sequence to the attribute."""

    content: bytes
    profile: dict[str, object]
    places: dict[bytes, tuple[int, ...]]
    pixels: bytes

    @property
    def settings(self) -> rayline_deid.DeidSettings:
        return rayline_deid.DeidSettings.model_validate({"profile": self.profile})

    @property
    def options(self) -> frozenset[str]:
        """Options by their names in the table."""
        chosen = self.profile["options"]
        assert isinstance(chosen, dict)
        dates = chosen["retain_longitudinal_temporal_information"]
        return frozenset(
            {name for name, on in chosen.items() if on is True}
            | ({f"retain_{dates}_dates"} if dates != "none" else set())
        )


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, object]:
    """Any combination of options, with the site's own wishes in some."""
    chosen: dict[str, object] = {name: draw(st.booleans()) for name in SWITCHES}
    chosen["retain_longitudinal_temporal_information"] = draw(st.sampled_from(["none", "modified", "full"]))
    profile: dict[str, object] = {"profile": 1, "options": chosen}
    if draw(st.booleans()):
        profile["uids"] = {"root": draw(st.sampled_from(["2.25", "1.2.826.0.1.3680043.10.1"]))}
        profile["patients"] = {"prefix": draw(st.sampled_from(["RL-", "", "TRIAL7_"]))}
    if draw(st.booleans()):
        profile["attributes"] = {
            "AccessionNumber": draw(st.sampled_from(["hash", "remove", "empty", "dummy"])),
            "StudyDescription": draw(st.sampled_from(["remove", "empty", "dummy", "hash"])),
            "Manufacturer": draw(st.sampled_from(["keep", "remove", "empty"])),
        }
        profile["dummies"] = {"LO": "REMOVED", "DA": "19700101"}
    return profile


@st.composite
def elements(
    draw: st.DrawFn,
    sentinels: Sentinels,
    places: dict[bytes, tuple[int, ...]],
    writer: Writer,
    path: tuple[int, ...] = (),
) -> list[Element]:
    """Elements of an item or of the top level: identifying, clinical, private, unknown and sequences of them."""
    found: dict[int, Element] = {}
    # What UN hides is in little endian (PS3.5 §6.2.2), which a big endian writer cannot make.
    in_un = st.booleans() if writer.transfer_syntax in (EXPLICIT_LITTLE, DEFLATED) else st.just(False)

    def value(tag: int, vr: str, unknown: bool) -> bytes:
        if draw(st.booleans()):
            made = sentinels.valid(vr, "<" if unknown else writer.order)
        else:
            made = sentinels.uid() if vr == "UI" else sentinels.text()
        places[made] = (*path, tag)
        return made

    for tag in draw(st.lists(st.sampled_from(DATA_SET_TAGS), max_size=8)):
        vr, unknown = vr_of(tag), draw(in_un)
        if vr != "SQ":
            found[tag] = Element(tag, "UN" if unknown else vr, value(tag, vr, unknown))
    for tag in draw(st.lists(st.sampled_from(sorted(CLINICAL)), max_size=4)):
        found[tag] = Element(tag, *CLINICAL[tag])
    if draw(st.booleans()):
        group = draw(st.sampled_from([0x0009, 0x0029, 0x7FE1])) << 16
        creator = draw(st.sampled_from([b"ACME 1.0", b"SIEMENS CSA HEADER", b""]))
        if creator:
            found[group | 0x10] = Element(group | 0x10, "LO", creator)
        found[group | 0x1008] = Element(group | 0x1008, "LO", value(group | 0x1008, "LO", False))
        if draw(st.booleans()):
            found[group | 0x1010] = Element(
                group | 0x1010, "SQ", [[Element(0x00100010, "PN", value(0x00100010, "PN", False))]]
            )
    if draw(st.booleans()):
        tag = draw(st.sampled_from([0x0008FFF0, 0x0018FFF0, 0x50000022, 0x60020022, 0x0010FFF1]))
        found[tag] = Element(tag, "LO", value(tag, "LO", False))
    if len(path) < 3:
        listed = [tag for tag in DATA_SET_TAGS if vr_of(tag) == "SQ"]
        sequences = st.one_of(st.sampled_from(KEPT_SEQUENCES), st.sampled_from(listed))
        for tag in draw(st.lists(sequences, max_size=2)):
            items = [
                draw(elements(sentinels, places, writer, (*path, tag)))
                for _ in range(draw(st.integers(0, 2)))
            ]
            found[tag] = Element(tag, "UN" if draw(in_un) and not writer.undefined else "SQ", items)
    return list(found.values())


@st.composite
def cases(draw: st.DrawFn) -> Case:
    writer = Writer(draw(st.sampled_from(SYNTAXES)), draw(st.booleans()))
    sentinels, places = Sentinels(), dict[bytes, tuple[int, ...]]()
    image = {each.tag: each for each in minimal_image(writer)}
    pixels = draw(st.binary(min_size=32, max_size=32))
    image[PIXEL_DATA] = Element(PIXEL_DATA, "OW", pixels)
    extra = [
        each for each in draw(elements(sentinels, places, writer)) if each.tag not in {*image, 0x00280301}
    ]
    content = writer.file([*image.values(), *extra], preamble=draw(st.binary(min_size=128, max_size=128)))
    return Case(content, draw(profiles()), places, pixels)


def raw_pixels(content: bytes) -> bytes:
    return bytes(pydicom.dcmread(BytesIO(content)).get_item(PIXEL_DATA).value)


def may_stay(case: Case, path: tuple[int, ...]) -> bool:
    """Whether an option keeps an attribute at its place, by the table alone."""
    rows = [f"{tag:08X}" for tag in path]
    keeping = [any(OPTIONS.get(row, {}).get(option) == "K" for option in case.options) for row in rows]
    tag = path[-1]
    if "retain_uids" in case.options and vr_of(tag) == "UI":
        return True
    # Days are added to dates, so the time of the day stays (PS3.15 §E.3.6).
    if "retain_modified_dates" in case.options and vr_of(tag) == "TM":
        return True
    if tag >> 16 & 1:
        return "retain_safe_private" in case.options
    return keeping[-1]


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(cases())
def test_no_sentinel_leaves_and_nothing_clinical_changes(case: Case) -> None:
    found = passage(case.content, case.settings)
    if found.output is None:
        assert found.reason == "RECOGNIZABLE_VISUAL_FEATURES"
        assert "clean_recognizable_visual_features" in case.options
        return
    # The output was screened again, by us.
    assert found.reason == ""
    output = found.output.whole()
    after = inflated(output)
    left = {each: path for each, path in case.places.items() if each in after}
    assert {each: path for each, path in left.items() if not may_stay(case, path)} == {}
    assert transformed(output, case.settings) == output
    stays_readable(case, output)


def stays_readable(case: Case, output: bytes) -> None:
    """By another reader, at every depth, with pixels and measurements as they were."""
    assert raw_pixels(output) == case.pixels
    before, after = pydicom.dcmread(BytesIO(case.content)), pydicom.dcmread(BytesIO(output))
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert after.preamble == bytes(128)
    assert list(after.keys()) == sorted(after.keys())
    for tag, (vr, _) in CLINICAL.items():
        if tag in before and vr != "DT":
            assert after.get_item(tag).value == before.get_item(tag).value
    for element in after.iterall():
        assert element.tag.group >= 8
        assert element.VR == "SQ" or element.is_empty or element.value is not None


def a_few(count: int) -> Sequence[Case]:
    """The same cases in every run."""
    found: list[Case] = []

    @settings(max_examples=count, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


OTHER_PROCESS = """
import hashlib, json, sys
import rayline_deid
from rayline.plugin import Instance, RejectedEvent
from rayline.testing import InMemoryContext
for line in sys.stdin:
    case = json.loads(line)
    settings = rayline_deid.DeidSettings.model_validate({"profile": case["profile"]})
    context = InMemoryContext(settings=settings, secrets={"deid": b"0123456789abcdef0123456789abcdef"})
    try:
        output = rayline_deid.transform_instance(Instance(bytes.fromhex(case["content"])), context)
        print(hashlib.sha256(output.source.whole()).hexdigest(), flush=True)
    except RejectedEvent as refused:
        print(refused.reason, flush=True)
"""


def test_another_process_gives_the_same_bytes() -> None:
    few = a_few(60)
    lines = "\n".join(json.dumps({"profile": case.profile, "content": case.content.hex()}) for case in few)
    other = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Pacific/Auckland", "LC_ALL": "C"},
    ).stdout.split()
    here = []
    for case in few:
        found = passage(case.content, case.settings)
        here.append(
            hashlib.sha256(found.output.whole()).hexdigest() if found.output is not None else found.reason
        )
    assert len(here) >= 50
    assert other == here
    assert len({case.content for case in few}) > 40


def test_dcmdump_reads_every_output_without_a_word(dcmtk_dcmdump: str, tmp_path: Path) -> None:
    paths = []
    for number, case in enumerate(a_few(80)):
        found = passage(case.content, case.settings)
        if found.output is not None:
            paths.append(tmp_path / f"{number}.dcm")
            paths[-1].write_bytes(found.output.whole())
    assert len(paths) > 30
    run = subprocess.run([dcmtk_dcmdump, "-q", *map(str, paths)], capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()[-2000:]
    said = subprocess.run([dcmtk_dcmdump, "+L", *map(str, paths)], capture_output=True, check=False).stderr
    # dcmtk knows fewer tags than the table has, and says so; that is no complaint about the file.
    complaints = [line for line in said.decode(errors="replace").splitlines() if re.match(r"[EF]:", line)]
    assert complaints == []


def test_the_table_of_options_is_the_standard_s() -> None:
    """What decides here about leaks is not made by the code under test, but by the derived table."""
    derived = json.loads((ROOT / "plugins/deid/rayline_deid/table_e1_1.json").read_text())
    assert derived["actions"] == TABLE
    base = Path(os.environ.get("RAYLINE_DATA", ROOT / "../shared/data")) / "ps3.15/table_e1_1_2024b.json"
    if not base.exists():
        pytest.skip("real data absent: the table of the standard's rows")
    columns = {
        "rtnUIDsOpt": "retain_uids",
        "rtnDevIdOpt": "retain_device_identity",
        "rtnInstIdOpt": "retain_institution_identity",
        "rtnPatCharsOpt": "retain_patient_characteristics",
        "rtnLongFullDatesOpt": "retain_full_dates",
        "rtnLongModifDatesOpt": "retain_modified_dates",
        "cleanDescOpt": "clean_descriptors",
        "cleanStructContOpt": "clean_structured_content",
        "cleanGraphOpt": "clean_graphics",
        "rtnSafePrivOpt": "retain_safe_private",
    }
    rows = json.loads(base.read_text())
    assert {key for row in rows for key in row if key.endswith("Opt")} <= set(columns)
    for row in rows:
        tag = row["id"].upper().replace("X", "x")
        expected = {columns[key]: code for key, code in row.items() if key in columns}
        if "gggg" not in row["id"]:
            assert OPTIONS.get(tag, {}) == expected, tag
