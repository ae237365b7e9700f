"""What an image needs is decided from its header; what nothing is known about may show text."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from support.image_files import encapsulated_file, image, native_file, noise

from rayline.plugin import InMemory, RejectedEvent, read_header
from rayline_deid.pixels import Box, DeviceRule, PixelSettings, clean_pixels
from rayline_deid.pixels.boxes import outside, simplified
from rayline_deid.pixels.devices import packaged_rules
from rayline_deid.pixels.plan import Plan, plan

CT = "1.2.840.10008.5.1.4.1.1.2"
CR = "1.2.840.10008.5.1.4.1.1.1"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def planned(dataset: Dataset, settings: PixelSettings | None = None) -> Plan:
    shape = (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    header = read_header(InMemory(native_file(dataset, noise(shape, 8))))
    return plan(header, settings or PixelSettings())


def kind(modality: str, image_type: list[str], sop_class: str = CT, **attributes: Any) -> Dataset:
    dataset = image(40, 50, **attributes)
    dataset.Modality, dataset.ImageType, dataset.SOPClassUID = modality, image_type, sop_class
    return dataset


@pytest.mark.parametrize(
    ("dataset", "search"),
    [
        (kind("CT", ["ORIGINAL", "PRIMARY", "AXIAL"]), False),
        (kind("MR", ["ORIGINAL", "PRIMARY", "OTHER"]), True),
        (kind("MR", ["ORIGINAL", "PRIMARY", "M", "FFE"]), False),
        (kind("CT", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), True),
        (kind("CT", ["ORIGINAL", "PRIMARY", "LOCALIZER"], BurnedInAnnotation="NO"), True),
        (kind("CT", ["DERIVED", "PRIMARY", "AXIAL"]), True),
        (kind("CT", ["DERIVED", "PRIMARY", "AXIAL"], BurnedInAnnotation="NO"), False),
        (kind("CT", ["DERIVED", "SECONDARY"], BurnedInAnnotation="NO"), True),
        (kind("CT", ["ORIGINAL", "PRIMARY", "AXIAL"], BurnedInAnnotation="YES"), True),
        (kind("CT", []), True),
        (kind("CT", ["ORIGINAL", "PRIMARY"], SECONDARY_CAPTURE), True),
        (kind("CT", ["ORIGINAL", "PRIMARY"], SECONDARY_CAPTURE + ".4", BurnedInAnnotation="NO"), True),
        (kind("CR", ["ORIGINAL", "PRIMARY"], CR), True),
        (kind("CR", ["ORIGINAL", "PRIMARY"], CR, BurnedInAnnotation="NO"), False),
        (kind("US", ["ORIGINAL", "PRIMARY"], BurnedInAnnotation="NO"), True),
        (kind("XA", ["ORIGINAL", "PRIMARY"]), True),
        (kind("ES", ["ORIGINAL", "PRIMARY"], BurnedInAnnotation="NO"), True),
        (kind("ZZ", ["ORIGINAL", "PRIMARY"]), True),
        (kind("SEG", ["DERIVED", "PRIMARY"], SEGMENTATION), False),
        (kind("SEG", ["DERIVED", "PRIMARY"], SEGMENTATION, BurnedInAnnotation="YES"), True),
        (kind("SM", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], BurnedInAnnotation="NO"), False),
        (kind("SM", ["ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"], BurnedInAnnotation="NO"), True),
        (
            kind(
                "SM", ["ORIGINAL", "PRIMARY", "VOLUME"], BurnedInAnnotation="NO", SpecimenLabelInImage="YES"
            ),
            True,
        ),
    ],
)
def test_which_images_are_searched_for_text(dataset: Dataset, search: bool) -> None:
    assert planned(dataset).search is search


def test_no_is_doubted_where_a_site_says_so() -> None:
    dataset = kind("CR", ["ORIGINAL", "PRIMARY"], CR, BurnedInAnnotation="NO")
    assert planned(dataset, PixelSettings(believe_no=False)).search


def test_a_slide_label_is_refused() -> None:
    with pytest.raises(RejectedEvent) as refusal:
        planned(kind("SM", ["ORIGINAL", "PRIMARY", "LABEL", "NONE"], BurnedInAnnotation="NO"))
    assert refusal.value.reason == "BURNED_IN_ANNOTATION"


def test_without_detection_what_is_at_risk_is_refused() -> None:
    with pytest.raises(RejectedEvent) as refusal:
        planned(kind("US", ["ORIGINAL", "PRIMARY"]), PixelSettings(text_detection=False))
    assert refusal.value.reason == "BURNED_IN_ANNOTATION"
    assert planned(kind("CT", ["ORIGINAL", "PRIMARY"]), PixelSettings(text_detection=False)).is_empty


def region(left: int, top: int, right: int, bottom: int) -> Dataset:
    item = Dataset()
    item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right, bottom
    return item


def test_outside_of_ultrasound_regions_is_blanked() -> None:
    """The last column and row belong to a region (PS3.3 §C.8.5.5.1)."""
    dataset = image(
        40, 50, SequenceOfUltrasoundRegions=Sequence([region(10, 5, 29, 24), region(20, 20, 44, 39)])
    )
    needed = planned(dataset)
    covered = np.zeros((40, 50), int)
    for box in needed.boxes:
        covered[box.top : box.bottom, box.left : box.right] += 1
    expected = np.ones((40, 50), int)
    expected[5:25, 10:30] = expected[20:40, 20:45] = 0
    assert ((covered > 0) == expected).all()
    assert needed.search


@pytest.mark.parametrize("edges", [(0, 0, 0, 0), (60, 50, 90, 80), (30, 10, 20, 20)])
def test_regions_that_show_nothing_of_the_image_say_nothing(edges: tuple[int, int, int, int]) -> None:
    needed = planned(image(40, 50, SequenceOfUltrasoundRegions=Sequence([region(*edges)])))
    assert needed.boxes == ()
    assert needed.search


def test_a_flood_of_regions_is_refused() -> None:
    with pytest.raises(RejectedEvent) as refusal:
        planned(image(40, 50, SequenceOfUltrasoundRegions=Sequence([region(0, 0, 9, 9)] * 101)))
    assert refusal.value.reason == "PIXELS_NOT_CLEANABLE"


RULE = DeviceRule(
    name="scanner", manufacturer="acme", model="S1", rows=40, columns=50, boxes=((0, 0, 999, 7),)
)


@pytest.mark.parametrize(
    ("attributes", "boxes"),
    [
        ({"Manufacturer": "ACME Medical", "ManufacturerModelName": "S1 pro"}, (Box(0, 0, 50, 7),)),
        ({"Manufacturer": "ACME Medical", "ManufacturerModelName": "S2"}, ()),
        ({"ManufacturerModelName": "S1"}, ()),
    ],
)
def test_a_sites_device_rule(attributes: dict[str, str], boxes: tuple[Box, ...]) -> None:
    dataset = kind("CT", ["ORIGINAL", "PRIMARY"], **attributes)
    needed = planned(dataset, PixelSettings(device_rules=(RULE,)))
    assert needed.boxes == boxes
    assert needed.search is bool(boxes)


def test_a_device_rule_may_refuse() -> None:
    rule = DeviceRule(name="film digitizer", manufacturer="ACME", refuse=True)
    with pytest.raises(RejectedEvent) as refusal:
        planned(kind("CT", ["ORIGINAL", "PRIMARY"], Manufacturer="ACME"), PixelSettings(device_rules=(rule,)))
    assert refusal.value.reason == "BURNED_IN_ANNOTATION"


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "all"},
        {"name": "nothing to do", "model": "S1"},
        {"name": "both", "model": "S1", "boxes": [[0, 0, 5, 5]], "refuse": True},
        {"name": "empty box", "model": "S1", "boxes": [[0, 0, 0, 5]]},
        {"name": "unknown", "model": "S1", "boxes": [[0, 0, 5, 5]], "colour": "red"},
    ],
)
def test_rules_that_say_nothing_are_no_rules(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DeviceRule.model_validate(rule)


def test_packaged_rules_have_sources_and_names_of_their_own() -> None:
    rules = packaged_rules()
    assert len({rule.name for rule in rules}) == len(rules) >= 20
    assert all(rule.source for rule in rules)
    dataset = kind("US", ["ORIGINAL", "PRIMARY"], Manufacturer="SIEMENS", ManufacturerModelName="Antares")
    dataset.Rows, dataset.Columns = 768, 1024
    assert Box(0, 0, 1024, 60) in planned(dataset).boxes


def test_embedded_overlays_are_seen() -> None:
    """PS3.5 §8.1.2: an overlay may lie in bits of the pixel cells above the samples."""
    dataset = kind("CT", ["ORIGINAL", "PRIMARY"], allocated=16, stored=12)
    dataset.add_new(0x60000010, "US", 40)
    dataset.add_new(0x60000100, "US", 16)
    dataset.add_new(0x60000102, "US", 12)
    cells = noise((40, 50), 16)
    source = InMemory(native_file(dataset, cells))
    cleaned = clean_pixels(source, read_header(source), PixelSettings())
    assert cleaned.cleaned
    assert cleaned.boxes == ()
    after = cleaned.content.whole()
    value = after.rindex(b"OW\0\0") + 8
    assert (np.frombuffer(after[value : value + 4000], "<u2") == cells.ravel() & 0x0FFF).all()


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Rows": 65535, "Columns": 65535}, "LIMIT_EXCEEDED"),
        ({"Rows": 60, "Columns": 50}, "PIXEL_DATA_LENGTH_MISMATCH"),
        ({"Rows": 0}, "PIXELS_NOT_CLEANABLE"),
        ({"BitsAllocated": 12}, "PIXELS_NOT_CLEANABLE"),
        ({"BitsStored": 9}, "PIXELS_NOT_CLEANABLE"),
        ({"HighBit": 3}, "PIXELS_NOT_CLEANABLE"),
        ({"PhotometricInterpretation": "CMYK"}, "PIXELS_NOT_CLEANABLE"),
        ({"PhotometricInterpretation": "RGB"}, "PIXELS_NOT_CLEANABLE"),
        ({"NumberOfFrames": "-1"}, "PIXELS_NOT_CLEANABLE"),
        ({"NumberOfFrames": "2147483647"}, "PIXEL_DATA_LENGTH_MISMATCH"),
    ],
)
def test_what_cannot_be_cleaned_is_refused_for_its_reason(attributes: dict[str, Any], reason: str) -> None:
    dataset = image(40, 50)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    source = InMemory(native_file(dataset, noise((40, 50), 8)))
    with pytest.raises(RejectedEvent) as refusal:
        clean_pixels(source, read_header(source), PixelSettings())
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"]
)
@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Rows": 65535, "Columns": 65535}, "LIMIT_EXCEEDED"),
        ({"NumberOfFrames": "2147483647"}, "LIMIT_EXCEEDED"),
        ({"NumberOfFrames": "3"}, "PIXELS_NOT_CLEANABLE"),
    ],
)
def test_hostile_sizes_of_compressed_images(syntax: str, attributes: dict[str, Any], reason: str) -> None:
    dataset = image(40, 50)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    source = InMemory(encapsulated_file(dataset, [b"\0" * 64], syntax))
    with pytest.raises(RejectedEvent) as refusal:
        clean_pixels(source, read_header(source), PixelSettings())
    assert refusal.value.reason == reason


def test_an_annotated_image_of_floating_point_numbers_is_refused() -> None:
    dataset = image(4, 4, BurnedInAnnotation="YES")
    content = native_file(dataset, noise((4, 4), 8))
    # FloatPixelData in the place of PixelData.
    source = InMemory(content.replace(b"\xe0\x7f\x10\x00OB", b"\xe0\x7f\x08\x00OF"))
    with pytest.raises(RejectedEvent) as refusal:
        clean_pixels(source, read_header(source), PixelSettings())
    assert refusal.value.reason == "PIXELS_NOT_CLEANABLE"


def test_simplified_boxes_cover_the_same() -> None:
    boxes = [
        Box(-5, -5, 10, 10),
        Box(0, 0, 3, 3),
        Box(90, 90, 50, 50),
        Box(200, 200, 9, 9),
        Box(90, 90, 10, 10),
    ]
    assert simplified(boxes, 100, 100) == (Box(0, 0, 5, 5), Box(90, 90, 10, 10))


def test_outside_of_nothing_is_everything() -> None:
    assert outside([], 4, 6) == [Box(0, 0, 6, 4)]
    assert outside([Box(0, 0, 6, 4)], 4, 6) == []
