"""Marker segments of the JPEG family (ITU-T T.81 annex B; JPEG-LS, T.87 annex C, has the same)."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from rayline_deid.pixels.attributes import not_cleanable
from rayline_deid.pixels.image import ImageFormat

SOI: Final = 0xD8
EOI: Final = 0xD9
SOS: Final = 0xDA
APP0: Final = 0xE0
APP14: Final = 0xEE


class Segment(NamedTuple):
    """One marker segment; ``payload`` is what follows its length."""

    marker: int
    payload: bytes
    end: int

    def written(self) -> bytes:
        """Its bytes in a bit stream."""
        return segment(self.marker, self.payload)


class FrameHeader(NamedTuple):
    """The frame header (T.81 §B.2.2); ``components`` are their identifier, H, V and quantization table."""

    marker: int
    precision: int
    rows: int
    columns: int
    components: tuple[tuple[int, int, int, int], ...]


def segment(marker: int, payload: bytes) -> bytes:
    """A marker segment with its length."""
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def segments(stream: bytes, position: int = 2) -> Iterator[Segment]:
    """Marker segments from a position to the next SOS, which is the last one, or EOI.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where the bit stream is broken.
    """
    if stream[:2] != b"\xff\xd8":
        raise broken()
    while True:
        while stream[position : position + 2] == b"\xff\xff":
            position += 1
        marker = stream[position + 1] if position + 1 < len(stream) and stream[position] == 0xFF else 0
        if marker == EOI:
            return
        length = int.from_bytes(stream[position + 2 : position + 4], "big")
        end = position + 2 + length
        if marker < 0xC0 or 0xD0 <= marker <= 0xD8 or length < 2 or end > len(stream):
            raise broken()
        yield Segment(marker, stream[position + 4 : end], end)
        if marker == SOS:
            return
        position = end


def frame_header(found: Segment, image: ImageFormat) -> FrameHeader:
    """Read a frame header, which must be of the image that the header describes.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where it is of another one.
    """
    payload = found.payload
    count = payload[5] if len(payload) > 5 else 0
    if len(payload) != 6 + 3 * count:
        raise broken()
    components = tuple(
        (payload[at], payload[at + 1] >> 4, payload[at + 1] & 15, payload[at + 2])
        for at in range(6, 6 + 3 * count, 3)
    )
    rows, columns = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
    if (rows, columns, count) != (image.rows, image.columns, image.samples):
        raise not_cleanable("a bit stream has another size than its header says")
    return FrameHeader(found.marker, payload[0], rows, columns, components)


def is_interpretation(found: Segment) -> bool:
    """Whether an application segment tells which colours the components are, and nothing else."""
    jfif = found.marker == APP0 and found.payload[:5] == b"JFIF\0"
    return jfif or (found.marker == APP14 and found.payload[:5] == b"Adobe")


def without_thumbnail(found: Segment) -> Segment:
    """A JFIF segment without the small picture that it may hold."""
    if found.marker == APP0 and len(found.payload) > 14:
        return found._replace(payload=found.payload[:12] + b"\0\0")
    return found


def broken() -> Exception:
    """The refusal of a bit stream that does not follow its standard."""
    return not_cleanable("a bit stream is broken")
