"""Element headers in the encodings of PS3.5 §7 and annex A, read from and written to bytes."""

import struct
from typing import Final

from rayline.dicom.reasons import ReasonCode
from rayline.errors import RejectedEvent

#: PS3.5 §7.1.2: these VRs have two reserved bytes and a 32-bit length.
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

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"

_PADDED_WITH_ZERO: Final = frozenset({"UI", "OB", "UN"})
_LONGEST_SHORT: Final = 0xFFFE


def truncated() -> RejectedEvent:
    """The refusal of bytes that end too early."""
    return RejectedEvent(ReasonCode.TRUNCATED.value, "an element is longer than what holds it")


def malformed(what: str) -> RejectedEvent:
    """The refusal of bytes that do not follow PS3.5 §7."""
    return RejectedEvent(ReasonCode.MALFORMED.value, what)


class Encoding:
    """One way of writing element headers: with or without VR, little or big endian.

    Attributes:
        header_of: unpacks an explicit header's group, element, VR and 16-bit length, or an implicit one's
            group, element and 32-bit length.
        long_of: unpacks a 32-bit length.
    """

    def __init__(self, *, implicit: bool, order: str) -> None:
        self.implicit = implicit
        self.big_endian = order == ">"
        self._tag = struct.Struct(order + "HH")
        self._tag_length = struct.Struct(order + "HHL")
        self._long = struct.Struct(order + "L")
        self._short = struct.Struct(order + "H")
        self.header_of = (self._tag_length if implicit else struct.Struct(order + "HH2sH")).unpack_from
        self.long_of = self._long.unpack_from

    def header(self, data: bytes, position: int, end: int) -> tuple[int, bytes, int, int]:
        """Read the header at a position: tag, VR (empty where not written), length and start of the value.

        Raises:
            RejectedEvent: ``TRUNCATED`` past the end, ``MALFORMED`` on an unknown VR.
        """
        if position + 8 > end:
            raise truncated()
        if self.implicit:
            group, element, length = self.header_of(data, position)
            return group << 16 | element, b"", length, position + 8
        group, element, vr, length = self.header_of(data, position)
        if vr in SHORT_VRS:
            return group << 16 | element, vr, length, position + 8
        if vr in LONG_VRS:
            if position + 12 > end:
                raise truncated()
            return group << 16 | element, vr, self.long_of(data, position + 8)[0], position + 12
        if group == 0xFFFE:
            return group << 16 | element, b"", self.long_of(data, position + 4)[0], position + 8
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
        if length > _LONGEST_SHORT:
            raise malformed("a value is longer than its VR allows")
        return self._tag.pack(tag >> 16, tag & 0xFFFF) + vr + self._short.pack(length)

    def write(self, tag: int, vr: str, value: bytes) -> bytes:
        """An element whose value is padded to even length (PS3.5 §6.2)."""
        if len(value) & 1:
            value += b"\0" if vr in _PADDED_WITH_ZERO else b" "
        if self.implicit:
            return self._tag_length.pack(tag >> 16, tag & 0xFFFF, len(value)) + value
        return self.write_header(tag, vr.encode("ascii"), len(value)) + value

    def write_item(self, content: bytes) -> bytes:
        """An item of defined length."""
        return self._tag_length.pack(0xFFFE, 0xE000, len(content)) + content


IMPLICIT_LITTLE: Final = Encoding(implicit=True, order="<")
EXPLICIT_LITTLE: Final = Encoding(implicit=False, order="<")
EXPLICIT_BIG: Final = Encoding(implicit=False, order=">")


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """How a transfer syntax writes its data set (PS3.5 annex A); all but two are explicit little endian."""
    if transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN:
        return IMPLICIT_LITTLE
    return EXPLICIT_BIG if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else EXPLICIT_LITTLE
