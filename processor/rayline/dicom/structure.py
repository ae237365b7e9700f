"""The structure of a data set, walked over its bytes within limits and without recursion.

A library that builds objects as it parses can be made to use gigabytes or to recurse without end. This walk looks
at tags, VRs and lengths, skips values by their length, and keeps what stands at the level where it began.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn

from rayline.dicom.dictionary import SEQUENCE_TAGS, vr_of
from rayline.dicom.encoding import (
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG_VRS,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED_LENGTH,
    Encoding,
    malformed,
    truncated,
)
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.windows import LONGEST_ELEMENT_HEADER, Windows
from rayline.errors import RejectedEvent

PIXEL_DATA: Final = 0x7FE00010


@dataclass(frozen=True)
class Limits:
    """What is read at most.

    Attributes:
        object_bytes: size of a whole file; HealthImaging imports files of up to 10 GB.
        elements: data elements, items and fragments, at every depth together.
        depth: sequences inside one another; real objects stay below ten.
        inflated_bytes: size of a deflated data set once inflated, which is kept in memory.
        values: values of one multi-valued element.
    """

    object_bytes: int = 10_000_000_000
    elements: int = 150_000
    depth: int = 24
    inflated_bytes: int = 64 * 1024 * 1024
    values: int = 200_000


DEFAULT_LIMITS: Final = Limits()


class Element(NamedTuple):
    """Where a data element lies.

    Attributes:
        tag: group and element number.
        vr: as encoded; empty in implicit VR.
        position: where its header begins.
        value: where its value begins.
        length: of the value, as encoded; ``UNDEFINED_LENGTH`` where a delimiter ends it.
        end: where the next element begins.
    """

    tag: int
    vr: bytes
    position: int
    value: int
    length: int
    end: int


class Found(NamedTuple):
    """What a walk found at the level where it began.

    Attributes:
        elements: by tag, in the order of the bytes; none of a walk over items.
        stretches: start and end of each item; or, of a whole data set, start and length of each fragment of its
            pixel data.
        counted: elements, items and fragments at every depth.
        end: where the walk ended.
    """

    elements: dict[int, Element]
    stretches: list[tuple[int, int]]
    counted: int
    end: int


# A value up to this size has few values, whatever they are.
_SHORT_BYTES: Final = 65_535

# What may stand at a level of the walk.
_ELEMENTS, _ITEMS, _FRAGMENTS = 0, 1, 2
_SEQUENCE_VRS: Final = (b"SQ", b"UN", b"")
_FRAGMENT_VRS: Final = (b"OB", b"OW")
_ITEM_OF: Final = {False: struct.Struct("<HHL").unpack_from, True: struct.Struct(">HHL").unpack_from}


def walk(
    windows: Windows,
    start: int,
    end: int,
    encoding: Encoding,
    limits: Limits = DEFAULT_LIMITS,
    *,
    whole: bool = False,
    items: bool = False,
    counted: int = 0,
    depth: int = 0,
) -> Found:
    """Walk from ``start`` to ``end`` over elements, or items, and over all that they hold.

    Args:
        whole: it is a whole data set: its encoding is checked, fragments are noted, and padding may follow.
        items: it is the value of a sequence.
        counted: what was counted before.
        depth: sequences that surround it.

    Raises:
        RejectedEvent: TRUNCATED, MALFORMED or LIMIT_EXCEEDED.
    """
    if whole:
        _check_encoding(windows.read(start, min(8, end - start)), encoding)
    elements: dict[int, Element] = {}
    stretches: list[tuple[int, int]] = []
    # What one turn for each element needs, as local names.
    new, short_vrs, long_vrs, sequences = tuple.__new__, SHORT_VRS, LONG_VRS, SEQUENCE_TAGS
    implicit, header_of, long_of = encoding.implicit, encoding.header_of, encoding.long_of
    item_of = _ITEM_OF[encoding.big_endian]
    most, position = limits.elements, start
    # An item is a level of its own, so each sequence takes two.
    deepest = 2 * (limits.depth - depth)
    buffer, base = windows.window(position) if position < end else (b"", position)
    ready = base + len(buffer) - LONGEST_ELEMENT_HEADER
    # The level: what stands there, and whether a delimiter ends it. On the stack, what surrounds it.
    kind, delimited = (_ITEMS if items else _ELEMENTS), False
    stack: list[tuple[int, int, bool, Encoding]] = []
    # What was opened at the level where the walk began: an element of undefined length, or an item.
    opened: Element | None = None
    item_start, noting = 0, False

    while True:
        if position >= end:
            if delimited:
                _refuse(ReasonCode.TRUNCATED, "the data set ends inside a sequence")
            if not stack:
                return Found(elements, stretches, counted, position)
            closed = position
        else:
            if position > ready:
                buffer, base = windows.window(position)
                ready = base + len(buffer) - LONGEST_ELEMENT_HEADER
            if kind == _ELEMENTS and not stack:
                plain = _plain_implicit if implicit else _plain_explicit
                last, known = min(ready, end - 8), len(elements)
                taken, position = plain(
                    buffer, base, position, last, end, header_of, most - counted, elements
                )
                counted += taken
                if len(elements) != known + taken:
                    raise _twice()
                if taken and (position >= end or position > ready):
                    continue
            if position + 8 > end:
                if whole and not stack and windows.only_zeros(position):
                    return Found(elements, stretches, counted, position)
                _refuse(ReasonCode.TRUNCATED, "the data set ends inside an element header")
            counted += 1
            if counted > most:
                _refuse(ReasonCode.LIMIT_EXCEEDED, f"the object has more than {most} elements")
            if kind == _ELEMENTS:
                if implicit:
                    group, number, length = header_of(buffer, position - base)
                    vr, value = b"", position + 8
                else:
                    group, number, vr, length = header_of(buffer, position - base)
                    value = position + 8
                    if vr not in short_vrs:
                        if vr in long_vrs:
                            value = position + 12
                            if value > end:
                                _refuse(ReasonCode.TRUNCATED, "the data set ends inside an element header")
                            (length,) = long_of(buffer, position - base + 8)
                        elif group == 0xFFFE:
                            length = 0
                        elif not (group or number) and whole and not stack and windows.only_zeros(position):
                            return Found(elements, stretches, counted - 1, position)
                        else:
                            _refuse(ReasonCode.MALFORMED, "an element has an unknown VR")
                tag = group << 16 | number
                following = value + length
                if length != UNDEFINED_LENGTH and group != 0xFFFE:
                    if following > end:
                        raise truncated()
                    if not stack:
                        if tag in elements:
                            raise _twice()
                        if not tag and whole and windows.only_zeros(position):
                            return Found(elements, stretches, counted - 1, position)
                        elements[tag] = new(Element, (tag, vr, position, value, length, following))
                    if length and (vr == b"SQ" or (implicit and tag in sequences)):
                        if len(stack) >= deepest:
                            _refuse(
                                ReasonCode.LIMIT_EXCEEDED, f"sequences are nested deeper than {limits.depth}"
                            )
                        stack.append((kind, end, delimited, encoding))
                        kind, end, delimited, position = _ITEMS, following, False, value
                        continue
                    if length > _SHORT_BYTES and not _has_few_values(
                        windows, tag, vr, value, length, limits.values
                    ):
                        _refuse(ReasonCode.LIMIT_EXCEEDED, f"an element has more than {limits.values} values")
                    if vr == b"UN" and tag in sequences:
                        inside = depth + len(stack) // 2
                        counted = _count_hidden(windows, value, following, limits, counted, inside)
                    position = following
                    continue
                if group == 0xFFFE:
                    if tag != ITEM_END or not delimited:
                        _refuse(ReasonCode.MALFORMED, "an item or delimiter stands outside a sequence")
                    closed, position = position, position + 8
                else:
                    if len(stack) >= deepest:
                        _refuse(ReasonCode.LIMIT_EXCEEDED, f"sequences are nested deeper than {limits.depth}")
                    if vr not in _SEQUENCE_VRS and vr not in _FRAGMENT_VRS:
                        _refuse(
                            ReasonCode.MALFORMED, "a VR that has a defined length only has an undefined one"
                        )
                    if tag == PIXEL_DATA and vr not in _FRAGMENT_VRS:
                        _refuse(
                            ReasonCode.MALFORMED,
                            "encapsulated pixel data is neither OB nor OW (PS3.5 section A.4)",
                        )
                    stack.append((kind, end, delimited, encoding))
                    if len(stack) == 1:
                        if tag in elements:
                            raise _twice()
                        opened = Element(tag, vr, position, value, length, 0)
                        noting = whole and tag == PIXEL_DATA
                    kind, delimited, position = _FRAGMENTS if vr in _FRAGMENT_VRS else _ITEMS, True, value
                    if vr == b"UN":
                        # PS3.5 §6.2.2: UN of undefined length is a sequence in implicit VR little endian.
                        encoding = IMPLICIT_LITTLE
                        implicit, header_of, item_of = True, encoding.header_of, _ITEM_OF[False]
                    continue
            else:
                group, number, length = item_of(buffer, position - base)
                value, tag = position + 8, group << 16 | number
                if tag == ITEM:
                    if kind == _FRAGMENTS:
                        if length > end - value:
                            _refuse(ReasonCode.TRUNCATED, "the encapsulated pixel data is cut short")
                        if noting and len(stack) == 1:
                            stretches.append((value, length))
                        position = value + length
                        continue
                    if not stack:
                        item_start = value
                    stack.append((kind, end, delimited, encoding))
                    kind, delimited, position = _ELEMENTS, length == UNDEFINED_LENGTH, value
                    if not delimited:
                        if length > end - value:
                            _refuse(ReasonCode.TRUNCATED, "an item is longer than what holds it")
                        end = value + length
                    continue
                if tag != SEQUENCE_END or not delimited:
                    _refuse(ReasonCode.MALFORMED, "a sequence holds something that is not an item")
                closed, position = position, value
        # The level has ended: an item's, a sequence's or encapsulated pixel data's.
        surrounding = encoding
        kind, end, delimited, encoding = stack.pop()
        if encoding is not surrounding:
            implicit, header_of, long_of = encoding.implicit, encoding.header_of, encoding.long_of
            item_of = _ITEM_OF[encoding.big_endian]
        if not stack:
            if items:
                stretches.append((item_start, closed))
            elif opened is not None:
                elements[opened.tag] = opened._replace(end=position)
                opened = None


_HeaderOf = Callable[[bytes, int], tuple[Any, ...]]


def _plain_explicit(
    buffer: bytes,
    base: int,
    position: int,
    last: int,
    end: int,
    header_of: _HeaderOf,
    most: int,
    elements: dict[int, Element],
) -> tuple[int, int]:
    """Take the elements of short VRs that follow one another: how many, and where the first other one begins.

    Most elements are such, so this loop does nothing but what they need.

    Args:
        last: where an element may begin at most, so that its header is in ``buffer``.
    """
    new, element_of, short_vrs = tuple.__new__, Element, SHORT_VRS
    for taken in range(most):
        if position > last:
            return taken, position
        group, number, vr, length = header_of(buffer, position - base)
        value = position + 8
        following = value + length
        if vr not in short_vrs or following > end:
            return taken, position
        tag = group << 16 | number
        elements[tag] = new(element_of, (tag, vr, position, value, length, following))
        position = following
    return most, position


def _plain_implicit(
    buffer: bytes,
    base: int,
    position: int,
    last: int,
    end: int,
    header_of: _HeaderOf,
    most: int,
    elements: dict[int, Element],
) -> tuple[int, int]:
    """The same in implicit VR, up to a sequence, a long value, a delimiter or padding."""
    new, element_of, sequences = tuple.__new__, Element, SEQUENCE_TAGS
    for taken in range(most):
        if position > last:
            return taken, position
        group, number, length = header_of(buffer, position - base)
        value = position + 8
        following = value + length
        tag = group << 16 | number
        if length > _SHORT_BYTES or following > end or tag in sequences or group == 0xFFFE or not tag:
            return taken, position
        elements[tag] = new(element_of, (tag, b"", position, value, length, following))
        position = following
    return most, position


def _twice() -> RejectedEvent:
    # Two readers would see two values, e.g. two patients.
    return malformed("an element occurs twice (PS3.5 section 7.1)")


def _refuse(reason: ReasonCode, explanation: str) -> NoReturn:
    raise RejectedEvent(reason.value, explanation)


def _check_encoding(first: bytes, encoding: Encoding) -> None:
    """Refuse a data set whose first element shows that it is not written as the file says."""
    if len(first) < 8 or not any(first):
        return
    group = int.from_bytes(first[:2], "big" if encoding.big_endian else "little")
    # The first group is 0008 or another low one, which is 2048 or another large one once swapped.
    swapped = group >= 0x0100 and not group & 0xFF
    has_vr = first[4:6] in SHORT_VRS or first[4:6] in LONG_VRS
    if swapped or (group != 0xFFFE and has_vr == encoding.implicit):
        raise malformed(
            "the data set is not in the transfer syntax that the file names, or its first VR is unknown"
        )


def _count_hidden(windows: Windows, start: int, end: int, limits: Limits, counted: int, depth: int) -> int:
    """Count what a sequence of VR UN holds (PS3.5 §6.2.2), since whoever decodes it will."""
    try:
        return walk(
            windows, start, end, IMPLICIT_LITTLE, limits, items=True, counted=counted, depth=depth + 1
        ).counted
    except RejectedEvent as refused:
        if refused.reason == ReasonCode.LIMIT_EXCEEDED:
            raise
        # No sequence after all: as many as it can have cost.
        return counted + (end - start) // 8


# PS3.5 table 6.2-1: bytes of a number; and the texts that backslashes divide.
_NUMBER_BYTES: Final = {
    vr: struct.calcsize("=" + code)
    for vr, code in {"AT": "HH", "FD": "d", "FL": "f", "SL": "l", "SS": "h", "UL": "L", "US": "H"}.items()
}
_DIVIDED_TEXTS: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"}
)
_LONGEST_DIVIDED_TEXT: Final = 16 * 1024 * 1024


def _has_few_values(windows: Windows, tag: int, vr: bytes, value: int, length: int, most: int) -> bool:
    """Whether a long value has at most so many, as far as a reader would divide it."""
    kind = vr.decode("ascii") if vr not in (b"", b"UN") else vr_of(tag)
    if kind in _NUMBER_BYTES:
        return length // _NUMBER_BYTES[kind] <= most
    if kind not in _DIVIDED_TEXTS:
        return True
    return length <= _LONGEST_DIVIDED_TEXT and windows.separators(value, length, most) < most
