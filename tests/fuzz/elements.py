"""Where a file's elements lie, read by a parser that forgives everything and shares no code with ours."""

import struct
from typing import NamedTuple

from support.part10 import EXPLICIT_BIG, IMPLICIT_LITTLE, LONG_FORM

UNDEFINED = 0xFFFFFFFF
_LONG = {vr.encode() for vr in LONG_FORM}
_DEEPEST = 64
_MOST = 5_000


class Place(NamedTuple):
    """An element, item or delimiter.

    Attributes:
        start: of its header.
        length_at: where its length is written.
        length_bytes: 2 or 4.
        value: where its value begins.
        end: where it ends; of an undefined length, where its value begins.
        path: tags of the sequences that it lies in, and its own.
    """

    start: int
    length_at: int
    length_bytes: int
    value: int
    end: int
    path: tuple[int, ...]
    vr: bytes

    @property
    def tag(self) -> int:
        return self.path[-1]


def data_set_at(data: bytes) -> int:
    """Where the data set begins, 0 where the file meta information cannot be read."""
    position = 132
    while data[position : position + 2] == b"\2\0" and position + 12 <= len(data):
        vr = data[position + 4 : position + 6]
        if vr in _LONG:
            position += 12 + int(struct.unpack_from("<L", data, position + 8)[0])
        else:
            position += 8 + int(struct.unpack_from("<H", data, position + 6)[0])
    return position if 132 < position <= len(data) else 0


def transfer_syntax(data: bytes) -> str:
    """The transfer syntax UID that the file meta information names first, empty where it names none."""
    at = data.find(b"\2\0\x10\0UI", 132, 4096)
    if at < 0 or at + 8 > len(data):
        return ""
    (length,) = struct.unpack_from("<H", data, at + 6)
    return data[at + 8 : at + 8 + length].strip(b"\0 ").decode("latin-1")


def places(data: bytes, start: int, syntax: str) -> list[Place]:
    """All that can be read from a position on, at every depth, in the order of the bytes."""
    found: list[Place] = []
    order = ">" if syntax == EXPLICIT_BIG else "<"
    _read(data, start, len(data), order, syntax == IMPLICIT_LITTLE, (), found)
    return found


def _read(
    data: bytes,
    position: int,
    end: int,
    order: str,
    implicit: bool,
    path: tuple[int, ...],
    found: list[Place],
) -> int:
    while position + 8 <= end and len(found) < _MOST:
        group, number = struct.unpack_from(order + "HH", data, position)
        tag, vr = group << 16 | number, data[position + 4 : position + 6]
        at, size = position + 4, 4
        if group == 0xFFFE or implicit:
            vr = b""
        elif vr in _LONG:
            at = position + 8
        else:
            at, size = position + 6, 2
        if at + size > end:
            break
        (length,) = struct.unpack_from(order + ("L" if size == 4 else "H"), data, at)
        value = at + size
        undefined = size == 4 and length == UNDEFINED
        stop = value if undefined else min(value + length, end)
        found.append(Place(position, at, size, value, stop, (*path, tag), vr))
        if tag in (0xFFFEE00D, 0xFFFEE0DD):
            return value
        inside = value if undefined else stop
        first = data[value : value + 4]
        holds_items = first in (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00") and vr in (
            b"",
            b"SQ",
            b"UN",
            b"OB",
            b"OW",
        )
        if len(path) < _DEEPEST and (tag == 0xFFFEE000 or holds_items or undefined):
            if tag == 0xFFFEE000 and path and path[-1] == 0x7FE00010:
                position = stop
                continue
            inner_path = path if tag == 0xFFFEE000 else (*path, tag)
            bound = end if undefined else stop
            reached = _read(
                data, value, bound, "<" if vr == b"UN" else order, implicit or vr == b"UN", inner_path, found
            )
            inside = reached if undefined else stop
        position = inside
    return position
