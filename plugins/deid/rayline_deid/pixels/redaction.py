"""Write an image with black boxes in the transfer syntax that it has; everything else keeps its bytes.

Outside the boxes every sample keeps its value: native, RLE, JPEG lossless, JPEG-LS, JPEG 2000 and HTJ2K data exactly
what it decoded to, JPEG data every coefficient. What is written is read again and compared before it is handed on.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np

from rayline.plugin import Content, Header, InMemory, Piece, Spliced, Stretch
from rayline_deid.pixels import jpeg_2000, jpeg_lossless, jpeg_lossy, jpeg_ls, rle
from rayline_deid.pixels.attributes import (
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    not_cleanable,
)
from rayline_deid.pixels.boxes import Box
from rayline_deid.pixels.encapsulation import (
    EXTENDED_OFFSET_TABLE,
    EXTENDED_OFFSET_TABLE_LENGTHS,
    EncodedFrames,
    FrameStore,
)
from rayline_deid.pixels.image import ImageFormat, Pixels
from rayline_deid.pixels.native import BlankedPixels, used_bits

DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_NATIVE: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED})
_RLE: Final = "1.2.840.10008.1.2.5"
_JPEG: Final = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
_IRREVERSIBLE: Final = "YBR_ICT"
_MOST_SPREAD: Final = 2
_INFLATED_WINDOW: Final = 1024 * 1024
_META_START: Final = 132


class _Codec(NamedTuple):
    decode: Callable[[bytes, ImageFormat], Pixels]
    blank: Callable[[bytes, ImageFormat, tuple[Box, ...]], bytes]


_CODECS: Final = {
    _RLE: _Codec(rle.decode, rle.blank),
    **dict.fromkeys(_JPEG, _Codec(jpeg_lossy.decode, jpeg_lossy.blank)),
    "1.2.840.10008.1.2.4.57": _Codec(jpeg_lossless.decode, jpeg_lossless.blank),
    "1.2.840.10008.1.2.4.70": _Codec(jpeg_lossless.decode, jpeg_lossless.blank),
    "1.2.840.10008.1.2.4.80": _Codec(jpeg_ls.decode, jpeg_ls.blank),
    "1.2.840.10008.1.2.4.81": _Codec(jpeg_ls.decode, jpeg_ls.blank),
    "1.2.840.10008.1.2.4.90": _Codec(jpeg_2000.decode, jpeg_2000.blank),
    "1.2.840.10008.1.2.4.91": _Codec(jpeg_2000.decode, jpeg_2000.blank),
    **dict.fromkeys(
        ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"),
        _Codec(jpeg_2000.decode_high_throughput, jpeg_2000.blank_high_throughput),
    ),
}


class Redacted(NamedTuple):
    """A cleaned file, and the boxes that are black in it, which may be larger than those asked for."""

    content: Content
    boxes: tuple[Box, ...]


class ImageFrames:
    """The decoded frames of an image, rows × columns or rows × columns × samples, one at a time.

    Samples are as they are stored, except that lossy JPEG and JPEG 2000 frames come as their decoders show
    them. Cells keep the bits beside the sample; see :func:`sample_values`.

    Args:
        header: of the image.
        image: how its pixels are stored.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where its transfer syntax cannot be cleaned.
    """

    def __init__(self, header: Header, image: ImageFormat) -> None:
        self._header = header
        self._image = image
        syntax = image.transfer_syntax_uid
        self._codec = _CODECS.get(syntax)
        if image.native != (syntax in _NATIVE) or (self._codec is None and not image.native):
            raise not_cleanable("its transfer syntax is not one that can be cleaned")
        if not image.native and image.allocated not in (8, 16):
            raise not_cleanable("its compressed samples have not 8 or 16 bits")
        self._encoded = None if image.native else EncodedFrames(header, image)

    def __len__(self) -> int:
        return self._image.frames

    def __getitem__(self, index: int) -> Pixels:
        if self._encoded is None or self._codec is None:
            return _native_frame(self._header, self._image, index)
        return self.decoded(self._encoded[index])

    def __iter__(self) -> Iterator[Pixels]:
        return (self[index] for index in range(len(self)))

    def decoded(self, encoded: bytes) -> Pixels:
        """One encoded frame, decoded.

        Raises:
            RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where the bit stream is not one of this image.
        """
        if self._codec is None:
            raise not_cleanable("its frames are not encoded")
        try:
            pixels = self._codec.decode(encoded, self._image)
        except (IndexError, OverflowError, RuntimeError, ValueError):
            raise not_cleanable("a frame cannot be decoded") from None
        if pixels.shape[:2] != (self._image.rows, self._image.columns):
            raise not_cleanable("a frame decodes to another size than its header says")
        return pixels


def redact(
    source: Content, header: Header, image: ImageFormat, boxes: tuple[Box, ...], *, clear_unused: bool = False
) -> Redacted:
    """Blank boxes in every frame of an image.

    Args:
        source: the Part 10 file.
        header: its header.
        image: how its pixels are stored.
        boxes: what to blank, within the image.
        clear_unused: clear the bits of each cell that hold no sample, e.g. embedded overlays.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where it cannot be done, or was not done right.
    """
    if image.native:
        boxes = tuple(_even(box) for box in boxes) if image.subsampled else boxes
        replaced = {PIXEL_DATA: _native_value(header, image, boxes, clear_unused=clear_unused)}
        return Redacted(_written(source, header, replaced), boxes)
    frames = ImageFrames(header, image)
    codec, encoded = _CODECS[image.transfer_syntax_uid], EncodedFrames(header, image)
    if image.transfer_syntax_uid in _JPEG:
        boxes = _widened(boxes, encoded, image)
    store, kinds = FrameStore(), set()
    for frame in encoded:
        before = frames.decoded(frame)
        if clear_unused and image.transfer_syntax_uid == _RLE:
            before = used_bits(before, image)
            blanked = rle.blank(frame, image, boxes, clear_unused=True)
        elif clear_unused and _uses_unused(before, image):
            raise not_cleanable("its overlays are embedded in compressed cells")
        else:
            blanked = codec.blank(frame, image, boxes) if boxes else frame
        _check(before, frames.decoded(blanked), image, boxes)
        if codec.blank in (jpeg_2000.blank, jpeg_2000.blank_high_throughput):
            kinds.add(jpeg_2000.becomes_reversible(frame, image))
        store.add(blanked)
    written = store.finish(basic_table=header.fragments[0][1] > 0)
    replaced = {PIXEL_DATA: written.pieces}
    for tag, table in (
        (EXTENDED_OFFSET_TABLE, written.offsets),
        (EXTENDED_OFFSET_TABLE_LENGTHS, written.lengths),
    ):
        if tag in header:
            if len(header.raw(tag)) != len(table):
                raise not_cleanable("its extended offset table has not one entry for each frame")
            replaced[tag] = [table]
    if True in kinds and image.photometric == _IRREVERSIBLE:
        # PS3.5 §8.2.4: the reversible component transform has a name of its own.
        replaced[PHOTOMETRIC_INTERPRETATION] = [b"YBR_RCT "]
    return Redacted(_written(source, header, replaced), boxes)


def _even(box: Box) -> Box:
    left = box.left - box.left % 2
    return Box(left, box.top, box.right + box.right % 2 - left, box.height)


def _widened(boxes: tuple[Box, ...], encoded: EncodedFrames, image: ImageFormat) -> tuple[Box, ...]:
    width = height = 1
    for frame in encoded:
        across, down = jpeg_lossy.units(frame, image)
        width, height = max(width, across), max(height, down)
    return tuple(
        Box(
            box.left - box.left % width,
            box.top - box.top % height,
            box.right + -box.right % width - (box.left - box.left % width),
            box.bottom + -box.bottom % height - (box.top - box.top % height),
        ).within(image.rows, image.columns)
        for box in boxes
    )


def _native_frame(header: Header, image: ImageFormat, index: int) -> Pixels:
    element = header.elements[PIXEL_DATA]
    pixels = image.rows * image.columns
    if image.allocated == 1:
        first = index * image.frame_bits
        raw = header.body.read(element.value + first // 8, -(-(first % 8 + image.frame_bits) // 8))
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
        return bits[first % 8 : first % 8 + pixels].reshape(image.rows, image.columns)
    size = image.frame_bits // 8
    swapped = _is_swapped(header, image)
    if swapped:
        first = index * size
        around = bytearray(header.body.read(element.value + first - first % 2, size + 2))
        even = len(around) - len(around) % 2
        around[0:even:2], around[1:even:2] = around[1:even:2], around[0:even:2]
        raw = bytes(around[first % 2 : first % 2 + size])
    else:
        raw = header.body.read(element.value + index * size, size)
    order = ">" if image.big_endian else "<"
    cells = np.frombuffer(raw, f"{order}u{image.allocated // 8}").astype(f"u{image.allocated // 8}")
    if image.subsampled:
        pairs = cells.reshape(image.rows, image.columns // 2, 4)
        out = np.empty((image.rows, image.columns, 3), dtype=cells.dtype)
        out[:, 0::2, 0], out[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
        out[..., 1], out[..., 2] = pairs[..., 2].repeat(2, axis=1), pairs[..., 3].repeat(2, axis=1)
        return out
    if image.samples == 1:
        return cells.reshape(image.rows, image.columns)
    if image.separate_planes:
        return cells.reshape(image.samples, image.rows, image.columns).transpose(1, 2, 0)
    return cells.reshape(image.rows, image.columns, image.samples)


def _is_swapped(header: Header, image: ImageFormat) -> bool:
    """Whether samples of a byte stand in 16-bit words of big endian (PS3.5 §8.1.1, annex D)."""
    return image.big_endian and image.allocated <= 8 and header.elements[PIXEL_DATA].vr == b"OW"


def _native_value(
    header: Header, image: ImageFormat, boxes: tuple[Box, ...], *, clear_unused: bool
) -> list[Piece]:
    element = header.elements[PIXEL_DATA]
    length = element.end - element.value
    blanked = BlankedPixels(
        header.body,
        element.value,
        length,
        image,
        boxes,
        clear_unused=clear_unused,
        swapped=_is_swapped(header, image),
    )
    return [Stretch(blanked, 0, length)]


def _uses_unused(pixels: Pixels, image: ImageFormat) -> bool:
    """Whether decoded samples have more bits than they should."""
    if np.issubdtype(pixels.dtype, np.signedinteger):
        return bool((np.abs(pixels.astype(np.int64) * 2 + 1) >> image.stored).any())
    return image.high_bit >= image.stored or bool((pixels != used_bits(pixels, image)).any())


def _check(before: Pixels, after: Pixels, image: ImageFormat, boxes: tuple[Box, ...]) -> None:
    """Refuse a frame that is not black in the boxes, or has changed outside."""
    mask = image.mask(boxes)
    lossy = image.transfer_syntax_uid in _JPEG
    shown = after[mask].reshape(-1, image.samples)
    spread = np.ptp(shown.astype(np.int64), axis=0).max(initial=0) if len(shown) else 0
    outside = ~mask
    if lossy and image.samples > 1:
        # Decoders blend subsampled chrominance with its neighbours, two pixels into the blocks around.
        outside &= ~image.mask(
            tuple(
                Box(b.left - 2, b.top - 2, b.width + 4, b.height + 4).within(image.rows, image.columns)
                for b in boxes
            )
        )
        spread = 0 if _interior_spread(after, image, boxes) <= _MOST_SPREAD else spread
    if spread > (_MOST_SPREAD if lossy else 0) or (before[outside] != after[outside]).any():
        raise not_cleanable("its cleaned frames do not read as they should")


def _interior_spread(after: Pixels, image: ImageFormat, boxes: tuple[Box, ...]) -> int:
    inner = image.mask(
        tuple(Box(b.left + 2, b.top + 2, max(b.width - 4, 0), max(b.height - 4, 0)) for b in boxes)
    )
    shown = after[inner].reshape(-1, image.samples).astype(np.int64)
    return int(np.ptp(shown, axis=0).max(initial=0)) if len(shown) else 0


def _written(source: Content, header: Header, replaced: dict[int, list[Piece]]) -> Content:
    """The file with other values of the same length, and other pixel data."""
    body = header.body
    pieces: list[Piece] = []
    position = 0
    for tag in sorted(replaced, key=lambda tag: header.elements[tag].position):
        element = header.elements[tag]
        pieces.append(Stretch(body, position, element.value - position))
        new = replaced[tag]
        if tag == PHOTOMETRIC_INTERPRETATION:
            new = _same_length(new, element.end - element.value)
        pieces += new
        position = element.end
    pieces.append(Stretch(body, position, body.size - position))
    if header.transfer_syntax_uid != DEFLATED:
        return Spliced(pieces)
    start = _data_set_start(source)
    return Spliced([Stretch(source, 0, start), *_deflated(Spliced(pieces))])


def _same_length(value: list[Piece], length: int) -> list[Piece]:
    text = b"".join(piece for piece in value if isinstance(piece, bytes))
    if len(text.rstrip()) > length:
        raise not_cleanable("its photometric interpretation cannot be renamed")
    return [text.rstrip().ljust(length)]


def _data_set_start(source: Content) -> int:
    """Where the data set begins after the file meta information (PS3.10 §7.1), which was read before."""
    position = _META_START
    while (head := source.read(position, 12))[:2] == b"\x02\x00":
        group_length = head[4:6] in (
            b"OB",
            b"OW",
            b"UN",
            b"UT",
            b"UC",
            b"UR",
            b"SQ",
            b"OF",
            b"OD",
            b"OL",
            b"OV",
        )
        if group_length:
            position += 12 + struct.unpack_from("<L", head, 8)[0]
        else:
            position += 8 + struct.unpack_from("<H", head, 6)[0]
    return position


def _deflated(body: Content) -> list[Piece]:
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    chunks = [
        compressor.compress(body.read(start, _INFLATED_WINDOW))
        for start in range(0, body.size, _INFLATED_WINDOW)
    ]
    chunks.append(compressor.flush())
    size = sum(map(len, chunks))
    return [InMemory(b"".join(chunks)).whole(), b"\0" * (size & 1)]
