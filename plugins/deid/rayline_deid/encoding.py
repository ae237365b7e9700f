"""Element headers in the three encodings of PS3.5 §7 and annex A, read from and written to bytes."""

import struct
from typing import Final

from rayline.plugin import RejectedEvent

LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
SHORT_VRS: Final = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH"}
    | {b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
UNDEFINED_LENGTH: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD


def truncated() -> RejectedEvent:
    """The refusal of bytes that end too early."""
    return RejectedEvent("TRUNCATED", "an element is longer than what holds it")


def malformed(what: str) -> RejectedEvent:
    """The refusal of bytes that do not follow PS3.5 §7."""
    return RejectedEvent("MALFORMED", what)


class Encoding:
    """One way of writing element headers: with or without VR, little or big endian."""

    def __init__(self, *, implicit: bool, order: str) -> None:
        self.implicit = implicit
        self._tag = struct.Struct(order + "HH")
        self._tag_length = struct.Struct(order + "HHL")
        self._long = struct.Struct(order + "L")
        self._short = struct.Struct(order + "H")

    def header(self, data: bytes, position: int, end: int) -> tuple[int, bytes, int, int]:
        """Read the header at a position: tag, VR (empty where not written), length and start of the value.

        Raises:
            RejectedEvent: ``TRUNCATED`` past the end, ``MALFORMED`` on an unknown VR.
        """
        if position + 8 > end:
            raise truncated()
        if self.implicit:
            group, element, length = self._tag_length.unpack_from(data, position)
            return group << 16 | element, b"", length, position + 8
        group, element = self._tag.unpack_from(data, position)
        vr = data[position + 4 : position + 6]
        if vr in SHORT_VRS:
            return group << 16 | element, vr, self._short.unpack_from(data, position + 6)[0], position + 8
        if vr in LONG_VRS:
            if position + 12 > end:
                raise truncated()
            return group << 16 | element, vr, self._long.unpack_from(data, position + 8)[0], position + 12
        if group == 0xFFFE:
            return group << 16 | element, b"", self._long.unpack_from(data, position + 4)[0], position + 8
        raise malformed("an element has an unknown VR")

    def item(self, data: bytes, position: int, end: int) -> tuple[int, int, int]:
        """Read the header of an item or delimiter: tag, length, and where the content begins."""
        if position + 8 > end:
            raise truncated()
        group, element, length = self._tag_length.unpack_from(data, position)
        return group << 16 | element, length, position + 8

    def write_header(self, tag: int, vr: bytes, length: int) -> bytes:
        """A header for a value of ``length`` bytes; ``vr`` is not written in implicit encodings."""
        if self.implicit or not vr:
            return self._tag_length.pack(tag >> 16, tag & 0xFFFF, length)
        if vr in LONG_VRS:
            return self._tag.pack(tag >> 16, tag & 0xFFFF) + vr + b"\0\0" + self._long.pack(length)
        return self._tag.pack(tag >> 16, tag & 0xFFFF) + vr + self._short.pack(length)

    def write(self, tag: int, vr: str, value: bytes) -> bytes:
        """An element whose value is padded to even length (PS3.5 §6.2)."""
        if len(value) & 1:
            value += b"\0" if vr in ("UI", "OB", "UN") else b" "
        return self.write_header(tag, vr.encode("ascii"), len(value)) + value

    def write_item(self, content: bytes) -> bytes:
        """An item of defined length."""
        return self._tag_length.pack(0xFFFE, 0xE000, len(content)) + content


IMPLICIT_LITTLE: Final = Encoding(implicit=True, order="<")
EXPLICIT_LITTLE: Final = Encoding(implicit=False, order="<")
EXPLICIT_BIG: Final = Encoding(implicit=False, order=">")
