"""Blank boxes in lossy JPEG frames without decoding them: baseline and extended sequential, 8 and 12 bits (T.81).

Huffman codes are read to find where the blocks of 8 × 8 coefficients lie. Blocks outside keep their bits; those of
each minimum coded unit that a box touches become a single black level. A block's first coefficient is coded as
the difference to the one before, so that code alone is written anew.
"""

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from rayline_deid.pixels.attributes import not_cleanable
from rayline_deid.pixels.boxes import Box
from rayline_deid.pixels.image import ImageFormat, Pixels
from rayline_deid.pixels.jpeg_markers import (
    APP14,
    EOI,
    SOI,
    SOS,
    FrameHeader,
    Segment,
    broken,
    frame_header,
    is_interpretation,
    segment,
    segments,
    without_thumbnail,
)

_SEQUENTIAL: Final = (0xC0, 0xC1)
_DHT: Final = 0xC4
_DQT: Final = 0xDB
_DRI: Final = 0xDD
_APP: Final = range(0xE0, 0xF0)
_COM: Final = 0xFE

_BLOCK: Final = 8
_END_OF_BLOCK: Final = 0x00
_MOST_CATEGORIES: Final = {8: 11, 12: 15}
_LONGEST_CODE: Final = 16

_END_OF_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7]", re.DOTALL)
_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")

# In a lookup table: bits to skip above this many, coefficients to advance below; no code advances past all.
_SHIFT: Final = 20
_ADVANCE: Final = (1 << _SHIFT) - 1
_ENDED: Final = 1 << 10
_NO_CODE: Final = 1 << 16


class _Huffman(NamedTuple):
    """A Huffman table (T.81 §B.2.4.2): how many codes have 1 … 16 bits, and their symbols in order."""

    counts: tuple[int, ...]
    symbols: bytes

    def codes(self) -> Iterator[tuple[int, int, int]]:
        """Symbol, code and its length (T.81 annex C)."""
        code, index = 0, 0
        for length, count in enumerate(self.counts, 1):
            for _ in range(count):
                yield self.symbols[index], code, length
                code, index = code + 1, index + 1
            code <<= 1

    def holds(self) -> bool:
        """Whether it is a table at all: as many symbols as codes, and room for them."""
        used = sum(count << _LONGEST_CODE - length for length, count in enumerate(self.counts, 1))
        return sum(self.counts) == len(self.symbols) and used <= 1 << _LONGEST_CODE

    def extended(self, wanted: Sequence[int]) -> "_Huffman":
        """A table that has codes for these symbols, too; codes that it had stay as they are.

        Raises:
            RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where the table has no room.
        """
        missing = [symbol for symbol in wanted if symbol not in self.symbols]
        if not missing:
            return self
        used = sum(count << _LONGEST_CODE - length for length, count in enumerate(self.counts, 1))
        # T.81 annex C: no code consists of ones only.
        if used + len(missing) >= 1 << _LONGEST_CODE:
            raise not_cleanable("a Huffman table has no room for a black block")
        return _Huffman((*self.counts[:-1], self.counts[-1] + len(missing)), self.symbols + bytes(missing))


class _Component(NamedTuple):
    """A component in one scan: its number in the frame, its blocks across and down in a unit, and its tables."""

    number: int
    across: int
    down: int
    direct: int
    alternating: int


class _Blocks(NamedTuple):
    """The blocks of one restart interval: first coefficient, and where the other ones' bits begin and end."""

    direct: "array[int]"
    begins: "array[int]"
    ends: "array[int]"


def decode(frame: bytes, image: ImageFormat) -> Pixels:
    """Samples of a frame as decoders show them: grey, or RGB where the components are luminance and chrominance.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where the bit stream is not one of this image.
    """
    head = _read(frame, image)
    shown = "GRAYSCALE" if image.samples == 1 else "RGB"
    try:
        decoded = imagecodecs.jpeg8_decode(frame, colorspace=head.colours, outcolorspace=shown)
        return np.ascontiguousarray(decoded)
    except imagecodecs.Jpeg8Error:
        raise not_cleanable("a JPEG bit stream cannot be decoded") from None


def units(frame: bytes, image: ImageFormat) -> tuple[int, int]:
    """Columns and rows of a minimum coded unit: boxes are widened to whole ones."""
    return _read(frame, image).unit


def blank(frame: bytes, image: ImageFormat, boxes: tuple[Box, ...]) -> bytes:
    """The frame with black units where a box touches them; the coefficients of all others stay as they are.

    Comments and application segments that do not tell the colours are left out.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where the bit stream is broken, or not sequential with Huffman codes.
    """
    head = _read(frame, image)
    state = _Decoder(frame, image, boxes, head)
    return state.rewritten()


class _Head(NamedTuple):
    frame: FrameHeader
    unit: tuple[int, int]
    colours: str


def _read(frame: bytes, image: ImageFormat) -> _Head:
    header = None
    transform = jfif = None
    for found in segments(frame):
        if found.marker in _SEQUENTIAL:
            if header is not None:
                raise broken()
            header = frame_header(found, image)
        elif found.marker == APP14 and len(found.payload) >= 12 and is_interpretation(found):
            transform = found.payload[11]
        elif is_interpretation(found):
            jfif = True
    if header is None or header.precision not in _MOST_CATEGORIES:
        raise not_cleanable("a bit stream is not in sequential JPEG with 8 or 12 bits")
    factors = [(h, v) for _, h, v, _ in header.components]
    if not all(1 <= h <= 4 and 1 <= v <= 4 for h, v in factors):
        raise broken()
    across, down = max(h for h, _ in factors), max(v for _, v in factors)
    names = bytes(name for name, _, _, _ in header.components)
    if transform is not None:
        colours = "YCBCR" if transform else "RGB"
    elif jfif:
        colours = "YCBCR"
    else:
        colours = "RGB" if image.photometric == "RGB" and names == b"RGB" else "YCBCR"
    if image.samples == 1:
        across = down = 1
        colours = "GRAYSCALE"
    return _Head(header, (_BLOCK * across, _BLOCK * down), colours)


class _Decoder:
    """Reads a frame marker by marker and writes it with black units."""

    def __init__(self, frame: bytes, image: ImageFormat, boxes: tuple[Box, ...], head: _Head) -> None:
        self._frame = frame
        self._image = image
        self._head = head
        self._steps: dict[int, int] = {}
        self._huffman: dict[int, _Huffman] = {}
        self._interval = 0
        width, height = head.unit
        across, down = -(-image.columns // width), -(-image.rows // height)
        self._touched = np.zeros((down, across), dtype=np.bool_)
        for box in boxes:
            self._touched[
                box.top // height : -(-box.bottom // height), box.left // width : -(-box.right // width)
            ] = True

    def rewritten(self) -> bytes:
        out = [bytes((0xFF, SOI))]
        position = 2
        while True:
            last = None
            for last in segments(self._frame, position):
                self._take(last)
                kept = last.marker not in _APP and last.marker != _COM
                if last.marker != SOS and (kept or is_interpretation(last)):
                    out.append(without_thumbnail(last).written())
            if last is None or last.marker != SOS:
                break
            end = _END_OF_SCAN.search(self._frame, last.end)
            position = end.start() if end else len(self._frame)
            out += self._scan(last, self._frame[last.end : position])
            if not end:
                break
        if len(out) == 1:
            raise broken()
        return b"".join([*out, bytes((0xFF, EOI))])

    def _take(self, found: Segment) -> None:
        payload = found.payload
        if found.marker == _DQT:
            at = 0
            while at < len(payload):
                wide = payload[at] >> 4
                values = payload[at + 1 : at + 1 + (128 if wide else 64)]
                if wide > 1 or len(values) != (128 if wide else 64):
                    raise broken()
                self._steps[payload[at] & 15] = int.from_bytes(values[: 2 if wide else 1], "big")
                at += 1 + len(values)
        elif found.marker == _DHT:
            at = 0
            while at < len(payload):
                counts = tuple(payload[at + 1 : at + 17])
                symbols = payload[at + 17 : at + 17 + sum(counts)]
                table = _Huffman(counts, symbols)
                if len(counts) != _LONGEST_CODE or not table.holds():
                    raise broken()
                self._huffman[payload[at]] = table
                at += 17 + len(symbols)
        elif found.marker == _DRI:
            self._interval = int.from_bytes(payload[:2], "big")

    def _scan(self, found: Segment, coded: bytes) -> list[bytes]:
        components = self._components(found.payload)
        units_touched = self._units(components)
        intervals = [part.replace(b"\xff\x00", b"\xff") for part in _RESTART.split(coded)]
        each = self._interval or len(units_touched)
        if len(intervals) != _covering(len(units_touched), each):
            raise broken()
        tables = {
            component.number: (
                _direct_lookup(self._table(component.direct)),
                _alternating_lookup(self._table(0x10 | component.alternating)),
            )
            for component in components
        }
        order = [
            component.number for component in components for _ in range(component.across * component.down)
        ]
        read: list[tuple[_Blocks, NDArray[np.bool_]]] = []
        for number, data in enumerate(intervals):
            touched = units_touched[number * each : (number + 1) * each]
            read.append((_blocks(data, len(touched), order, tables), touched))
        black = {component.number: self._black(component.number) for component in components}
        categories: dict[int, set[int]] = {component.direct: set() for component in components}
        table_of = {component.number: component.direct for component in components}
        levels: list[tuple[array[int], list[int]]] = []
        for blocks, touched in read:
            differences = array("i")
            before = dict.fromkeys(black, 0)
            for at, index in enumerate(order * len(touched)):
                level = black[index] if touched[at // len(order)] else blocks.direct[at]
                differences.append(level - before[index])
                before[index] = level
            levels.append((differences, order * len(touched)))
            lengths = np.array([abs(value).bit_length() for value in differences])
            whose = np.array([table_of[index] for index in order] * len(touched))
            for table in categories:
                categories[table] |= set(np.unique(lengths[whose == table]).tolist())
        most = _MOST_CATEGORIES[self._head.frame.precision]
        written = {}
        out = []
        for table, wanted in categories.items():
            if max(wanted, default=0) > most:
                raise not_cleanable("a JPEG bit stream has levels that black is too far from")
            written[table] = self._table(table).extended(sorted(wanted))
        for component in components:
            key = 0x10 | component.alternating
            written[key] = self._table(key).extended([_END_OF_BLOCK])
        for key, table_written in written.items():
            if table_written != self._huffman[key]:
                # Later scans read it with the codes that it had, all of which it still has.
                self._huffman[key] = table_written
                out.append(segment(_DHT, bytes((key, *table_written.counts)) + table_written.symbols))
        out.append(found.written())
        codes = {
            key: {symbol: (code, length) for symbol, code, length in table.codes()}
            for key, table in written.items()
        }
        direct_codes = {component.number: codes[component.direct] for component in components}
        end_codes = {
            component.number: codes[0x10 | component.alternating][_END_OF_BLOCK] for component in components
        }
        for number, ((blocks, touched), (differences, whose_block)) in enumerate(
            zip(read, levels, strict=True)
        ):
            if number:
                out.append(bytes((0xFF, 0xD0 + (number - 1) % 8)))
            out.append(
                _coded(intervals[number], blocks, touched, differences, whose_block, direct_codes, end_codes)
            )
        return out

    def _components(self, payload: bytes) -> list[_Component]:
        count = payload[0] if payload else 0
        if not 1 <= count <= 4 or len(payload) != 4 + 2 * count or payload[-3:] != b"\x00\x3f\x00":
            raise not_cleanable("a JPEG scan is not sequential")
        names = [name for name, _, _, _ in self._head.frame.components]
        components = []
        for at in range(1, 1 + 2 * count, 2):
            if payload[at] not in names:
                raise broken()
            index = names.index(payload[at])
            _, across, down, _ = self._head.frame.components[index]
            # T.81 §A.2.2: a scan of one component has units of one block.
            alone = count == 1
            components.append(
                _Component(
                    index,
                    1 if alone else across,
                    1 if alone else down,
                    payload[at + 1] >> 4,
                    payload[at + 1] & 15,
                )
            )
        return components

    def _units(self, components: list[_Component]) -> NDArray[np.bool_]:
        """Which minimum coded units of a scan a box touches, in their order."""
        if len(components) > 1:
            return self._touched.ravel()
        frame = self._head.frame
        _, h, v, _ = frame.components[components[0].number]
        most_h = max(component[1] for component in frame.components)
        most_v = max(component[2] for component in frame.components)
        across = _covering(_covering(self._image.columns * h, most_h), _BLOCK)
        down = _covering(_covering(self._image.rows * v, most_v), _BLOCK)
        if self._image.samples == 1:
            h = v = 1
        rows, columns = np.arange(down) // v, np.arange(across) // h
        return self._touched[np.ix_(rows, columns)].ravel()

    def _table(self, key: int) -> _Huffman:
        if key not in self._huffman:
            raise broken()
        return self._huffman[key]

    def _black(self, index: int) -> int:
        """The first coefficient, quantized, of a block that shows nothing."""
        precision = self._head.frame.precision
        step = self._steps.get(self._head.frame.components[index][3], 0)
        if not step:
            raise broken()
        # T.81 §A.3.3: the first coefficient is eight times the mean, which is shifted by half of the range.
        darkest = -(-(8 << precision - 1) // step)
        if self._head.colours == "YCBCR" and index:
            return 0
        return darkest if self._image.photometric == "MONOCHROME1" else -darkest


def _covering(length: int, size: int) -> int:
    """How many stretches of a size cover a length."""
    return -(-length // size)


def _direct_lookup(table: _Huffman) -> list[int]:
    """By the next 16 bits: the code's length above, the category below."""
    lookup = [_NO_CODE] * (1 << _LONGEST_CODE)
    for symbol, code, length in table.codes():
        first, count = code << _LONGEST_CODE - length, 1 << _LONGEST_CODE - length
        lookup[first : first + count] = [length << _SHIFT | symbol] * count
    return lookup


def _alternating_lookup(table: _Huffman) -> list[int]:
    """By the next 16 bits: bits of code and coefficient above, coefficients that they stand for below."""
    lookup = [_NO_CODE] * (1 << _LONGEST_CODE)
    for symbol, code, length in table.codes():
        first, count = code << _LONGEST_CODE - length, 1 << _LONGEST_CODE - length
        run, size = symbol >> 4, symbol & 15
        advance = _ENDED if symbol == _END_OF_BLOCK else run + 1
        lookup[first : first + count] = [length + size << _SHIFT | advance] * count
    return lookup


def _blocks(
    data: bytes, units_read: int, order: list[int], tables: dict[int, tuple[list[int], list[int]]]
) -> _Blocks:
    padded = np.frombuffer(data + bytes(8), np.uint8).astype(np.uint32)
    # 32 bits from each byte on: enough for a code or a coefficient at any bit of it.
    window: list[int] = (
        (padded[:-3] << 24) | (padded[1:-2] << 16) | (padded[2:-1] << 8) | padded[3:]
    ).tolist()
    limit = 8 * len(data)
    found = _Blocks(array("i"), array("q"), array("q"))
    add_direct, add_begin, add_end = found.direct.append, found.begins.append, found.ends.append
    before = dict.fromkeys(tables, 0)
    position = 0
    sequence = [(index, *tables[index]) for index in order]
    for _ in range(units_read):
        for index, direct, alternating in sequence:
            if position >= limit:
                raise broken()
            entry = direct[window[position >> 3] >> 16 - (position & 7) & 0xFFFF]
            category = entry & _ADVANCE
            if category > 16:
                raise broken()
            position += entry >> _SHIFT
            if category:
                if position >= limit:
                    raise broken()
                bits = window[position >> 3] >> 32 - category - (position & 7) & (1 << category) - 1
                before[index] += bits if bits >> category - 1 else bits - (1 << category) + 1
                position += category
            add_direct(before[index])
            add_begin(position)
            coefficient = 1
            while coefficient < 64:
                if position >= limit:
                    raise broken()
                entry = alternating[window[position >> 3] >> 16 - (position & 7) & 0xFFFF]
                position += entry >> _SHIFT
                coefficient += entry & _ADVANCE
            if coefficient != 64 and not _ENDED < coefficient < _ENDED + 64:
                raise broken()
            add_end(position)
    if (
        position > limit
        or not -(1 << 24) < min(found.direct, default=0) <= max(found.direct, default=0) < 1 << 24
    ):
        raise broken()
    return found


def _coded(
    data: bytes,
    blocks: _Blocks,
    touched: NDArray[np.bool_],
    differences: "array[int]",
    whose_block: list[int],
    direct_codes: dict[int, dict[int, tuple[int, int]]],
    end_codes: dict[int, tuple[int, int]],
) -> bytes:
    out = bytearray()
    pending = count = 0
    each = len(whose_block) // max(len(touched), 1)
    blank_units = touched.tolist()
    for at, index in enumerate(whose_block):
        difference = differences[at]
        category = abs(difference).bit_length()
        code, length = direct_codes[index][category]
        bits = difference if difference >= 0 else difference + (1 << category) - 1
        pending = (pending << length | code) << category | bits
        count += length + category
        if blank_units[at // each]:
            code, length = end_codes[index]
            pending, count = pending << length | code, count + length
        else:
            begin, end = blocks.begins[at], blocks.ends[at]
            length = end - begin
            last = -(-end // 8)
            kept = int.from_bytes(data[begin >> 3 : last], "big") >> 8 * last - end & (1 << length) - 1
            pending, count = pending << length | kept, count + length
        if count >= 4096:
            rest = count & 7
            out += (pending >> rest).to_bytes(count >> 3, "big")
            pending, count = pending & (1 << rest) - 1, rest
    # T.81 §F.1.2.3: the last byte is filled with ones.
    fill = -count % 8
    out += (pending << fill | (1 << fill) - 1).to_bytes(count + fill >> 3, "big")
    return bytes(out).replace(b"\xff", b"\xff\x00")
