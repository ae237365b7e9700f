"""Tags of the image pixel module (PS3.3 §C.7.6.3), and the refusal of what cannot be cleaned."""

from typing import Final

from rayline.plugin import RejectedEvent

ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
NUMBER_OF_FRAMES: Final = 0x00280008
SAMPLES_PER_PIXEL: Final = 0x00280002
PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
PLANAR_CONFIGURATION: Final = 0x00280006
BITS_ALLOCATED: Final = 0x00280100
BITS_STORED: Final = 0x00280101
HIGH_BIT: Final = 0x00280102
PIXEL_REPRESENTATION: Final = 0x00280103
PIXEL_PADDING_VALUE: Final = 0x00280120
PIXEL_DATA: Final = 0x7FE00010
FLOAT_PIXEL_DATA: Final = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA: Final = 0x7FE00009


def not_cleanable(why: str) -> RejectedEvent:
    """The refusal of pixels that may show who the patient is, and that cannot be cleaned."""
    return RejectedEvent("PIXELS_NOT_CLEANABLE", f"the pixel data may show text, and {why}")
