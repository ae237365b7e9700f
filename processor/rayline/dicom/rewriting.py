"""Rewrite a Part 10 file in one pass over its raw elements.

Rules say by tag what becomes of an element. What stays is copied as it is, undecoded; of a large object only the
header is read, and pixel data becomes a stretch of the original. Sequences that are looked into are written with
defined lengths.
"""

import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Generic, TypeVar

from rayline.dicom.content import WHOLE_BYTES, Content, InMemory, Piece, Spliced, Stretch
from rayline.dicom.dictionary import SEQUENCE_TAGS, vr_of
from rayline.dicom.encoding import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_LITTLE,
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
from rayline.dicom.header import Header, read_header
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.rules import (
    EMPTY,
    KEEP,
    REMOVE,
    Descend,
    Element,
    FileMeta,
    Insertion,
    Plan,
    Replace,
    Rules,
    Treatment,
    Treatments,
)
from rayline.dicom.structure import PIXEL_DATA
from rayline.errors import RejectedEvent

#: PS3.10 §7.1: who wrote the file.
IMPLEMENTATION_CLASS_UID: Final = b"2.25.268613418924935186023184219430187324741"
IMPLEMENTATION_VERSION_NAME: Final = b"RAYLINE_1"

MAXIMUM_DEPTH: Final = 24
#: The largest element that has to be in memory to be rewritten.
MAXIMUM_HELD_BYTES: Final = 64 * 1024 * 1024

_MEDIA_STORAGE_SOP_CLASS_UID: Final = 0x00020002
_MEDIA_STORAGE_SOP_INSTANCE_UID: Final = 0x00020003
_PREFIX: Final = bytes(128) + b"DICM"
_LONGEST_FACT: Final = 4096
# A stretch up to this size is read with the header; of a larger one only its place is noted.
_SHORT_STRETCH: Final = 64 * 1024

S = TypeVar("S")


def rewrite(
    source: Content, rules: Rules[S], header: Header | None = None, *, whole_bytes: int = WHOLE_BYTES
) -> Content:
    """A Part 10 file after some rules, in its own transfer syntax.

    The preamble is zeroed and the file meta information written anew. Memory is that of the header, whatever the
    size; but a deflated data set is inflated.

    Args:
        source: the whole file.
        header: its header, where it was read before.
        whole_bytes: sources up to this size are read whole.

    Raises:
        RejectedEvent: the rules refuse it, or it cannot be read whole; the reason is a :class:`ReasonCode`.
    """
    if header is None:
        if source.size <= whole_bytes:
            source = InMemory(source.whole())
        header = read_header(source)
    meta = FileMeta(
        header.transfer_syntax_uid,
        header.meta.get(_MEDIA_STORAGE_SOP_CLASS_UID, b"").strip(b"\0 "),
        header.meta.get(_MEDIA_STORAGE_SOP_INSTANCE_UID, b"").strip(b"\0 "),
    )
    elements = header.elements
    facts = {tag: header.raw(tag, _LONGEST_FACT).strip(b"\0 ") for tag in rules.facts if tag in elements}
    plan = rules.begin(meta, facts)
    pieces = _Pass(header, plan, whole_bytes).run()
    if header.transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        pieces = list(_deflated(pieces))
    written = _file_meta(header.transfer_syntax_uid, plan.sop_class_uid, plan.sop_instance_uid)
    return Spliced(_joined([written, *pieces]))


def _joined(pieces: list[Piece]) -> list[Piece]:
    """The same bytes in few pieces: the short ones between two long ones become one."""
    joined: list[Piece] = []
    short: list[bytes | memoryview] = []
    for piece in pieces:
        if not isinstance(piece, Stretch) and len(piece) <= _SHORT_STRETCH:
            short.append(piece)
            continue
        if short:
            joined.append(b"".join(short))
            short = []
        joined.append(piece)
    if short:
        joined.append(b"".join(short))
    return joined


def _file_meta(syntax: str, sop_class: bytes, sop_instance: bytes) -> bytes:
    before, after = _around_the_instance(syntax, sop_class)
    instance = EXPLICIT_LITTLE.write(_MEDIA_STORAGE_SOP_INSTANCE_UID, "UI", sop_instance)
    length = (len(before) + len(instance) + len(after)).to_bytes(4, "little")
    group_length = EXPLICIT_LITTLE.write(0x00020000, "UL", length)
    return b"".join((_PREFIX, group_length, before, instance, after))


@lru_cache(maxsize=64)
def _around_the_instance(syntax: str, sop_class: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind the instance's UID, the same for all of a class in one syntax."""
    write = EXPLICIT_LITTLE.write
    before = write(0x00020001, "OB", b"\0\1") + write(_MEDIA_STORAGE_SOP_CLASS_UID, "UI", sop_class)
    after = (
        write(0x00020010, "UI", syntax.encode("ascii", "replace")),
        write(0x00020012, "UI", IMPLEMENTATION_CLASS_UID),
        write(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME),
    )
    return before, b"".join(after)


def _deflated(pieces: list[Piece]) -> Iterator[bytes]:
    """A deflated data set, of even length (PS3.5 §A.5)."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    size = 0
    for piece in pieces:
        data = piece.content.read(piece.start, piece.length) if isinstance(piece, Stretch) else piece
        deflated = compressor.compress(data)
        size += len(deflated)
        yield deflated
    deflated = compressor.flush()
    yield deflated + b"\0" * ((size + len(deflated)) & 1)


class _Level:
    """A data set or item that is being rewritten: how deep it lies, and who reserved its private blocks."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._creators: dict[int, bytes] = {}

    def treatment_of_private(self, tag: int, value: bytes, treatments: Treatments) -> Treatment:
        """What becomes of a tag of an odd group, whose value may be a creator's name (PS3.5 §7.8.1)."""
        number = tag & 0xFFFF
        # (gggg,00bb) reserves the block (gggg,bb00-bbFF).
        block = tag & 0xFFFFFF00 if number > 0xFF else tag & 0xFFFF0000 | number << 8
        if 0x10 <= number <= 0xFF:
            self._creators[block] = value.strip(b"\0 ")
        return treatments.private(tag, self._creators.get(block, b""))


class _Pass(Generic[S]):
    """One pass over the data set of one file."""

    def __init__(self, header: Header, plan: Plan[S], whole_bytes: int) -> None:
        self._header = header
        self._body = header.body
        self._encoding = header.encoding
        self._plan = plan
        self._scope = plan.scope
        self._in_memory = isinstance(header.body, InMemory) or header.body.size <= whole_bytes
        self._hold(header.body.whole() if self._in_memory else b"")

    def _hold(self, data: bytes) -> None:
        self._data, self._view = data, memoryview(data)

    def run(self) -> list[Piece]:
        """The rewritten data set, in pieces that may refer to the original."""
        out: list[Piece] = []
        header, treatments, encoding = self._header, self._plan.treatments, self._encoding
        # To be popped from the end, each before the first element of a higher tag.
        pending = sorted(self._plan.insertions, key=lambda each: each.tag, reverse=True)
        replaced = frozenset(each.tag for each in pending)
        level, of = _Level(0), treatments.of
        in_memory = self._in_memory
        run = stop = header.start  # what stays as it is
        for tag, vr, position, value, length, end in header.elements.values():
            if pending and tag > pending[-1].tag:
                self._copy(run, stop, out)
                run = position
                while pending and tag > pending[-1].tag:
                    out.append(_written(pending.pop(), encoding))
            if tag & 0x10000:
                treatment = level.treatment_of_private(tag, header.raw(tag, 64), treatments)
            else:
                treatment = REMOVE if tag in replaced else of[tag]
            if treatment is KEEP and vr != b"SQ" and (length != UNDEFINED_LENGTH or tag == PIXEL_DATA):
                if not in_memory and end - position > _SHORT_STRETCH:
                    self._copy(run, stop, out)
                    run = position
                stop = end
                continue
            self._copy(run, stop, out)
            run = stop = end
            if treatment is REMOVE:
                continue
            if treatment is EMPTY:
                out.append(encoding.write_header(tag, vr, 0))
                continue
            if in_memory:
                self._element(tag, vr, length, value, end, encoding, treatment, treatments, level, out)
            else:
                self._hold(self._held(position, end))
                value, end = value - position, end - position
                self._element(tag, vr, length, value, end, encoding, treatment, treatments, level, out)
        self._copy(run, stop, out)
        while pending:
            out.append(_written(pending.pop(), encoding))
        return out

    def _copy(self, start: int, end: int, out: list[Piece]) -> None:
        """Let a stretch of the top level stay as it is."""
        if self._in_memory:
            out.append(self._view[start:end])
        elif end - start <= _SHORT_STRETCH:
            out.append(self._header.read(start, end - start))
        else:
            out.append(Stretch(self._body, start, end - start))

    def _held(self, start: int, end: int) -> bytes:
        if end - start > MAXIMUM_HELD_BYTES:
            raise RejectedEvent(
                ReasonCode.LIMIT_EXCEEDED.value,
                f"an element that must be rewritten has more than {MAXIMUM_HELD_BYTES} bytes",
            )
        return self._header.read(start, end - start)

    def _elements(
        self,
        position: int,
        end: int,
        encoding: Encoding,
        treatments: Treatments,
        level: _Level,
        out: list[Piece],
        *,
        delimited: bool,
    ) -> int:
        """Rewrite an item's elements up to ``end`` or its delimiter; returns where the item ends."""
        data, view, of = self._data, self._view, treatments.of
        implicit, header_of, long_of = encoding.implicit, encoding.header_of, encoding.long_of
        run = position  # where the stretch that stays as it is began
        while position < end:
            if position + 8 > end:
                raise truncated()
            if implicit:
                group, number, length = header_of(data, position)
                vr, value = b"", position + 8
            else:
                group, number, vr, length = header_of(data, position)
                value = position + 8
                if vr not in SHORT_VRS and group != 0xFFFE:
                    if vr not in LONG_VRS:
                        raise malformed("an element has an unknown VR")
                    if position + 12 > end:
                        raise truncated()
                    length, value = long_of(data, position + 8)[0], position + 12
            tag = group << 16 | number
            if group == 0xFFFE:
                if not delimited or tag != ITEM_END:
                    raise malformed("an item or delimiter stands outside a sequence")
                out.append(view[run:position])
                return value
            if group & 1:
                name = data[value : value + min(length, 64)]
                treatment = level.treatment_of_private(tag, name, treatments)
            else:
                treatment = of[tag]
            if treatment is KEEP and length != UNDEFINED_LENGTH and vr != b"SQ":
                position = value + length
                if position > end:
                    raise truncated()
                continue
            out.append(view[run:position])
            run = position = self._element(
                tag, vr, length, value, end, encoding, treatment, treatments, level, out
            )
        if delimited:
            raise truncated()
        out.append(view[run:position])
        return position

    def _element(
        self,
        tag: int,
        vr: bytes,
        length: int,
        value: int,
        bound: int,
        encoding: Encoding,
        treatment: Treatment,
        treatments: Treatments,
        level: _Level,
        out: list[Piece],
    ) -> int:
        """Write what becomes of one element that does not simply stay; returns where the next one begins."""
        is_sequence = vr == b"SQ" or (length == UNDEFINED_LENGTH and vr in (b"", b"UN"))
        if treatment is KEEP and is_sequence:
            treatment = Descend()
        if isinstance(treatment, Descend) and vr in (b"SQ", b"UN", b""):
            inside = treatment.treatments or treatments
            return self._sequence(tag, vr, length, value, bound, encoding, inside, level, out)
        if length == UNDEFINED_LENGTH:
            if vr in (b"OB", b"OW"):
                position = self._fragments_end(value, bound, encoding)
            else:
                position = self._sequence(tag, vr, length, value, bound, encoding, treatments, level, [])
        else:
            position = value + length
            if position > bound:
                raise truncated()
        if treatment is EMPTY:
            out.append(encoding.write_header(tag, vr, 0))
        elif isinstance(treatment, Replace) and not is_sequence and length != UNDEFINED_LENGTH:
            known = vr_of(tag) if vr in (b"", b"UN") else vr.decode("ascii")
            element = Element(tag, known, self._data[value:position], level.depth)
            replacement = treatment.function(element, self._scope)
            if replacement is not None:
                out.append(encoding.write(tag, treatment.vr or known, replacement))
        return position

    def _fragments_end(self, position: int, bound: int, encoding: Encoding) -> int:
        """Where encapsulated data inside an item ends (PS3.5 §A.4)."""
        while True:
            tag, length, content = encoding.item(self._data, position, bound)
            if tag == SEQUENCE_END:
                return content
            if tag != ITEM or length == UNDEFINED_LENGTH:
                raise malformed("encapsulated pixel data holds something that is not a fragment")
            position = content + length
            if position > bound:
                raise truncated()

    def _sequence(
        self,
        tag: int,
        vr: bytes,
        length: int,
        value: int,
        bound: int,
        encoding: Encoding,
        treatments: Treatments,
        level: _Level,
        out: list[Piece],
    ) -> int:
        if level.depth >= MAXIMUM_DEPTH:
            raise RejectedEvent(
                ReasonCode.LIMIT_EXCEEDED.value, f"sequences are nested deeper than {MAXIMUM_DEPTH}"
            )
        delimited = length == UNDEFINED_LENGTH
        end = bound if delimited else value + length
        if end > bound:
            raise truncated()
        # PS3.5 §6.2.2: what UN hides is in implicit VR little endian, whatever surrounds it.
        inner = IMPLICIT_LITTLE if vr == b"UN" else encoding
        pieces: list[Piece] = []
        try:
            position = self._items(
                value, end, inner, treatments, level.depth + 1, pieces, delimited=delimited
            )
        except RejectedEvent as refused:
            written = vr == b"SQ" or (not vr and tag in SEQUENCE_TAGS)
            if written or delimited or refused.reason == ReasonCode.LIMIT_EXCEEDED.value:
                raise
            # Not a sequence after all, whatever the rules thought: nothing is known about it, so it goes.
            return end
        content = b"".join(pieces)  # type: ignore[arg-type]  # stretches stand at the top level only
        out.append(encoding.write_header(tag, vr, len(content)))
        out.append(content)
        return position

    def _items(
        self,
        position: int,
        end: int,
        encoding: Encoding,
        treatments: Treatments,
        depth: int,
        out: list[Piece],
        *,
        delimited: bool,
    ) -> int:
        while position < end:
            tag, length, content = encoding.item(self._data, position, end)
            if delimited and tag == SEQUENCE_END:
                return content
            if tag != ITEM:
                raise malformed("a sequence holds something that is not an item")
            item_delimited = length == UNDEFINED_LENGTH
            item_end = end if item_delimited else content + length
            if item_end > end:
                raise truncated()
            pieces: list[Piece] = []
            position = self._elements(
                content, item_end, encoding, treatments, _Level(depth), pieces, delimited=item_delimited
            )
            body = b"".join(pieces)  # type: ignore[arg-type]
            out.append(encoding.write_item(body))
        if delimited:
            raise truncated()
        return position


@lru_cache(maxsize=1024)
def _written(insertion: Insertion, encoding: Encoding) -> bytes:
    """An insertion as it is written; most are the same in many files."""
    value = insertion.value
    if not isinstance(value, bytes):
        value = b"".join(
            encoding.write_item(b"".join(_written(each, encoding) for each in item)) for item in value
        )
    return encoding.write(insertion.tag, insertion.vr, value)
