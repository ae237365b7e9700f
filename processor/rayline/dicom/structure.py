"""The structure of a Part 10 file, walked over its bytes within limits and without recursion.

A library that builds objects as it parses can be made to use gigabytes or to recurse without end; this walk
looks at tags and lengths only, so it goes first and tells why a file is refused.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from pydicom._dicom_dict import DicomDictionary

from rayline.dicom.reasons import ReasonCode
from rayline.errors import RejectedEvent

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"

# PS3.5 §7.1.2: these VRs have two reserved bytes and a 32-bit length.
LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
SHORT_VRS: Final = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH"}
    | {b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
SEQUENCE_TAGS: Final = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_PIXEL_DATA: Final = 0x7FE00010


@dataclass(frozen=True)
class Limits:
    """What the intake reads at most.

    Attributes:
        elements: data elements and items, at every depth together.
        depth: sequences inside one another; real objects stay below ten.
        inflated_bytes: size of a deflated data set once inflated.
        values: values of one multi-valued text element (a backslash each).
    """

    elements: int = 250_000
    depth: int = 24
    inflated_bytes: int = 96 * 1024 * 1024
    values: int = 200_000


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True)
class FileStructure:
    """What the walk found.

    Attributes:
        transfer_syntax_uid: from the file meta information.
        elements: data elements and items counted.
    """

    transfer_syntax_uid: str
    elements: int


def _refuse(reason: ReasonCode, explanation: str) -> RejectedEvent:
    return RejectedEvent(reason.value, explanation)


def transfer_syntax_of(content: bytes) -> tuple[str, int]:
    """Read the file meta information (PS3.10 §7.1): its transfer syntax UID, and where the data set begins.

    Raises:
        RejectedEvent: empty, not DICOM, truncated, or without a transfer syntax.
    """
    if not content:
        raise _refuse(ReasonCode.EMPTY_OBJECT, "the object has no bytes")
    if content[128:132] != b"DICM":
        raise _refuse(ReasonCode.NOT_DICOM, "the prefix DICM is not at byte 128")
    position, end, transfer_syntax = 132, len(content), ""
    while position + 8 <= end:
        group, element = struct.unpack_from("<HH", content, position)
        if group != 2:
            break
        vr = content[position + 4 : position + 6]
        if vr in LONG_VRS:
            if position + 12 > end:
                raise _refuse(ReasonCode.TRUNCATED, "the file meta information ends inside an element")
            length, value = struct.unpack_from("<L", content, position + 8)[0], position + 12
        elif vr in SHORT_VRS:
            length, value = struct.unpack_from("<H", content, position + 6)[0], position + 8
        else:
            raise _refuse(ReasonCode.MALFORMED, "the file meta information is not in explicit VR")
        if value + length > end:
            raise _refuse(ReasonCode.TRUNCATED, "the file meta information ends inside an element")
        if element == 0x0010:
            transfer_syntax = content[value : value + length].decode("ascii", "replace").rstrip("\0 ")
        position = value + length
    if not transfer_syntax:
        raise _refuse(ReasonCode.MISSING_ATTRIBUTE, "the file meta information has no transfer syntax UID")
    return transfer_syntax, position


def inflate(deflated: bytes, limit: int) -> bytes:
    """Inflate a deflated data set (PS3.5 §A.5) of at most ``limit`` bytes.

    Raises:
        RejectedEvent: larger, damaged or cut short.
    """
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = decompressor.decompress(deflated, limit + 1)
    except zlib.error:
        raise _refuse(ReasonCode.MALFORMED, "the deflated data set cannot be inflated") from None
    if len(inflated) > limit:
        raise _refuse(ReasonCode.LIMIT_EXCEEDED, f"the data set inflates to more than {limit} bytes")
    if not decompressor.eof:
        raise _refuse(ReasonCode.TRUNCATED, "the deflated data set is cut short")
    return inflated


# Kinds of a frame on the walk's stack: what may stand at its level.
_ELEMENTS, _ITEMS, _FRAGMENTS = 0, 1, 2


def examine(content: bytes, limits: Limits = DEFAULT_LIMITS) -> FileStructure:
    """Walk every element at every depth of a Part 10 file.

    Raises:
        RejectedEvent: with the reason why it cannot be read safely and whole.
    """
    transfer_syntax, start = transfer_syntax_of(content)
    body = content
    if transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        body, start = inflate(content[start:], limits.inflated_bytes), 0
    implicit = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
    order = ">" if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN else "<"
    return FileStructure(transfer_syntax, _walk(body, start, implicit, order, limits))


def _walk(body: bytes, start: int, implicit: bool, order: str, limits: Limits) -> int:
    tag_of = struct.Struct(order + "HH").unpack_from
    long_of = struct.Struct(order + "L").unpack_from
    short_of = struct.Struct(order + "H").unpack_from
    little_tag_of, little_long_of = struct.Struct("<HH").unpack_from, struct.Struct("<L").unpack_from
    position, count = start, 0
    # (kind, end or None when a delimiter ends it, implicit, end of what surrounds it)
    kind, end, bound = _ELEMENTS, len(body), len(body)
    delimited = False
    stack: list[tuple[int, int, int, bool, bool, str]] = []
    in_order = order
    while True:
        while position >= end and not delimited:
            if position > end:
                raise _refuse(ReasonCode.MALFORMED, "an element ends after the item that holds it")
            if not stack:
                return count
            kind, end, bound, delimited, implicit, in_order = stack.pop()
        if position + 8 > bound:
            if not body[position:bound].strip(b"\0"):
                if not stack and not delimited:
                    return count
                raise _refuse(ReasonCode.TRUNCATED, "the data set ends inside a sequence")
            raise _refuse(ReasonCode.TRUNCATED, "the data set ends inside an element header")
        count += 1
        if count > limits.elements:
            raise _refuse(ReasonCode.LIMIT_EXCEEDED, f"the object has more than {limits.elements} elements")
        little = in_order == "<"
        group, element = little_tag_of(body, position) if little else tag_of(body, position)
        tag = group << 16 | element
        if kind != _ELEMENTS:
            length = (little_long_of if little else long_of)(body, position + 4)[0]
            position += 8
            if tag == _SEQUENCE_END and delimited:
                kind, end, bound, delimited, implicit, in_order = stack.pop()
                continue
            if tag != _ITEM:
                raise _refuse(ReasonCode.MALFORMED, "a sequence holds something that is not an item")
            if kind == _FRAGMENTS:
                if length > bound - position:
                    raise _refuse(ReasonCode.TRUNCATED, "the encapsulated pixel data is cut short")
                position += length
                continue
            if length != UNDEFINED_LENGTH and length > bound - position:
                raise _refuse(ReasonCode.TRUNCATED, "an item is longer than what holds it")
            stack.append((kind, end, bound, delimited, implicit, in_order))
            kind, delimited = _ELEMENTS, length == UNDEFINED_LENGTH
            end = bound if delimited else position + length
            bound = end
            continue
        if tag == _ITEM_END and delimited:
            position += 8
            kind, end, bound, delimited, implicit, in_order = stack.pop()
            continue
        if group == 0xFFFE:
            raise _refuse(ReasonCode.MALFORMED, "an item or delimiter stands outside a sequence")
        if implicit:
            vr = b""
            length = (little_long_of if little else long_of)(body, position + 4)[0]
            position += 8
        else:
            vr = body[position + 4 : position + 6]
            if vr in SHORT_VRS:
                length = (short_of)(body, position + 6)[0]
                position += 8
            elif vr in LONG_VRS:
                if position + 12 > bound:
                    raise _refuse(ReasonCode.TRUNCATED, "the data set ends inside an element header")
                length = long_of(body, position + 8)[0]
                position += 12
            else:
                if tag == 0 and not body[position:bound].strip(b"\0"):
                    return count
                raise _refuse(ReasonCode.MALFORMED, "an element has an unknown VR")
        if length == UNDEFINED_LENGTH:
            if vr in (b"OB", b"OW"):
                child, child_implicit, child_order = _FRAGMENTS, implicit, in_order
            elif vr == b"UN":
                # PS3.5 §6.2.2: UN of undefined length is a sequence in implicit VR little endian.
                child, child_implicit, child_order = _ITEMS, True, "<"
            elif vr in (b"SQ", b""):
                if tag == _PIXEL_DATA:
                    raise _refuse(ReasonCode.MALFORMED, "encapsulated pixel data in implicit VR (PS3.5 §A.4)")
                child, child_implicit, child_order = _ITEMS, implicit, in_order
            else:
                raise _refuse(
                    ReasonCode.MALFORMED, "a VR that has a defined length only has an undefined one"
                )
            stack.append((kind, end, bound, delimited, implicit, in_order))
            kind, end, delimited, implicit, in_order = child, bound, True, child_implicit, child_order
        elif length > bound - position:
            raise _refuse(ReasonCode.TRUNCATED, "an element is longer than what holds it")
        elif length and (vr == b"SQ" or (not vr and tag in SEQUENCE_TAGS)):
            stack.append((kind, end, bound, delimited, implicit, in_order))
            kind, end, delimited = _ITEMS, position + length, False
            bound = end
        else:
            if length > 65_535 and _is_text(vr, tag) and _values(body, position, length) > limits.values:
                raise _refuse(ReasonCode.LIMIT_EXCEEDED, f"an element has more than {limits.values} values")
            position += length
            continue
        if len(stack) > 2 * limits.depth:
            raise _refuse(ReasonCode.LIMIT_EXCEEDED, f"sequences are nested deeper than {limits.depth}")


_BULK_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"UN", b"UT", b"UR", b"SV", b"UV"})
_TEXT_DICTIONARY_VRS: Final = re.compile(r"^(AE|AS|CS|DA|DS|DT|IS|LO|PN|SH|TM|UC|UI)$")


def _is_text(vr: bytes, tag: int) -> bool:
    if vr and vr != b"UN":
        return vr not in _BULK_VRS
    entry = DicomDictionary.get(tag)
    return entry is not None and _TEXT_DICTIONARY_VRS.match(entry[0]) is not None


def _values(body: bytes, position: int, length: int) -> int:
    return body.count(b"\\", position, position + length) + 1
