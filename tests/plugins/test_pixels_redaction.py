"""Blanking boxes keeps the transfer syntax and every sample outside; what reads the result is not what wrote it."""

from typing import Any

import imagecodecs
import jpeg_ls
import numpy as np
import pydicom
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.encaps import generate_frames, get_frame
from pydicom.pixels import pixel_array
from support.image_files import NATIVE, encapsulated_file, image, native_file, noise
from support.shared_data import shared

from rayline.plugin import Content, InMemory, RejectedEvent, Stretch, read_header
from rayline_deid.pixels import Box
from rayline_deid.pixels.image import read_format
from rayline_deid.pixels.redaction import Redacted, redact

RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"

DECODERS = {
    JPEG: imagecodecs.jpeg8_decode,
    JPEG_EXTENDED: imagecodecs.jpeg8_decode,
    JPEG_LOSSLESS: imagecodecs.jpegsof3_decode,
    JPEG_LOSSLESS_SV1: imagecodecs.jpegsof3_decode,
    JPEG_2000_LOSSLESS: imagecodecs.jpeg2k_decode,
    JPEG_2000: imagecodecs.jpeg2k_decode,
    HTJ2K_LOSSLESS: imagecodecs.htj2k_decode,
    HTJ2K_RPCL: imagecodecs.htj2k_decode,
    HTJ2K: imagecodecs.htj2k_decode,
}

BOXES = (Box(3, 2, 17, 5), Box(20, 11, 6, 9))


def redacted(
    content: bytes | Content, boxes: tuple[Box, ...] = BOXES, **options: bool
) -> tuple[bytes, Redacted]:
    source = InMemory(content) if isinstance(content, bytes) else content
    header = read_header(source)
    result = redact(source, header, read_format(header, 10**8), boxes, **options)
    return result.content.whole(), result


def parsed(content: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))


def stored(content: bytes) -> NDArray[Any]:
    """Frames × rows × columns × samples as pydicom reads them, without a change of colours."""
    dataset = parsed(content)
    syntax = dataset.file_meta.TransferSyntaxUID
    frames = int(dataset.get("NumberOfFrames", 1))
    shape = (frames, dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    if syntax in DECODERS:
        encoded = generate_frames(dataset.PixelData, number_of_frames=frames)
        return np.stack([DECODERS[syntax](frame) for frame in encoded]).reshape(shape)
    return pixel_array(dataset, raw=True).reshape(shape)


def inside(shape: tuple[int, ...], boxes: tuple[Box, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape[1:3], dtype=bool)
    for box in boxes:
        mask[box.top : box.bottom, box.left : box.right] = True
    return mask


def assert_blank_inside_only(before: bytes, after: bytes, boxes: tuple[Box, ...], black: Any) -> None:
    old, new = stored(before), stored(after)
    mask = inside(old.shape, boxes)
    assert mask.any()
    assert (new[:, mask] == np.asarray(black)).all()
    assert (new[:, ~mask] == old[:, ~mask]).all()
    assert (old[:, mask] != np.asarray(black)).any()


def assert_nothing_else_changed(before: bytes, after: bytes) -> None:
    old, new = parsed(before), parsed(after)
    assert new.file_meta == old.file_meta
    for dataset in (old, new):
        for name in ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            if name in dataset:
                del dataset[name]
    assert new == old


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize(
    ("options", "bits", "black"),
    [
        ({}, 8, 0),
        ({"photometric": "MONOCHROME1"}, 8, 255),
        ({"allocated": 16, "stored": 12}, 12, 0),
        ({"allocated": 16, "stored": 12, "signed": True}, 12, -2048),
        ({"allocated": 16, "stored": 12, "signed": True, "PixelPaddingValue": -1000}, 12, -1000),
        ({"samples": 3}, 8, [0, 0, 0]),
        ({"samples": 3, "photometric": "YBR_FULL"}, 8, [0, 128, 128]),
    ],
)
def test_native(syntax: str, options: dict[str, Any], bits: int, black: Any) -> None:
    dataset = image(31, 27, frames=3, **options)
    cells = noise((3, 31, 27, dataset.SamplesPerPixel), bits, signed=bool(dataset.PixelRepresentation))
    before = native_file(dataset, cells, syntax)
    after, result = redacted(before)
    assert result.boxes == BOXES
    assert_blank_inside_only(before, after, BOXES, black)
    assert_nothing_else_changed(before, after)


def test_separate_planes() -> None:
    dataset = image(31, 27, frames=2, samples=3, PlanarConfiguration=1)
    before = native_file(dataset, noise((2, 3, 31, 27), 8))
    after, _ = redacted(before)
    assert_blank_inside_only(before, after, BOXES, [0, 0, 0])


def test_shared_chrominance() -> None:
    """A box that halves a pair of pixels takes both."""
    dataset = image(31, 28, frames=2, samples=3, photometric="YBR_FULL_422")
    before = native_file(dataset, noise((2, 31, 28, 2), 8))
    after, result = redacted(before)
    assert result.boxes == (Box(2, 2, 18, 5), Box(20, 11, 6, 9))
    assert_blank_inside_only(before, after, result.boxes, [0, 128, 128])


@pytest.mark.parametrize(("photometric", "black"), [("MONOCHROME2", 0), ("MONOCHROME1", 1)])
def test_one_bit(photometric: str, black: int) -> None:
    """Frames of 31 × 27 bits begin amid a byte."""
    dataset = image(31, 27, frames=3, allocated=1, photometric=photometric)
    bits = noise((3, 31, 27), 1)
    packed = np.packbits(bits, bitorder="little")
    before = native_file(dataset, packed)
    after, _ = redacted(before)
    assert_blank_inside_only(before, after, BOXES, black)


def test_bytes_in_words_of_big_endian() -> None:
    """PS3.5 §8.1.1: OW of 8-bit samples is swapped by words, other than OB."""
    dataset = image(31, 27)
    cells = noise((31, 27), 8)
    even = native_file(dataset, cells, "1.2.840.10008.1.2.2")
    words = parsed(even)
    raw = cells.tobytes() + b"\0"
    words.PixelData = b"".join(raw[at : at + 2][::-1] for at in range(0, len(raw), 2))
    words["PixelData"].VR = "OW"
    buffer = pydicom.filebase.DicomBytesIO()
    pydicom.dcmwrite(buffer, words, enforce_file_format=True)
    before = buffer.getvalue()
    after, _ = redacted(before)
    assert_blank_inside_only(before, after, BOXES, 0)


def test_embedded_overlays_are_cleared_everywhere() -> None:
    dataset = image(31, 27, allocated=16, stored=12)
    before = native_file(dataset, noise((31, 27), 16))
    after, _ = redacted(before, (), clear_unused=True)
    old = np.frombuffer(parsed(before).PixelData, "<u2")
    new = np.frombuffer(parsed(after).PixelData, "<u2")
    assert (new == old & 0x0FFF).all()
    assert (new != old).any()


def test_native_stretches_are_edited_wherever_they_begin() -> None:
    dataset = image(31, 27, frames=3, samples=3, allocated=16)
    before = native_file(dataset, noise((3, 31, 27, 3), 16))
    whole, result = redacted(before)
    for length in (1, 7, 1000):
        parts = [result.content.read(start, length) for start in range(0, len(whole), length)]
        assert b"".join(parts) == whole


class _Counted(Content):
    """Native pixel data of any size that nobody may read whole."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head, self.size, self.longest = head, size, 0

    def read(self, start: int, length: int) -> bytes:
        self.longest = max(self.longest, length)
        length = max(0, min(length, self.size - start))
        part = self._head[start : start + length]
        return part + b"\x55" * (length - len(part))


def test_a_gigabyte_of_native_frames_is_not_read() -> None:
    dataset = image(1024, 1024, frames=1024)
    small = native_file(dataset, np.zeros(2, np.uint8))
    head = small[: small.rindex(b"OB\0\0") + 4] + (1 << 30).to_bytes(4, "little")
    source = _Counted(head, len(head) + (1 << 30))
    header = read_header(source)
    content = redact(source, header, read_format(header, 10**8), (Box(0, 0, 1024, 40),)).content
    source.longest = 0
    assert content.size == source.size
    last_frame = len(head) + 1023 * 1024 * 1024
    assert content.read(last_frame - 4, 8) == b"\x55" * 4 + bytes(4)
    assert content.read(last_frame + 40 * 1024 - 4, 8) == bytes(4) + b"\x55" * 4
    assert source.longest < 1024
    assert any(isinstance(piece, Stretch) for piece in content.pieces(0, content.size))


def _plain(cells: NDArray[Any]) -> NDArray[Any]:
    return cells[..., 0] if cells.shape[-1] == 1 else cells


def _rle(cells: NDArray[Any]) -> bytes:
    rows, columns, samples = cells.shape
    dataset = image(rows, columns, samples=samples, allocated=8 * cells.dtype.itemsize)
    native = parsed(native_file(dataset, cells))
    native.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom")
    return get_frame(native.PixelData, 0, number_of_frames=1)


def _jpeg_lossless(cells: NDArray[Any], bits: int) -> bytes:
    colours = {"colorspace": "RGB", "outcolorspace": "RGB"} if cells.shape[-1] == 3 else {}
    return bytes(
        imagecodecs.jpeg8_encode(_plain(cells), lossless=True, predictor=4, bitspersample=bits, **colours)
    )


def _jpeg_2000(cells: NDArray[Any], bits: int, *, transform: bool, reversible: bool = True) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            _plain(cells),
            level=0 if reversible else 40,
            codecformat="j2k",
            reversible=reversible,
            bitspersample=bits,
            mct=transform,
        )
    )


def _frames(syntax: str, cells: NDArray[Any], bits: int, photometric: str) -> list[bytes]:
    encode = {
        RLE: lambda frame: _rle(frame),
        JPEG_LOSSLESS: lambda frame: _jpeg_lossless(frame, bits),
        JPEG_LOSSLESS_SV1: lambda frame: _jpeg_lossless(frame, bits),
        JPEG_LS: lambda frame: bytes(imagecodecs.jpegls_encode(_plain(frame))),
        JPEG_LS_NEAR: lambda frame: bytes(imagecodecs.jpegls_encode(_plain(frame), level=3)),
        JPEG_2000_LOSSLESS: lambda frame: _jpeg_2000(frame, bits, transform=photometric == "YBR_RCT"),
        JPEG_2000: lambda frame: _jpeg_2000(
            frame, bits, transform=photometric == "YBR_ICT", reversible=photometric == "RGB"
        ),
        HTJ2K_LOSSLESS: lambda frame: bytes(imagecodecs.htj2k_encode(_plain(frame), reversible=True)),
        HTJ2K_RPCL: lambda frame: bytes(imagecodecs.htj2k_encode(_plain(frame), reversible=True, tlm=True)),
        HTJ2K: lambda frame: bytes(imagecodecs.htj2k_encode(_plain(frame), reversible=False, level=0.01)),
    }[syntax]
    return [encode(frame) for frame in cells]


ENCAPSULATED = [
    (RLE, {}, 8, 0),
    (RLE, {"allocated": 16, "stored": 12}, 12, 0),
    (RLE, {"allocated": 16, "signed": True}, 16, -32768),
    (RLE, {"samples": 3}, 8, [0, 0, 0]),
    (RLE, {"samples": 3, "photometric": "YBR_FULL"}, 8, [0, 128, 128]),
    (JPEG_LOSSLESS, {"allocated": 16, "stored": 12}, 12, 0),
    (JPEG_LOSSLESS_SV1, {"photometric": "MONOCHROME1"}, 8, 255),
    (JPEG_LOSSLESS_SV1, {"samples": 3}, 8, [0, 0, 0]),
    (JPEG_LS, {}, 8, 0),
    (JPEG_LS, {"allocated": 16, "stored": 16}, 16, 0),
    (JPEG_LS, {"samples": 3}, 8, [0, 0, 0]),
    (JPEG_LS_NEAR, {}, 8, 0),
    (JPEG_2000_LOSSLESS, {"allocated": 16, "stored": 12}, 12, 0),
    (JPEG_2000_LOSSLESS, {"allocated": 16, "stored": 12, "signed": True}, 12, -2048),
    (JPEG_2000_LOSSLESS, {"samples": 3, "photometric": "YBR_RCT"}, 8, [0, 0, 0]),
    (JPEG_2000_LOSSLESS, {"samples": 3}, 8, [0, 0, 0]),
    (JPEG_2000, {}, 8, 0),
    (HTJ2K_LOSSLESS, {}, 8, 0),
    (HTJ2K_LOSSLESS, {"allocated": 16, "signed": True}, 16, -32768),
    (HTJ2K_RPCL, {"samples": 3, "photometric": "YBR_RCT"}, 8, [0, 0, 0]),
    (HTJ2K, {}, 8, 0),
]


@pytest.mark.parametrize(("syntax", "options", "bits", "black"), ENCAPSULATED)
@pytest.mark.parametrize("table", ["none", "basic", "extended"])
def test_encapsulated(syntax: str, options: dict[str, Any], bits: int, black: Any, table: str) -> None:
    dataset = image(31, 27, frames=3, **options)
    cells = noise((3, 31, 27, dataset.SamplesPerPixel), bits, signed=bool(dataset.PixelRepresentation))
    coded = (
        cells
        if not (dataset.PixelRepresentation and syntax == RLE)
        else cells.view(f"u{cells.dtype.itemsize}")
    )
    frames = _frames(syntax, coded, bits, dataset.PhotometricInterpretation)
    before = encapsulated_file(dataset, frames, syntax, table=table)
    after, result = redacted(before)
    assert result.boxes == BOXES
    assert_blank_inside_only(before, after, BOXES, black)
    assert_nothing_else_changed(before, after)
    assert_tables_find_every_frame(after, table)


def assert_tables_find_every_frame(content: bytes, table: str) -> None:
    dataset = parsed(content)
    count = int(dataset.NumberOfFrames)
    expected = list(generate_frames(dataset.PixelData, number_of_frames=count))
    basic = int.from_bytes(dataset.PixelData[4:8], "little")
    assert basic == (4 * count if table == "basic" else 0)
    assert len(content) % 2 == 0
    if table == "extended":
        offsets = np.frombuffer(dataset.ExtendedOffsetTable, "<u8")
        lengths = np.frombuffer(dataset.ExtendedOffsetTableLengths, "<u8")
        for offset, length, frame in zip(offsets, lengths, expected, strict=True):
            begin = 8 + int(offset)
            assert dataset.PixelData[begin : begin + 4] == b"\xfe\xff\x00\xe0"
            assert dataset.PixelData[begin + 8 : begin + 8 + int(length)] == frame[: int(length)]
    if table == "basic":
        for index, frame in enumerate(expected):
            assert get_frame(dataset.PixelData, index, number_of_frames=count) == frame


def test_the_irreversible_component_transform_becomes_the_reversible_one() -> None:
    dataset = image(64, 64, samples=3, photometric="YBR_ICT", LossyImageCompression="01")
    before = encapsulated_file(dataset, _frames(JPEG_2000, noise((1, 64, 64, 3), 8), 8, "YBR_ICT"), JPEG_2000)
    after, _ = redacted(before)
    assert_blank_inside_only(before, after, BOXES, [0, 0, 0])
    assert parsed(after).PhotometricInterpretation == "YBR_RCT"
    assert parsed(after).LossyImageCompression == "01"


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_components_of_jpeg_ls_in_any_interleaving(mode: int) -> None:
    """Components may have scans of their own (T.87 §C.2.3)."""
    cells = _smooth(40, 40, 3)
    ordered = cells if mode else cells.transpose(2, 0, 1)
    frame = jpeg_ls.encode_buffer(np.ascontiguousarray(ordered).tobytes(), 40, 40, 3, 8, interleave_mode=mode)
    before = encapsulated_file(image(40, 40, samples=3), [bytes(frame)], JPEG_LS)
    after, _ = redacted(before)
    decoded = imagecodecs.jpegls_decode(next(generate_frames(parsed(after).PixelData, number_of_frames=1)))
    mask = inside((1, 40, 40), BOXES)
    assert (decoded[mask] == 0).all()
    assert (decoded[~mask] == cells[~mask]).all()


def test_components_of_htj2k_without_a_transform() -> None:
    cells = noise((3, 3, 3), 8)
    planes = np.ascontiguousarray(cells.transpose(2, 0, 1))
    frame = bytes(imagecodecs.htj2k_encode(planes, reversible=True, rgb=False, planar=True))
    before = encapsulated_file(image(3, 3, samples=3), [frame], HTJ2K_LOSSLESS)
    after, _ = redacted(before, (Box(0, 0, 2, 1),))
    encoded = next(generate_frames(parsed(after).PixelData, number_of_frames=1))
    decoded = imagecodecs.htj2k_decode(encoded, planar=False)
    assert (decoded[0, :2] == 0).all()
    assert (decoded[1:] == cells[1:]).all()
    assert (decoded[0, 2] == cells[0, 2]).all()


@pytest.mark.parametrize("precision", [9, 12, 15])
def test_a_codestream_keeps_its_precision(precision: int) -> None:
    """12 bits in a codestream of 16 would not agree with Bits Stored."""
    dataset = image(31, 27, allocated=16, stored=precision)
    cells = noise((1, 31, 27, 1), precision)
    wide = bytes(imagecodecs.htj2k_encode(cells[0, :, :, 0], reversible=True))
    at = wide.index(b"\xff\x51") + 40
    shifted = cells[0, :, :, 0] + np.uint16((1 << 15) - (1 << precision - 1))
    narrow = bytearray(imagecodecs.htj2k_encode(shifted, reversible=True))
    narrow[at] = precision - 1
    for syntax, frame in ((HTJ2K_LOSSLESS, bytes(narrow)), (JPEG_2000_LOSSLESS, None)):
        encoded = [frame] if frame else _frames(syntax, cells, precision, "MONOCHROME2")
        before = encapsulated_file(dataset, encoded, syntax)
        assert (stored(before)[0] == cells[0]).all()
        after, _ = redacted(before)
        assert_blank_inside_only(before, after, BOXES, 0)
        codestream = next(generate_frames(parsed(after).PixelData, number_of_frames=1))
        assert codestream[codestream.index(b"\xff\x51") + 40] == precision - 1


def _jpeg(cells: NDArray[Any], **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(_plain(cells), **options))


def _smooth(rows: int, columns: int, samples: int) -> NDArray[Any]:
    y, x = np.mgrid[:rows, :columns]
    planes = [127 + 60 * np.sin(x / (5 + k)) * np.cos(y / 7) + (x * y % 13) for k in range(samples)]
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("options", "photometric", "unit"),
    [
        ({"level": 90}, "MONOCHROME2", (8, 8)),
        ({"level": 90}, "MONOCHROME1", (8, 8)),
        ({"level": 85, "optimize": True}, "MONOCHROME2", (8, 8)),
        ({"level": 100, "optimize": True}, "MONOCHROME2", (8, 8)),
        ({"level": 90, "subsampling": "444"}, "YBR_FULL", (8, 8)),
        ({"level": 90, "subsampling": "422"}, "YBR_FULL_422", (16, 8)),
        ({"level": 75, "subsampling": "420", "optimize": True}, "YBR_FULL_422", (16, 16)),
        ({"level": 90, "colorspace": "RGB", "outcolorspace": "RGB"}, "RGB", (8, 8)),
    ],
)
def test_lossy_jpeg_keeps_its_coefficients(
    options: dict[str, Any], photometric: str, unit: tuple[int, int]
) -> None:
    samples = 1 if photometric.startswith("MONO") else 3
    rows, columns = 75, 99
    dataset = image(
        rows, columns, frames=2, samples=samples, photometric=photometric, LossyImageCompression="01"
    )
    frames = [
        _jpeg(np.roll(_smooth(rows, columns, samples), index * 9, axis=1), **options) for index in range(2)
    ]
    before = encapsulated_file(dataset, frames, JPEG)
    after, result = redacted(before)
    assert_nothing_else_changed(before, after)
    width, height = unit
    assert all(box.left % width == box.top % height == 0 for box in result.boxes)
    old, new = stored(before).astype(int), stored(after).astype(int)
    blank, kept = (
        inside(old.shape, result.boxes),
        ~inside(
            old.shape,
            tuple(
                Box(b.left - 2, b.top - 2, b.width + 4, b.height + 4).within(rows, columns)
                for b in result.boxes
            ),
        ),
    )
    if samples == 1:
        kept = ~blank
    assert inside(old.shape, BOXES)[blank].sum() == inside(old.shape, BOXES).sum()
    assert (new[:, kept] == old[:, kept]).all()
    interior = inside(
        old.shape, tuple(Box(b.left + 2, b.top + 2, b.width - 4, b.height - 4) for b in result.boxes)
    )
    level = 255 if photometric == "MONOCHROME1" else 0
    assert abs(new[:, interior] - level).max() <= 2


def test_restart_intervals_and_comments() -> None:
    """Restart markers stay where they were; a comment may name the patient."""
    frame = _jpeg(_smooth(64, 64, 1), level=90)
    scan = frame.index(b"\xff\xda")
    # One interval as long as the scan of 64 units has no marker in it; see the real file for markers.
    with_restart = frame[:scan] + b"\xff\xdd\x00\x04\x00\x40" + b"\xff\xfe\x00\x0aDOE^JANE" + frame[scan:]
    before = encapsulated_file(image(64, 64), [with_restart], JPEG)
    after, result = redacted(before)
    assert b"DOE^JANE" in before
    assert b"DOE^JANE" not in after
    assert_blank_inside_only(before, after, result.boxes, 0)


@pytest.mark.parametrize("cut", [10, 200, 700])
def test_a_broken_jpeg_is_refused(cut: int) -> None:
    frame = _jpeg(_smooth(64, 64, 1), level=95)
    assert len(frame) > 900
    before = encapsulated_file(image(64, 64), [frame[:-cut] + b"\xff\xd9"], JPEG)
    with pytest.raises(RejectedEvent) as refusal:
        redacted(before)
    assert refusal.value.reason == "PIXELS_NOT_CLEANABLE"


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2.4.53",
        "1.2.840.10008.1.2.4.55",
        "1.2.840.10008.1.2.4.92",
        "1.2.840.10008.1.2.4.100",
        "1.2.840.10008.1.2.4.102",
        "1.2.840.10008.1.2.4.107",
    ],
)
def test_other_transfer_syntaxes_are_refused(syntax: str) -> None:
    before = encapsulated_file(image(64, 64), [b"\0" * 64], syntax)
    with pytest.raises(RejectedEvent) as refusal:
        redacted(before)
    assert refusal.value.reason == "PIXELS_NOT_CLEANABLE"


@pytest.mark.parametrize("syntax", [RLE, JPEG, JPEG_LOSSLESS_SV1, JPEG_LS, JPEG_2000_LOSSLESS, HTJ2K_RPCL])
@pytest.mark.parametrize(
    "frame", [bytes(2), b"\xff\xd8\xff\xd9", bytes(range(256)) * 2, b"\xff\x4f\xff\x51" * 40]
)
def test_a_frame_of_another_kind_is_refused(syntax: str, frame: bytes) -> None:
    with pytest.raises(RejectedEvent) as refusal:
        redacted(encapsulated_file(image(31, 27), [frame], syntax))
    assert refusal.value.reason == "PIXELS_NOT_CLEANABLE"


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS_SV1, JPEG_LS, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS])
def test_a_frame_larger_than_the_header_says_is_refused_before_it_is_decoded(syntax: str) -> None:
    frames = _frames(syntax, noise((1, 62, 27, 1), 8), 8, "MONOCHROME2")
    with pytest.raises(RejectedEvent) as refusal:
        redacted(encapsulated_file(image(31, 27), frames, syntax))
    assert refusal.value.reason == "PIXELS_NOT_CLEANABLE"


def test_a_size_in_an_application_segment_of_jpeg_ls_says_nothing() -> None:
    """Decoders believe SPIFF's size, here of 2³¹ rows, before the frame header's."""
    frame = bytearray(_frames(JPEG_LS, noise((1, 31, 27, 1), 8), 8, "MONOCHROME2")[0])
    at = frame.index(b"SPIFF\0") + 10
    assert int.from_bytes(frame[at : at + 4], "big") == 31
    frame[at] = 0x7F
    after, _ = redacted(encapsulated_file(image(31, 27), [bytes(frame)], JPEG_LS))
    assert len(after) < 10_000


def test_an_htj2k_frame_that_is_decoded_in_part_is_refused() -> None:
    """What is missing would be whatever lay in memory."""
    frame = _frames(HTJ2K_LOSSLESS, noise((1, 62, 62, 1), 8), 8, "MONOCHROME2")[0]
    broken = bytearray(frame)
    for index in range(len(frame) // 2, len(frame) - 2):
        broken[index] ^= 0x5A
    with pytest.raises(RejectedEvent) as refusal:
        redacted(encapsulated_file(image(62, 62), [bytes(broken)], HTJ2K_LOSSLESS))
    assert refusal.value.reason == "PIXELS_NOT_CLEANABLE"


@pytest.mark.parametrize("fragments", [2, 3])
@pytest.mark.parametrize("table", ["none", "basic"])
def test_frames_of_several_fragments(fragments: int, table: str) -> None:
    frames = _frames(JPEG_LS, noise((3, 31, 27, 1), 8), 8, "MONOCHROME2")
    before = encapsulated_file(image(31, 27, frames=3), frames, JPEG_LS, table=table, fragments=fragments)
    assert len(read_header(InMemory(before)).fragments) == 1 + 3 * fragments
    after, _ = redacted(before)
    assert_blank_inside_only(before, after, BOXES, 0)


def test_fragments_that_belong_to_no_frame_are_refused() -> None:
    frames = _frames(RLE, noise((2, 31, 27, 1), 8), 8, "MONOCHROME2")
    before = encapsulated_file(image(31, 27, frames=3), [*frames, *frames], RLE, table="none")
    with pytest.raises(RejectedEvent) as refusal:
        redacted(before)
    assert refusal.value.reason == "PIXELS_NOT_CLEANABLE"


@st.composite
def boxes_within(draw: st.DrawFn, rows: int, columns: int) -> tuple[Box, ...]:
    found = []
    for _ in range(draw(st.integers(1, 4))):
        left, top = draw(st.integers(0, columns - 1)), draw(st.integers(0, rows - 1))
        found.append(Box(left, top, draw(st.integers(1, columns - left)), draw(st.integers(1, rows - top))))
    return tuple(found)


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, tuple[Box, ...], Any]:
    rows, columns, frames = draw(st.integers(1, 20)), draw(st.integers(1, 20)), draw(st.integers(1, 3))
    syntax = draw(st.sampled_from([*NATIVE, RLE, JPEG_LS]))
    samples = draw(st.sampled_from([1, 3]))
    bits = draw(st.integers(2, 16)) if samples == 1 else 8
    signed = bits > 8 and syntax != JPEG_LS and draw(st.booleans())
    dataset = image(
        rows,
        columns,
        frames=frames,
        samples=samples,
        allocated=8 if bits <= 8 else 16,
        stored=bits,
        signed=signed,
    )
    cells = noise((frames, rows, columns, samples), bits, signed=signed, seed=draw(st.integers(0, 1000)))
    if syntax in NATIVE:
        content = native_file(dataset, cells, syntax)
    else:
        raw = cells.view(f"u{cells.dtype.itemsize}")
        content = encapsulated_file(dataset, _frames(syntax, raw, bits, ""), syntax)
    black = -(1 << bits - 1) if signed else 0
    return content, draw(boxes_within(rows, columns)), black


def _one_pixel_in_jpeg_ls() -> bytes:
    frame = bytes(imagecodecs.jpegls_encode(np.array([[[7, 8, 9]]], np.uint8)))
    return encapsulated_file(image(1, 1, samples=3), [frame], JPEG_LS)


@settings(max_examples=150, deadline=None)
@given(files())
@example((_one_pixel_in_jpeg_ls(), (Box(0, 0, 1, 1),), 0))
@example((native_file(image(1, 1), np.array([[[7]]], np.uint8)), (Box(0, 0, 1, 1),), 0))
def test_any_box_of_any_image(case: tuple[bytes, tuple[Box, ...], Any]) -> None:
    before, boxes, black = case
    after, result = redacted(before, boxes)
    old, new = stored(before), stored(after)
    mask = inside(old.shape, boxes)
    assert result.boxes == boxes
    assert (new[:, mask] == black).all()
    assert (new[:, ~mask] == old[:, ~mask]).all()
    assert_nothing_else_changed(before, after)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name",
    [
        "CTImage.dcm",
        "CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm",
        "CTImage.dcm_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm",
        "CTImage.dcm_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm",
        "CTImage.dcm_JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91.dcm",
        "CTImage.dcm_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm",
        "CTImage.dcm_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm",
        "CTImage.dcm_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm",
        "CTImage.dcm_JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57.dcm",
        "CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm",
        "CTImage.dcm_LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm",
        "CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm",
        "US-YBR_FULL_422-EVRLE.dcm",
        "htj2k/CT1_JPH.dcm",
        "htj2k/MR3_JPH.dcm",
        "htj2k/US1_JPH.dcm",
        "no-pixel-spacing.dcm",
    ],
)
def test_real_files_outside_the_boxes_are_bit_exact(name: str) -> None:
    before = shared("transfer_syntax", *name.split("/")).read_bytes()
    boxes = (Box(10, 4, 200, 60), Box(300, 300, 31, 47))
    after, result = redacted(before, boxes)
    assert_nothing_else_changed(before, after)
    old, new = stored(before), stored(after)
    mask = inside(old.shape, result.boxes)
    assert (new[:, ~mask] == old[:, ~mask]).all()
    assert np.ptp(new[:, mask].reshape(-1, old.shape[3]), axis=0).max() == 0
    assert (mask | ~inside(old.shape, boxes)).all()


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "decoded_bits"),
    [
        ("CTImage.dcm_JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50.dcm", 8),
        ("CTImage.dcm_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm", 12),
        ("CT0012.fragmented_no_bot_jpeg_baseline.51.dcm", 12),
    ],
)
def test_real_lossy_files_keep_all_blocks_outside(name: str, decoded_bits: int) -> None:
    before = shared("transfer_syntax", name).read_bytes()
    boxes = (Box(10, 4, 200, 60), Box(300, 300, 31, 47))
    after, result = redacted(before, boxes)
    old, new = stored(before), stored(after)
    mask = inside(old.shape, result.boxes)
    assert old.max() < 1 << decoded_bits
    assert (new[:, ~mask] == old[:, ~mask]).all()
    assert new[:, mask].max() == 0
