"""Mutations that know what an element is, so that most of what they make gets past the first header."""

import random
import struct
import zlib
from collections.abc import Callable

from fuzz.elements import Place, data_set_at, places, transfer_syntax
from support.hostile_files import SENTINEL, UID_SENTINEL
from support.part10 import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from support.sentinels import DATA_SET_TAGS

VRS = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"OB", b"OD", b"OF", b"OL",
    b"OV", b"OW", b"PN", b"SH", b"SL", b"SQ", b"SS", b"ST", b"SV", b"TM", b"UC", b"UI", b"UL", b"UN", b"UR", b"US",
    b"UT", b"UV", b"zz",
]  # fmt: skip
LENGTHS = [0, 1, 2, 4, 7, 8, 12, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]
NUMBERS = [b"\0\0", b"\1\0", b"\xff\xff", b"\0\x80", b"\x08\0", b"\x10\0", b"\x03\0"]
TEXTS = [
    b"", b" ", b"\0", b"\\" * 40, b"YES ", b"1e400", b"NaN", b"-1", b"9" * 40, "１".encode(), b"20240231",
    b"\x1b$B", b"\xff\xfe", b"../../x", SENTINEL, UID_SENTINEL, b"1.2.840.10008.5.1.4.1.1.6.1", b"US", b"SR",
]  # fmt: skip
TAGS = [
    *DATA_SET_TAGS,
    0x00020010, 0x00080005, 0x00080016, 0x00080018, 0x00080060, 0x00090010, 0x00091001, 0x0018FFF0, 0x00186011,
    0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280301, 0x50003000, 0x52009229,
    0x60003000, 0x7FE00001, 0x7FE00008, 0x7FE00010, 0xFFFCFFFC, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x00000000,
]  # fmt: skip
SYNTAXES = [
    IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201",
]  # fmt: skip


def mutated(data: bytes, most_bytes: int, seed: int) -> bytes:
    """Another file, at most ``most_bytes`` long, the same for the same seed."""
    chance = random.Random(seed)
    start, syntax = data_set_at(data), transfer_syntax(data)
    if not start:
        return _bytes(data, chance)[:most_bytes]
    head, body = data[:start], data[start:]
    if syntax == DEFLATED:
        try:
            body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, 4 * most_bytes)
        except zlib.error:
            return _bytes(data, chance)[:most_bytes]
    for _ in range(chance.choice((1, 1, 2, 3))):
        if chance.random() < 0.1:
            head = _head(head, chance)
        else:
            found = places(body, 0, syntax)
            body = chance.choice(CHANGES)(body, found, chance, syntax) if found else _bytes(body, chance)
    if syntax == DEFLATED:
        compressor = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = compressor.compress(body) + compressor.flush()
    return (head + body)[:most_bytes]


def _head(head: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return _bytes(head, chance)
    at = head.find(b"\2\0\x10\0UI")
    if at < 0:
        return head
    (length,) = struct.unpack_from("<H", head, at + 6)
    uid = chance.choice(SYNTAXES).encode()
    uid += b"\0" * (len(uid) & 1)
    return head[: at + 6] + struct.pack("<H", len(uid)) + uid + head[at + 8 + length :]


def _bytes(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return bytes([chance.randrange(256)])
    at = chance.randrange(len(data))
    kind = chance.randrange(4)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
    if kind == 2:
        return data[:at] + chance.choice(TEXTS) + data[at:]
    return data[:at] + data[at + chance.randrange(1, 16) :]


Change = Callable[[bytes, list[Place], random.Random, str], bytes]


def _somewhere(found: list[Place], chance: random.Random) -> Place:
    """More often where no sequence's length becomes wrong by a change."""
    outer = [place for place in found if len(place.path) == 1 and place.tag >> 16 != 0xFFFE]
    return chance.choice(outer if outer and chance.random() < 0.7 else found)


def _length(body: bytes, found: list[Place], chance: random.Random, syntax: str) -> bytes:
    place = chance.choice(found)
    order = ">" if syntax == EXPLICIT_BIG else "<"
    length = chance.choice([*LENGTHS, place.end - place.value + chance.randrange(-9, 10)])
    packed = (
        struct.pack(order + "L", length & 0xFFFFFFFF)
        if place.length_bytes == 4
        else struct.pack(order + "H", length & 0xFFFF)
    )
    return body[: place.length_at] + packed + body[place.value :]


def _vr(body: bytes, found: list[Place], chance: random.Random, syntax: str) -> bytes:
    place = chance.choice([each for each in found if each.vr] or found)
    return body[: place.start + 4] + chance.choice(VRS) + body[place.start + 6 :]


def _tag(body: bytes, found: list[Place], chance: random.Random, syntax: str) -> bytes:
    place = chance.choice(found)
    return body[: place.start] + _packed(chance.choice(TAGS), syntax) + body[place.start + 4 :]


def _value(body: bytes, found: list[Place], chance: random.Random, syntax: str) -> bytes:
    place = _somewhere(found, chance)
    if place.end - place.value in (2, 4) and chance.random() < 0.5:
        value = (chance.choice(NUMBERS) * 2)[: place.end - place.value]
    else:
        value = chance.choice(TEXTS)
    value += b" " * (len(value) & 1)
    return body[: place.start] + _element(place.tag, place.vr, value, syntax) + body[place.end :]


def _again(body: bytes, found: list[Place], chance: random.Random, syntax: str) -> bytes:
    place, other = _somewhere(found, chance), _somewhere(found, chance)
    return (
        body[: other.start]
        + body[place.start : place.end] * chance.choice((1, 1, 2, 50))
        + body[other.start :]
    )


def _gone(body: bytes, found: list[Place], chance: random.Random, syntax: str) -> bytes:
    place = _somewhere(found, chance)
    return body[: place.start] + body[place.end :]


def _swapped(body: bytes, found: list[Place], chance: random.Random, syntax: str) -> bytes:
    first, second = sorted(chance.sample(found, 2)) if len(found) > 1 else (found[0], found[0])
    if second.start < first.end:
        return body
    return (
        body[: first.start]
        + body[second.start : second.end]
        + body[first.end : second.start]
        + body[first.start : first.end]
        + body[second.end :]
    )


def _wrapped(body: bytes, found: list[Place], chance: random.Random, syntax: str) -> bytes:
    """Put an element into a sequence, of defined or undefined length, once or often."""
    place = _somewhere(found, chance)
    order = ">" if syntax == EXPLICIT_BIG else "<"
    inner = body[place.start : place.end]
    tag = chance.choice([0x00081140, 0x52009229, 0x00091010, 0x0040A730, 0x00101002, 0x0018FFF0])
    vr = chance.choice([b"SQ", b"SQ", b"UN"]) if syntax != IMPLICIT_LITTLE else b""
    for _ in range(chance.choice((1, 1, 2, 30))):
        if chance.random() < 0.5:
            inner = _packed(0xFFFEE000, syntax) + struct.pack(order + "L", len(inner)) + inner
            inner = _element(tag, vr, inner, syntax)
        else:
            inner = (
                _header(tag, vr, 0xFFFFFFFF, syntax)
                + _packed(0xFFFEE000, syntax)
                + b"\xff" * 4
                + inner
                + _packed(0xFFFEE00D, syntax)
                + bytes(4)
                + _packed(0xFFFEE0DD, syntax)
                + bytes(4)
            )
    return body[: place.start] + inner + body[place.end :]


def _inserted(body: bytes, found: list[Place], chance: random.Random, syntax: str) -> bytes:
    """A new element, identifying more often than not."""
    place = _somewhere(found, chance)
    tag = chance.choice(TAGS)
    value = chance.choice([*TEXTS, SENTINEL, SENTINEL])
    value += b" " * (len(value) & 1)
    vr = b"" if syntax == IMPLICIT_LITTLE else chance.choice(VRS[:-1])
    return body[: place.start] + _element(tag, vr, value, syntax) + body[place.start :]


def _unspecific(body: bytes, found: list[Place], chance: random.Random, syntax: str) -> bytes:
    return _bytes(body, chance)


CHANGES: list[Change] = [
    _length, _length, _vr, _tag, _value, _value, _again, _gone, _swapped, _wrapped, _inserted, _inserted, _unspecific,
]  # fmt: skip


def _packed(tag: int, syntax: str) -> bytes:
    return struct.pack((">" if syntax == EXPLICIT_BIG else "<") + "HH", tag >> 16, tag & 0xFFFF)


def _header(tag: int, vr: bytes, length: int, syntax: str) -> bytes:
    order = ">" if syntax == EXPLICIT_BIG else "<"
    if not vr or tag >> 16 == 0xFFFE:
        return _packed(tag, syntax) + struct.pack(order + "L", length)
    if vr in (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"):
        return _packed(tag, syntax) + vr + b"\0\0" + struct.pack(order + "L", length)
    return _packed(tag, syntax) + vr + struct.pack(order + "H", length & 0xFFFF)


def _element(tag: int, vr: bytes, value: bytes, syntax: str) -> bytes:
    return _header(tag, vr, len(value), syntax) + value
