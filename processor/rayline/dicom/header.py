"""The header of a Part 10 file: where its elements lie, found without decoding them or reading pixel data."""

import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, overload

from rayline.dicom.character_sets import decode
from rayline.dicom.content import WHOLE_BYTES, Content, InMemory, Spliced
from rayline.dicom.dictionary import SEQUENCE_TAGS, vr_of
from rayline.dicom.encoding import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_VRS,
    SHORT_VRS,
    UNDEFINED_LENGTH,
    Encoding,
    encoding_of,
    malformed,
    truncated,
)
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.structure import DEFAULT_LIMITS, Element, Limits, walk
from rayline.dicom.windows import WINDOW_BYTES, Windows
from rayline.errors import RejectedEvent

SPECIFIC_CHARACTER_SET: Final = 0x00080005
TRANSFER_SYNTAX_UID: Final = 0x00020010

_LONGEST_META: Final = 1024 * 1024
_LONGEST_TEXT: Final = 64 * 1024
_INFLATED_CHUNK: Final = 1024 * 1024
_DELIMITER_BYTES: Final = 8
# PS3.5 §6.1.2.5: what begins code extensions, which may be of 7 bits.
_ESCAPE: Final = b"\x1b"
# PS3.5 table 6.2-1: VRs whose values are text, padded with a space or NULL.
_PADDED_VRS: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)

# PS3.5 table 6.2-1.
_NUMBERS: Final = {"FD": "d", "FL": "f", "SL": "l", "SS": "h", "SV": "q", "UL": "L", "US": "H", "UV": "Q"}
_NUMBER_TEXTS: Final[dict[str, tuple[re.Pattern[str], Callable[[str], int | float]]]] = {
    "IS": (re.compile(r"[+-]?[0-9]{1,11}"), int),
    "DS": (re.compile(r"[+-]?([0-9]{1,64}(\.[0-9]{0,64})?|\.[0-9]{1,64})([Ee][+-]?[0-9]{1,4})?"), float),
}


class Attributes:
    """The elements of a data set or item, found but not decoded.

    Attributes:
        body: what the positions refer to: the file, or the inflated data set.
        elements: by tag, in the order of the bytes.
        encoding: how they are written.
        character_sets: defined terms of Specific Character Set, its own or of what surrounds it (PS3.5 §7.5.3).
    """

    def __init__(
        self,
        windows: Windows,
        elements: Mapping[int, Element],
        encoding: Encoding,
        limits: Limits,
        character_sets: tuple[str, ...] = (),
    ) -> None:
        self.body = windows.content
        self.elements = elements
        self.encoding = encoding
        self._windows = windows
        self._limits = limits
        self.character_sets = character_sets
        if SPECIFIC_CHARACTER_SET in elements:
            self.character_sets = tuple(self.texts(SPECIFIC_CHARACTER_SET))

    @property
    def implicit(self) -> bool:
        """Whether the elements have no VR."""
        return self.encoding.implicit

    @property
    def big_endian(self) -> bool:
        """Whether numbers begin with their highest byte."""
        return self.encoding.big_endian

    def __contains__(self, tag: int) -> bool:
        return tag in self.elements

    def raw(self, tag: int, most: int | None = None) -> bytes:
        """The value's bytes as they are, delimiters included, or the first ``most`` of them; empty where absent."""
        element = self.elements.get(tag)
        if element is None:
            return b""
        length = element.end - element.value
        return self._windows.read(element.value, length if most is None else min(most, length))

    def read(self, start: int, length: int) -> bytes:
        """Bytes of ``body``, from a window where one holds them."""
        return self._windows.read(start, length)

    def has_value(self, tag: int) -> bool:
        """Whether the element is there and is not empty: a sequence with an item, a value that is not all padding."""
        element = self.elements.get(tag)
        if element is None or element.end == element.value:
            return False
        if element.length == UNDEFINED_LENGTH:
            return element.end - element.value > _DELIMITER_BYTES
        return self.vr(tag) not in _PADDED_VRS or self.text(tag) != ""

    def text(self, tag: int) -> str:
        """The value as text without padding, of which the first 64 KB count; empty where absent."""
        raw = self.raw(tag, _LONGEST_TEXT).strip(b"\0 ")
        plain = raw.isascii() and _ESCAPE not in raw
        return raw.decode("ascii") if plain else decode(raw, self.character_sets)

    def texts(self, tag: int) -> list[str]:
        """The values of a multi-valued text without padding (PS3.5 §6.4); none where absent or empty."""
        text = self.text(tag)
        return [value.strip("\0 ") for value in text.split("\\")] if text else []

    def vr(self, tag: int) -> str:
        """The VR, that of PS3.6 where the encoding does not tell; ``UN`` where nobody knows it."""
        element = self.elements.get(tag)
        encoded = b"" if element is None else element.vr
        return vr_of(tag) if encoded in (b"", b"UN") else encoded.decode("ascii")

    def numbers(self, tag: int) -> list[int | float] | None:
        """The values in the first 64 KB of a numeric element or number text; None where one is no number of its VR."""
        if not self.has_value(tag):
            return []
        vr = self.vr(tag)
        if vr in _NUMBER_TEXTS:
            pattern, convert = _NUMBER_TEXTS[vr]
            texts = self.texts(tag)
            return [convert(text) for text in texts] if all(map(pattern.fullmatch, texts)) else None
        code = _NUMBERS.get(vr)
        raw = self.raw(tag, _LONGEST_TEXT)
        if code is None or len(raw) % struct.calcsize("=" + code):
            return None
        # PS3.5 §6.2.2: what UN hides is in little endian.
        order = ">" if self.big_endian and self.elements[tag].vr != b"UN" else "<"
        return [number for (number,) in struct.iter_unpack(order + code, raw)]

    def integer(self, tag: int) -> int | None:
        """The value of an element that has exactly one, an integer; else None."""
        numbers = self.numbers(tag)
        return numbers[0] if numbers and len(numbers) == 1 and isinstance(numbers[0], int) else None

    def items(self, tag: int) -> "Items":
        """The items of a sequence, of one that UN hides too; none where it is absent or no sequence.

        Raises:
            RejectedEvent: what UN hides is no sequence.
        """
        element = self.elements.get(tag)
        undefined = element is not None and element.length == UNDEFINED_LENGTH
        if (
            element is None
            or element.vr not in (b"SQ", b"UN", b"")
            or not (element.vr == b"SQ" or undefined or tag in SEQUENCE_TAGS)
        ):
            return Items(self._windows, (), self.encoding, self._limits, ())
        # PS3.5 §6.2.2: what UN hides is in implicit VR little endian.
        encoding = IMPLICIT_LITTLE if element.vr == b"UN" else self.encoding
        end = element.end - _DELIMITER_BYTES if undefined else element.end
        found = walk(self._windows, element.value, end, encoding, self._limits, items=True)
        return Items(self._windows, found.stretches, encoding, self._limits, self.character_sets)


class Items(Sequence[Attributes]):
    """The items of a sequence, each read when it is asked for."""

    def __init__(
        self,
        windows: Windows,
        stretches: Sequence[tuple[int, int]],
        encoding: Encoding,
        limits: Limits,
        character_sets: tuple[str, ...],
    ) -> None:
        self._windows = windows
        self._stretches = stretches
        self._encoding = encoding
        self._limits = limits
        self._character_sets = character_sets

    def __len__(self) -> int:
        return len(self._stretches)

    @overload
    def __getitem__(self, index: int) -> Attributes: ...
    @overload
    def __getitem__(self, index: slice) -> list[Attributes]: ...
    def __getitem__(self, index: int | slice) -> Attributes | list[Attributes]:
        if isinstance(index, slice):
            return [self._item(*stretch) for stretch in self._stretches[index]]
        return self._item(*self._stretches[index])

    def _item(self, start: int, end: int) -> Attributes:
        elements = walk(self._windows, start, end, self._encoding, self._limits).elements
        return Attributes(self._windows, elements, self._encoding, self._limits, self._character_sets)


class Header(Attributes):
    """What a Part 10 file says about itself; :func:`read_header` reads it.

    Attributes:
        transfer_syntax_uid: from the file meta information.
        meta: values of the file meta information (PS3.10 §7.1), as they are, by tag.
        meta_end: where it ends in the file.
        count: data elements, items and fragments at every depth.
        start: where the data set begins in ``body``.
        end: where it ends in ``body``; only zero bytes may follow.
        fragments: start and length of each fragment of the pixel data, the basic offset table first
            (PS3.5 §A.4); none where the pixel data is native.
    """

    def __init__(
        self,
        windows: Windows,
        start: int,
        encoding: Encoding,
        meta: Mapping[int, bytes],
        meta_end: int,
        limits: Limits,
    ) -> None:
        found = walk(windows, start, windows.content.size, encoding, limits, whole=True)
        super().__init__(windows, found.elements, encoding, limits)
        self.meta = meta
        self.meta_end = meta_end
        self.transfer_syntax_uid = self.meta_text(TRANSFER_SYNTAX_UID)
        self.count = found.counted
        self.start = start
        self.end = found.end
        self.fragments: Sequence[tuple[int, int]] = found.stretches

    def meta_text(self, tag: int) -> str:
        """A value of the file meta information as text without padding; empty where absent."""
        return _meta_text(self.meta, tag)


def read_header(
    source: Content, limits: Limits = DEFAULT_LIMITS, *, window_bytes: int = WINDOW_BYTES
) -> Header:
    """Walk a Part 10 file (PS3.10 §7) from its beginning to its end.

    Args:
        source: the whole file.
        limits: what is read at most.
        window_bytes: how much is read at a time where the source is not in memory.

    Raises:
        RejectedEvent: it cannot be read safely and whole; the reason is a :class:`ReasonCode`.
    """
    if not source.size:
        raise RejectedEvent(ReasonCode.EMPTY_OBJECT.value, "the object has no bytes")
    if source.size > limits.object_bytes:
        raise _too_large(f"the object has more than {limits.object_bytes} bytes")
    windows = Windows(source, window_bytes)
    meta, meta_end = _read_meta(windows)
    transfer_syntax = _meta_text(meta, TRANSFER_SYNTAX_UID)
    if not transfer_syntax:
        raise RejectedEvent(
            ReasonCode.MISSING_ATTRIBUTE.value, "the file meta information has no transfer syntax UID"
        )
    start = meta_end
    if transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        windows, start = Windows(_inflated(source, start, limits.inflated_bytes), window_bytes), 0
    return Header(windows, start, encoding_of(transfer_syntax), meta, meta_end, limits)


def _too_large(explanation: str) -> RejectedEvent:
    return RejectedEvent(ReasonCode.LIMIT_EXCEEDED.value, explanation)


def _meta_text(meta: Mapping[int, bytes], tag: int) -> str:
    return meta.get(tag, b"").strip(b"\0 ").decode("ascii", "replace")


def _read_meta(windows: Windows) -> tuple[dict[int, bytes], int]:
    """Values of group 0002 by tag, which is always in explicit VR little endian, and where the data set begins."""
    if windows.read(128, 4) != b"DICM":
        raise RejectedEvent(ReasonCode.NOT_DICOM.value, "the prefix DICM is not at byte 128")
    position, size = 132, windows.content.size
    values: dict[int, bytes] = {}
    while position + 8 <= size:
        window, base = windows.window(position)
        group, number, vr, length = EXPLICIT_LITTLE.header_of(window, position - base)
        if group != 2:
            break
        value = position + 8
        if vr in LONG_VRS:
            value = position + 12
            if value > size:
                raise truncated()
            (length,) = EXPLICIT_LITTLE.long_of(window, position - base + 8)
        elif vr not in SHORT_VRS:
            raise malformed("the file meta information is not in explicit VR")
        position = value + length
        if position > size:
            raise truncated()
        if position > _LONGEST_META:
            raise _too_large(f"the file meta information has more than {_LONGEST_META} bytes")
        values[group << 16 | number] = windows.read(value, length)
    return values, position


def _inflated(source: Content, start: int, limit: int) -> Content:
    """The inflated data set (PS3.5 §A.5), in chunks, so that memory holds it once."""
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    chunks: list[bytes] = []
    size, pending = 0, b""
    while not decompressor.eof:
        deflated = pending or source.read(start, _INFLATED_CHUNK)
        if not pending:
            start += len(deflated)
        try:
            chunk = decompressor.decompress(deflated, _INFLATED_CHUNK)
        except zlib.error:
            raise malformed("the deflated data set cannot be inflated") from None
        if not chunk and not deflated:
            raise RejectedEvent(ReasonCode.TRUNCATED.value, "the deflated data set is cut short")
        pending = decompressor.unconsumed_tail
        size += len(chunk)
        if size > limit:
            raise _too_large(f"the data set inflates to more than {limit} bytes")
        chunks.append(chunk)
    return InMemory(b"".join(chunks)) if size <= WHOLE_BYTES else Spliced(chunks)
