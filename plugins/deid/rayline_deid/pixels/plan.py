"""Decide from the header what an image needs: nothing, boxes, a search for text, or a refusal."""

from dataclasses import dataclass
from typing import Final

from rayline.plugin import Attributes, Header, RejectedEvent
from rayline_deid.pixels.attributes import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    PIXEL_DATA,
    ROWS,
    not_cleanable,
)
from rayline_deid.pixels.boxes import Box, outside, simplified
from rayline_deid.pixels.settings import PixelSettings

BURNED_IN_ANNOTATION: Final = 0x00280301
_IMAGE_TYPE: Final = 0x00080008
_SOP_CLASS_UID: Final = 0x00080016
_MODALITY: Final = 0x00080060
_CONVERSION_TYPE: Final = 0x00080064
_SPECIMEN_LABEL_IN_IMAGE: Final = 0x00480010

_SEQUENCE_OF_ULTRASOUND_REGIONS: Final = 0x00186011
_REGION_EDGES: Final = (0x00186018, 0x0018601A, 0x0018601C, 0x0018601E)

_MOST_REGIONS: Final = 100

_OVERLAY_GROUPS: Final = range(0x6000, 0x6020, 2)

# Numbers in the shape of an image, which nobody displays by itself and no machine writes text into.
_NUMBERS: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
        "1.2.840.10008.5.1.4.1.1.481.2",  # RT Dose
        "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
    }
)
_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"

# Reconstructed from measurements: text is not in them unless their Image Type says that more was done.
_MEASURED: Final = frozenset({"CT", "MR", "PT", "NM"})
# Screens and photographs: their pixels show text whatever the header says.
_SHOWN: Final = frozenset(
    {"US", "IVUS", "BDUS", "ES", "XC", "GM", "OP", "OPT", "OT", "DG", "TG", "HC", "DMS", ""}
)
_SHOWN_KINDS: Final = frozenset(
    {"SECONDARY", "LOCALIZER", "SCREEN SAVE", "SCREEN_SAVE", "SCREENSHOT", "SCREEN CAPTURE", "CAPTURE"}
    | {"DOSE", "DOSE_INFO", "REPORT", "OVERVIEW", "THUMBNAIL", "VOLREN", "OTHER"}
)
_SLIDES: Final = "SM"
_LABEL: Final = "LABEL"


@dataclass(frozen=True)
class Plan:
    """What an image needs.

    Attributes:
        boxes: what to blank in every frame, within the image.
        search: whether text has to be looked for.
        annotated: whether the image itself says that it shows text, so that something must be found.
        clear_unused: whether cells hold embedded overlays beside their samples.
    """

    boxes: tuple[Box, ...] = ()
    search: bool = False
    annotated: bool = False
    clear_unused: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.boxes or self.search or self.clear_unused)


def plan(header: Header, settings: PixelSettings) -> Plan:
    """Decide what an image needs.

    Raises:
        RejectedEvent: ``BURNED_IN_ANNOTATION`` where what identifies a patient is all that it shows, or is
            known to be there and not where; ``PIXELS_NOT_CLEANABLE`` where its pixels cannot be cleaned.
    """
    annotation = header.text(BURNED_IN_ANNOTATION).upper()
    if PIXEL_DATA not in header:
        if annotation == "YES" and (FLOAT_PIXEL_DATA in header or DOUBLE_FLOAT_PIXEL_DATA in header):
            raise not_cleanable("its samples are floating point numbers")
        return Plan()
    kinds = {kind.upper() for kind in header.texts(_IMAGE_TYPE)}
    modality = header.text(_MODALITY).upper()
    if modality == _SLIDES and _LABEL in kinds:
        raise RejectedEvent("BURNED_IN_ANNOTATION", "an image of a slide's label shows whose slide it is")
    rules = settings.devices.matching(header)
    if any(rule.refuse for rule in rules):
        raise RejectedEvent("BURNED_IN_ANNOTATION", "a device rule refuses images of this machine")
    boxes: tuple[Box, ...] = ()
    if rules or _SEQUENCE_OF_ULTRASOUND_REGIONS in header:
        rows, columns = header.integer(ROWS) or 0, header.integer(COLUMNS) or 0
        regions = _ultrasound_regions(header, rows, columns)
        unshown = outside(regions, rows, columns) if regions else []
        boxes = simplified([*(box for rule in rules for box in rule.rectangles()), *unshown], rows, columns)
    at_risk = bool(rules) or settings.every_image or _at_risk(header, modality, kinds, annotation, settings)
    annotated = annotation == "YES"
    if at_risk and not settings.text_detection and not boxes:
        raise RejectedEvent(
            "BURNED_IN_ANNOTATION", "the pixels may show text, no rule says where, and text detection is off"
        )
    return Plan(
        boxes,
        at_risk and settings.text_detection,
        annotated,
        _overlays_embedded(header),
    )


def _at_risk(
    header: Header, modality: str, kinds: set[str], annotation: str, settings: PixelSettings
) -> bool:
    """Whether the pixels may show text; what nothing is known about may."""
    sop_class = header.text(_SOP_CLASS_UID)
    if annotation == "YES" or header.text(_SPECIMEN_LABEL_IN_IMAGE).upper() == "YES":
        return True
    if sop_class in _NUMBERS:
        return False
    captured = sop_class == _SECONDARY_CAPTURE or sop_class.startswith(_SECONDARY_CAPTURE + ".")
    if captured or header.text(_CONVERSION_TYPE) or modality in _SHOWN or kinds & _SHOWN_KINDS:
        return True
    if annotation == "NO" and settings.believe_no:
        return False
    return not (modality in _MEASURED and {"ORIGINAL", "PRIMARY"} <= kinds)


def _ultrasound_regions(header: Attributes, rows: int, columns: int) -> list[Box]:
    """Where the image shows measurements (PS3.3 §C.8.5.5.1); what is empty or outside of it says nothing."""
    items, regions = header.items(_SEQUENCE_OF_ULTRASOUND_REGIONS), []
    if len(items) > _MOST_REGIONS:
        raise not_cleanable(f"it has more than {_MOST_REGIONS} ultrasound regions")
    for item in items:
        edges = [item.integer(tag) for tag in _REGION_EDGES]
        left, top, right, bottom = (-1 if edge is None else edge for edge in edges)
        # The last column and row belong to the region.
        region = Box(left, top, right - left + 1, bottom - top + 1).within(rows, columns)
        if None not in edges and right > left >= 0 and bottom > top >= 0 and region.width and region.height:
            regions.append(region)
    return regions


def _overlays_embedded(header: Attributes) -> bool:
    """Whether an overlay lies in bits of the pixel cells that hold no sample (PS3.5 §8.1.2, retired)."""
    described = [group for group in _OVERLAY_GROUPS if _is_described(header, group)]
    if not described:
        return False
    allocated, stored = header.integer(BITS_ALLOCATED), header.integer(BITS_STORED)
    if not allocated or not stored or stored >= allocated:
        return False
    return any(
        header.integer(group << 16 | 0x0102) or group << 16 | 0x3000 not in header for group in described
    )


def _is_described(header: Attributes, group: int) -> bool:
    return group << 16 | 0x0010 in header or group << 16 | 0x0102 in header
