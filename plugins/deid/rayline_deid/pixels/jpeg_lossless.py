"""Blank boxes in JPEG lossless frames (process 14, T.81 annex H): decoded, blanked and encoded with predictor 1."""

from typing import Final

import imagecodecs
import numpy as np

from rayline_deid.pixels.attributes import not_cleanable
from rayline_deid.pixels.boxes import Box
from rayline_deid.pixels.image import ImageFormat, Pixels
from rayline_deid.pixels.jpeg_markers import (
    SOI,
    SOS,
    FrameHeader,
    Segment,
    broken,
    frame_header,
    is_interpretation,
    segments,
    without_thumbnail,
)

_SOF3: Final = 0xC3


def decode(frame: bytes, image: ImageFormat) -> Pixels:
    """Samples of a frame as they are stored, rows × columns or rows × columns × samples.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where the bit stream is not one of this image.
    """
    _head(frame, image)
    try:
        return np.ascontiguousarray(imagecodecs.jpegsof3_decode(frame))
    except imagecodecs.Jpegsof3Error:
        raise not_cleanable("a JPEG lossless bit stream cannot be decoded") from None


def blank(frame: bytes, image: ImageFormat, boxes: tuple[Box, ...]) -> bytes:
    """The frame with black boxes; every sample outside stays as it is."""
    head, interpretation = _head(frame, image)
    pixels = image.blanked(decode(frame, image), boxes, head.precision)
    encoded = imagecodecs.jpeg8_encode(
        pixels,
        lossless=True,
        predictor=1,
        bitspersample=head.precision,
        colorspace="UNKNOWN" if image.samples > 1 else None,
        outcolorspace="UNKNOWN" if image.samples > 1 else None,
    )
    return _named(bytes(encoded), head, interpretation)


def _head(frame: bytes, image: ImageFormat) -> tuple[FrameHeader, list[Segment]]:
    interpretation: list[Segment] = []
    header = None
    for found in segments(frame):
        if found.marker == _SOF3:
            if header is not None:
                raise broken()
            header = frame_header(found, image)
        elif is_interpretation(found):
            interpretation.append(without_thumbnail(found))
    if header is None or any((h, v) != (1, 1) for _, h, v, _ in header.components):
        raise not_cleanable("a bit stream is not in JPEG lossless, process 14")
    return header, interpretation


def _named(encoded: bytes, head: FrameHeader, interpretation: list[Segment]) -> bytes:
    """An encoded frame that names its components as the original did, so that decoders see the same colours."""
    names = [name for name, _, _, _ in head.components]
    parts = [bytes((0xFF, SOI)), *(found.written() for found in interpretation)]
    end = 2
    for found in segments(encoded):
        payload = bytearray(found.payload)
        if found.marker == _SOF3:
            payload[6::3] = bytes(names)
        elif found.marker == SOS:
            payload[1 : 1 + 2 * len(names) : 2] = bytes(names)
        end = found.end
        if not is_interpretation(found):
            parts.append(found._replace(payload=bytes(payload)).written())
    return b"".join(parts) + encoded[end:]
