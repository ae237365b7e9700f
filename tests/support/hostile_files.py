"""Files made to break an intake: each small to send, each meant to cost memory, time or a wrong answer.

Every file that names a patient names :data:`SENTINEL`, so that what passes can be searched for it.
"""

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from support.intake_chain import SENTINEL, UID_SENTINEL
from support.part10 import (
    CT_IMAGE_STORAGE,
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_FORM,
    Element,
    Writer,
    minimal_image,
)

MEBIBYTE = 1 << 20
SIXTEEN = 16 * MEBIBYTE
UNDEFINED = 0xFFFFFFFF
ACCEPTED = ""

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.201"

SQ_TAG = 0x00081140
PRIVATE_SQ = 0x00091010
PIXEL_DATA = 0x7FE00010


class HostileFile(NamedTuple):
    """A file, and how it may end.

    Attributes:
        build: makes the bytes.
        outcomes: the true reason codes, ``""`` where it may pass; empty where any end inside the error tree is one.
    """

    build: Callable[[], bytes]
    outcomes: frozenset[str]


HOSTILE: dict[str, HostileFile] = {}


def hostile(name: str, build: Callable[[], bytes], *outcomes: str) -> None:
    assert name not in HOSTILE
    HOSTILE[name] = HostileFile(build, frozenset(outcomes))


# --- pieces -----------------------------------------------------------------------------------------------------


def header(tag: int, vr: str, length: int, order: str = "<") -> bytes:
    """An explicit element header that says any length."""
    start = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode("latin-1")
    if vr in LONG_FORM:
        return start + b"\0\0" + struct.pack(order + "L", length)
    return start + struct.pack(order + "H", length)


def plain(tag: int, length: int, order: str = "<") -> bytes:
    """An implicit header, which items and delimiters have too."""
    return struct.pack(order + "HHL", tag >> 16, tag & 0xFFFF, length)


def element(tag: int, vr: str, value: bytes) -> bytes:
    value += b"\0" * (len(value) & 1)
    return header(tag, vr, len(value)) + value


def implicit(tag: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) & 1)
    return plain(tag, len(value)) + value


def item(content: bytes = b"") -> bytes:
    return plain(0xFFFEE000, len(content)) + content


ITEM_END = plain(0xFFFEE00D, 0)
SEQUENCE_END = plain(0xFFFEE0DD, 0)
PATIENT = ((0x00100010, "PN", SENTINEL), (0x00100020, "LO", SENTINEL))


def image(
    *extras: bytes,
    syntax: str = EXPLICIT_LITTLE,
    changes: dict[int, bytes | None] | None = None,
    after: bytes = b"",
    pixels: bytes | None = None,
    sop_class: str = CT_IMAGE_STORAGE,
    modality: bytes | None = None,
    preamble: bytes = bytes(128),
    meta: Sequence[Element] = (),
    instance: bytes = UID_SENTINEL,
) -> bytes:
    """A whole small image that names its patient, plus ready-made elements, put where their tags belong.

    Args:
        changes: other values by tag, None to leave the element out.
        after: bytes behind the pixel data.
        pixels: the whole PixelData element, header included.
    """
    writer = Writer(syntax)
    changes = {0x00080018: instance, 0x00080016: sop_class.encode()} | (changes or {})
    if modality is not None:
        changes[0x00080060] = modality
    parts: list[tuple[int, bytes]] = []
    # Without it any image has to be searched for text, and only that would be measured.
    kind = Element(0x00080008, "CS", b"ORIGINAL\\PRIMARY\\AXIAL ")
    for each in [*minimal_image(writer), kind, *(Element(*each) for each in PATIENT)]:
        value = changes.pop(each.tag, each.value) if each.tag in changes else each.value
        if each.tag == PIXEL_DATA and pixels is not None:
            parts.append((each.tag, pixels))
        elif value is not None:
            parts.append((each.tag, writer.element(Element(each.tag, each.vr, value))))
    order = "<HH" if syntax != EXPLICIT_BIG else ">HH"
    for extra in extras:
        group, number = struct.unpack_from(order, extra)
        parts.append((group << 16 | number, extra))
    parts.sort(key=lambda each: each[0])
    body = b"".join(part for _, part in parts) + after
    return writer.file_of_body(
        body, preamble=preamble, meta=meta, sop_class=sop_class, sop_instance=instance.decode("latin-1")
    )


def with_body(body: bytes, syntax: str = EXPLICIT_LITTLE) -> bytes:
    return Writer(syntax).file_of_body(body, sop_instance=UID_SENTINEL.decode())


def before_body(syntax: str) -> bytes:
    """Preamble, prefix and file meta information alone."""
    file = with_body(b"", syntax)
    return file[: _meta_end(file)]


def _meta_end(file: bytes) -> int:
    return 144 + int(struct.unpack_from("<L", file, 140)[0])


def deflated(content: bytes) -> bytes:
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


def zeros_deflated(start: bytes, mebibytes: int) -> bytes:
    """``start`` and very many zero bytes, deflated without making them first."""
    return deflated_block(start) + deflated_block(bytes(MEBIBYTE)) * mebibytes + deflated(b"")


def deflated_block(content: bytes) -> bytes:
    """Part of a deflate stream that may stand after and before any other."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush(zlib.Z_FULL_FLUSH)


# --- bombs ------------------------------------------------------------------------------------------------------

hostile(
    "3 MB deflate to 3 GB of zeros",
    lambda: before_body(DEFLATED) + zeros_deflated(b"", 3072),
    "LIMIT_EXCEEDED",
)
hostile(
    "3 MB deflate to an image of 3 GB",
    lambda: before_body(DEFLATED) + zeros_deflated(_deflated_image(38_400, 41_943)[: -len(b"\0")], 3072),
    "LIMIT_EXCEEDED",
)
hostile(
    "deflated 90 MB of empty items",
    lambda: (
        before_body(DEFLATED) + deflated(header(SQ_TAG, "SQ", 90 * MEBIBYTE) + item() * (90 * MEBIBYTE // 8))
    ),
    "LIMIT_EXCEEDED",
)
hostile(
    "deflated 64 MB of pixels, just allowed",
    lambda: before_body(DEFLATED) + _many_pixels_deflated(8_300, 4_000),
    ACCEPTED,
)
hostile(
    "deflated 96 MB of pixels, just allowed",
    lambda: before_body(DEFLATED) + _many_pixels_deflated(6_000, 8_000),
    ACCEPTED,
    "LIMIT_EXCEEDED",
)
hostile(
    "deflated text that is slow to deflate again",
    lambda: before_body(DEFLATED) + _slow_to_deflate(60),
    ACCEPTED,
    "LIMIT_EXCEEDED",
    "MALFORMED",
)
hostile(
    "deflate stream of 3 million empty blocks",
    lambda: before_body(DEFLATED) + b"\0\0\0\xff\xff" * 3_000_000,
    "TRUNCATED",
    "MALFORMED",
    "LIMIT_EXCEEDED",
)
hostile(
    "deflated twice",
    lambda: before_body(DEFLATED) + deflated(deflated(_image_body())),
    "MALFORMED",
    "TRUNCATED",
)
hostile(
    "deflated with a zlib header", lambda: before_body(DEFLATED) + zlib.compress(_image_body()), "MALFORMED"
)
hostile("deflated and cut", lambda: before_body(DEFLATED) + deflated(_image_body())[:-20], "TRUNCATED")
hostile(
    "deflated, then other bytes",
    lambda: before_body(DEFLATED) + deflated(_image_body()) + SENTINEL * 1000,
    ACCEPTED,
    "MALFORMED",
)
hostile(
    "declared deflated, but is not", lambda: before_body(DEFLATED) + _image_body(), "MALFORMED", "TRUNCATED"
)


def _image_body(*extras: bytes) -> bytes:
    file = image(*extras)
    return file[_meta_end(file) :]


def _deflated_image(rows: int, columns: int) -> bytes:
    body = _image_body()
    return (
        body.replace(
            struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 4),
            struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, rows & 0xFFFF),
        ).replace(
            struct.pack("<HH2sHH", 0x28, 0x11, b"US", 2, 4),
            struct.pack("<HH2sHH", 0x28, 0x11, b"US", 2, columns & 0xFFFF),
        )[: -len(element(PIXEL_DATA, "OW", bytes(32)))]
        + header(PIXEL_DATA, "OW", 3072 * MEBIBYTE)
        + b"\0"
    )


def _many_pixels_deflated(rows: int, columns: int) -> bytes:
    length = rows * columns * 2
    head = _deflated_image(rows, columns)[: -len(header(PIXEL_DATA, "OW", 0) + b"\0")]
    return zeros_deflated(
        head + header(PIXEL_DATA, "OW", length) + bytes(length % MEBIBYTE), length // MEBIBYTE
    )


def _slow_to_deflate(mebibytes: int) -> bytes:
    # Two symbols in an order that repeats only after zlib's window keep it searching its hash chains.
    text = bytes(65 + (byte >> 7) for byte in random.Random(1).randbytes(MEBIBYTE))
    start = _image_body()[: -len(element(PIXEL_DATA, "OW", bytes(32)))]
    first = deflated_block(start + header(0x50103000, "OW", mebibytes * MEBIBYTE))
    last = element(PIXEL_DATA, "OW", bytes(32))
    return first + deflated_block(text) * mebibytes + deflated(last)


# --- items, values, nesting -------------------------------------------------------------------------------------

EMPTY_ITEMS = SIXTEEN // 8
hostile(
    "16 MB of empty items, defined length",
    lambda: with_body(header(SQ_TAG, "SQ", SIXTEEN) + item() * EMPTY_ITEMS),
    "LIMIT_EXCEEDED",
)
hostile(
    "16 MB of empty items, undefined length",
    lambda: with_body(header(SQ_TAG, "SQ", UNDEFINED) + item() * EMPTY_ITEMS + SEQUENCE_END),
    "LIMIT_EXCEEDED",
)
hostile(
    "16 MB of empty items, implicit",
    lambda: with_body(plain(SQ_TAG, SIXTEEN) + item() * EMPTY_ITEMS, IMPLICIT_LITTLE),
    "LIMIT_EXCEEDED",
)
hostile(
    "16 MB of empty items, big endian",
    lambda: with_body(
        header(SQ_TAG, "SQ", SIXTEEN, ">") + plain(0xFFFEE000, 0, ">") * EMPTY_ITEMS, EXPLICIT_BIG
    ),
    "LIMIT_EXCEEDED",
)
hostile(
    "16 MB of empty items in UN of undefined length",
    lambda: with_body(header(SQ_TAG, "UN", UNDEFINED) + item() * EMPTY_ITEMS + SEQUENCE_END),
    "LIMIT_EXCEEDED",
)
hostile(
    "16 MB of empty items in UN of defined length",
    lambda: image(header(SQ_TAG, "UN", SIXTEEN) + item() * EMPTY_ITEMS),
    ACCEPTED,
    "LIMIT_EXCEEDED",
)
hostile(
    "16 MB of empty items in a private sequence",
    lambda: image(
        element(0x00090010, "LO", b"CREATOR"), header(PRIVATE_SQ, "SQ", SIXTEEN) + item() * EMPTY_ITEMS
    ),
    "LIMIT_EXCEEDED",
)
hostile(
    "16 MB of empty items with delimiters",
    lambda: with_body(
        header(SQ_TAG, "SQ", UNDEFINED)
        + (plain(0xFFFEE000, UNDEFINED) + ITEM_END) * (SIXTEEN // 16)
        + SEQUENCE_END
    ),
    "LIMIT_EXCEEDED",
)
hostile(
    "800,000 sequences of one empty item",
    lambda: with_body((header(SQ_TAG, "SQ", 8) + item()) * (SIXTEEN // 20)),
    "LIMIT_EXCEEDED",
    "MALFORMED",
)
hostile(
    "a sequence of 74,000 items, just allowed",
    lambda: image(element(SQ_TAG, "SQ", item(element(0x00081150, "UI", b"1.2")) * 74_000)),
    ACCEPTED,
    "LIMIT_EXCEEDED",
)
hostile(
    "74,000 items that each name a patient",
    lambda: image(element(SQ_TAG, "SQ", item(element(0x00100010, "PN", SENTINEL)) * 74_000)),
    ACCEPTED,
    "LIMIT_EXCEEDED",
)
hostile(
    "74,000 different UIDs",
    lambda: image(
        element(
            SQ_TAG,
            "SQ",
            b"".join(
                item(element(0x00081155, "UI", UID_SENTINEL + b".%06d" % each)) for each in range(74_000)
            ),
        )
    ),
    ACCEPTED,
    "LIMIT_EXCEEDED",
)

for _vr, _tag in {
    "DS": 0x00281052,
    "IS": 0x00200013,
    "LO": 0x00081030,
    "UI": 0x00200052,
    "CS": 0x00080008,
    "PN": 0x00100010,
    "DA": 0x00080022,
    "TM": 0x00080032,
    "DT": 0x0008002A,
    "AS": 0x00101010,
    "AE": 0x00080054,
    "SH": 0x00080050,
    "AT": 0x00280009,
}.items():
    hostile(
        f"16 MB of backslashes in {_vr}",
        lambda tag=_tag: image(implicit(tag, b"\\" * SIXTEEN), syntax=IMPLICIT_LITTLE, changes={tag: None}),
        ACCEPTED,
        "LIMIT_EXCEEDED",
        "INVALID_VALUE",
    )
    hostile(
        f"16 MB of backslashes in {_vr} written as UN",
        lambda tag=_tag: image(element(tag, "UN", b"\\" * SIXTEEN), changes={tag: None}),
        ACCEPTED,
        "LIMIT_EXCEEDED",
        "INVALID_VALUE",
    )
hostile(
    "250 times 64 KB of backslashes",
    lambda: image(*(element(0x00181000 + each, "LO", b"\\" * 65_534) for each in range(250))),
    ACCEPTED,
    "LIMIT_EXCEEDED",
)
hostile(
    "16 MB of backslashes in UC",
    lambda: image(element(0x00100212, "UC", b"\\" * SIXTEEN)),
    ACCEPTED,
    "LIMIT_EXCEEDED",
)
for _keyword, _tag in {
    "SpecificCharacterSet": 0x00080005,
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "Modality": 0x00080060,
    "StudyInstanceUID": 0x0020000D,
    "PatientID": 0x00100020,
    "NumberOfFrames": 0x00280008,
    "PhotometricInterpretation": 0x00280004,
    "Rows": 0x00280010,
    "BurnedInAnnotation": 0x00280301,
}.items():
    hostile(
        f"16 MB of backslashes in {_keyword}",
        lambda tag=_tag: image(implicit(tag, b"\\" * SIXTEEN), syntax=IMPLICIT_LITTLE, changes={tag: None}),
    )
    hostile(
        f"16 MB of letters in {_keyword}",
        lambda tag=_tag: image(implicit(tag, b"7" * SIXTEEN), syntax=IMPLICIT_LITTLE, changes={tag: None}),
    )


def nested_undefined(levels: int, *, vr: str = "SQ", tag: int = SQ_TAG, inside: bytes = b"") -> bytes:
    first = header(tag, vr, UNDEFINED)
    rest = plain(tag, UNDEFINED) if vr == "UN" else first
    opened = first + plain(0xFFFEE000, UNDEFINED) + (rest + plain(0xFFFEE000, UNDEFINED)) * (levels - 1)
    return opened + inside + (ITEM_END + SEQUENCE_END) * levels


def nested_defined(levels: int, *, vr: str = "SQ", tag: int = SQ_TAG, inside: bytes = b"") -> bytes:
    length, opened = len(inside), []
    for level in range(levels):
        outermost = level == levels - 1
        start = plain(0xFFFEE000, length)
        written = header(tag, vr, length + 8) if outermost or vr == "SQ" else plain(tag, length + 8)
        opened.append(written + start)
        length += len(written) + 8
    return b"".join(reversed(opened)) + inside


for _levels in (25, 200, 10_000):
    hostile(
        f"{_levels} levels, undefined length", lambda n=_levels: image(nested_undefined(n)), "LIMIT_EXCEEDED"
    )
    hostile(f"{_levels} levels, defined length", lambda n=_levels: image(nested_defined(n)), "LIMIT_EXCEEDED")
    hostile(
        f"{_levels} levels in UN of undefined length",
        lambda n=_levels: image(nested_undefined(n, vr="UN")),
        "LIMIT_EXCEEDED",
    )
    hostile(
        f"{_levels} levels in UN of defined length",
        lambda n=_levels: image(nested_defined(n, vr="UN", inside=implicit(0x00100010, SENTINEL))),
        ACCEPTED,
        "LIMIT_EXCEEDED",
    )
    hostile(
        f"{_levels} levels of a private tag",
        lambda n=_levels: image(element(0x00090010, "LO", b"CREATOR"), nested_defined(n, tag=PRIVATE_SQ)),
        "LIMIT_EXCEEDED",
    )
    hostile(
        f"{_levels} levels of a removed tag",
        lambda n=_levels: image(nested_undefined(n, tag=0x00101002)),
        "LIMIT_EXCEEDED",
    )
hostile(
    "10,000 levels, implicit",
    lambda: with_body((plain(SQ_TAG, UNDEFINED) + plain(0xFFFEE000, UNDEFINED)) * 10_000, IMPLICIT_LITTLE),
    "LIMIT_EXCEEDED",
)
hostile(
    "10,000 levels, deflated",
    lambda: before_body(DEFLATED) + deflated(_image_body(nested_undefined(10_000))),
    "LIMIT_EXCEEDED",
)
hostile(
    "10,000 levels of ContentSequence in a report",
    lambda: image(
        nested_undefined(10_000, tag=0x0040A730),
        sop_class=COMPREHENSIVE_SR,
        modality=b"SR",
        pixels=b"",
    ),
    "LIMIT_EXCEEDED",
)
hostile(
    "20 levels with a name in each, just allowed",
    lambda: image(
        nested_defined(20, inside=element(0x00100010, "PN", SENTINEL) + element(0x00081030, "LO", SENTINEL))
    ),
    ACCEPTED,
)

# --- pixel headers ----------------------------------------------------------------------------------------------

HUGE = {0x00280010: b"\xff\xff", 0x00280011: b"\xff\xff"}
BYTES = {0x00280100: b"\x08\0", 0x00280101: b"\x08\0", 0x00280102: b"\x07\0"}


def encapsulated(*fragments: bytes, table: bytes = b"", vr: str = "OB") -> bytes:
    """PixelData in fragments, each padded to even length (PS3.5 §A.4)."""
    padded = b"".join(item(each + b"\0" * (len(each) & 1)) for each in fragments)
    return header(PIXEL_DATA, vr, UNDEFINED) + item(table) + padded + SEQUENCE_END


def jpeg(rows: int, columns: int, marker: int = 0xC0, precision: int = 8) -> bytes:
    """A JPEG codestream (ITU-T T.81 §B.2) whose frame header says any size, with next to no data."""
    sof = struct.pack(">HHBHHBBBB", 0xFF00 | marker, 11, precision, rows, columns, 1, 1, 0x11, 0)
    table = bytes([0xFF, 0xC4, 0, 20, 0x00, *([1] + [0] * 15), 0])
    quantization = bytes([0xFF, 0xDB, 0, 67, 0, *([1] * 64)])
    scan = bytes([0xFF, 0xDA, 0, 8, 1, 1, 0, 1 if marker == 0xC3 else 0, 0 if marker == 0xC3 else 63, 0])
    return b"\xff\xd8" + quantization + sof + table + scan + bytes(64) + b"\xff\xd9"


def jpeg_ls(rows: int, columns: int) -> bytes:
    sof = struct.pack(">HHBHHBBBB", 0xFFF7, 11, 8, rows, columns, 1, 1, 0x11, 0)
    return b"\xff\xd8" + sof + bytes([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0]) + bytes(64) + b"\xff\xd9"


def jpeg_2000(rows: int, columns: int, tile: int | None = None, high_throughput: bool = False) -> bytes:
    """A JPEG 2000 codestream (ITU-T T.800 §A.5) whose SIZ says any size and tiles, with next to no data."""
    side = (columns, rows) if tile is None else (tile, tile)
    siz = struct.pack(
        ">HHHLLLLLLLLHBBB",
        0xFF51, 41, 0x4000 if high_throughput else 0, columns, rows, 0, 0, *side, 0, 0, 1, 7, 1, 1,
    )  # fmt: skip
    cap = struct.pack(">HHLH", 0xFF50, 8, 0x00020000, 0) if high_throughput else b""
    cod = struct.pack(">HHBBHBBBBBB", 0xFF52, 12, 0, 0, 1, 0, 5, 4, 4, 0x40 if high_throughput else 0, 1)
    qcd = struct.pack(">HHB", 0xFF5C, 19, 0x40) + bytes([8 << 3] * 16)
    tile_part = struct.pack(">HHHLBB", 0xFF90, 10, 0, 14 + 32, 0, 1) + b"\xff\x93" + bytes(32)
    return b"\xff\x4f" + siz + cap + cod + qcd + tile_part + b"\xff\xd9"


def run_length(segments: int, *data: bytes, offsets: Sequence[int] | None = None) -> bytes:
    """An RLE frame (PS3.5 §G.5): 64 bytes of header, then segments."""
    starts, at = [], 64
    for each in data:
        starts.append(at)
        at += len(each)
    listed = list(offsets if offsets is not None else starts)[:15]
    return struct.pack("<16L", segments, *listed, *([0] * (15 - len(listed)))) + b"".join(data)


CODESTREAMS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "RLE": (RLE, lambda: run_length(1, b"\x81\0" * 32)),
    "JPEG": (JPEG_BASELINE, lambda: jpeg(65_500, 65_500)),
    "JPEG lossless": (JPEG_LOSSLESS, lambda: jpeg(65_535, 65_535, 0xC3, 16)),
    "JPEG-LS": (JPEG_LS, lambda: jpeg_ls(65_535, 65_535)),
    "JPEG 2000": (JPEG_2000, lambda: jpeg_2000(65_535, 65_535)),
    "JPEG 2000 of 2^32 pixels a side": (JPEG_2000, lambda: jpeg_2000(0xFFFFFFFF, 0xFFFFFFFF)),
    "JPEG 2000 in tiles of one pixel": (JPEG_2000, lambda: jpeg_2000(65_535, 65_535, tile=1)),
    "HTJ2K": (HTJ2K, lambda: jpeg_2000(65_535, 65_535, high_throughput=True)),
}
# Ultrasound must be looked at for text, so its pixels are decoded; CT passes without that.
KINDS: dict[str, tuple[str, bytes]] = {
    "CT": (CT_IMAGE_STORAGE, b"CT"),
    "US": (ULTRASOUND, b"US"),
    "SC": (SECONDARY_CAPTURE, b"OT"),
}
for _kind, (_class, _modality) in KINDS.items():
    hostile(
        f"65535 squared, native, {_kind}",
        lambda c=_class, m=_modality: image(changes=HUGE, sop_class=c, modality=m),
        "PIXEL_DATA_LENGTH_MISMATCH",
    )
    hostile(
        f"65535 squared, native, 2^31-1 frames, {_kind}",
        lambda c=_class, m=_modality: image(
            element(0x00280008, "IS", b"2147483647"), changes=HUGE, sop_class=c, modality=m
        ),
        "PIXEL_DATA_LENGTH_MISMATCH",
        "INVALID_VALUE",
    )
    for _name, (_syntax, _stream) in CODESTREAMS.items():
        hostile(
            f"65535 squared, {_name}, {_kind}",
            lambda s=_syntax, d=_stream, c=_class, m=_modality: image(
                syntax=s, changes=HUGE | BYTES, pixels=encapsulated(d()), sop_class=c, modality=m
            ),
        )
        hostile(
            f"4 x 4 in the header, 65535 squared in {_name}, {_kind}",
            lambda s=_syntax, d=_stream, c=_class, m=_modality: image(
                syntax=s, changes=BYTES, pixels=encapsulated(d()), sop_class=c, modality=m
            ),
        )
        hostile(
            f"2^31-1 frames, {_name}, {_kind}",
            lambda s=_syntax, d=_stream, c=_class, m=_modality: image(
                element(0x00280008, "IS", b"2147483647"),
                syntax=s,
                changes=HUGE | BYTES,
                pixels=encapsulated(d()),
                sop_class=c,
                modality=m,
            ),
        )
    for _name, _frames in {
        "no": b"0",
        "negative": b"-1",
        "two numbers of": b"1\\2",
        "not a number of": b"NaN",
        "infinite": b"inf",
        "in other digits": "١".encode(),
        "full-width": "１".encode(),
        "1e9": b"1e9",
        "5,000 digits of": b"9" * 5000,
        "an underscore in the": b"1_0",
        "hexadecimal": b"0x10",
    }.items():
        hostile(
            f"{_name} frames, {_kind}",
            lambda f=_frames, c=_class, m=_modality: image(
                element(0x00280008, "IS", f), sop_class=c, modality=m
            ),
            "INVALID_VALUE",
            "PIXEL_DATA_LENGTH_MISMATCH",
        )

_LOWEST: dict[str, bytes] = {
    "pixels of garbage": bytes(range(256)) * 4,
    "no bytes": b"",
    "a start and no end": b"\xff\xd8",
    "raw pixels": bytes(32),
    "zip": b"PK\3\4" + bytes(60),
}
for _name, (_syntax, _stream) in CODESTREAMS.items():
    for _what, _data in _LOWEST.items():
        hostile(
            f"US, {_name} claimed, {_what} inside",
            lambda s=_syntax, d=_data: image(
                syntax=s, changes=BYTES, pixels=encapsulated(d), sop_class=ULTRASOUND, modality=b"US"
            ),
        )
for _what, _frame in {
    "15 segments for one": run_length(15, *[b"\x81\0"] * 15),
    "2^32-1 segments": run_length(0xFFFFFFFF, b"\x81\0"),
    "offsets behind the end": run_length(1, b"\x81\0", offsets=[0xFFFFFFF0]),
    "offsets into the header": run_length(1, b"\x81\0", offsets=[0]),
    "a literal run behind the end": run_length(1, b"\x7f"),
    "a cut header": struct.pack("<L", 1),
    "too much data": run_length(1, b"\x81\0" * 100_000),
}.items():
    hostile(
        f"US, RLE with {_what}",
        lambda f=_frame: image(
            syntax=RLE, changes=BYTES, pixels=encapsulated(f), sop_class=ULTRASOUND, modality=b"US"
        ),
    )


def _size(rows: int, columns: int) -> dict[int, bytes | None]:
    return {0x00280010: struct.pack("<H", rows), 0x00280011: struct.pack("<H", columns)} | BYTES


hostile(
    "US, RLE of 12 MB that decodes to 800 MB",
    lambda: image(
        syntax=RLE,
        changes=_size(28_000, 28_000),
        pixels=encapsulated(run_length(1, b"\x81\0" * (28_000 * 28_000 // 128 + 1))),
        sop_class=ULTRASOUND,
        modality=b"US",
    ),
)
hostile(
    "US, RLE of 2,000 frames that decode to 500 MB",
    lambda: image(
        element(0x00280008, "IS", b"2000"),
        syntax=RLE,
        changes=_size(512, 512),
        pixels=encapsulated(*[run_length(1, b"\x81\0" * 2048)] * 2000),
        sop_class=ULTRASOUND,
        modality=b"US",
    ),
)
hostile(
    "US, 100,000 RLE frames of 4 x 4",
    lambda: image(
        element(0x00280008, "IS", b"100000"),
        syntax=RLE,
        changes=BYTES,
        pixels=encapsulated(*[run_length(1, b"\xf1\0")] * 100_000),
        sop_class=ULTRASOUND,
        modality=b"US",
    ),
)


def regions(*boxes: tuple[int, int, int, int]) -> bytes:
    """SequenceOfUltrasoundRegions (PS3.3 §C.8.5.5)."""
    return element(
        0x00186011,
        "SQ",
        b"".join(
            item(
                b"".join(
                    element(tag, "UL", struct.pack("<L", value & 0xFFFFFFFF))
                    for tag, value in zip((0x00186018, 0x0018601A, 0x0018601C, 0x0018601E), box, strict=True)
                )
            )
            for box in boxes
        ),
    )


for _what, _boxes in {
    "far outside": [(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)],
    "turned round": [(3, 3, 0, 0)],
    "larger than the image": [(0, 0, 0xFFFFFFFE, 0xFFFFFFFE)],
    "40,000 times": [(0, 0, 3, 3)] * 40_000,
}.items():
    hostile(
        f"US, regions {_what}",
        lambda b=_boxes: image(regions(*b), sop_class=ULTRASOUND, modality=b"US"),
    )
hostile(
    "US, region without coordinates",
    lambda: image(element(0x00186011, "SQ", item()), sop_class=ULTRASOUND, modality=b"US"),
)
hostile(
    "US, region coordinates of no length",
    lambda: image(
        element(0x00186011, "SQ", item(element(0x00186018, "UL", b"") + element(0x0018601A, "LO", b"x"))),
        sop_class=ULTRASOUND,
        modality=b"US",
    ),
)

# --- lying lengths ----------------------------------------------------------------------------------------------

REFERENCE = element(0x00081155, "UI", UID_SENTINEL)
for _what, _bytes in {
    "element longer than the file": header(0x00081030, "UT", 0x7FFFFFFF) + SENTINEL,
    "text of undefined length": header(0x00081030, "UT", UNDEFINED) + SENTINEL + SEQUENCE_END,
    "short VR that says 65535": header(0x00081030, "LO", 0xFFFF) + SENTINEL,
    "UN of undefined length without items": header(0x00081030, "UN", UNDEFINED) + SENTINEL + SEQUENCE_END,
    "sequence longer than the file": header(SQ_TAG, "SQ", 0x7FFFFFFF) + item(REFERENCE),
    "sequence shorter than its item": header(SQ_TAG, "SQ", 12) + item(REFERENCE),
    "sequence of one byte": header(SQ_TAG, "SQ", 1) + item(REFERENCE),
    "item longer than its sequence": header(SQ_TAG, "SQ", 8) + plain(0xFFFEE000, 0x7FFFFFFF) + REFERENCE,
    "item shorter than its element": header(SQ_TAG, "SQ", 8 + len(REFERENCE))
    + plain(0xFFFEE000, 10)
    + REFERENCE,
    "element across the end of its item": header(SQ_TAG, "SQ", 24)
    + item(header(0x00081155, "UI", 400) + bytes(8)),
    "item of undefined length in a defined sequence, not ended": header(SQ_TAG, "SQ", 8 + len(REFERENCE))
    + plain(0xFFFEE000, UNDEFINED)
    + REFERENCE,
    "sequence delimiter inside an item": header(SQ_TAG, "SQ", UNDEFINED)
    + plain(0xFFFEE000, UNDEFINED)
    + REFERENCE
    + SEQUENCE_END,
    "item delimiter inside a sequence": header(SQ_TAG, "SQ", UNDEFINED) + ITEM_END + SEQUENCE_END,
    "item in an item": header(SQ_TAG, "SQ", UNDEFINED) + item(item(REFERENCE)) + SEQUENCE_END,
    "text where an item belongs": header(SQ_TAG, "SQ", 32) + SENTINEL * 2,
    "delimiter at top level": SEQUENCE_END,
    "item delimiter at top level": ITEM_END,
    "item at top level": item(SENTINEL),
    "element FFFE,0010 at top level": element(0xFFFE0010, "LO", SENTINEL),
    "unknown VR": b"\x08\0\x30\x10zz\x10\0" + SENTINEL,
    "VR of two zeros": b"\x08\0\x30\x10\0\0\x10\0" + SENTINEL,
    "VR of two spaces": b"\x08\0\x30\x10  \x10\0" + SENTINEL,
    "lower-case VR": b"\x08\0\x30\x10lo\x10\0" + SENTINEL,
}.items():
    hostile(
        f"lie: {_what}",
        lambda b=_bytes: with_body(
            element(0x00080016, "UI", CT_IMAGE_STORAGE.encode()) + b + _image_body()[34:]
        ),
        "TRUNCATED",
        "MALFORMED",
    )
hostile(
    "lie: item delimiter with a length",
    lambda: image(
        header(SQ_TAG, "SQ", UNDEFINED)
        + plain(0xFFFEE000, UNDEFINED)
        + plain(0xFFFEE00D, 0x7FFFFFFF)
        + SEQUENCE_END
    ),
    ACCEPTED,
    "MALFORMED",
    "TRUNCATED",
)
hostile(
    "lie: native PixelData that says 4 GB",
    lambda: image(pixels=header(PIXEL_DATA, "OW", 0xFFFFFFFE) + bytes(32)),
    "TRUNCATED",
)
hostile(
    "lie: native PixelData of undefined length",
    lambda: image(pixels=header(PIXEL_DATA, "OW", UNDEFINED) + item(bytes(32)) + SEQUENCE_END),
    "MALFORMED",
    "PIXEL_DATA_LENGTH_MISMATCH",
)
hostile(
    "lie: implicit PatientName of undefined length",
    lambda: image(
        plain(0x00100010, UNDEFINED) + item(implicit(0x00100010, SENTINEL)) + SEQUENCE_END,
        syntax=IMPLICIT_LITTLE,
        changes={0x00100010: None},
    ),
    ACCEPTED,
    "MALFORMED",
)
hostile(
    "lie: implicit PixelData of undefined length",
    lambda: image(
        pixels=plain(PIXEL_DATA, UNDEFINED) + item(bytes(32)) + SEQUENCE_END, syntax=IMPLICIT_LITTLE
    ),
    "MALFORMED",
    "PIXEL_DATA_LENGTH_MISMATCH",
)
for _what, _bytes in {
    "fragment longer than the file": item() + plain(0xFFFEE000, 0x7FFFFFFF) + bytes(8),
    "fragment of undefined length": item() + plain(0xFFFEE000, UNDEFINED) + bytes(8) + SEQUENCE_END,
    "fragments without an end": item() + item(bytes(8)),
    "no fragments and no end": b"",
    "item delimiter among fragments": item() + ITEM_END + SEQUENCE_END,
    "element among fragments": item() + element(0x00100010, "PN", SENTINEL) + SEQUENCE_END,
}.items():
    hostile(
        f"lie: {_what}",
        lambda b=_bytes: image(syntax=JPEG_2000, pixels=header(PIXEL_DATA, "OB", UNDEFINED) + b),
        "TRUNCATED",
        "MALFORMED",
    )
hostile(
    "lie: encapsulated PixelData of defined length",
    lambda: image(syntax=JPEG_2000, pixels=element(PIXEL_DATA, "OB", item() + item(bytes(8)) + SEQUENCE_END)),
    "MALFORMED",
    "MISSING_ATTRIBUTE",
    "PIXEL_DATA_LENGTH_MISMATCH",
)
hostile(
    "lie: encapsulated without a fragment",
    lambda: image(syntax=JPEG_2000, pixels=encapsulated()),
    "MISSING_ATTRIBUTE",
    "MALFORMED",
    "PIXEL_DATA_LENGTH_MISMATCH",
)
hostile(
    "lie: encapsulated in UN",
    lambda: image(syntax=JPEG_2000, pixels=encapsulated(bytes(8), vr="UN")),
    "MALFORMED",
    "TRUNCATED",
    "MISSING_ATTRIBUTE",
    "PIXEL_DATA_LENGTH_MISMATCH",
    "INVALID_VALUE",
)

# --- wrong transfer syntax --------------------------------------------------------------------------------------


def declared(actual: str, claimed: str) -> bytes:
    """A whole image whose file meta information names another transfer syntax than it has."""
    writer = Writer(actual)
    body = b"".join(
        writer.element(each)
        for each in sorted(
            [*minimal_image(writer), *(Element(*each) for each in PATIENT)], key=lambda each: each.tag
        )
    )
    return before_body(claimed) + body


for _actual, _claimed in [
    (IMPLICIT_LITTLE, EXPLICIT_LITTLE),
    (EXPLICIT_LITTLE, IMPLICIT_LITTLE),
    (EXPLICIT_LITTLE, EXPLICIT_BIG),
    (EXPLICIT_BIG, EXPLICIT_LITTLE),
    (EXPLICIT_BIG, IMPLICIT_LITTLE),
    (IMPLICIT_LITTLE, EXPLICIT_BIG),
]:
    hostile(
        f"wrong syntax: {_actual} as {_claimed}",
        lambda a=_actual, c=_claimed: declared(a, c),
        "TRUNCATED",
        "MALFORMED",
        "MISSING_ATTRIBUTE",
        "LIMIT_EXCEEDED",
    )
for _name, (_syntax, _stream) in CODESTREAMS.items():
    hostile(
        f"wrong syntax: native pixels as {_name}",
        lambda s=_syntax: image(syntax=s),
        "MALFORMED",
        "MISSING_ATTRIBUTE",
        "PIXEL_DATA_LENGTH_MISMATCH",
    )
hostile(
    "wrong syntax: JPEG as explicit little endian",
    lambda: image(pixels=encapsulated(jpeg(4, 4))),
    "MALFORMED",
    "PIXEL_DATA_LENGTH_MISMATCH",
)
for _what, _uid in {
    "unknown UID": b"1.2.3.4.5.6.7",
    "empty": b"",
    "a path": b"../../../../etc/passwd",
    "a NUL inside": b"1.2.840.10008.1.2\0.1",
    "64 KB": b"1" * 65_534,
    "spaces": b"   ",
    "private GE": b"1.2.840.113619.5.2",
    "a control sequence": b"\x1b]0;title\x07\x1b[2J",
    "not ASCII": "1.2.840.10008.1.2.１".encode(),
}.items():
    hostile(
        f"transfer syntax UID: {_what}",
        lambda u=_uid: (
            image(syntax=u.decode("latin-1"))
            if u.isascii()
            else image().replace(b"1.2.840.10008.1.2.1\0", u[:20])
        ),
        "TRANSFER_SYNTAX_NOT_SUPPORTED",
        "MISSING_ATTRIBUTE",
        "INVALID_UID",
        "MALFORMED",
        "TRUNCATED",
    )

# --- character sets and odd names -------------------------------------------------------------------------------

NAMES: dict[str, bytes] = {
    "path up": b"../../" + SENTINEL,
    "Windows path": b"C:\\Windows\\" + SENTINEL,
    "NUL": SENTINEL + b"\0" + SENTINEL,
    "newlines": b"\r\n" + SENTINEL + b"\n\n",
    "terminal escapes": b"\x1b[2J\x1b]0;" + SENTINEL + b"\x07",
    "right-to-left override": "\u202e".encode() + SENTINEL,
    "SQL": b"'; DROP TABLE image; -- " + SENTINEL,
    "HTML": b"<script>alert(1)</script>" + SENTINEL,
    "format": b"%s%n{0.__class__}${jndi:ldap://x}" + SENTINEL,
    "not UTF-8": b"\xff\xfe\xed\xa0\x80" + SENTINEL,
    "1,000 carets": b"^" * 1000 + SENTINEL + b"=" * 1000,
    "dot": b".",
    "space": b" ",
}
for _what, _value in NAMES.items():
    hostile(
        f"name: {_what}",
        lambda v=_value: image(
            element(0x00080050, "SH", v),
            element(0x00080070, "LO", v.replace(SENTINEL, b"")),
            element(0x00081030, "LO", v),
            element(0x00090010, "LO", v),
            element(0x00091001, "LO", v),
            element(0x00200010, "SH", v),
            changes={0x00100010: v, 0x00100020: v},
        ),
        ACCEPTED,
    )
    hostile(
        f"SOPInstanceUID: {_what}",
        lambda v=_value: image(instance=v[:64]),
        "INVALID_UID",
        "MISSING_ATTRIBUTE",
    )
    hostile(
        f"StudyInstanceUID: {_what}",
        lambda v=_value: image(changes={0x0020000D: v[:64]}),
        "INVALID_UID",
        "MISSING_ATTRIBUTE",
    )
    hostile(
        f"Modality: {_what}",
        lambda v=_value: image(modality=v.replace(SENTINEL, b"Jane")[:16]),
        "MODALITY_NOT_ALLOWED",
        "MISSING_ATTRIBUTE",
        "INVALID_VALUE",
    )
    hostile(
        f"SOPClassUID: {_what}",
        lambda v=_value: image(changes={0x00080016: v[:64]}),
        "SOP_CLASS_NOT_ALLOWED",
        "INVALID_UID",
        "MISSING_ATTRIBUTE",
    )
for _term in (
    b"NONSENSE", b"utf-7", b"zlib", b"rot13", b"unicode_escape", b"idna", b"ISO_IR 999", b"ISO 2022 IR 999",
    b"\\" * 1000, b"ISO_IR 192\\ISO 2022 IR 87", b"GB18030\\GBK", b"ISO 2022 IR 87", b"X" * 60_000, b"../../x",
    b"ISO_IR 192\0\0", "ＩＳＯ".encode(), b"\\ISO 2022 IR 149\\ISO 2022 IR 58\\ISO 2022 IR 13",
):  # fmt: skip
    for _what, _value in {
        "an escape without end": b"\x1b$" + SENTINEL,
        "an escape to nowhere": SENTINEL + b"\x1b",
        "half a character": SENTINEL + b"\x81\x30\x81",
        "invalid UTF-8": b"\xc0\x80\xf8\x80\x80" + SENTINEL,
    }.items():
        hostile(
            f"character set {_term[:40]!r} with {_what}",
            lambda t=_term, v=_value: image(
                element(0x00080005, "CS", t),
                element(0x00081030, "LO", v),
                element(SQ_TAG, "SQ", item(element(0x00080005, "CS", t) + element(0x0040A123, "PN", v))),
                changes={0x00100010: v},
            ),
            ACCEPTED,
            "INVALID_VALUE",
        )

# --- polyglots and file meta ------------------------------------------------------------------------------------

for _what, _preamble in {
    "PE": b"MZ" + bytes(58) + struct.pack("<L", 0x80) + SENTINEL,
    "ELF": b"\x7fELF\2\1\1" + SENTINEL,
    "PDF": b"%PDF-1.7\n" + SENTINEL,
    "HTML": b"<html><script>/*" + SENTINEL,
    "TIFF": b"II*\0\x08\0\0\0" + SENTINEL,
    "shell": b"#!/bin/sh\n" + SENTINEL + b"\n",
}.items():
    hostile(f"{_what} in the preamble", lambda p=_preamble: image(preamble=p.ljust(128, b"\0")), ACCEPTED)
_ZIP = b"PK\3\4\x14\0\0\0\0\0" + bytes(20) + SENTINEL + b"PK\5\6" + bytes(18)
hostile("zip behind the data set", lambda: image(after=_ZIP), "MALFORMED", "TRUNCATED")
hostile(
    "zip behind the data set, implicit",
    lambda: image(after=_ZIP, syntax=IMPLICIT_LITTLE),
    "MALFORMED",
    "TRUNCATED",
)
hostile(
    "zip in a private element",
    lambda: image(element(0x00090010, "LO", b"ZIP"), element(0x00091001, "OB", _ZIP)),
    ACCEPTED,
)
hostile(
    "16 MB of zeros behind the data set",
    lambda: image(after=bytes(SIXTEEN)),
    ACCEPTED,
    "MALFORMED",
    "LIMIT_EXCEEDED",
)
hostile(
    "16 MB of zeros behind the data set, implicit",
    lambda: image(after=bytes(SIXTEEN), syntax=IMPLICIT_LITTLE),
    ACCEPTED,
    "MALFORMED",
    "LIMIT_EXCEEDED",
)
hostile("zeros, then a name", lambda: image(after=bytes(512) + SENTINEL), "MALFORMED", "TRUNCATED")
hostile("16 MB of 0xFF behind the data set", lambda: image(after=b"\xff" * SIXTEEN), "MALFORMED", "TRUNCATED")
hostile("seven bytes behind the data set", lambda: image(after=SENTINEL[:7]), "MALFORMED", "TRUNCATED")
hostile(
    "16 MB of DataSetTrailingPadding",
    lambda: image(after=element(0xFFFCFFFC, "OB", SENTINEL * MEBIBYTE)),
    ACCEPTED,
)
hostile(
    "elements of a patient behind PixelData",
    lambda: image(after=element(0x00100010, "PN", SENTINEL) + element(0x00104000, "LT", SENTINEL)),
    ACCEPTED,
    "MALFORMED",
)

META_PATIENT = [
    Element(0x00020016, "AE", SENTINEL),
    Element(0x00020100, "UI", UID_SENTINEL),
    Element(0x00020102, "OB", SENTINEL * 100),
]
hostile("file meta that names the patient", lambda: image(meta=META_PATIENT), ACCEPTED)
hostile(
    "16 MB of private information in the file meta",
    lambda: image(meta=[Element(0x00020102, "OB", SENTINEL * MEBIBYTE)]),
    ACCEPTED,
    "LIMIT_EXCEEDED",
    "MALFORMED",
)
hostile(
    "file meta of a million elements",
    lambda: bytes(128) + b"DICM" + element(0x00020016, "AE", b"XX") * 1_000_000 + image()[132:],
    "LIMIT_EXCEEDED",
    "MALFORMED",
    ACCEPTED,
)
hostile("file meta twice", lambda: image()[: _meta_end(image())] + image()[132:], ACCEPTED, "MALFORMED")
hostile("file meta absent", lambda: bytes(128) + b"DICM" + _image_body(), "MISSING_ATTRIBUTE", "MALFORMED")
hostile("file meta absent and no data set", lambda: bytes(128) + b"DICM", "MISSING_ATTRIBUTE", "TRUNCATED")
hostile("prefix alone, cut", lambda: bytes(128) + b"DIC", "NOT_DICOM")
hostile("no bytes", lambda: b"", "EMPTY_OBJECT")
hostile("one byte", lambda: b"\0", "NOT_DICOM")
for _cut in (133, 139, 143, 150, 170, 200, 250, 300):
    hostile(
        f"cut after {_cut} bytes", lambda n=_cut: image()[:n], "TRUNCATED", "MISSING_ATTRIBUTE", "MALFORMED"
    )
for _what, _length in {"0": 0, "1": 1, "4 GB": 0xFFFFFFFF, "2 GB": 0x7FFFFFFF, "too short": 60}.items():
    hostile(
        f"file meta group length {_what}",
        lambda n=_length: image()[:140] + struct.pack("<L", n) + image()[144:],
        ACCEPTED,
        "MALFORMED",
        "TRUNCATED",
        "MISSING_ATTRIBUTE",
    )
hostile(
    "file meta in implicit VR",
    lambda: bytes(128) + b"DICM" + implicit(0x00020010, EXPLICIT_LITTLE.encode()) + _image_body(),
    "MALFORMED",
    "TRUNCATED",
    "MISSING_ATTRIBUTE",
)
hostile(
    "file meta with a sequence of undefined length",
    lambda: (
        bytes(128) + b"DICM" + header(0x00020102, "SQ", UNDEFINED) + item() + SEQUENCE_END + image()[144:]
    ),
    "MALFORMED",
    "TRUNCATED",
)
hostile(
    "two transfer syntaxes",
    lambda: image(meta=[Element(0x00020010, "UI", IMPLICIT_LITTLE.encode())]),
    ACCEPTED,
    "MALFORMED",
    "TRUNCATED",
    "MISSING_ATTRIBUTE",
)
hostile("a media directory", lambda: image(sop_class="1.2.840.10008.1.3.10"), "DICOMDIR_REFUSED")
hostile(
    "a media directory that calls itself CT",
    lambda: image(
        element(0x00041220, "SQ", item(element(0x00100010, "PN", SENTINEL))),
        element(0x00041130, "CS", SENTINEL),
    ),
    ACCEPTED,
    "MALFORMED",
    "DICOMDIR_REFUSED",
)

# --- tags: twice, in any order, very many, where they do not belong ---------------------------------------------

for _keyword, _tag, _vr in [
    ("PatientName", 0x00100010, "PN"),
    ("PatientID", 0x00100020, "LO"),
    ("SOPInstanceUID", 0x00080018, "UI"),
    ("StudyInstanceUID", 0x0020000D, "UI"),
    ("SpecificCharacterSet", 0x00080005, "CS"),
    ("SOPClassUID", 0x00080016, "UI"),
]:
    for _where in ("in its place", "at the end"):
        hostile(
            f"{_keyword} twice, {_where}",
            lambda t=_tag, v=_vr, w=_where: image(
                *([_again(t, v)] if w == "in its place" else []),
                after=_again(t, v) if w == "at the end" else b"",
            ),
            ACCEPTED,
            "MALFORMED",
            "INVALID_UID",
            "SOP_CLASS_NOT_ALLOWED",
        )


def _again(tag: int, vr: str) -> bytes:
    return element(tag, vr, {"UI": UID_SENTINEL, "CS": b"ISO_IR 192"}.get(vr, SENTINEL))


hostile(
    "Rows twice, the second huge",
    lambda: image(element(0x00280010, "US", b"\xff\xff")),
    ACCEPTED,
    "MALFORMED",
    "PIXEL_DATA_LENGTH_MISMATCH",
)
hostile(
    "all tags in reverse order",
    lambda: with_body(
        b"".join(Writer().element(each) for each in sorted(_all_of_it(), key=lambda each: -each.tag))
    ),
    ACCEPTED,
    "MALFORMED",
)
hostile(
    "burned-in annotation said behind a higher tag",
    lambda: image(after=element(0x00280301, "CS", b"YES")),
    "BURNED_IN_ANNOTATION",
    "MALFORMED",
)
hostile(
    "burned-in annotation said twice",
    lambda: image(element(0x00280301, "CS", b"NO"), element(0x00280301, "CS", b"YES")),
    "BURNED_IN_ANNOTATION",
    "MALFORMED",
)
hostile(
    "burned-in annotation said in UN",
    lambda: image(element(0x00280301, "UN", b"YES ")),
    "BURNED_IN_ANNOTATION",
)
hostile(
    "burned-in annotation said in lower case",
    lambda: image(element(0x00280301, "CS", b" yes")),
    "BURNED_IN_ANNOTATION",
    "INVALID_VALUE",
)


def _all_of_it() -> list[Element]:
    return [
        *minimal_image(Writer(), sop_instance=UID_SENTINEL.decode()),
        *(Element(*each) for each in PATIENT),
        Element(0x00081030, "LO", SENTINEL),
        Element(SQ_TAG, "SQ", [[Element(0x0040A123, "PN", SENTINEL)]]),
    ]


for _group in (0x0000, 0x0001, 0x0002, 0x0003, 0x0004, 0x0005, 0x0006, 0x0007, 0xFFFF):
    hostile(
        f"a name in group {_group:04X}",
        lambda g=_group: image(element(g << 16 | 0x1000, "LO", SENTINEL), element(g << 16, "UL", bytes(4))),
        ACCEPTED,
        "MALFORMED",
        "TRUNCATED",
    )
hostile(
    "PixelData twice",
    lambda: image(after=element(PIXEL_DATA, "OW", SENTINEL * 2)),
    "MALFORMED",
    "PIXEL_DATA_LENGTH_MISMATCH",
    "INVALID_VALUE",
)
hostile(
    "PixelData, and FloatPixelData before it",
    lambda: image(element(0x7FE00008, "OF", bytes(64))),
    "MALFORMED",
    "PIXEL_DATA_LENGTH_MISMATCH",
    "INVALID_VALUE",
)
hostile(
    "PixelData in an icon",
    lambda: image(
        element(
            0x00880200,
            "SQ",
            item(
                element(0x00280010, "US", b"\xff\xff")
                + element(0x00280011, "US", b"\xff\xff")
                + element(PIXEL_DATA, "OW", SENTINEL * 1000)
            ),
        )
    ),
    ACCEPTED,
)
hostile(
    "PixelData in a kept sequence",
    lambda: image(element(SQ_TAG, "SQ", item(element(PIXEL_DATA, "OW", SENTINEL * 1000)))),
    ACCEPTED,
    "MALFORMED",
)
hostile(
    "encapsulated PixelData in a sequence",
    lambda: image(element(SQ_TAG, "SQ", item(encapsulated(SENTINEL, SENTINEL)))),
    ACCEPTED,
    "MALFORMED",
)
hostile(
    "PixelData in a private sequence",
    lambda: image(
        element(0x00090010, "LO", b"CREATOR"),
        element(PRIVATE_SQ, "SQ", item(element(PIXEL_DATA, "OW", SENTINEL * 9))),
    ),
    ACCEPTED,
)
hostile("2 million distinct tags", lambda: with_body(_tag_flood(2_000_000)), "LIMIT_EXCEEDED")
for _count in (100_000, 149_000, 240_000):
    hostile(f"{_count:,} distinct tags", lambda n=_count: image(_tag_flood(n)), ACCEPTED, "LIMIT_EXCEEDED")
    hostile(
        f"{_count:,} distinct tags, and pixels that have to be searched",
        lambda n=_count: image(_tag_flood(n), changes={0x00080008: None}),
        ACCEPTED,
        "LIMIT_EXCEEDED",
    )
    hostile(
        f"{_count:,} private elements",
        lambda n=_count: image(_private_flood(n)),
        ACCEPTED,
        "LIMIT_EXCEEDED",
    )
hostile(
    "16 MB of distinct private tags, implicit",
    lambda: with_body(
        b"".join(struct.pack("<HHL", 0x0009 + 2 * (n >> 16), n & 0xFFFF, 0) for n in range(2_000_000)),
        IMPLICIT_LITTLE,
    ),
    "LIMIT_EXCEEDED",
)


def _tag_flood(count: int) -> bytes:
    return b"".join(
        struct.pack("<HH2sH", 0x0010 + 2 * (each >> 15), 0x2000 + (each & 0x7FFF), b"LO", 0)
        for each in range(count)
    )


def _private_flood(count: int) -> bytes:
    """Private elements of 200 creators a group, 200 each."""
    parts, made = [], 0
    while made < count:
        tag = (0x0009 + 2 * (made // 40_000)) << 16
        creators = min(200, (count - made) // 200 + 1)
        parts += [element(tag | 0x10 + each, "LO", b"CREATOR %d" % each) for each in range(creators)]
        parts += [
            header(tag | (0x10 + each) << 8 | number, "UN", 0)
            for each in range(creators)
            for number in range(200)
        ]
        made += creators * 200
    return b"".join(parts)


hostile(
    "16 MB in one private element",
    lambda: image(element(0x00090010, "LO", b"CREATOR"), element(0x00091001, "OB", SENTINEL * MEBIBYTE)),
    ACCEPTED,
)
hostile("private elements without a creator", lambda: image(element(0x00091001, "LO", SENTINEL)), ACCEPTED)
hostile(
    "private creator of 64 KB", lambda: image(element(0x00090010, "LO", (SENTINEL * 4096)[:65_534])), ACCEPTED
)
hostile(
    "private UN that holds a sequence",
    lambda: image(
        element(0x00090010, "LO", b"CREATOR"),
        element(PRIVATE_SQ, "UN", item(implicit(0x00100010, SENTINEL)) * 10),
    ),
    ACCEPTED,
)
hostile(
    "every standard element, empty",
    lambda: _every_tag_empty(EXPLICIT_LITTLE),
    "MISSING_ATTRIBUTE",
    "SOP_CLASS_NOT_ALLOWED",
)
hostile(
    "every standard element, empty, implicit",
    lambda: _every_tag_empty(IMPLICIT_LITTLE),
    "MISSING_ATTRIBUTE",
    "SOP_CLASS_NOT_ALLOWED",
)


def _every_tag_empty(syntax: str) -> bytes:
    from pydicom._dicom_dict import DicomDictionary

    writer = Writer(syntax)
    return writer.file(
        [Element(tag, vr[:2], b"") for tag, (vr, *_) in DicomDictionary.items() if 8 <= tag >> 16 < 0xFFFE]
    )


# --- fragments and offset tables --------------------------------------------------------------------------------

hostile(
    "1,000,000 empty fragments",
    lambda: image(
        syntax=JPEG_2000, pixels=header(PIXEL_DATA, "OB", UNDEFINED) + item() * 1_000_001 + SEQUENCE_END
    ),
)
hostile(
    "1,000,000 empty fragments, US",
    lambda: image(
        syntax=JPEG_2000,
        changes=BYTES,
        pixels=header(PIXEL_DATA, "OB", UNDEFINED) + item() * 1_000_001 + SEQUENCE_END,
        sop_class=ULTRASOUND,
        modality=b"US",
    ),
)
hostile(
    "1,000,000 fragments of 1,000,000 frames",
    lambda: image(
        element(0x00280008, "IS", b"1000000"),
        syntax=JPEG_2000,
        pixels=encapsulated()[:-8] + item(b"\xff\x4f") * 1_000_000 + SEQUENCE_END,
    ),
)
for _what, _table in {
    "behind the end": struct.pack("<L", 0xFFFFFFF0),
    "in reverse": struct.pack("<4L", 400, 300, 200, 0),
    "of three bytes": b"\0\0\0",
    "of 16 MB": bytes(SIXTEEN),
    "of the same fragment": bytes(4000),
}.items():
    for _kind in ("CT", "US"):
        hostile(
            f"offset table {_what}, {_kind}",
            lambda t=_table, k=_kind: image(
                element(0x00280008, "IS", b"4"),
                syntax=RLE,
                changes=BYTES,
                pixels=encapsulated(*[run_length(1, b"\xf1\0")] * 4, table=t),
                sop_class=KINDS[k][0],
                modality=KINDS[k][1],
            ),
        )
hostile(
    "extended offset table that lies",
    lambda: image(
        element(0x00280008, "IS", b"4"),
        element(0x7FE00001, "OV", struct.pack("<4Q", 0, 1 << 63, (1 << 64) - 1, 5)),
        element(0x7FE00002, "OV", struct.pack("<4Q", 1 << 63, 1 << 63, 0, (1 << 64) - 1)),
        syntax=RLE,
        changes=BYTES,
        pixels=encapsulated(*[run_length(1, b"\xf1\0")] * 4),
        sop_class=ULTRASOUND,
        modality=b"US",
    ),
)
hostile(
    "extended offset table of 16 MB",
    lambda: image(
        element(0x7FE00001, "OV", bytes(SIXTEEN)),
        syntax=RLE,
        pixels=encapsulated(run_length(2, b"\xf1\0", b"\xf1\0")),
    ),
)
hostile(
    "fewer fragments than frames, US",
    lambda: image(
        element(0x00280008, "IS", b"1000"),
        syntax=RLE,
        changes=BYTES,
        pixels=encapsulated(run_length(1, b"\xf1\0")),
        sop_class=ULTRASOUND,
        modality=b"US",
    ),
)

# --- values -----------------------------------------------------------------------------------------------------

for _what, _extra in {
    "NaN in FD": element(0x00189087, "FD", struct.pack("<d", float("nan"))),
    "infinity in FD": element(0x00189087, "FD", struct.pack("<d", float("inf"))),
    "NaN in FL": element(0x00189073, "FL", struct.pack("<f", float("nan"))),
    "FD of three bytes": element(0x00189087, "FD", b"abc"),
    "US of one byte": header(0x00280106, "US", 1) + b"\1",
    "infinity in DS": element(0x00281052, "DS", b"inf"),
    "NaN in DS": element(0x00281053, "DS", b"NaN "),
    "1e400 in DS": element(0x00281053, "DS", b"1e400"),
    "other digits in IS": element(0x00200013, "IS", "１２".encode()),
    "other digits in DS": element(0x00281052, "DS", "٣".encode()),
    "5,000 digits in IS": element(0x00200013, "IS", b"9" * 5000),
    "other digits in DA": element(0x00080022, "DA", "２０２４０５０１".encode()),
    "31 February": element(0x00080022, "DA", b"20240231"),
    "year 0": element(0x00080022, "DA", b"00000101"),
    "year 9999": element(0x00080022, "DA", b"99991231"),
    "date with separators": element(0x00080022, "DA", b"2024.05.01"),
    "date range": element(0x00080022, "DA", b"20240101-20241231"),
    "date and time of 10,000 digits": element(0x0008002A, "DT", b"2" * 10_000),
    "time zone of a day": element(0x0008002A, "DT", b"20240501101112.000000+9999"),
    "leap second": element(0x00080032, "TM", b"235960.999999"),
    "age of 5,000 digits": element(0x00101010, "AS", b"9" * 5000 + b"Y"),
    "LUT descriptor that lies": element(
        0x00283000,
        "SQ",
        item(element(0x00283002, "US", struct.pack("<3H", 0, 0, 16)) + element(0x00283006, "OW", b"\1\0")),
    ),
    "LUT of 16 MB": element(0x00283000, "SQ", item(element(0x00283006, "OW", bytes(SIXTEEN)))),
    "text of 16 MB": element(0x0040A30B, "UT", SENTINEL * MEBIBYTE),
    "comment of 64 KB": element(0x00204000, "LT", (SENTINEL * 4096)[:65_534]),
    "UN of 16 MB for a name": element(0x00104000, "UN", SENTINEL * MEBIBYTE),
    "URL of 16 MB": element(0x00081190, "UR", b"urn:x" * 3_000_000),
    "comment of 16 MB in UT": element(0x0040A160, "UT", b"No finding. " * MEBIBYTE),
    "overlay of 65535 squared": element(0x60000010, "US", b"\xff\xff")
    + element(0x60000011, "US", b"\xff\xff")
    + element(0x60003000, "OW", SENTINEL),
    "curve": element(0x50003000, "OW", SENTINEL * 100),
    "signature": element(0x4FFE0001, "SQ", item(element(0x04000310, "OB", SENTINEL))),
}.items():
    hostile(
        f"value: {_what}", lambda e=_extra: image(e), ACCEPTED, "INVALID_VALUE", "LIMIT_EXCEEDED", "MALFORMED"
    )
for _what, _descriptor, _entries in [
    ("65,536 entries and two bytes", (0, 0, 16), b"\1\0"),
    ("no entries", (1, 0, 8), b""),
    ("255 bits", (256, 0, 255), bytes(512)),
    ("first entry 65535", (256, 65_535, 16), bytes(512)),
]:
    hostile(
        f"US, palette of {_what}",
        lambda d=_descriptor, e=_entries: image(
            *(element(tag, "US", struct.pack("<3H", *d)) for tag in (0x00281101, 0x00281102, 0x00281103)),
            *(element(tag, "OW", e) for tag in (0x00281201, 0x00281202, 0x00281203)),
            changes={0x00280004: b"PALETTE COLOR "} | BYTES,
            pixels=element(PIXEL_DATA, "OB", bytes(range(16))),
            sop_class=ULTRASOUND,
            modality=b"US",
        ),
    )
hostile(
    "implicit LO of 16 MB",
    lambda: image(implicit(0x00081030, SENTINEL * MEBIBYTE), syntax=IMPLICIT_LITTLE),
    ACCEPTED,
    "LIMIT_EXCEEDED",
)
hostile(
    "implicit PatientID of 16 MB",
    lambda: image(
        implicit(0x00100020, SENTINEL * MEBIBYTE), syntax=IMPLICIT_LITTLE, changes={0x00100020: None}
    ),
    ACCEPTED,
    "LIMIT_EXCEEDED",
    "INVALID_VALUE",
)
hostile(
    "a report of 49,000 texts",
    lambda: image(
        element(0x0040A040, "CS", b"CONTAINER"),
        element(
            0x0040A730,
            "SQ",
            item(element(0x0040A040, "CS", b"TEXT") + element(0x0040A160, "UT", SENTINEL)) * 49_000,
        ),
        sop_class=COMPREHENSIVE_SR,
        modality=b"SR",
        pixels=b"",
    ),
    ACCEPTED,
    "LIMIT_EXCEEDED",
)
hostile("file of 32 MB of 0xFF", lambda: b"\xff" * (2 * SIXTEEN), "NOT_DICOM")
hostile(
    "file of 32 MB of zeros with a prefix",
    lambda: bytes(128) + b"DICM" + bytes(2 * SIXTEEN),
    "MISSING_ATTRIBUTE",
)
