"""Encapsulated pixel data (PS3.5 §A.4): which fragments make a frame, and how frames are written.

Frames are kept in memory up to 64 MiB, beyond that in a file without a name, so that memory stays flat.
"""

import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rayline.plugin import Content, Header, LocalFile, Piece, Stretch
from rayline_deid.pixels.attributes import not_cleanable
from rayline_deid.pixels.image import ImageFormat

EXTENDED_OFFSET_TABLE: Final = 0x7FE00001
EXTENDED_OFFSET_TABLE_LENGTHS: Final = 0x7FE00002

_ITEM: Final = struct.Struct("<HHL")
_ITEM_BYTES: Final = 8
_IN_MEMORY: Final = 64 * 1024 * 1024
_LONGEST_OFFSET: Final = 0xFFFFFFFF
_LONGEST_FRAME: Final = 0xFFFFFFFE
# What a frame's codestream begins with: JPEG and JPEG-LS (SOI), JPEG 2000 (SOC, SIZ).
_BEGINNINGS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")


class Frames(NamedTuple):
    """Written frames and the offset tables that say where they begin.

    Attributes:
        pieces: the value of the pixel data element with its sequence delimiter.
        offsets: value of the extended offset table.
        lengths: value of its lengths.
    """

    pieces: list[Piece]
    offsets: bytes
    lengths: bytes


class EncodedFrames:
    """The frames of encapsulated pixel data, one encoded bit stream each.

    Args:
        header: of the image.
        image: how its pixels are stored.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where it cannot be told which fragments make a frame.
    """

    def __init__(self, header: Header, image: ImageFormat) -> None:
        self._body = header.body
        self._fragments = _by_frame(header, image)

    def __len__(self) -> int:
        return len(self._fragments)

    def __getitem__(self, index: int) -> bytes:
        return b"".join(self._body.read(start, length) for start, length in self._fragments[index])

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))


class FrameStore:
    """Encoded frames as they are made, each in one fragment of even length."""

    def __init__(self) -> None:
        self._lengths: list[int] = []
        self._chunks: list[bytes] = []
        self._size = 0
        self._file: tempfile._TemporaryFileWrapper[bytes] | None = None

    def add(self, frame: bytes) -> None:
        """Take the next frame.

        Raises:
            RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where it is too long for one fragment.
        """
        if len(frame) > _LONGEST_FRAME:
            raise not_cleanable("a cleaned frame is too long for a fragment")
        self._lengths.append(len(frame))
        padded = frame + b"\0" if len(frame) & 1 else frame
        item = _ITEM.pack(0xFFFE, 0xE000, len(padded)) + padded
        self._size += len(item)
        if self._file is None and self._size > _IN_MEMORY:
            self._file = tempfile.NamedTemporaryFile(delete=False)  # noqa: SIM115 - finish() closes it
            self._file.writelines(self._chunks)
            self._chunks = []
        if self._file is None:
            self._chunks.append(item)
        else:
            self._file.write(item)

    def finish(self, *, basic_table: bool) -> Frames:
        """What to write; ``basic_table`` asks for a basic offset table, which is left empty where 4 GiB exceed it."""
        begins: list[int] = []
        position = 0
        for length in self._lengths:
            begins.append(position)
            position += _ITEM_BYTES + length + (length & 1)
        table = b""
        if basic_table and begins[-1] <= _LONGEST_OFFSET:
            table = struct.pack(f"<{len(begins)}L", *begins)
        pieces: list[Piece] = [_ITEM.pack(0xFFFE, 0xE000, len(table)) + table]
        if self._file is None:
            pieces += self._chunks
        else:
            self._file.close()
            content: Content = LocalFile(self._file.name)
            os.unlink(self._file.name)  # noqa: PTH108 - the content stays readable through its descriptor
            pieces.append(Stretch(content, 0, content.size))
        pieces.append(_ITEM.pack(0xFFFE, 0xE0DD, 0))
        return Frames(
            pieces,
            struct.pack(f"<{len(begins)}Q", *begins),
            struct.pack(f"<{len(begins)}Q", *self._lengths),
        )


def _by_frame(header: Header, image: ImageFormat) -> list[Sequence[tuple[int, int]]]:
    table, fragments = header.fragments[0], header.fragments[1:]
    if len(fragments) == image.frames:
        return [[fragment] for fragment in fragments]
    if image.frames == 1:
        return [fragments]
    starts = _starts(header, table, image.frames)
    if starts is None:
        # PS3.5 §A.4: a fragment belongs to one frame only, so each frame begins one.
        firsts = [
            index
            for index, (start, _) in enumerate(fragments)
            if header.body.read(start, 4).startswith(_BEGINNINGS)
        ]
    else:
        origin = fragments[0][0] - _ITEM_BYTES if fragments else 0
        by_offset = {start - _ITEM_BYTES - origin: index for index, (start, _) in enumerate(fragments)}
        firsts = [by_offset.get(start, -1) for start in starts]
    ordered = firsts == sorted(set(firsts)) and firsts[:1] == [0]
    if len(firsts) != image.frames or not ordered:
        raise not_cleanable("its fragments cannot be told apart by frames")
    return [
        fragments[first:after] for first, after in zip(firsts, [*firsts[1:], len(fragments)], strict=True)
    ]


def _starts(header: Header, table: tuple[int, int], frames: int) -> list[int] | None:
    """Where the frames begin, after one of the offset tables; None where neither is there."""
    extended = header.raw(EXTENDED_OFFSET_TABLE)
    if len(extended) == 8 * frames:
        return [offset for (offset,) in struct.iter_unpack("<Q", extended)]
    start, length = table
    if length == 4 * frames:
        return [offset for (offset,) in struct.iter_unpack("<L", header.body.read(start, length))]
    return None
