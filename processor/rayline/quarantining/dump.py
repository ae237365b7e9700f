"""A header dump of whatever was refused: element by element as far as it can be read, then where and why it stops.

Nothing here refuses: what does not follow PS3.5 is what people want to look at. The walk is bounded in elements, depth
and bytes read, and never reads pixel data.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from rayline.dicom.content import Content, InMemory
from rayline.dicom.dictionary import SEQUENCE_TAGS, TAG_OF, keyword_of, vr_of
from rayline.dicom.encoding import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG_VRS,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED_LENGTH,
    Encoding,
    encoding_of,
)
from rayline.quarantining.dump_values import SHOWN_BYTES, as_text, may_always_be_shown, printable

MOST_ELEMENTS: Final = 5_000
MOST_READS: Final = 400
_DEEPEST: Final = 100
_STEPS_AN_ELEMENT: Final = 3  # fragments and delimiters are walked too, though they are not shown
_INFLATED_BYTES: Final = 8 * 1024 * 1024
_FIRST_WINDOW, _LARGEST_WINDOW = 64 * 1024, 1024 * 1024
_BARE_GROUPS: Final = frozenset({0x0002, 0x0008})
_TRANSFER_SYNTAX: Final = TAG_OF["TransferSyntaxUID"]
_CHARACTER_SET: Final = TAG_OF["SpecificCharacterSet"]
_PIXEL_DATA: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


@dataclass(frozen=True)
class DumpedElement:
    """One element, or item of a sequence.

    Attributes:
        depth: 0 at the top level; an item lies one below its sequence, its elements two.
        tag: e.g. ``(0010,0010)``.
        vr: as written, or as PS3.6 has it where the encoding writes none; of an item empty.
        length: in bytes; None where it is undefined.
        keyword: PS3.6's, ``private``, ``GroupLength``, ``item 1`` and so on, or empty.
        value: None where it is hidden, or where there is none to show.
        hidden: whether there is a value that may not be shown.
    """

    depth: int
    tag: str
    vr: str
    length: int | None
    keyword: str
    value: str | None = None
    hidden: bool = False


@dataclass(frozen=True)
class HeaderDump:
    """What could be read of a header.

    Attributes:
        notes: what is odd about the file as a whole.
        stopped_at: the byte where reading stopped before the end, in the inflated data set where it is deflated.
        stopped_because: why, empty where it was read to its end.
    """

    elements: list[DumpedElement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped_at: int | None = None
    stopped_because: str = ""

    def as_json(self) -> dict[str, Any]:
        """The dump as one JSON document."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "HeaderDump":
        """What :meth:`as_json` made."""
        return cls(**{**document, "elements": [DumpedElement(**each) for each in document["elements"]]})


def dump_header(
    content: Content, *, phi: bool, elements: int = MOST_ELEMENTS, reads: int = MOST_READS
) -> HeaderDump:
    """Dump the header of what should be a Part 10 file (PS3.10 §7).

    Args:
        phi: show every value; else only those that say nothing of a person.
        elements: elements and items to show at most.
        reads: stretches to read at most; a large object in S3 costs a request each.
    """
    return _Dumper(content, phi, elements, reads).run()


class _Stop(Exception):
    def __init__(self, position: int, because: str) -> None:
        super().__init__(because)
        self.position = position
        self.because = because


class _Window:
    """A content read in stretches that grow while they follow one another."""

    def __init__(self, content: Content, reads: int) -> None:
        self._content = content
        self._reads = reads
        self._start, self._data, self._step = 0, b"", _FIRST_WINDOW
        self.size = content.size

    def at(self, position: int, length: int) -> bytes:
        """Up to ``length`` bytes from a position; fewer at the end."""
        end = min(position + length, self.size)
        if position >= end:
            return b""
        if position < self._start or end > self._start + len(self._data):
            if self._reads == 0:
                raise _Stop(position, "there is more to read than a dump reads")
            self._reads -= 1
            follows = self._start <= position <= self._start + len(self._data)
            self._step = min(self._step * 2, _LARGEST_WINDOW) if follows else 4 * 1024
            self._start = position
            self._data = self._content.read(position, max(self._step, length))
        return self._data[position - self._start : end - self._start]


@dataclass(frozen=True)
class _Level:
    """Where the walk is: in a data set (``items`` 0), or between the items of a sequence or fragments of pixel data."""

    end: int
    delimited: bool
    encoding: Encoding
    depth: int
    in_items: bool = False
    fragments: bool = False
    items: int = 0
    charsets: tuple[str, ...] = ()


class _Dumper:
    def __init__(self, content: Content, phi: bool, most: int, reads: int) -> None:
        self._content = content
        self._phi = phi
        self._most = most
        self._reads = reads
        self._window = _Window(content, reads)
        self._found: list[DumpedElement] = []
        self._notes: list[str] = []
        self._transfer_syntax = ""
        self._cut: _Stop | None = None

    def run(self) -> HeaderDump:
        try:
            start = self._meta(self._begin())
            encoding, start = self._data_set(start)
            self._walk(start, encoding)
        except _Stop as stop:
            return HeaderDump(self._found, self._notes, stop.position, stop.because)
        return HeaderDump(self._found, self._notes)

    # -- where the data set begins, and how it is written ----------------------------------------------------------

    def _begin(self) -> int:
        if self._content.size == 0:
            raise _Stop(0, "the object has no bytes")
        head = self._window.at(0, 1024)
        if head[128:132] == b"DICM":
            return 132
        prefix = head.find(b"DICM")
        if prefix >= 0:
            self._notes.append(f"the prefix DICM is at byte {prefix} and not at byte 128")
            return prefix + 4
        if len(head) >= 8 and int.from_bytes(head[:2], "little") in _BARE_GROUPS and not head[3]:
            self._notes.append("the preamble and the prefix DICM are missing; read from byte 0")
            return 0
        raise _Stop(min(128, len(head)), "the prefix DICM is not at byte 128")

    def _meta(self, position: int) -> int:
        """Dump the file meta information, which is always in explicit VR little endian (PS3.10 §7.1)."""
        size = self._window.size
        while self._window.at(position, 2) == b"\x02\0":
            header = self._window.at(position, 12)
            if header[4:6] not in SHORT_VRS | LONG_VRS:
                break  # a data set whose group is 0002, or none; it is read as the data set is
            tag, vr, length, value = self._header(position, size, EXPLICIT_LITTLE)
            if length == UNDEFINED_LENGTH:
                raise _Stop(position, "an element of the file meta information has an undefined length")
            self._show(0, tag, vr, length, value, EXPLICIT_LITTLE, ())
            if tag == _TRANSFER_SYNTAX:
                raw = self._window.at(value, min(length, 64))
                self._transfer_syntax = raw.decode("ascii", "replace").rstrip("\0 ")
            position = self._past(position, value, length, size)
        return position

    def _data_set(self, start: int) -> tuple[Encoding, int]:
        if self._transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            self._window = _Window(InMemory(self._inflated(start)), self._reads)
            start = 0
        claimed = encoding_of(self._transfer_syntax)
        written = self._written(start, claimed)
        if not self._transfer_syntax:
            self._notes.append("no transfer syntax UID; the encoding is guessed")
        elif written is not claimed:
            kind = "implicit VR" if written.implicit else "explicit VR"
            self._notes.append(f"the data set is written in {kind}, other than its transfer syntax UID says")
        return written, start

    def _written(self, start: int, claimed: Encoding) -> Encoding:
        """The encoding that the first element shows, where that is plain."""
        head = self._window.at(start, 8)
        if len(head) < 8 or claimed is EXPLICIT_BIG:
            return claimed
        if head[4:6] in SHORT_VRS | LONG_VRS:
            return EXPLICIT_LITTLE
        # A length below 64 KB has zeros where explicit VR has its letters.
        return IMPLICIT_LITTLE if head[6:8] == b"\0\0" else claimed

    def _inflated(self, start: int) -> bytes:
        decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
        inflated = bytearray()
        while not decompressor.eof and len(inflated) < _INFLATED_BYTES:
            deflated = decompressor.unconsumed_tail or self._window.at(start, _FIRST_WINDOW)
            if not deflated:
                self._notes.append("the deflated data set is cut short")
                break
            if not decompressor.unconsumed_tail:
                start += len(deflated)
            try:
                inflated += decompressor.decompress(deflated, _INFLATED_BYTES - len(inflated))
            except zlib.error:
                self._notes.append("the deflated data set is damaged; what came before is shown")
                break
        if len(inflated) >= _INFLATED_BYTES:
            self._notes.append(f"only the first {_INFLATED_BYTES} bytes of the deflated data set are read")
        return bytes(inflated)

    # -- the walk --------------------------------------------------------------------------------------------------

    def _walk(self, position: int, encoding: Encoding) -> None:
        level = _Level(self._window.size, False, encoding, 0)
        stack: list[_Level] = []
        for _ in range(_STEPS_AN_ELEMENT * self._most):
            while position >= level.end and not level.delimited:
                if position > level.end:
                    raise _Stop(position, "an element ends after the item that holds it")
                if not stack:
                    if self._cut is not None:
                        raise self._cut
                    return
                level = stack.pop()
            if self._is_padding(position, level):
                if stack:
                    raise _Stop(position, "the data set ends inside a sequence")
                return
            if level.in_items:
                position, level = self._item(position, level, stack)
            else:
                position, level = self._element(position, level, stack)
            if len(stack) > _DEEPEST:
                raise _Stop(position, f"sequences are nested deeper than {_DEEPEST // 2}")
        raise _Stop(position, "there are more fragments and delimiters than a dump looks at")

    def _is_padding(self, position: int, level: _Level) -> bool:
        rest = self._window.at(position, 8)
        return len(rest) < 8 and level.end == self._window.size and not rest.strip(b"\0")

    def _item(self, position: int, level: _Level, stack: list[_Level]) -> tuple[int, _Level]:
        tag, length, value = self._item_header(position, level)
        if tag == SEQUENCE_END and level.delimited:
            return value, stack.pop()
        if tag != ITEM:
            raise _Stop(position, "a sequence holds something that is not an item")
        counted = replace(level, items=level.items + 1)
        if level.fragments:
            if length == UNDEFINED_LENGTH:
                raise _Stop(position, "a fragment of the pixel data has an undefined length")
            return self._past(position, value, length, level.end), counted
        undefined = length == UNDEFINED_LENGTH
        self._add(
            DumpedElement(
                level.depth, tag_text(tag), "", None if undefined else length, f"item {counted.items}"
            ),
            position,
        )
        stack.append(counted)
        end = level.end if undefined else self._clipped("the item", position, value, length, level.end)
        return value, _Level(end, undefined, level.encoding, level.depth + 1, charsets=level.charsets)

    def _element(self, position: int, level: _Level, stack: list[_Level]) -> tuple[int, _Level]:
        tag, length, value = self._item_header(position, level)
        if tag == ITEM_END and level.delimited:
            return value, stack.pop()
        if tag >> 16 == 0xFFFE:
            raise _Stop(position, f"{tag_text(tag)}, an item or delimiter, stands outside a sequence")
        tag, vr, length, value = self._header(position, level.end, level.encoding)
        self._show(level.depth, tag, vr, length, value, level.encoding, level.charsets)
        if tag == _CHARACTER_SET and length != UNDEFINED_LENGTH:
            text = self._window.at(value, min(length, SHOWN_BYTES)).decode("ascii", "replace")
            level = replace(level, charsets=tuple(each.strip("\0 ") for each in text.split("\\")))
        sequence = vr == b"SQ" or (not vr and tag in SEQUENCE_TAGS)
        if length == UNDEFINED_LENGTH:
            if vr not in (b"OB", b"OW", b"UN", b"SQ", b""):
                raise _Stop(position, "a VR that has a defined length only has an undefined one")
            stack.append(level)
            # PS3.5 §6.2.2: UN of undefined length is a sequence in implicit VR little endian.
            encoding = IMPLICIT_LITTLE if vr == b"UN" else level.encoding
            return value, _Level(
                level.end,
                True,
                encoding,
                level.depth + 1,
                True,
                vr in (b"OB", b"OW"),
                charsets=level.charsets,
            )
        if not sequence or not length:
            return self._past(position, value, length, level.end), level
        stack.append(level)
        end = self._clipped("the sequence", position, value, length, level.end)
        return value, _Level(end, False, level.encoding, level.depth + 1, True, charsets=level.charsets)

    def _item_header(self, position: int, level: _Level) -> tuple[int, int, int]:
        header = self._window.at(position, min(8, max(0, level.end - position)))
        if len(header) < 8:
            raise _Stop(position, "the data set ends inside an element header")
        group, element, length = struct.unpack(">HHL" if level.encoding.big_endian else "<HHL", header)
        return group << 16 | element, length, position + 8

    def _header(self, position: int, end: int, encoding: Encoding) -> tuple[int, bytes, int, int]:
        header = self._window.at(position, min(12, end - position))
        vr = header[4:6]
        if len(header) < 8 or (not encoding.implicit and vr in LONG_VRS and len(header) < 12):
            raise _Stop(position, "the data set ends inside an element header")
        if not encoding.implicit and vr not in SHORT_VRS and vr not in LONG_VRS:
            written = f", but {printable(vr.decode('latin-1'))!r}" if self._phi else ""
            raise _Stop(position, f"the element has no VR that PS3.5 knows{written}")
        tag, vr, length, size = encoding.header(header, 0, len(header))
        return tag, vr, length, position + size

    def _past(self, position: int, value: int, length: int, end: int) -> int:
        if value + length > end:
            raise _Stop(position, _too_long("the element", length, max(0, end - value)))
        return value + length

    def _clipped(self, what: str, position: int, value: int, length: int, end: int) -> int:
        """Where something that holds others ends: what is too long is looked into first, and told of afterwards."""
        if value + length <= end:
            return value + length
        if self._cut is None:
            self._cut = _Stop(position, _too_long(what, length, max(0, end - value)))
        return end

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _show(
        self,
        depth: int,
        tag: int,
        vr: bytes,
        length: int,
        value: int,
        encoding: Encoding,
        charsets: tuple[str, ...],
    ) -> None:
        vr_text = vr.decode("ascii") if vr else vr_of(tag)
        undefined = length == UNDEFINED_LENGTH
        keyword = "private" if tag >> 16 & 1 else (keyword_of(tag) or ("" if tag & 0xFFFF else "GroupLength"))
        shown: str | None = None
        hidden = False
        if not undefined and vr_text != "SQ" and length and tag not in _PIXEL_DATA:
            raw = self._window.at(value, min(length, SHOWN_BYTES))
            order = ">" if encoding.big_endian else "<"
            if self._phi:
                shown = as_text(vr_text, raw, length, order, charsets)
            else:
                shown = may_always_be_shown(tag, vr_text, raw, length, order)
                hidden = shown is None
        self._add(
            DumpedElement(
                depth, tag_text(tag), vr_text, None if undefined else length, keyword, shown, hidden
            ),
            value,
        )

    def _add(self, element: DumpedElement, position: int) -> None:
        if len(self._found) == self._most:
            raise _Stop(position, f"the first {self._most} elements are shown, and there are more")
        self._found.append(element)


def dump_lines(dump: HeaderDump) -> Iterator[str]:
    """A dump as lines of text: indented by depth, each with tag, VR, length, keyword and value."""
    for note in dump.notes:
        yield f"# {note}"
    for each in dump.elements:
        length = "undefined" if each.length is None else str(each.length)
        value = "[hidden]" if each.hidden else each.value or ""
        name = f"{'  ' * each.depth}{each.tag} {each.vr:2}"
        yield f"{name:<24} {length:>10}  {each.keyword:<32} {value}".rstrip()
    if dump.stopped_because:
        yield f"# stopped at byte {dump.stopped_at}: {dump.stopped_because}"


def tag_text(tag: int) -> str:
    """A tag as PS3.6 writes it, e.g. ``(0010,0020)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _too_long(what: str, length: int, left: int) -> str:
    return f"{what} says {length} bytes, and {left} are left"
