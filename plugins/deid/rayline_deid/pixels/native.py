"""Blank boxes in native pixel data by editing bytes where they lie, so that memory stays flat.

PS3.5 §8: cells follow each other frame by frame, row by row; samples of a pixel stand together or in planes.
"""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rayline.plugin import Content
from rayline_deid.pixels.boxes import Box
from rayline_deid.pixels.image import ImageFormat, Pixels


class BlankedPixels(Content):
    """The value of native pixel data with black boxes in every frame; stretches are edited as they are read.

    Args:
        source: where the pixel data lies.
        start: where its value begins there.
        length: its length in bytes.
        image: how it is stored.
        boxes: what to blank, within the image.
        clear_unused: clear the bits of each cell that hold no sample, e.g. embedded overlays.
        swapped: bytes of one sample each that are written in 16-bit words, the second one first.
    """

    def __init__(
        self,
        source: Content,
        start: int,
        length: int,
        image: ImageFormat,
        boxes: tuple[Box, ...],
        *,
        clear_unused: bool = False,
        swapped: bool = False,
    ) -> None:
        self.size = length
        self._source = source
        self._start = start
        self._image = image
        self._swapped = swapped
        self._clear_unused = clear_unused and image.stored < image.allocated
        self._edits = _bit_edits(image, boxes) if image.allocated == 1 else _byte_edits(image, boxes)
        self._begins = [edit.start for edit in self._edits]
        self._ends = [edit.end for edit in self._edits]
        self._pixels_end = -(-image.frame_bits * image.frames // 8)

    def read(self, start: int, length: int) -> bytes:
        end = min(start + length, self.size)
        if start >= end:
            return b""
        cell = max(self._image.allocated // 8, 2)
        first = start - start % cell
        last = min(-(-end // cell) * cell, self.size)
        data = bytearray(self._source.read(self._start + first, last - first))
        if self._swapped:
            _swap(data)
        if self._image.allocated == 1:
            self._blank_bits(data, first)
        else:
            self._blank_bytes(data, first)
            if self._clear_unused:
                self._clear(data)
        if self._swapped:
            _swap(data)
        return bytes(data[start - first : end - first])

    def _blank_bytes(self, data: bytearray, first: int) -> None:
        frame_bytes = self._image.frame_bits // 8
        last = min(first + len(data), self._pixels_end)
        for frame in range(first // frame_bytes, -(-last // frame_bytes)):
            base = frame * frame_bytes - first
            # Only the edits that lie at least partly in the stretch.
            low, high = bisect_right(self._ends, -base), bisect_left(self._begins, last - first - base)
            for edit in self._edits[low:high]:
                begin, end = base + edit.start, base + edit.end
                if begin < 0 or end > len(data):
                    cut = max(-begin, 0)
                    begin, end = max(begin, 0), min(end, len(data))
                    data[begin:end] = edit.black[cut : cut + end - begin]
                else:
                    data[begin:end] = edit.black

    def _blank_bits(self, data: bytearray, first: int) -> None:
        frame_bits = self._image.frame_bits
        last_bit = min(8 * (first + len(data)), frame_bits * self._image.frames)
        white = self._image.black[0] & 1
        for frame in range(8 * first // frame_bits, -(-last_bit // frame_bits)):
            base = frame * frame_bits - 8 * first
            for edit in self._edits:
                _fill_bits(data, max(base + edit.start, 0), min(base + edit.end, 8 * len(data)), white)

    def _clear(self, data: bytearray) -> None:
        image = self._image
        order = ">" if image.big_endian else "<"
        cells = np.frombuffer(data, f"{order}u{image.allocated // 8}", len(data) * 8 // image.allocated)
        cells[:] = used_bits(cells, image)


def used_bits(cells: Pixels, image: ImageFormat) -> Pixels:
    """Cells with nothing in the bits that hold no sample; a signed sample's sign fills those above it."""
    lowest = image.high_bit + 1 - image.stored
    mask = ((1 << image.stored) - 1) << lowest
    kept: Pixels = cells & cells.dtype.type(mask)
    if image.signed:
        above = ((1 << image.allocated) - 1) & ~((1 << image.high_bit + 1) - 1)
        negative = (cells >> cells.dtype.type(image.high_bit)) & cells.dtype.type(1)
        kept |= negative * cells.dtype.type(above)
    return kept


def black_cells(image: ImageFormat) -> list[int]:
    """The cell, as a number of Bits Allocated bits, that shows nothing, for each sample of a pixel."""
    lowest = image.high_bit + 1 - image.stored
    return [(value << lowest) & ((1 << image.allocated) - 1) for value in image.black]


def spans(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and end index of each run of True in a flat mask, n × 2."""
    edges = np.flatnonzero(np.diff(mask.ravel().view(np.int8), prepend=0, append=0))
    return edges.reshape(-1, 2)


class _Edit(NamedTuple):
    start: int
    end: int
    black: bytes


def _byte_edits(image: ImageFormat, boxes: tuple[Box, ...]) -> list[_Edit]:
    """Stretches of one frame, in bytes and in order, with what replaces them."""
    order = "big" if image.big_endian else "little"
    cells = [cell.to_bytes(image.allocated // 8, order) for cell in black_cells(image)]  # type: ignore[arg-type]
    if image.subsampled:
        even = tuple(_widened(box) for box in boxes)
        luminance, blue, red = cells
        pair = luminance + luminance + blue + red
        return [
            _Edit(2 * start, 2 * end, pair * ((end - start) // 2))
            for start, end in spans(image.mask(even)).tolist()
        ]
    runs = spans(image.mask(boxes)).tolist()
    if not image.separate_planes:
        pixel = b"".join(cells)
        size = len(pixel)
        return [_Edit(start * size, end * size, pixel * (end - start)) for start, end in runs]
    plane, size = image.rows * image.columns, image.allocated // 8
    return [
        _Edit((index * plane + start) * size, (index * plane + end) * size, cell * (end - start))
        for index, cell in enumerate(cells)
        for start, end in runs
    ]


def _widened(box: Box) -> Box:
    left = box.left - box.left % 2
    return Box(left, box.top, box.right + box.right % 2 - left, box.height)


def _bit_edits(image: ImageFormat, boxes: tuple[Box, ...]) -> list[_Edit]:
    return [_Edit(start, end, b"") for start, end in spans(image.mask(boxes)).tolist()]


def _fill_bits(data: bytearray, start: int, end: int, white: int) -> None:
    """Set the bits of a stretch; the lowest bit of a byte is the first pixel (PS3.5 §8.1.1)."""
    if start >= end:
        return
    first, last = start // 8, (end - 1) // 8
    for index in {first, last}:
        low, high = max(start - 8 * index, 0), min(end - 8 * index, 8)
        mask = ((1 << high - low) - 1) << low
        data[index] = data[index] | mask if white else data[index] & ~mask
    if last - first > 1:
        data[first + 1 : last] = (b"\xff" if white else b"\0") * (last - first - 1)


def _swap(data: bytearray) -> None:
    even = len(data) - len(data) % 2
    data[0:even:2], data[1:even:2] = data[1:even:2], data[0:even:2]
