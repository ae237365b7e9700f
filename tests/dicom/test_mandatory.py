"""Each family of SOP classes has the attributes without which nobody can identify or use its instances."""

from collections.abc import Sequence

import pytest
from support.part10 import Element, Writer, changed, minimal_image

from rayline.dicom.instance import Instance
from rayline.dicom.mandatory import MODULES
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.sop_classes import ALLOWED_SOP_CLASSES, MODALITY_OF, SOP_CLASSES_WITH_PIXELS
from rayline.dicom.validation import screen

STORAGE = "1.2.840.10008.5.1.4.1.1"
WRITER = Writer()
PIXELS = (0x00280002, 0x00280004, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103)
ITEM = [[Element(0x00081155, "UI", b"1.2.3.7")]]
ONE_FRAME = {0x00280008: ("NumberOfFrames", "IS", b"1")}
SHARED_GROUPS = {0x52009229: ("SharedFunctionalGroupsSequence", "SQ", ITEM)}
SEGMENTATION = {
    0x00620001: ("SegmentationType", "CS", b"BINARY"),
    0x00620002: ("SegmentSequence", "SQ", ITEM),
    **ONE_FRAME,
    **SHARED_GROUPS,
}

# By SOP class: what PS3.3 asks for beside a CT image's attributes, written out from its sections.
FAMILIES: dict[str, dict[int, tuple[str, str, bytes | Sequence[Sequence[Element]]]]] = {
    f"{STORAGE}.2": {},
    f"{STORAGE}.3.1": ONE_FRAME,
    f"{STORAGE}.7.4": ONE_FRAME,
    f"{STORAGE}.20": ONE_FRAME,
    f"{STORAGE}.2.1": {**ONE_FRAME, **SHARED_GROUPS},
    f"{STORAGE}.4.1": {**ONE_FRAME, **SHARED_GROUPS},
    f"{STORAGE}.30": {**ONE_FRAME, **SHARED_GROUPS},
    f"{STORAGE}.77.1.6": {
        **ONE_FRAME,
        **SHARED_GROUPS,
        0x00480006: ("TotalPixelMatrixColumns", "UL", b"\4\0\0\0"),
        0x00480007: ("TotalPixelMatrixRows", "UL", b"\4\0\0\0"),
    },
    f"{STORAGE}.66.4": SEGMENTATION,
    f"{STORAGE}.66.7": SEGMENTATION,
    f"{STORAGE}.88.11": {0x0040A040: ("ValueType", "CS", b"CONTAINER")},
    f"{STORAGE}.88.67": {0x0040A040: ("ValueType", "CS", b"CONTAINER")},
    f"{STORAGE}.88.59": {
        0x0040A040: ("ValueType", "CS", b"CONTAINER"),
        0x0040A375: ("CurrentRequestedProcedureEvidenceSequence", "SQ", ITEM),
    },
    f"{STORAGE}.11.1": {
        0x00081115: ("ReferencedSeriesSequence", "SQ", ITEM),
        0x0070005A: ("DisplayedAreaSelectionSequence", "SQ", ITEM),
    },
    f"{STORAGE}.66.1": {0x00700308: ("RegistrationSequence", "SQ", ITEM)},
    f"{STORAGE}.66.3": {0x00640002: ("DeformableRegistrationSequence", "SQ", ITEM)},
    f"{STORAGE}.481.2": {
        0x30040002: ("DoseUnits", "CS", b"GY"),
        0x30040004: ("DoseType", "CS", b"PHYSICAL"),
    },
    f"{STORAGE}.481.3": {0x30060039: ("ROIContourSequence", "SQ", ITEM)},
    f"{STORAGE}.481.5": {0x300A000C: ("RTPlanGeometry", "CS", b"PATIENT")},
    f"{STORAGE}.91.1": {0x006A0002: ("AnnotationGroupSequence", "SQ", ITEM)},
}


def instance(sop_class: str, without: int = 0, empty: int = 0) -> Instance:
    """An instance with all that its SOP class asks for, but for one element."""
    own = [Element(tag, vr, value) for tag, (_, vr, value) in FAMILIES[sop_class].items()]
    if empty:
        own = [Element(each.tag, each.vr, b"") if each.tag == empty else each for each in own]
    left_out = [without] if sop_class in SOP_CLASSES_WITH_PIXELS else [without, *PIXELS, 0x7FE00010]
    elements = changed(minimal_image(WRITER), *own, without=left_out, sop_class=sop_class)
    return Instance(WRITER.file(elements, sop_class=sop_class))


@pytest.mark.parametrize("sop_class", FAMILIES)
def test_what_has_all_is_taken(sop_class: str) -> None:
    assert screen(instance(sop_class)) is None


@pytest.mark.parametrize(
    ("sop_class", "tag", "keyword"),
    [(sop_class, tag, own[tag][0]) for sop_class, own in FAMILIES.items() for tag in own],
)
def test_what_lacks_one_or_has_it_empty_is_refused_by_its_name(
    sop_class: str, tag: int, keyword: str
) -> None:
    for rejection in (screen(instance(sop_class, without=tag)), screen(instance(sop_class, empty=tag))):
        assert rejection is not None
        assert rejection.reason == ReasonCode.MISSING_ATTRIBUTE
        assert keyword in rejection.explanation
        assert "PS3.3 C." in rejection.explanation


def test_an_enhanced_image_may_say_all_frame_by_frame() -> None:
    own = [Element(0x00280008, "IS", b"1"), Element(0x52009230, "SQ", ITEM)]
    elements = changed(minimal_image(WRITER), *own, sop_class=f"{STORAGE}.2.1")
    assert screen(Instance(WRITER.file(elements, sop_class=f"{STORAGE}.2.1"))) is None


def test_the_tables_speak_of_classes_that_the_intake_takes() -> None:
    for module in MODULES:
        assert module.sop_classes <= ALLOWED_SOP_CLASSES
        assert module.sop_classes & FAMILIES.keys(), module.section
    assert MODALITY_OF.keys() <= ALLOWED_SOP_CLASSES
