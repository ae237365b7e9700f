"""Blank boxes in JPEG-LS frames (T.87): decoded, blanked and encoded without loss.

A near-lossless frame keeps the values that it decodes to, exactly; its transfer syntax allows lossless coding, too.
"""

from typing import Final

import imagecodecs
import jpeg_ls
import numpy as np

from rayline_deid.pixels.attributes import not_cleanable
from rayline_deid.pixels.boxes import Box
from rayline_deid.pixels.image import ImageFormat, Pixels
from rayline_deid.pixels.jpeg_markers import SOS, FrameHeader, broken, frame_header, segments

_SOF55: Final = 0xF7
_APP: Final = range(0xE0, 0xF0)
_COM: Final = 0xFE
_INTERLEAVED_BY_PIXEL: Final = 2


def decode(frame: bytes, image: ImageFormat) -> Pixels:
    """Samples of a frame as they are stored, rows × columns or rows × columns × samples.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where the bit stream is not one of this image.
    """
    _head(frame, image)
    try:
        decoded = imagecodecs.jpegls_decode(_bare(frame))
    except imagecodecs.JpeglsError:
        raise not_cleanable("a JPEG-LS bit stream cannot be decoded") from None
    return np.ascontiguousarray(decoded)


def blank(frame: bytes, image: ImageFormat, boxes: tuple[Box, ...]) -> bytes:
    """The frame with black boxes; every sample outside stays as it is."""
    head = _head(frame, image)
    pixels = image.blanked(decode(frame, image), boxes, head.precision)
    try:
        encoded = jpeg_ls.encode_buffer(
            pixels.astype("<u1" if head.precision <= 8 else "<u2").tobytes(),
            image.rows,
            image.columns,
            image.samples,
            head.precision,
            interleave_mode=_INTERLEAVED_BY_PIXEL,
        )
    except RuntimeError:
        # Its buffer is as long as the samples, which some noise exceeds; this one writes 8 or 16 bits only.
        encoded = imagecodecs.jpegls_encode(pixels)
    return bytes(encoded)


def _head(frame: bytes, image: ImageFormat) -> FrameHeader:
    header, last = None, None
    for found in segments(frame):
        last = found
        if found.marker == _SOF55:
            if header is not None:
                raise broken()
            header = frame_header(found, image)
    if last is None or last.marker != SOS:
        raise broken()
    if header is None or not 2 <= header.precision <= 16:
        raise not_cleanable("a bit stream is not in JPEG-LS")
    return header


def _bare(frame: bytes) -> bytes:
    """The bit stream without application segments: one of them, SPIFF's, may tell decoders another size."""
    kept, end = [frame[:2]], 2
    for found in segments(frame):
        if found.marker not in _APP and found.marker != _COM:
            kept.append(found.written())
        end = found.end
    return b"".join(kept) + frame[end:]
