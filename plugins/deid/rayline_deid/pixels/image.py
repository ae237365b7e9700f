"""How the pixels of an image are stored, read from its header."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rayline.plugin import Header, RejectedEvent
from rayline_deid.pixels.attributes import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    HIGH_BIT,
    NUMBER_OF_FRAMES,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    PIXEL_PADDING_VALUE,
    PIXEL_REPRESENTATION,
    PLANAR_CONFIGURATION,
    ROWS,
    SAMPLES_PER_PIXEL,
    not_cleanable,
)
from rayline_deid.pixels.boxes import Box

#: Decoded samples or cells, rows × columns or rows × columns × samples.
Pixels = NDArray[Any]

_SAMPLES: Final = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}
_CHROMA_422: Final = "YBR_FULL_422"


@dataclass(frozen=True)
class ImageFormat:
    """The image pixel module (PS3.3 §C.7.6.3), checked.

    Attributes:
        stored: bits that hold a sample, of which ``high_bit`` is the highest.
        separate_planes: Planar Configuration 1.
        padding: Pixel Padding Value as a number, None where there is none.
        native: whether the pixel data has no fragments.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str
    separate_planes: bool
    padding: int | None
    transfer_syntax_uid: str
    big_endian: bool
    native: bool

    @property
    def subsampled(self) -> bool:
        """Whether two pixels share their chrominance in native pixel data."""
        return self.native and self.photometric == _CHROMA_422

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame."""
        samples = 2 if self.subsampled else self.samples
        return self.rows * self.columns * samples * self.allocated

    @cached_property
    def black(self) -> tuple[int, ...]:
        """The number for each sample that shows nothing: the padding value, or the darkest one."""
        lowest = -(1 << self.stored - 1) if self.signed else 0
        highest = (1 << self.stored - 1) - 1 if self.signed else (1 << self.stored) - 1
        if self.samples == 1:
            if self.padding is not None and lowest <= self.padding <= highest and self.stored > 1:
                return (self.padding,)
            return (highest if self.photometric == "MONOCHROME1" else lowest,)
        if self.photometric in ("YBR_FULL", _CHROMA_422):
            return (0, 1 << self.stored - 1, 1 << self.stored - 1)
        return (0,) * self.samples

    def mask(self, boxes: tuple[Box, ...]) -> NDArray[np.bool_]:
        """Which pixels, rows × columns, are in the boxes."""
        mask = np.zeros((self.rows, self.columns), dtype=np.bool_)
        for box in boxes:
            mask[box.top : box.bottom, box.left : box.right] = True
        return mask

    def blanked(self, pixels: Pixels, boxes: tuple[Box, ...], precision: int) -> Pixels:
        """A copy of decoded pixels with black boxes; ``precision`` is the bits that the codec keeps of a sample."""
        black = np.array([value & (1 << precision) - 1 for value in self.black], dtype=np.int64)
        if np.issubdtype(pixels.dtype, np.signedinteger):
            black = np.where(black >> precision - 1 & 1, black - (1 << precision), black)
        result = pixels.copy()
        result[self.mask(boxes)] = (
            black.astype(pixels.dtype) if pixels.ndim == 3 else black.astype(pixels.dtype)[0]
        )
        return result


def read_format(header: Header, most_frame_samples: int) -> ImageFormat:
    """Read and check how the pixels of an image are stored.

    Args:
        header: of an image.
        most_frame_samples: rows × columns × samples of the largest frame that is looked at.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where they are stored as no image is, ``LIMIT_EXCEEDED`` where
            a frame is too large, ``PIXEL_DATA_LENGTH_MISMATCH`` where the native pixel data has another length.
    """
    photometric = header.text(PHOTOMETRIC_INTERPRETATION)
    rows, columns = _positive(header, ROWS, "Rows"), _positive(header, COLUMNS, "Columns")
    samples = _positive(header, SAMPLES_PER_PIXEL, "Samples per Pixel")
    frames = _positive(header, NUMBER_OF_FRAMES, "Number of Frames") if header.text(NUMBER_OF_FRAMES) else 1
    allocated = _positive(header, BITS_ALLOCATED, "Bits Allocated")
    stored = _positive(header, BITS_STORED, "Bits Stored")
    high_bit = header.integer(HIGH_BIT)
    if _SAMPLES.get(photometric) != samples:
        raise not_cleanable("its Photometric Interpretation is not one that can be cleaned")
    if allocated not in (1, 8, 16, 32) or not stored <= allocated or (allocated == 1 and samples > 1):
        raise not_cleanable("its Bits Allocated and Bits Stored are not those of an image")
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        raise not_cleanable("its High Bit does not fit its Bits Stored")
    if rows * columns * samples > most_frame_samples:
        raise RejectedEvent(
            "LIMIT_EXCEEDED", f"a frame has more than {most_frame_samples} samples, the most that are cleaned"
        )
    signed = header.integer(PIXEL_REPRESENTATION) == 1
    found = ImageFormat(
        rows,
        columns,
        frames,
        samples,
        allocated,
        stored,
        high_bit,
        signed,
        photometric,
        samples > 1 and header.integer(PLANAR_CONFIGURATION) == 1,
        _padding(header, allocated, signed=signed),
        header.transfer_syntax_uid,
        header.big_endian,
        not header.fragments,
    )
    if found.subsampled and (columns % 2 or allocated != 8 or found.separate_planes):
        raise not_cleanable("its chrominance does not divide its columns")
    length = header.elements[PIXEL_DATA].end - header.elements[PIXEL_DATA].value
    needed = -(-found.frame_bits * frames // 8)
    if found.native and not needed <= length <= needed + 1:
        raise RejectedEvent(
            "PIXEL_DATA_LENGTH_MISMATCH",
            f"the pixel data has {length} bytes, its description asks for {needed}",
        )
    return found


def _positive(header: Header, tag: int, name: str) -> int:
    value = header.integer(tag)
    if value is None or value < 1:
        raise not_cleanable(f"{name} is no positive number")
    return value


def _padding(header: Header, allocated: int, *, signed: bool) -> int | None:
    # Its VR, US or SS, depends on Pixel Representation (PS3.3 §C.7.5.1.1.2), which implicit VR does not tell.
    raw = header.raw(PIXEL_PADDING_VALUE, 3)
    if len(raw) != 2 or allocated > 16:
        return None
    return int.from_bytes(raw, "big" if header.big_endian else "little", signed=signed)
