"""Blank boxes in RLE frames (PS3.5 annex G): each byte of a sample has a segment of its own."""

import struct
from itertools import pairwise
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from rayline_deid.pixels.attributes import not_cleanable
from rayline_deid.pixels.boxes import Box
from rayline_deid.pixels.image import ImageFormat, Pixels
from rayline_deid.pixels.native import black_cells, used_bits

_HEADER: Final = struct.Struct("<16L")
_LONGEST_RUN: Final = 128


def decode(frame: bytes, image: ImageFormat) -> Pixels:
    """Cells of a frame, rows × columns or rows × columns × samples, in native byte order."""
    planes = _planes(frame, image)
    cell_bytes = image.allocated // 8
    cells = np.zeros((image.samples, image.rows, image.columns), dtype=f"u{cell_bytes}")
    for index, plane in enumerate(planes):
        sample, byte = divmod(index, cell_bytes)
        cells[sample] |= plane.astype(cells.dtype) << cells.dtype.type(8 * (cell_bytes - 1 - byte))
    return cells[0] if image.samples == 1 else cells.transpose(1, 2, 0)


def blank(frame: bytes, image: ImageFormat, boxes: tuple[Box, ...], *, clear_unused: bool = False) -> bytes:
    """The frame with black boxes, and nothing in the bits of a cell that hold no sample where asked for.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where it is no RLE frame of this image.
    """
    cells = decode(frame, image).reshape(image.rows, image.columns, image.samples)
    if clear_unused:
        cells = used_bits(cells, image)
    cells[image.mask(boxes)] = np.array(black_cells(image), dtype=cells.dtype)
    return _encode(cells, image)


def _planes(frame: bytes, image: ImageFormat) -> list[NDArray[np.uint8]]:
    count = image.samples * image.allocated // 8
    if len(frame) < _HEADER.size or image.allocated < 8:
        raise not_cleanable("a frame is no RLE frame of this image")
    segments, *offsets = _HEADER.unpack_from(frame)
    bounds = [*offsets[:count], len(frame)]
    if segments != count or bounds[0] != _HEADER.size or bounds != sorted(bounds):
        raise not_cleanable("a frame has other RLE segments than its image")
    pixels = image.rows * image.columns
    planes = []
    for start, end in pairwise(bounds):
        # A run of two bytes stands for 128 at most: what cannot fill the plane is not decoded.
        if (end - start) * _LONGEST_RUN < pixels:
            raise not_cleanable("an RLE segment is too short")
        plane = _unpacked(frame[start:end], pixels)
        planes.append(plane.reshape(image.rows, image.columns))
    return planes


def _unpacked(segment: bytes, pixels: int) -> NDArray[np.uint8]:
    # The byte that pads a segment to even length may look like the beginning of a run.
    for candidate in (segment, segment[:-1]):
        out = bytearray(pixels + _LONGEST_RUN)
        try:
            decoded = imagecodecs.packbits_decode(candidate, out=out)
        except (imagecodecs.PackbitsError, ValueError):
            continue
        if len(decoded) >= pixels:
            return np.frombuffer(decoded, np.uint8, pixels)
    raise not_cleanable("an RLE segment cannot be decoded")


def _encode(cells: Pixels, image: ImageFormat) -> bytes:
    cell_bytes = image.allocated // 8
    segments = []
    for sample in range(image.samples):
        for byte in range(cell_bytes):
            shift = cells.dtype.type(8 * (cell_bytes - 1 - byte))
            plane = ((cells[..., sample] >> shift) & cells.dtype.type(255)).astype(np.uint8)
            # PS3.5 §G.3.1: each row is encoded by itself.
            packed = imagecodecs.packbits_encode(np.ascontiguousarray(plane), axis=-1)
            segments.append(packed + b"\0" if len(packed) & 1 else packed)
    position, offsets = _HEADER.size, []
    for segment in segments:
        offsets.append(position)
        position += len(segment)
    return _HEADER.pack(len(segments), *offsets, *[0] * (15 - len(offsets))) + b"".join(segments)
