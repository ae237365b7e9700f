"""Blank boxes in JPEG 2000 and HTJ2K frames (T.800, T.814): decoded, blanked and encoded reversibly.

What was irreversible keeps the values that it decodes to, exactly; its transfer syntaxes allow reversible coding, too.
"""

import struct
import sys
from typing import Final, NamedTuple

import imagecodecs
import numpy as np

from rayline_deid.pixels.attributes import not_cleanable
from rayline_deid.pixels.boxes import Box
from rayline_deid.pixels.image import ImageFormat, Pixels

_SIZ: Final = 0x51
_COD: Final = 0x52
_SOT: Final = 0x90
_SIZE: Final = struct.Struct(">HLLLLLLLLH")
_REVERSIBLE: Final = 1


class _Codestream(NamedTuple):
    precision: int
    signed: bool
    component_transform: bool
    reversible: bool


def decode(frame: bytes, image: ImageFormat) -> Pixels:
    """Samples of a frame, rows × columns or rows × columns × samples; its component transform is undone.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where the codestream is not one of this image.
    """
    _read(frame, image)
    return _decoded(frame, image, high_throughput=False)


def decode_high_throughput(frame: bytes, image: ImageFormat) -> Pixels:
    """The same of an HTJ2K frame."""
    _read(frame, image)
    return _decoded(frame, image, high_throughput=True)


def blank(frame: bytes, image: ImageFormat, boxes: tuple[Box, ...]) -> bytes:
    """The frame with black boxes; every sample outside stays what it decodes to."""
    codestream = _read(frame, image)
    pixels = image.blanked(decode(frame, image), boxes, codestream.precision)
    encoded = imagecodecs.jpeg2k_encode(
        pixels,
        level=0,
        codecformat="j2k",
        reversible=True,
        bitspersample=codestream.precision,
        mct=codestream.component_transform,
        numthreads=1,
    )
    return bytes(encoded)


def blank_high_throughput(frame: bytes, image: ImageFormat, boxes: tuple[Box, ...]) -> bytes:
    """The same of an HTJ2K frame, in RPCL order with tile-part lengths, as .202 asks for (PS3.5 §A.4.4)."""
    codestream = _read(frame, image)
    pixels = image.blanked(decode_high_throughput(frame, image), boxes, codestream.precision)
    container = 8 * pixels.dtype.itemsize
    if not codestream.signed and codestream.precision < container:
        # The encoder takes a sample to have as many bits as its container, and shifts it by half of that range.
        offset = (1 << container - 1) - (1 << codestream.precision - 1)
        pixels = pixels + pixels.dtype.type(offset)
    planar = image.samples > 1 and not codestream.component_transform
    encoded = imagecodecs.htj2k_encode(
        np.ascontiguousarray(pixels.transpose(2, 0, 1)) if planar else pixels,
        reversible=True,
        rgb=codestream.component_transform if image.samples > 1 else None,
        planar=True if planar else None,
        tlm=True,
        tilepart=imagecodecs.HTJ2K.TILEPART.RESOLUTIONS,
    )
    return _with_precision(bytes(encoded), codestream)


def becomes_reversible(frame: bytes, image: ImageFormat) -> bool:
    """Whether blanking turns an irreversible component transform into the reversible one."""
    codestream = _read(frame, image)
    return codestream.component_transform and not codestream.reversible


def _decoded(frame: bytes, image: ImageFormat, *, high_throughput: bool) -> Pixels:
    unraised: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, unraised.append
    try:
        decoded = (
            imagecodecs.htj2k_decode(frame, planar=False)
            if high_throughput
            else imagecodecs.jpeg2k_decode(frame, numthreads=1)
        )
    except (imagecodecs.Jpeg2kError, imagecodecs.Htj2kError):
        raise not_cleanable("a JPEG 2000 codestream cannot be decoded") from None
    finally:
        sys.unraisablehook = hook
    if unraised:
        # The HTJ2K decoder cannot raise midway; what it has not decoded by then is whatever was in memory.
        raise not_cleanable("a JPEG 2000 codestream cannot be decoded whole")
    return np.ascontiguousarray(decoded)


def _read(frame: bytes, image: ImageFormat) -> _Codestream:
    """Markers of the main header (T.800 annex A)."""
    size = coding = None
    position = 2
    while frame[:4] == b"\xff\x4f\xff\x51" and position + 4 <= len(frame) and frame[position] == 0xFF:
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if marker == _SIZ:
            size = frame[position + 4 : position + 2 + length]
        elif marker == _COD:
            coding = frame[position + 4 : position + 2 + length]
        elif marker == _SOT:
            break
        position += 2 + length
    if size is None or coding is None or len(size) < _SIZE.size + 3 or len(coding) < 10:
        raise not_cleanable("a bit stream is no JPEG 2000 codestream")
    _, right, bottom, left, top, _, _, _, _, count = _SIZE.unpack_from(size)
    if (right - left, bottom - top, count) != (image.columns, image.rows, image.samples):
        raise not_cleanable("a bit stream has another size than its header says")
    components = {size[at : at + 3] for at in range(_SIZE.size, _SIZE.size + 3 * count, 3)}
    depth, *steps = components.pop()
    precision = (depth & 0x7F) + 1
    if components or steps != [1, 1] or precision > 16:
        raise not_cleanable("the components of a codestream differ, or have more than 16 bits")
    return _Codestream(precision, bool(depth & 0x80), coding[4] == 1, coding[9] == _REVERSIBLE)


def _with_precision(encoded: bytes, codestream: _Codestream) -> bytes:
    """A codestream that says how many bits a sample really has."""
    depth = codestream.precision - 1 | (0x80 if codestream.signed else 0)
    patched = bytearray(encoded)
    # SOC, then SIZ: marker, length, and what _SIZE reads.
    first = 6 + _SIZE.size
    count = int.from_bytes(patched[first - 2 : first], "big")
    patched[first : first + 3 * count : 3] = bytes([depth]) * count
    return bytes(patched)
