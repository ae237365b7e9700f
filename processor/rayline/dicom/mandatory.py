"""The attributes that an instance must have, by family of SOP classes.

Of the type 1 attributes of PS3.3 these are the ones without which nobody can identify or use the instance. Real
archives lack others of type 1, which are no reason to lose an image.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from rayline.dicom.dictionary import TAG_OF, keyword_of
from rayline.dicom.sop_classes import (
    FUNCTIONAL_GROUP_STORAGE,
    KEY_OBJECT_STORAGE,
    MULTI_FRAME_STORAGE,
    PRESENTATION_STATE_STORAGE,
    SEGMENTATION_STORAGE,
    STRUCTURED_REPORT_STORAGE,
)


class Module(NamedTuple):
    """A module of PS3.3 and what is needed of it.

    Attributes:
        section: of PS3.3.
        sop_classes: whose instances have the module.
        tags: all are needed.
        one_of: one of these is needed, where there are any.
    """

    section: str
    sop_classes: frozenset[str]
    tags: tuple[int, ...]
    one_of: tuple[int, ...] = ()


def _module(
    section: str, sop_classes: "frozenset[str] | str", *keywords: str, one_of: tuple[str, ...] = ()
) -> Module:
    classes = frozenset({sop_classes}) if isinstance(sop_classes, str) else sop_classes
    return Module(
        section,
        classes,
        tuple(TAG_OF[keyword] for keyword in keywords),
        tuple(TAG_OF[keyword] for keyword in one_of),
    )


_FUNCTIONAL_GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1"

MODULES: Final = (
    # Multi-frame
    _module("C.7.6.6", MULTI_FRAME_STORAGE, "NumberOfFrames"),
    # Multi-frame Functional Groups: each of the two may be absent where the other says all.
    _module("C.7.6.16", FUNCTIONAL_GROUP_STORAGE, one_of=_FUNCTIONAL_GROUPS),
    # Whole Slide Microscopy Image
    _module("C.8.12.4", f"{_STORAGE}.77.1.6", "TotalPixelMatrixColumns", "TotalPixelMatrixRows"),
    # Segmentation Image
    _module("C.8.20.2", SEGMENTATION_STORAGE, "SegmentationType", "SegmentSequence"),
    # SR Document Content, whose root is a content item
    _module("C.17.3", STRUCTURED_REPORT_STORAGE, "ValueType"),
    # Key Object Document
    _module("C.17.6.2", KEY_OBJECT_STORAGE, "CurrentRequestedProcedureEvidenceSequence"),
    # Presentation State Relationship, and Displayed Area
    _module("C.11.11", PRESENTATION_STATE_STORAGE, "ReferencedSeriesSequence"),
    _module("C.10.4", PRESENTATION_STATE_STORAGE, "DisplayedAreaSelectionSequence"),
    # Spatial and Deformable Spatial Registration
    _module("C.20.2", f"{_STORAGE}.66.1", "RegistrationSequence"),
    _module("C.20.3", f"{_STORAGE}.66.3", "DeformableRegistrationSequence"),
    # RT Dose, ROI Contour, RT General Plan
    _module("C.8.8.3", f"{_STORAGE}.481.2", "DoseUnits", "DoseType"),
    _module("C.8.8.6", f"{_STORAGE}.481.3", "ROIContourSequence"),
    _module("C.8.8.9", f"{_STORAGE}.481.5", "RTPlanGeometry"),
    # Microscopy Bulk Simple Annotations
    _module("C.37.1", f"{_STORAGE}.91.1", "AnnotationGroupSequence"),
)


_MODULES_OF: Final = {
    uid: tuple(module for module in MODULES if uid in module.sop_classes)
    for uid in frozenset().union(*(module.sop_classes for module in MODULES))
}


def missing(sop_class_uid: str, has_value: Callable[[int], bool]) -> Iterator[tuple[str, str]]:
    """What an instance of a SOP class lacks: keyword and section of PS3.3.

    Args:
        has_value: whether the instance has a tag, and a value in it.
    """
    for module in _MODULES_OF.get(sop_class_uid, ()):
        for tag in module.tags:
            if not has_value(tag):
                yield keyword_of(tag), module.section
        if module.one_of and not any(map(has_value, module.one_of)):
            yield " or ".join(map(keyword_of, module.one_of)), module.section
