"""The ledger gets few, typed and small facts of a de-identified instance, and no value that is not one of its VR."""

from collections.abc import Sequence
from datetime import date, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.part10 import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Element,
    Writer,
    changed,
    minimal_image,
)
from support.shared_data import shared

from rayline.dicom.content import LocalFile
from rayline.dicom.identity import InstanceIdentity
from rayline.dicom.instance import Instance
from rayline.dicom.metadata import InstanceMetadata, metadata_of
from rayline.dynamodb import from_attributes, to_attributes

FULL = {
    0x00080008: ("CS", b"ORIGINAL\\PRIMARY\\AXIAL"),
    0x00080020: ("DA", b"20240229"),
    0x00080030: ("TM", b"101112.5"),
    0x00080070: ("LO", b"Philips "),
    0x00081090: ("LO", b"Brilliance 16P"),
    0x00100010: ("PN", b"Doe^Jane"),
    0x00100020: ("LO", b"MRN-4711"),
    0x00100040: ("CS", b"F"),
    0x00101010: ("AS", b"018M"),
    0x00101020: ("DS", b"0.81"),
    0x00101030: ("DS", b"10.5"),
    0x00180015: ("CS", b"CHEST "),
    0x00180050: ("DS", b"1.25"),
    0x00185101: ("CS", b"AP"),
    0x00200011: ("IS", b"3 "),
    0x00200013: ("IS", b"+42"),
    0x00200060: ("CS", b"L"),
    0x00280008: ("IS", b"1"),
    0x00280030: ("DS", b"0.5\\0.75"),
}


def of(
    *others: Element, without: Sequence[int] = (), syntax: str = EXPLICIT_LITTLE, full: bool = True
) -> InstanceMetadata:
    writer = Writer(syntax)
    own = [Element(tag, vr, value) for tag, (vr, value) in FULL.items()] if full else []
    elements = changed(changed(minimal_image(writer), *own), *others, without=without)
    return metadata_of(Instance(writer.file(elements)).header)


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_each_value_has_its_type(syntax: str) -> None:
    found = of(syntax=syntax)
    assert found.transfer_syntax_uid == syntax
    patient, study, series, image = found.patient, found.study, found.series, found.image
    assert (patient.sex, patient.age_years, patient.size_m, patient.weight_kg) == ("F", 1.5, 0.81, 10.5)
    assert (study.study_date, study.study_time) == (date(2024, 2, 29), time(10, 11, 12, 500_000))
    assert (series.series_number, series.body_part_examined, series.laterality) == (3, "CHEST", "L")
    assert (series.manufacturer, series.manufacturer_model_name) == ("Philips", "Brilliance 16P")
    assert (image.instance_number, image.image_type) == (42, ("ORIGINAL", "PRIMARY", "AXIAL"))
    assert (image.rows, image.columns, image.frames, image.samples_per_pixel) == (4, 4, 1, 1)
    assert (image.bits_allocated, image.bits_stored) == (16, 12)
    assert image.photometric_interpretation == "MONOCHROME2"
    assert (image.pixel_spacing_mm, image.slice_thickness_mm) == ((0.5, 0.75), 1.25)
    assert image.view_position == "AP"


def test_the_item_says_the_same_and_comes_back_from_the_ledger() -> None:
    item = of().to_item()
    assert item == {
        "transfer_syntax_uid": EXPLICIT_LITTLE,
        "patient": {"sex": "F", "age_years": 1.5, "size_m": 0.81, "weight_kg": 10.5},
        "study": {"study_date": "2024-02-29", "study_time": "10:11:12.500000"},
        "series": {
            "series_number": 3,
            "body_part_examined": "CHEST",
            "laterality": "L",
            "manufacturer": "Philips",
            "manufacturer_model_name": "Brilliance 16P",
        },
        "image": {
            "instance_number": 42,
            "image_type": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "rows": 4,
            "columns": 4,
            "frames": 1,
            "samples_per_pixel": 1,
            "bits_allocated": 16,
            "bits_stored": 12,
            "photometric_interpretation": "MONOCHROME2",
            "pixel_spacing_mm": [0.5, 0.75],
            "slice_thickness_mm": 1.25,
            "view_position": "AP",
        },
    }
    assert from_attributes(to_attributes(item)) == item


def test_names_and_identifiers_of_people_are_left_out() -> None:
    assert "Doe" not in str(of().to_item())
    assert "4711" not in str(of().to_item())


@pytest.mark.parametrize(
    ("tag", "vr", "raw", "part", "field"),
    [
        (0x00080020, "DA", b"20230229", "study", "study_date"),
        (0x00080020, "DA", b"2024.02.29", "study", "study_date"),
        (0x00080030, "TM", b"2460", "study", "study_time"),
        (0x00080030, "TM", b"10:11", "study", "study_time"),
        (0x00100040, "CS", b"X", "patient", "sex"),
        (0x00101010, "AS", b"18Y ", "patient", "age_years"),
        (0x00101030, "DS", b"heavy", "patient", "weight_kg"),
        (0x00101030, "DS", b"9E999", "patient", "weight_kg"),
        (0x00101030, "DS", b"1\\2", "patient", "weight_kg"),
        (0x00101030, "DS", b"1_0", "patient", "weight_kg"),
        (0x00180015, "CS", b"Doe^Jane", "series", "body_part_examined"),
        (0x00200011, "IS", b"3.0", "series", "series_number"),
        (0x00280010, "US", b"\4\0\4\0", "image", "rows"),
        (0x00280030, "DS", b"0.5", "image", "pixel_spacing_mm"),
        (0x00280030, "DS", b"nan\\nan", "image", "pixel_spacing_mm"),
        (0x00080008, "CS", b"Jane Doe\\PRIMARY", "image", "image_type"),
    ],
)
def test_what_is_no_value_of_its_vr_is_none(tag: int, vr: str, raw: bytes, part: str, field: str) -> None:
    found = of(Element(tag, vr, raw))
    assert getattr(getattr(found, part), field) is None
    assert field not in found.to_item()[part]
    # And it would be there, were it one.
    assert getattr(getattr(of(), part), field) is not None


def test_a_detectors_spacing_and_an_images_laterality_stand_in() -> None:
    found = of(
        Element(0x00181164, "DS", b"0.2\\0.2"),
        Element(0x00200062, "CS", b"R"),
        without=[0x00280030, 0x00200060],
    )
    assert found.image.pixel_spacing_mm == (0.2, 0.2)
    assert found.series.laterality == "R"


@pytest.mark.parametrize(
    ("raw", "years"), [(b"045Y", 45.0), (b"018M", 1.5), (b"010W", 0.19), (b"003D", 0.01)]
)
def test_ages_are_in_years(raw: bytes, years: float) -> None:
    assert of(Element(0x00101010, "AS", raw)).patient.age_years == years


@given(st.dictionaries(st.sampled_from(sorted(FULL)), st.binary(max_size=60_000)))
def test_the_item_stays_small_whatever_the_values(values: dict[int, bytes]) -> None:
    def size(value: Any) -> int:
        if isinstance(value, dict):
            return sum(len(name) + size(each) for name, each in value.items())
        return sum(map(size, value)) if isinstance(value, list) else len(str(value))

    assert size(of(*(Element(tag, FULL[tag][0], raw) for tag, raw in values.items())).to_item()) < 2_000


@pytest.mark.shared_data
def test_a_report_has_no_image() -> None:
    header = Instance(LocalFile(shared("sr_seg/report_dfl.dcm"))).header
    found = metadata_of(header)
    assert (found.image.rows, found.image.frames) == (None, None)
    assert "rows" not in found.to_item().get("image", {})


def test_identity_is_read_of_a_header() -> None:
    assert InstanceIdentity.of(Instance(Writer().file(minimal_image(Writer()))).header) == InstanceIdentity(
        "1.2.3.5", "1.2.3.6", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.2", "CT"
    )
    assert InstanceIdentity.of(Instance(Writer().file([])).header) == InstanceIdentity("", "", "", "", "")
