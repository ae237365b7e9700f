"""Whole files under the options of PS3.15 §E.3: what stays, what goes, and what the output says of itself."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from support.part10 import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Element, Writer, minimal_image
from support.shared_data import ROOT, part10_files

from rayline.dicom.validation import screen
from rayline.plugin import InMemory, Instance, RejectedEvent, rewrite
from rayline_deid.document import parse_profile
from rayline_deid.engine import DeidRules, Pixels, deidentify
from rayline_deid.profile import Profile, default_profile, load_profile
from rayline_deid.pseudonyms import Pseudonyms

PSEUDONYMS = Pseudonyms(b"0123456789abcdef0123456789abcdef", "north")
SYNTAXES = [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG]
NAME, IDENTIFIER = Element(0x00100010, "PN", b"Zorgblatt^Quux"), Element(0x00100020, "LO", b"MRN4711 ")


def profile(options: dict[str, Any] | None = None, **document: Any) -> Profile:
    return Profile(parse_profile({"profile": 1, "options": options or {}, **document}, "a test"))


def file(
    *elements: Element, syntax: str = EXPLICIT_LITTLE, without: Sequence[int] = (), undefined: bool = False
) -> bytes:
    writer = Writer(syntax, undefined)
    taken = {each.tag for each in elements} | set(without)
    image = [each for each in minimal_image(writer) if each.tag not in taken]
    patient = [each for each in (NAME, IDENTIFIER) if each.tag not in taken]
    return writer.file([*image, *patient, *elements])


def output(content: bytes, chosen: Profile, *, pixels: Pixels = Pixels.LEFT) -> bytes:
    return rewrite(InMemory(content), DeidRules(chosen, PSEUDONYMS, pixels)).whole()


def cleaned(content: bytes, chosen: Profile, *, pixels: Pixels = Pixels.LEFT) -> Dataset:
    return pydicom.dcmread(BytesIO(output(content, chosen, pixels=pixels)))


def codes(dataset: Dataset) -> list[str]:
    assert all(item.CodingSchemeDesignator == "DCM" for item in dataset.DeidentificationMethodCodeSequence)
    return [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence]


def refusal(content: bytes, chosen: Profile, *, pixels: Pixels = Pixels.LEFT) -> str:
    with pytest.raises(RejectedEvent) as caught:
        output(content, chosen, pixels=pixels)
    return caught.value.reason


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"clean_recognizable_visual_features": True}, "113102"),
        ({"clean_graphics": True}, "113103"),
        ({"clean_structured_content": True}, "113104"),
        ({"clean_descriptors": True}, "113105"),
        ({"retain_longitudinal_temporal_information": "full"}, "113106"),
        ({"retain_longitudinal_temporal_information": "modified"}, "113107"),
        ({"retain_patient_characteristics": True}, "113108"),
        ({"retain_device_identity": True}, "113109"),
        ({"retain_uids": True}, "113110"),
        ({"retain_safe_private": True}, "113111"),
        ({"retain_institution_identity": True}, "113112"),
    ],
)
def test_the_output_names_the_profile_and_each_option(options: dict[str, Any], code: str) -> None:
    body_part = Element(0x00180015, "CS", b"CHEST ")
    chosen = profile(options)
    dataset = cleaned(file(body_part), chosen)
    assert codes(dataset) == ["113100", code]
    assert codes(cleaned(file(body_part), chosen, pixels=Pixels.EXAMINED)) == sorted(
        ["113100", "113101", code]
    )
    assert dataset.PatientIdentityRemoved == "YES"
    assert dataset.LongitudinalTemporalInformationModified == {
        "113106": "UNMODIFIED",
        "113107": "MODIFIED",
    }.get(code, "REMOVED")
    assert list(dataset.DeidentificationMethod)[-1] == f"profile {chosen.digest[:16]}"
    assert all(len(value) <= 64 for value in dataset.DeidentificationMethod)


def test_pixels_are_called_clean_only_where_somebody_cleaned_them() -> None:
    flagged = file(Element(0x00280301, "CS", b"YES "))
    assert refusal(flagged, default_profile()) == "BURNED_IN_ANNOTATION"
    assert (
        refusal(flagged, profile({"clean_pixel_data": False}), pixels=Pixels.EXAMINED)
        == "BURNED_IN_ANNOTATION"
    )
    assert "BurnedInAnnotation" not in cleaned(file(), default_profile())
    for content in (flagged, file()):
        dataset = cleaned(content, default_profile(), pixels=Pixels.EXAMINED)
        assert dataset.BurnedInAnnotation == "NO"
        assert codes(dataset) == ["113100", "113101"]


def ct(modality: bytes, part: bytes | None, *more: Element) -> bytes:
    parts = [Element(0x00180015, "CS", part)] if part is not None else []
    return file(Element(0x00080060, "CS", modality), *parts, *more)


FACELESS = profile({"clean_recognizable_visual_features": True})


@pytest.mark.parametrize(
    ("modality", "part"),
    [
        (b"CT", b"HEAD"),
        (b"MR", b"BRAIN "),
        (b"PT", b"WHOLEBODY "),
        (b"CT", None),
        (b"CT", b""),
        (b"MR", b"HEADNECK"),
        (b"XC", b"CHEST "),
        (b"OP", None),
        (b"OT", b"CHEST "),
        (b"", b"CHEST "),
    ],
)
def test_what_could_show_a_face_is_refused(modality: bytes, part: bytes | None) -> None:
    assert refusal(ct(modality, part), FACELESS) == "RECOGNIZABLE_VISUAL_FEATURES"
    assert "RecognizableVisualFeatures" not in cleaned(ct(modality, part), default_profile())


@pytest.mark.parametrize(
    ("modality", "part"), [(b"CT", b"CHEST "), (b"MR", b"KNEE"), (b"DX", b"SKULL "), (b"US", None)]
)
def test_what_cannot_is_called_so(modality: bytes, part: bytes | None) -> None:
    assert cleaned(ct(modality, part), FACELESS).RecognizableVisualFeatures == "NO"
    says_so = ct(modality, part, Element(0x00280302, "CS", b"YES "))
    assert refusal(says_so, FACELESS) == "RECOGNIZABLE_VISUAL_FEATURES"


def coded(value: bytes, scheme: bytes, meaning: bytes) -> list[Element]:
    return [
        Element(0x00080100, "SH", value),
        Element(0x00080102, "SH", scheme),
        Element(0x00080104, "LO", meaning),
    ]


def content_item(kind: bytes, *elements: Element) -> list[Element]:
    return [
        Element(0x0040A010, "CS", b"CONTAINS"),
        Element(0x0040A040, "CS", kind),
        Element(0x0040A043, "SQ", [coded(b"121071", b"DCM ", b"Finding ")]),
        *elements,
    ]


def report() -> list[list[Element]]:
    inner = content_item(b"TEXT", Element(0x0040A160, "UT", b"Quux"))
    measured = [
        Element(0x0040A30A, "DS", b"17.5"),
        Element(0x004008EA, "SQ", [coded(b"mm", b"UCUM", b"mm")]),
    ]
    return [
        content_item(b"TEXT", Element(0x0040A160, "UT", b"Chest of Zorgblatt, acute pneumonia ")),
        content_item(b"PNAME ", Element(0x0040A123, "PN", b"Zorgblatt^Quux")),
        content_item(b"DATE", Element(0x0040A121, "DA", b"20240301")),
        content_item(b"UIDREF", Element(0x0040A124, "UI", b"1.2.777.1")),
        content_item(b"CODE", Element(0x0040A168, "SQ", [coded(b"39607008", b"SCT ", b"Lung")])),
        content_item(
            b"CODE", Element(0x0040A168, "SQ", [coded(b"MRN4711 ", b"99ZORGBLATT ", b"Zorgblatt ")])
        ),
        content_item(b"NUM ", Element(0x0040A300, "SQ", [measured])),
        content_item(b"CONTAINER ", Element(0x0040A730, "SQ", [inner])),
    ]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_a_report_keeps_codes_and_numbers_and_the_words_that_identify_nobody(
    syntax: str, undefined: bool
) -> None:
    content = file(Element(0x0040A730, "SQ", report()), syntax=syntax, undefined=undefined)
    chosen = profile(
        {"clean_structured_content": True, "retain_longitudinal_temporal_information": "modified"},
        dates={"first": -1, "last": -1},
    )
    after = output(content, chosen)
    for secret in (b"Zorgblatt", b"ZORGBLATT", b"Quux", b"4711", b"1.2.777.1", b"20240301"):
        assert secret not in after
    items = pydicom.dcmread(BytesIO(after)).ContentSequence
    assert items[0].TextValue == "Chest of acute pneumonia"
    assert items[1].PersonName == "ANONYMIZED"
    assert items[2].Date == "20240229"
    assert PSEUDONYMS.uid(b"1.2.777.1").decode() == items[3].UID
    assert items[4].ConceptCodeSequence[0].CodeValue == "39607008"
    assert items[4].ConceptCodeSequence[0].CodeMeaning == "Lung"
    assert items[5].ConceptCodeSequence[0].CodeMeaning == "ANONYMIZED"
    assert items[5].ConceptCodeSequence[0].CodingSchemeDesignator == "ANONYMIZED"
    assert items[6].MeasuredValueSequence[0].NumericValue == 17.5
    assert items[6].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "mm"
    assert items[7].ContentSequence[0].TextValue == "ANONYMIZED"
    assert all(item.ConceptNameCodeSequence[0].CodeMeaning == "Finding" for item in items)
    # Without the option only the structure stays, with numbers and their units.
    plain = cleaned(content, default_profile()).ContentSequence
    assert plain[0].TextValue == "ANONYMIZED"
    assert plain[4].ConceptCodeSequence[0].CodeMeaning == "ANONYMIZED"
    assert plain[6].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeMeaning == "mm"


def overlay(group: int, kind: bytes) -> list[Element]:
    return [
        Element(group << 16 | 0x0010, "US", b"\4\0"),
        Element(group << 16 | 0x0011, "US", b"\4\0"),
        Element(group << 16 | 0x0022, "LO", b"Zorgblatt lesion"),
        Element(group << 16 | 0x0040, "CS", kind),
        Element(group << 16 | 0x0050, "SS", b"\1\0\1\0"),
        Element(group << 16 | 0x0100, "US", b"\1\0"),
        Element(group << 16 | 0x0102, "US", b"\0\0"),
        Element(group << 16 | 0x1500, "LO", b"Zorgblatt "),
        Element(group << 16 | 0x3000, "OW", b"\x55\x55"),
        Element(group << 16 | 0x4000, "LT", b"Zorgblatt "),
    ]


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_overlays_stay_that_mark_a_region_and_annotations_without_their_words(syntax: str) -> None:
    graphics = [
        Element(
            0x00700001,
            "SQ",
            [
                [
                    Element(0x00700002, "CS", b"LAYER1"),
                    Element(0x00700008, "SQ", [[Element(0x00700006, "ST", b"Zorgblatt 5 mm lesion ")]]),
                    Element(
                        0x00700009,
                        "SQ",
                        [[Element(0x00700022, "FL", bytes(8)), Element(0x00700023, "CS", b"POINT ")]],
                    ),
                ]
            ],
        ),
    ]
    nested = Element(0x52009229, "SQ", [[Element(0x00289110, "SQ", [overlay(0x6000, b"R ")])]])
    content = file(
        *graphics,
        nested,
        *overlay(0x6000, b"R "),
        *overlay(0x6002, b"G "),
        *overlay(0x601E, b""),
        syntax=syntax,
    )
    after = output(content, profile({"clean_graphics": True}))
    assert b"Zorgblatt" not in after
    dataset = pydicom.dcmread(BytesIO(after))
    assert {tag.group for tag in dataset.keys() if tag.group >> 8 == 0x60} == {0x6000}  # noqa: SIM118
    assert bytes(dataset[0x60003000].value) == b"\x55\x55"
    assert dataset[0x60000022].value == "lesion"
    assert 0x60001500 not in dataset
    annotation = dataset.GraphicAnnotationSequence[0]
    assert annotation.GraphicLayer == "LAYER1"
    assert annotation.TextObjectSequence[0].UnformattedTextValue == "5mm lesion"
    assert annotation.GraphicObjectSequence[0].GraphicType == "POINT"
    inner = dataset[0x52009229][0][0x00289110][0]
    assert not [tag for tag in inner.keys() if tag.group >> 8 == 0x60]  # noqa: SIM118
    without = pydicom.dcmread(BytesIO(output(content, default_profile())))
    assert not [tag for tag in without.keys() if tag.group >> 8 == 0x60]  # noqa: SIM118


SIEMENS = [
    Element(0x00190011, "LO", b"SIEMENS MR HEADER "),
    Element(0x0019110C, "IS", b"1000"),
    Element(0x0019110D, "CS", b"DIRECTIONAL "),
    Element(0x0019110A, "US", b"\5\0"),
    Element(0x001911FF, "LO", b"Zorgblatt "),
    Element(0x00190012, "LO", b"ZORGBLATT CO"),
    Element(0x0019120C, "IS", b"4711"),
    Element(0x00290010, "LO", b"SIEMENS CSA HEADER"),
    Element(0x00291010, "OB", b"Zorgblatt "),
]
SAFE = {"retain_safe_private": True}


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_private_attributes_stay_by_creator_at_every_depth(syntax: str) -> None:
    nested = Element(0x52009229, "SQ", [list(SIEMENS)])
    content = file(nested, *SIEMENS, syntax=syntax)
    after = output(content, profile(SAFE))
    for secret in (b"Zorgblatt", b"ZORGBLATT", b"4711", b"CSA"):
        assert secret not in after
    dataset = pydicom.dcmread(BytesIO(after))
    for level in (dataset, dataset[0x52009229][0]):
        block = level.private_block(0x0019, "SIEMENS MR HEADER")
        assert block[0x0C].value in (1000, b"1000")
        assert {tag.elem & 0xFF for tag in level.keys() if tag.group == 0x19} == {0x11, 0x0C, 0x0D}  # noqa: SIM118
        assert not [tag for tag in level.keys() if tag.group == 0x29]  # noqa: SIM118
    listed = profile(SAFE, private={"keep": [{"creator": "SIEMENS MR HEADER", "elements": ["(0019,xx0A)"]}]})
    own = cleaned(content, listed).private_block(0x0019, "SIEMENS MR HEADER")
    assert own[0x0A].value in (5, b"\5\0")
    assert b"SIEMENS" not in output(content, default_profile())


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_safe_private_attributes_are_still_looked_into(syntax: str) -> None:
    inner = [Element(0x00100010, "PN", b"Zorgblatt^Quux"), Element(0x00081155, "UI", b"1.2.777.1")]
    content = file(
        Element(0x00990010, "LO", b"NQHeader"),
        Element(0x00991002, "UI", b"1.2.777.2 "),
        Element(0x00991005, "LT", b"done for Quux "),
        Element(0x00991020, "SH", b"ml"),
        Element(0x20010010, "LO", b"Philips Imaging DD 001"),
        Element(0x2001105F, "SQ", [inner]),
        Element(0x2001107D, "OW", b"Zorgblatt "),
        syntax=syntax,
    )
    after = output(content, profile(SAFE))
    for secret in (b"Zorgblatt", b"Quux", b"1.2.777"):
        assert secret not in after
    dataset = pydicom.dcmread(BytesIO(after))
    header = dataset.private_block(0x0099, "NQHeader")
    assert PSEUDONYMS.uid(b"1.2.777.2") in after
    assert PSEUDONYMS.uid(b"1.2.777.1") in after
    assert header[0x20].value in ("ml", b"ml")
    assert 0x00991005 not in dataset


def test_a_creator_says_which_block_is_its_own() -> None:
    """An element under the number of a safe creator, in a block that another one reserved, is not safe."""
    content = file(
        Element(0x00190010, "LO", b"ZORGBLATT "),
        Element(0x00190011, "LO", b"SIEMENS MR HEADER "),
        Element(0x0019100C, "IS", b"4711"),
        Element(0x0019130C, "IS", b"4711"),
    )
    assert b"4711" not in output(content, profile(SAFE))


def test_dates_move_as_one_and_times_stay() -> None:
    elements = [
        Element(0x00080020, "DA", b"20240301"),
        Element(0x00080022, "DA", b"20240303"),
        Element(0x0008002A, "DT", b"20240303101112.5"),
        Element(0x00080030, "TM", b"101112"),
        Element(0x00080201, "SH", b"+0100 "),
        Element(0x00100030, "DA", b"19700101"),
        Element(0x00104000, "LT", b"20240301"),
        Element(0x00540016, "SQ", [[Element(0x00181078, "DT", b"20240303093000")]]),
    ]
    chosen = profile({"retain_longitudinal_temporal_information": "modified"})
    dataset = cleaned(file(*elements), chosen)
    from datetime import datetime

    def day(text: str) -> datetime:
        return datetime.strptime(text[:8], "%Y%m%d")  # noqa: DTZ007

    moved = (day(dataset.StudyDate) - day("20240301")).days
    assert -365 <= moved <= -1
    assert (day(dataset.AcquisitionDate) - day("20240303")).days == moved
    assert (day(dataset.AcquisitionDateTime) - day("20240303")).days == moved
    injected = dataset.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime
    assert (day(injected) - day("20240303")).days == moved
    assert dataset.AcquisitionDateTime[8:] == "101112.5"
    assert dataset.StudyTime == "101112"
    assert dataset.TimezoneOffsetFromUTC == "+0100"
    assert dataset.PatientBirthDate == ""
    assert "PatientComments" not in dataset
    other = cleaned(file(*elements, Element(0x00100020, "LO", b"MRN4712 ")), chosen)
    assert other.StudyDate != dataset.StudyDate
    kept = cleaned(file(*elements), profile({"retain_longitudinal_temporal_information": "full"}))
    assert (kept.StudyDate, kept.StudyTime) == ("20240301", "101112")


PROFILES = {
    "basic": profile({"clean_pixel_data": False}),
    "default": default_profile(),
    "everything": profile(
        {
            "clean_graphics": True,
            "clean_structured_content": True,
            "clean_descriptors": True,
            "retain_longitudinal_temporal_information": "modified",
            "retain_patient_characteristics": True,
            "retain_device_identity": True,
            "retain_institution_identity": True,
            "retain_safe_private": True,
        },
        attributes={"AccessionNumber": "hash", "Manufacturer": {"action": "replace", "value": "MAKER"}},
        uids={"root": "1.2.826.0.1.3680043.8.498"},
    ),
    "uids": profile({"retain_uids": True, "retain_longitudinal_temporal_information": "full"}),
}


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("without", [[], [0x00100020], [0x00100010, 0x00100020]])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_twice_is_once(name: str, without: list[int], syntax: str) -> None:
    content = file(
        *SIEMENS,
        Element(0x00080020, "DA", b"20240301"),
        Element(0x00080050, "SH", b"ACC4711 "),
        Element(0x00080054, "AE", b"HOSPITAL"),
        Element(0x00081030, "LO", b"Chest of Zorgblatt 5 mm "),
        Element(0x00081140, "SQ", [[Element(0x00081155, "UI", b"1.2.777.1")]]),
        Element(0x00101010, "AS", b"094Y"),
        Element(0x0040A730, "SQ", report()),
        *overlay(0x6000, b"R "),
        syntax=syntax,
        without=without,
    )
    for pixels in Pixels:
        once = output(content, PROFILES[name], pixels=pixels)
        assert output(once, PROFILES[name], pixels=pixels) == once


def test_dates_of_nobody_do_not_move_by_a_number_that_all_would_share() -> None:
    content = file(
        Element(0x00080020, "DA", b"20240301"),
        Element(0x00080022, "DA", b"20240301"),
        without=[0x00100010, 0x00100020, 0x0020000D],
    )
    once = output(content, profile({"retain_longitudinal_temporal_information": "modified"}))
    dataset = pydicom.dcmread(BytesIO(once))
    assert (dataset.StudyDate, dataset.AcquisitionDate) == ("", "")


def test_ages_above_the_limit_are_one_age() -> None:
    chosen = profile({"retain_patient_characteristics": True}, patients={"oldest_years": 89})
    for age, after in ((b"094Y", "090Y"), (b"089Y", "089Y"), (b"011M", "011M"), (b"old ", None)):
        assert cleaned(file(Element(0x00101010, "AS", age)), chosen).get("PatientAge") == after
    assert (
        cleaned(
            file(Element(0x00101010, "AS", b"094Y")), profile({"retain_patient_characteristics": True})
        ).PatientAge
        == "094Y"
    )


def test_single_attributes_follow_the_profile_at_every_depth() -> None:
    item = [Element(0x00080050, "SH", b"ACC4711 "), Element(0x00100020, "LO", b"DONOR1")]
    chosen = profile(
        attributes={
            "AccessionNumber": "hash",
            "Manufacturer": "remove",
            "InstitutionName": {"action": "replace", "value": "Site 7"},
            "StationName": {"action": "keep", "unsafe": True},
        }
    )
    dataset = cleaned(
        file(
            Element(0x00080050, "SH", b"ACC4711 "),
            Element(0x00080070, "LO", b"ACME"),
            Element(0x00080080, "LO", b"Zorgblatt Hospital"),
            Element(0x00081010, "SH", b"CT1 "),
            Element(0x00081140, "SQ", [item]),
        ),
        chosen,
    )
    hashed = PSEUDONYMS.hash(b"ACC4711").decode()
    assert (dataset.AccessionNumber, dataset.InstitutionName, dataset.StationName) == (
        hashed,
        "Site 7",
        "CT1",
    )
    assert "Manufacturer" not in dataset
    nested = dataset.ReferencedImageSequence[0]
    assert nested.AccessionNumber == hashed
    # A patient in a sequence may be another one.
    assert nested.PatientID == PSEUDONYMS.patient(b"DONOR1").decode() != dataset.PatientID


def test_retained_uids_stay_in_meta_and_data_set_and_a_sites_root_is_used() -> None:
    dataset = cleaned(file(), profile({"retain_uids": True}))
    before = pydicom.dcmread(BytesIO(file()))
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert dataset[keyword] == before[keyword]
    assert dataset.file_meta.MediaStorageSOPInstanceUID == before.SOPInstanceUID
    rooted = cleaned(
        file(), profile(uids={"root": "1.2.826.0.1.3680043.8.498"}, patients={"prefix": "TRIAL7-"})
    )
    assert rooted.SOPInstanceUID.startswith("1.2.826.0.1.3680043.8.498.")
    assert rooted.file_meta.MediaStorageSOPInstanceUID == rooted.SOPInstanceUID
    assert rooted.PatientID.startswith("TRIAL7-")


@pytest.mark.shared_data
@pytest.mark.parametrize("name", PROFILES)
def test_every_real_file_is_the_same_when_done_twice(name: str) -> None:
    done = 0
    for path in part10_files("transfer_syntax") + part10_files("sr_seg") + part10_files("misc_pydicom"):
        content = path.read_bytes()
        if len(content) > 4_000_000:
            continue
        try:
            once = output(content, PROFILES[name])
        except RejectedEvent:
            continue
        assert output(once, PROFILES[name]) == once, path.name
        done += 1
    assert done > 30


FLOODS = {
    "LO": Element(0x00081030, "LO", b"\\" * 150_000),
    "UT": Element(0x0040A160, "UT", b"Chest " * 2_000_000),
    "DS": Element(0x00101030, "DS", b"1\\" * 150_000),
    "DA": Element(0x00080020, "DA", b"\\" * 150_000),
    "private": Element(0x00991005, "LT", b"ml " * 3_000_000),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_of_values_go(kind: str) -> None:
    creator = [Element(0x00990010, "LO", b"NQHeader")]
    after = output(file(*creator, FLOODS[kind], syntax=IMPLICIT_LITTLE), PROFILES["everything"])
    assert len(after) < 10_000


def test_a_flood_of_uids_is_refused() -> None:
    flood = Element(0x00080058, "UI", b"1\\" * 100_000)
    assert refusal(file(flood, syntax=IMPLICIT_LITTLE), default_profile()) == "LIMIT_EXCEEDED"


def test_an_attribute_that_a_profile_keeps_stays_in_a_report_too() -> None:
    chosen = profile(attributes={"TextValue": {"action": "keep", "unsafe": True}})
    dataset = cleaned(file(Element(0x0040A730, "SQ", report())), chosen)
    assert dataset.ContentSequence[0].TextValue == "Chest of Zorgblatt, acute pneumonia"
    assert dataset.ContentSequence[1].PersonName == "ANONYMIZED"


@pytest.mark.shared_data
@pytest.mark.parametrize("name", [*PROFILES, "research.yaml", "trial.yaml"])
def test_every_real_file_that_the_intake_takes_is_taken_afterwards(name: str) -> None:
    chosen = PROFILES.get(name) or load_profile(ROOT / "config/deid" / name)
    taken = 0
    for path in part10_files("transfer_syntax") + part10_files("sr_seg") + part10_files("cxr_dicom"):
        content = path.read_bytes()
        if len(content) > 4_000_000 or screen(Instance(content)) is not None:
            continue
        try:
            after = output(content, chosen, pixels=Pixels.EXAMINED)
        except RejectedEvent as refused:
            assert refused.reason in ("BURNED_IN_ANNOTATION", "RECOGNIZABLE_VISUAL_FEATURES"), path.name
            continue
        assert screen(Instance(after)) is None, path.name
        taken += 1
    assert taken > (10 if name == "trial.yaml" else 30)


def stated(group: int, creator: bytes, status: bytes, *elements: int) -> list[Element]:
    listed = b"".join(each.to_bytes(2, "little") for each in elements)
    return [
        Element(0x00080301, "US", group.to_bytes(2, "little")),
        Element(0x00080302, "LO", creator),
        Element(0x00080303, "CS", status),
        *([Element(0x00080304, "US", listed)] if elements else []),
    ]


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
@pytest.mark.parametrize("undefined", [False, True])
def test_what_a_sender_calls_safe_is_believed_only_on_request(syntax: str, undefined: bool) -> None:
    blocks = [
        stated(0x0029, b"ACME SAFE ", b"SAFE"),
        stated(0x0029, b"ACME MIXED", b"MIXED ", 0x1002),
        stated(0x0029, b"ACME UNSAFE ", b"UNSAFE"),
    ]
    private = [
        Element(0x00290010, "LO", b"ACME SAFE "),
        Element(0x00291001, "DS", b"17.5"),
        Element(0x00291002, "LO", b"coil of Quux"),
        Element(0x00291003, "UI", b"1.2.777.3 "),
        Element(0x00291004, "DA", b"20240301"),
        Element(0x00290011, "LO", b"ACME MIXED"),
        Element(0x00291101, "IS", b"4711"),
        Element(0x00291102, "IS", b"33"),
        Element(0x00290012, "LO", b"ACME UNSAFE "),
        Element(0x00291201, "IS", b"4711"),
    ]
    nested = Element(0x52009229, "SQ", [private])
    content = file(Element(0x00080300, "SQ", blocks), nested, *private, syntax=syntax, undefined=undefined)
    believing = profile({"clean_pixel_data": False, **SAFE}, private={"believe_sender": True})
    after = deidentify(InMemory(content), believing, PSEUDONYMS).whole()
    assert b"4711" not in after
    assert b"Quux" not in after
    dataset = pydicom.dcmread(BytesIO(after))
    expected = {0x00290010, 0x00291001, 0x00290011, 0x00291102, 0x00291003}
    found = {int(tag) for tag in dataset.keys() if tag.group == 0x29}  # noqa: SIM118
    if syntax == EXPLICIT_LITTLE:
        assert found == expected
        assert dataset[0x00291001].value == 17.5
        assert dataset[0x00291003].value == PSEUDONYMS.uid(b"1.2.777.3").decode()
    else:
        # Without a VR nothing tells a UID or a date from a number: what is called safe stays as it is.
        assert found == expected | {0x00291004}
    assert not [tag for tag in dataset[0x52009229][0].keys() if tag.group == 0x29]  # noqa: SIM118
    plain = deidentify(InMemory(content), profile({"clean_pixel_data": False, **SAFE}), PSEUDONYMS).whole()
    assert 0x00291001 not in pydicom.dcmread(BytesIO(plain))
