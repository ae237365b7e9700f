"""Rewrite a Part 10 file in one pass over its raw elements.

Rules say by tag what becomes of an element. What stays is copied as it is, undecoded; of a large object only the
header is read, and pixel data becomes a stretch of the original. Sequences that are looked into are written with
defined lengths.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from rayline.dicom.content import WHOLE_BYTES, Content, InMemory, Piece, Spliced, Stretch
from rayline.dicom.dictionary import vr_of
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
    encoding_of,
    malformed,
    truncated,
)
from rayline.dicom.reasons import ReasonCode
from rayline.errors import RejectedEvent

#: PS3.10 §7.1: who wrote the file.
IMPLEMENTATION_CLASS_UID: Final = b"2.25.268613418924935186023184219430187324741"
IMPLEMENTATION_VERSION_NAME: Final = b"RAYLINE_1"

MAXIMUM_DEPTH: Final = 24
MAXIMUM_ELEMENTS: Final = 500_000
#: The largest element that has to be in memory to be rewritten, and the largest inflated data set.
MAXIMUM_HELD_BYTES: Final = 64 * 1024 * 1024
WINDOW_BYTES: Final = 1024 * 1024

_PIXEL_DATA: Final = 0x7FE00010
_LONGEST_FACT: Final = 4096
_SMALLEST_WINDOW: Final = 64

S = TypeVar("S")


class Treatment:
    """What becomes of an element."""


class _Named(Treatment):
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: It stays as it is; a sequence stays, and the same rules hold in its items.
KEEP: Final = _Named("KEEP")
#: It goes.
REMOVE: Final = _Named("REMOVE")
#: It stays with zero length.
EMPTY: Final = _Named("EMPTY")


class Element(NamedTuple):
    """An element whose value is to be replaced.

    Attributes:
        vr: as it is written, or that of PS3.6 where it is not, or is UN.
        value: the raw bytes, padding included.
        depth: how many sequences it lies in.
    """

    tag: int
    vr: str
    value: bytes
    depth: int


@dataclass(frozen=True)
class Replace(Treatment, Generic[S]):
    """Its value becomes what a function says, given the element and the file's scope; None removes it.

    A sequence under such a tag has no value to replace, and is removed.

    Attributes:
        vr: the VR to write, that of the element where it is None.
    """

    function: Callable[[Element, S], bytes | None]
    vr: str | None = None


class Treatments(NamedTuple):
    """The rules of one level.

    Attributes:
        of: treatment by tag, for every tag of an even group.
        private: treatment of a tag of an odd group, given its private creator (PS3.5 §7.8.1), stripped; asked
            for the creator's own element too.
    """

    of: Mapping[int, Treatment]
    private: Callable[[int, bytes], Treatment]


@dataclass(frozen=True)
class Descend(Treatment):
    """A sequence stays; in its items these rules hold, or those of its own level where there are none.

    What is no sequence under such a tag goes.
    """

    treatments: Treatments | None = None


@dataclass(frozen=True)
class Insertion:
    """An element to be written at the top level, in place of what stands there.

    Attributes:
        value: raw bytes, or the items of a sequence.
    """

    tag: int
    vr: str
    value: "bytes | tuple[tuple[Insertion, ...], ...]"


@dataclass(frozen=True)
class FileMeta:
    """What is read of the file meta information (PS3.10 §7.1), stripped of padding."""

    transfer_syntax_uid: str
    sop_class_uid: bytes
    sop_instance_uid: bytes


@dataclass(frozen=True)
class Plan(Generic[S]):
    """What is to be done with one file.

    Attributes:
        scope: handed to every :class:`Replace` function.
        sop_class_uid: for the new file meta information.
        sop_instance_uid: likewise.
        insertions: in any order.
    """

    treatments: Treatments
    scope: S
    sop_class_uid: bytes
    sop_instance_uid: bytes
    insertions: tuple[Insertion, ...] = ()


class Rules(Protocol[S]):
    """Decides what is done with each file.

    Attributes:
        facts: tags of the top level whose values :meth:`begin` wants to know.
    """

    @property
    def facts(self) -> frozenset[int]:
        """Tags of the top level whose values :meth:`begin` wants to know."""

    def begin(self, meta: FileMeta, facts: Mapping[int, bytes]) -> Plan[S]:
        """Plan the rewriting of a file, given the values of ``facts`` as far as they are there, stripped.

        Raises:
            RejectedEvent: the file is refused.
        """


def rewrite(
    source: Content, rules: Rules[S], *, whole_bytes: int = WHOLE_BYTES, window_bytes: int = WINDOW_BYTES
) -> Content:
    """A Part 10 file after some rules, in its own transfer syntax.

    The preamble is zeroed and the file meta information written anew. Memory is that of the header, whatever the
    size; but a deflated data set is inflated, up to 64 MiB.

    Args:
        whole_bytes: sources up to this size are read whole.
        window_bytes: how much of a larger one is read at a time.

    Raises:
        RejectedEvent: the rules refuse it, or it cannot be read whole (``NOT_DICOM``, ``TRUNCATED``,
            ``MALFORMED``, ``LIMIT_EXCEEDED``).
    """
    if source.size <= whole_bytes:
        source = InMemory(source.whole())
    meta, start = read_file_meta(source)
    syntax = meta.transfer_syntax_uid
    deflated = syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
    body = source
    if deflated:
        body, start = InMemory(_inflate(source, start)), 0
    window_bytes = body.size if body.size <= whole_bytes else max(window_bytes, _SMALLEST_WINDOW)
    encoding = encoding_of(syntax)
    plan = rules.begin(meta, _facts(body, start, encoding, rules.facts, window_bytes))
    pieces = _Pass(body, encoding, plan, window_bytes).run(start)
    if deflated:
        pieces = list(_deflate(pieces))
    return Spliced([_write_file_meta(syntax, plan.sop_class_uid, plan.sop_instance_uid), *pieces])


# -- file meta information -------------------------------------------------------------------------------------


_LONGEST_FILE_META: Final = 1024 * 1024


def read_file_meta(source: Content) -> tuple[FileMeta, int]:
    """Read the file meta information (PS3.10 §7.1), and where the data set begins.

    Raises:
        RejectedEvent: ``EMPTY_OBJECT``, ``NOT_DICOM``, ``TRUNCATED``, ``MISSING_ATTRIBUTE`` or ``MALFORMED``.
    """
    if not source.size:
        raise RejectedEvent(ReasonCode.EMPTY_OBJECT.value, "the object has no bytes")
    data = source.read(0, _LONGEST_FILE_META)
    if data[128:132] != b"DICM":
        raise RejectedEvent(ReasonCode.NOT_DICOM.value, "the prefix DICM is not at byte 128")
    position, end = 132, len(data)
    values: dict[int, bytes] = {}
    while position + 8 <= end and data[position : position + 2] == b"\x02\x00":
        tag, _, length, value = EXPLICIT_LITTLE.header(data, position, end)
        position = value + length
        if position > end:
            raise truncated()
        values[tag] = data[value : min(position, value + _LONGEST_FACT)].strip(b"\0 ")
    syntax = values.get(0x00020010, b"")
    if not syntax:
        raise RejectedEvent(
            ReasonCode.MISSING_ATTRIBUTE.value, "the file meta information has no transfer syntax UID"
        )
    found = FileMeta(
        syntax.decode("ascii", "replace"), values.get(0x00020002, b""), values.get(0x00020003, b"")
    )
    return found, position


def _write_file_meta(syntax: str, sop_class: bytes, sop_instance: bytes) -> bytes:
    write = EXPLICIT_LITTLE.write
    elements = b"".join(
        (
            write(0x00020001, "OB", b"\0\1"),
            write(0x00020002, "UI", sop_class),
            write(0x00020003, "UI", sop_instance),
            write(0x00020010, "UI", syntax.encode("ascii", "replace")),
            write(0x00020012, "UI", IMPLEMENTATION_CLASS_UID),
            write(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME),
        )
    )
    return bytes(128) + b"DICM" + write(0x00020000, "UL", len(elements).to_bytes(4, "little")) + elements


# -- deflated data sets ----------------------------------------------------------------------------------------


def _inflate(source: Content, start: int) -> bytes:
    """The data set of a deflated file (PS3.5 §A.5)."""
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    parts, size = [], 0
    while start < source.size and not decompressor.eof:
        deflated = source.read(start, WINDOW_BYTES)
        start += len(deflated)
        try:
            parts.append(decompressor.decompress(deflated, MAXIMUM_HELD_BYTES + 1 - size))
        except zlib.error:
            raise malformed("the deflated data set cannot be inflated") from None
        size += len(parts[-1])
        if size > MAXIMUM_HELD_BYTES:
            raise RejectedEvent(
                ReasonCode.LIMIT_EXCEEDED.value,
                f"the data set inflates to more than {MAXIMUM_HELD_BYTES} bytes",
            )
    if not decompressor.eof:
        raise truncated()
    return b"".join(parts)


def _deflate(pieces: list[Piece]) -> Iterator[bytes]:
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    size = 0
    for piece in pieces:
        data = piece.content.read(piece.start, piece.length) if isinstance(piece, Stretch) else piece
        deflated = compressor.compress(data)
        size += len(deflated)
        yield deflated
    deflated = compressor.flush()
    yield deflated + b"\0" * ((size + len(deflated)) & 1)


# -- the data set ----------------------------------------------------------------------------------------------


def _facts(
    body: Content, start: int, encoding: Encoding, wanted: frozenset[int], window_bytes: int
) -> dict[int, bytes]:
    """Values of the top level that are needed before their element is reached."""
    if not wanted:
        return {}
    last = max(wanted)
    while True:
        # What fits is looked at where it is; of the rest, a window from the data set's beginning.
        fits = body.size <= window_bytes
        data = body.whole() if fits else body.read(start, window_bytes)
        try:
            return _facts_of(data, start if fits else 0, encoding, wanted, last)
        except RejectedEvent as refused:
            if fits or start + len(data) >= body.size or refused.reason != ReasonCode.TRUNCATED.value:
                raise
        window_bytes = _larger(window_bytes)


def _larger(window_bytes: int) -> int:
    if window_bytes >= MAXIMUM_HELD_BYTES:
        raise RejectedEvent(
            ReasonCode.LIMIT_EXCEEDED.value,
            f"an element that must be rewritten has more than {MAXIMUM_HELD_BYTES} bytes",
        )
    return min(window_bytes * 4, MAXIMUM_HELD_BYTES)


def _facts_of(
    data: bytes, position: int, encoding: Encoding, wanted: frozenset[int], last: int
) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    end, header = len(data), encoding.header
    skipping = _Skipping(data)
    count = 0
    while position < end and (data[position] or not _only_padding(data, position, end)):
        tag, vr, length, value = header(data, position, end)
        if tag > last:
            break
        count += 1
        if count > MAXIMUM_ELEMENTS:
            raise _too_many()
        if length == UNDEFINED_LENGTH:
            position = skipping.undefined(vr, value, end, encoding, 0)
            continue
        position = value + length
        if position > end:
            raise truncated()
        if tag in wanted:
            found[tag] = data[value : min(position, value + _LONGEST_FACT)].strip(b"\0 ")
    return found


def _too_many() -> RejectedEvent:
    return RejectedEvent(
        ReasonCode.LIMIT_EXCEEDED.value, f"the object has more than {MAXIMUM_ELEMENTS} elements"
    )


def _too_deep() -> RejectedEvent:
    return RejectedEvent(ReasonCode.LIMIT_EXCEEDED.value, f"sequences are nested deeper than {MAXIMUM_DEPTH}")


def _only_padding(data: bytes, position: int, end: int) -> bool:
    """Whether only zero bytes follow: some writers fill the last block."""
    return not data[position : position + 8].strip(b"\0") and not data[position:end].strip(b"\0")


class _Skipping:
    """Finds where values of undefined length end, without making anything of them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._count = 0

    def undefined(self, vr: bytes, value: int, bound: int, encoding: Encoding, depth: int) -> int:
        """Where the element after one of undefined length begins."""
        if vr in (b"OB", b"OW"):
            return self._fragments(value, bound, encoding)
        # PS3.5 §6.2.2: what UN hides is in implicit VR little endian, whatever surrounds it.
        return self._items(value, bound, IMPLICIT_LITTLE if vr == b"UN" else encoding, depth + 1)

    def _fragments(self, position: int, bound: int, encoding: Encoding) -> int:
        while True:
            tag, length, content = encoding.item(self._data, position, bound)
            if tag == SEQUENCE_END:
                return content
            if tag != ITEM or length == UNDEFINED_LENGTH:
                raise malformed("encapsulated pixel data holds something that is not a fragment")
            self._one_more()
            position = content + length
            if position > bound:
                raise truncated()

    def _items(self, position: int, bound: int, encoding: Encoding, depth: int) -> int:
        if depth > MAXIMUM_DEPTH:
            raise _too_deep()
        while True:
            tag, length, content = encoding.item(self._data, position, bound)
            if tag == SEQUENCE_END:
                return content
            if tag != ITEM:
                raise malformed("a sequence holds something that is not an item")
            self._one_more()
            position = (
                self._elements(content, bound, encoding, depth)
                if length == UNDEFINED_LENGTH
                else content + length
            )
            if position > bound:
                raise truncated()

    def _elements(self, position: int, bound: int, encoding: Encoding, depth: int) -> int:
        while True:
            tag, vr, length, value = encoding.header(self._data, position, bound)
            if tag == ITEM_END:
                return value
            self._one_more()
            position = (
                self.undefined(vr, value, bound, encoding, depth)
                if length == UNDEFINED_LENGTH
                else value + length
            )
            if position > bound:
                raise truncated()

    def _one_more(self) -> None:
        self._count += 1
        if self._count > MAXIMUM_ELEMENTS:
            raise _too_many()


@dataclass
class _Level:
    """A data set or item that is being rewritten."""

    depth: int
    creators: dict[int, bytes] = field(default_factory=dict)


class _Pass(Generic[S]):
    """One pass over the data set of one file."""

    def __init__(self, body: Content, encoding: Encoding, plan: Plan[S], window_bytes: int) -> None:
        self._body = body
        self._encoding = encoding
        self._plan = plan
        self._scope = plan.scope
        self._window_bytes = window_bytes
        ordered = sorted(
            plan.insertions, key=lambda each: each.tag, reverse=True
        )  # to be popped from the end
        self._pending = [(each.tag, _written(each, encoding)) for each in ordered]
        self._replaced = frozenset(each.tag for each in ordered)
        self._data = b""
        self._view = memoryview(b"")
        self._unfinished = 0
        self._final = True
        self._count = 0

    def run(self, start: int) -> list[Piece]:
        """The rewritten data set, in pieces that may refer to the original."""
        out: list[Piece] = []
        body, level = self._body, _Level(0)
        if body.size <= self._window_bytes:
            self._hold(body.whole(), final=True)
            self._elements(
                start, body.size, self._encoding, self._plan.treatments, level, out, delimited=False
            )
        else:
            self._windows(start, level, out)
        while self._pending:
            out.append(self._pending.pop()[1])
        return out

    def _hold(self, data: bytes, *, final: bool) -> None:
        self._data, self._view, self._final = data, memoryview(data), final

    def _windows(self, start: int, level: _Level, out: list[Piece]) -> None:
        """Go through a large body window by window; elements of the top level that reach beyond are stepped over."""
        body, size = self._body, self._body.size
        window_bytes = self._window_bytes
        while start < size:
            data = body.read(start, window_bytes)
            self._hold(data, final=start + len(data) >= size)
            try:
                stop = self._elements(
                    0, len(data), self._encoding, self._plan.treatments, level, out, delimited=False
                )
            except RejectedEvent as refused:
                if self._final or refused.reason != ReasonCode.TRUNCATED.value:
                    raise
                stop = self._unfinished
            if self._final or self._ends_in_padding(start, stop):
                return
            start += stop
            stepped_over = self._step_over(start, level, out)
            if stepped_over is not None:
                start, window_bytes = stepped_over, self._window_bytes
            elif stop == 0:
                window_bytes = _larger(window_bytes)

    def _ends_in_padding(self, start: int, stop: int) -> bool:
        """Whether nothing but zero bytes follows the place where reading a window stopped."""
        if len(self._data) - stop < 8 or self._data[stop:].strip(b"\0"):
            return False
        position = start + len(self._data)
        while position < self._body.size:
            data = self._body.read(position, WINDOW_BYTES)
            if data.strip(b"\0"):
                raise malformed("an element has no tag")
            position += len(data)
        return True

    def _step_over(self, start: int, level: _Level, out: list[Piece]) -> int | None:
        """Deal with a large element unread; returns its end, or None where it has to be read."""
        head = self._body.read(start, 12)
        if not head.strip(b"\0"):
            return None  # the next window shows whether it is padding
        tag, vr, length, value = self._encoding.header(head, 0, len(head))
        self._insert_before(tag, out)
        treatment = self._treatment_of(tag, self._plan.treatments, level)
        if length == UNDEFINED_LENGTH:
            if tag != _PIXEL_DATA or vr not in (b"OB", b"OW"):
                return None
            end = self._fragments_end(start + value)
        else:
            end = start + value + length
        if end > self._body.size:
            raise truncated()
        if end - start <= self._window_bytes // 2 or vr == b"SQ":
            return None
        if treatment is KEEP:
            out.append(Stretch(self._body, start, end - start))
        elif treatment is EMPTY:
            out.append(self._encoding.write_header(tag, vr, 0))
        elif treatment is not REMOVE:
            return None
        return end

    def _fragments_end(self, position: int) -> int:
        """Where encapsulated pixel data ends (PS3.5 §A.4), found by its fragments' headers alone."""
        while True:
            head = self._body.read(position, 8)
            tag, length, _ = self._encoding.item(head, 0, len(head))
            position += 8
            if tag == SEQUENCE_END:
                return position
            if tag != ITEM or length == UNDEFINED_LENGTH:
                raise malformed("encapsulated pixel data holds something that is not a fragment")
            self._counted(1)
            position += length
            if position > self._body.size:
                raise truncated()

    def _insert_before(self, tag: int, out: list[Piece]) -> None:
        while self._pending and tag > self._pending[-1][0]:
            out.append(self._pending.pop()[1])

    def _counted(self, elements: int) -> None:
        self._count += elements
        if self._count > MAXIMUM_ELEMENTS:
            raise _too_many()

    def _treatment_of(self, tag: int, treatments: Treatments, level: _Level) -> Treatment:
        if level.depth == 0 and tag in self._replaced:
            return REMOVE
        if not tag & 0x10000:
            return treatments.of[tag]
        # PS3.5 §7.8.1: (gggg,00bb) reserves the block (gggg,bb00-bbFF).
        block = tag & 0xFFFFFF00 if tag & 0xFF00 else tag & 0xFFFF0000 | (tag & 0xFF) << 8
        return treatments.private(tag, level.creators.get(block, b""))

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
        """Rewrite elements up to ``end`` or the item's delimiter; returns where reading stopped.

        At the top level of a window it stops before an element that reaches beyond.
        """
        data, view, of = self._data, self._view, treatments.of
        implicit, header_of, long_of = encoding.implicit, encoding.header_of, encoding.long_of
        top = level.depth == 0
        pending, replaced = self._pending if top else [], self._replaced
        run = position  # where the stretch that stays as it is began
        count, most = 0, MAXIMUM_ELEMENTS - self._count
        while position < end:
            begin = position
            if position + 8 > end:
                if top and not data[position:end].strip(b"\0"):
                    break
                if top and not self._final:
                    out.append(view[run:begin])
                    return begin
                raise truncated()
            if implicit:
                group, number, length = header_of(data, position)
                vr, value = b"", position + 8
            else:
                group, number, vr, length = header_of(data, position)
                value = position + 8
                if vr not in SHORT_VRS:
                    if vr in LONG_VRS:
                        if position + 12 > end:
                            if top and not self._final:
                                out.append(view[run:begin])
                                return begin
                            raise truncated()
                        length, value = long_of(data, position + 8)[0], position + 12
                    elif group == 0xFFFE:
                        vr, length = b"", long_of(data, position + 4)[0]
                    elif top and _only_padding(data, begin, end):
                        break
                    else:
                        raise malformed("an element has an unknown VR")
            if top and not group and _only_padding(data, begin, end):
                break
            count += 1
            if count > most:
                raise _too_many()
            tag = group << 16 | number
            if group == 0xFFFE:
                if not delimited or tag != ITEM_END:
                    raise malformed("an item or delimiter stands outside a sequence")
                out.append(view[run:begin])
                self._counted(count)
                return value
            if pending and tag > pending[-1][0]:
                out.append(view[run:begin])
                run = begin
                self._insert_before(tag, out)
            if group & 1:
                if 0x10 <= number <= 0xFF and length <= 64:
                    level.creators[group << 16 | number << 8] = data[value : value + length].strip(b"\0 ")
                treatment = self._treatment_of(tag, treatments, level)
            else:
                treatment = REMOVE if top and tag in replaced else of[tag]
            if treatment is KEEP and length != UNDEFINED_LENGTH and vr != b"SQ":
                position = value + length
                if position > end:
                    if top and not self._final:
                        out.append(view[run:begin])
                        return begin
                    raise truncated()
                continue
            out.append(view[run:begin])
            if top:
                self._unfinished = begin
            position = self._element(tag, vr, length, value, end, encoding, treatment, treatments, level, out)
            run = position
        if delimited:
            raise truncated()
        self._counted(count)
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
            position = _Skipping(self._data).undefined(vr, value, bound, encoding, level.depth)
            if treatment is KEEP and tag == _PIXEL_DATA and level.depth == 0:
                out.append(encoding.write_header(tag, vr, UNDEFINED_LENGTH))
                out.append(self._view[value:position])
            elif treatment is EMPTY:
                out.append(encoding.write_header(tag, vr, 0))
            return position
        position = value + length
        if position > bound:
            raise truncated()
        if treatment is EMPTY:
            out.append(encoding.write_header(tag, vr, 0))
        elif isinstance(treatment, Replace) and not is_sequence:
            known = vr_of(tag) if vr in (b"", b"UN") else vr.decode("ascii")
            element = Element(tag, known, self._data[value:position], level.depth)
            replacement = treatment.function(element, self._scope)
            if replacement is not None:
                out.append(encoding.write(tag, treatment.vr or known, replacement))
        return position

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
            raise _too_deep()
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
            if delimited or refused.reason == ReasonCode.LIMIT_EXCEEDED.value:
                raise
            if vr != b"UN":
                # It is here whole, so a larger window would not mend it.
                raise malformed("a sequence's items do not fill it") from None
            # Not a sequence after all, so nothing is known about it: it goes.
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
            self._counted(1)
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


def _written(insertion: Insertion, encoding: Encoding) -> bytes:
    value = insertion.value
    if not isinstance(value, bytes):
        value = b"".join(
            encoding.write_item(b"".join(_written(each, encoding) for each in item)) for item in value
        )
    return encoding.write(insertion.tag, insertion.vr, value)
