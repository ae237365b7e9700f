"""The intake takes whole instances of accepted classes, and says why it refuses anything else."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from support.part10 import (
    CT_IMAGE_STORAGE,
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Element,
    Writer,
    minimal_image,
)
from support.shared_data import part10_files, shared

from rayline.dicom.instance import Instance
from rayline.dicom.reading import read_dataset
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.validation import screen
from rayline.errors import RejectedEvent

SYNTAXES = [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED]


def image(writer: Writer | None = None, **changes: bytes | None) -> bytes:
    """A small CT image; ``t00280010=None`` leaves an element out, bytes replace its value."""
    writer = writer or Writer()
    elements = []
    for each in minimal_image(writer):
        change = changes.get(f"t{each.tag:08X}", each.value)
        if change is not None:
            elements.append(Element(each.tag, each.vr, change))
    return writer.file(elements)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_whole_instance_is_taken_in_every_native_encoding(syntax: str, undefined: bool) -> None:
    writer = Writer(syntax, undefined)
    nested = Element(0x00081140, "SQ", [[Element(0x00081155, "UI", b"1.2.3.7")], []])
    assert screen(Instance(writer.file([*minimal_image(writer), nested]))) is None


def reason(content: bytes) -> str | None:
    rejection = screen(Instance(content))
    return rejection.reason if rejection else None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ReasonCode.EMPTY_OBJECT),
        (b"\0", ReasonCode.NOT_DICOM),
        (b"Dear doctor, the patient was here. " * 10, ReasonCode.NOT_DICOM),
        (bytes(128) + b"DICM", ReasonCode.MISSING_ATTRIBUTE),
        (image()[:-1], ReasonCode.TRUNCATED),
        (image()[:-33], ReasonCode.TRUNCATED),
        (image()[:-36], ReasonCode.TRUNCATED),
        (image(t00080018=None), ReasonCode.MISSING_ATTRIBUTE),
        (image(t00080018=b""), ReasonCode.MISSING_ATTRIBUTE),
        (image(t0020000D=b"../../etc/passwd"), ReasonCode.INVALID_UID),
        (image(t0020000D=b"1." + b"2" * 63), ReasonCode.INVALID_UID),
        (image(t00080018=b"1.2.3.77"), ReasonCode.INVALID_UID),
        (image(t00080060=None), ReasonCode.MISSING_ATTRIBUTE),
        (image(t00080060=b"PNEUMO"), ReasonCode.MODALITY_NOT_ALLOWED),
        (image(t7FE00010=None), ReasonCode.MISSING_ATTRIBUTE),
        (image(t00280010=None), ReasonCode.MISSING_ATTRIBUTE),
        (image(t00280010=b"\xff\xff"), ReasonCode.PIXEL_DATA_LENGTH_MISMATCH),
        (image(t7FE00010=bytes(30)), ReasonCode.PIXEL_DATA_LENGTH_MISMATCH),
        (image(t7FE00010=bytes(34)), ReasonCode.PIXEL_DATA_LENGTH_MISMATCH),
        (image(t00280100=b"\7\0"), ReasonCode.INVALID_VALUE),
        (image(Writer("1.2.840.10008.1.2.4.53")), ReasonCode.TRANSFER_SYNTAX_NOT_SUPPORTED),
    ],
)
def test_each_flaw_has_its_reason(content: bytes, expected: ReasonCode) -> None:
    assert reason(content) == expected


@pytest.mark.parametrize(
    ("sop_class", "expected"),
    [
        ("1.2.840.10008.1.3.10", ReasonCode.DICOMDIR_REFUSED),
        ("1.2.840.10008.5.1.4.1.1.104.1", ReasonCode.SOP_CLASS_NOT_ALLOWED),
        ("1.2.840.10008.1.1", ReasonCode.SOP_CLASS_NOT_ALLOWED),
        ("1.3.12.2.1107.5.9.1", ReasonCode.SOP_CLASS_NOT_ALLOWED),
    ],
)
def test_other_sop_classes_are_refused(sop_class: str, expected: ReasonCode) -> None:
    writer = Writer()
    elements = [
        Element(each.tag, each.vr, sop_class.encode()) if each.tag == 0x00080016 else each
        for each in minimal_image(writer)
    ]
    assert reason(writer.file(elements, sop_class=sop_class)) == expected


def item(length: int) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, length)


def deflate_bomb() -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(1024)) + compressor.flush()
    file = Writer(DEFLATED).file_of_body(b"")
    return file[: file.index(DEFLATED.encode()) + 22 + 8 + 10] + bomb


def nested(levels: int) -> bytes:
    opening = (
        struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0" + struct.pack("<L", 0xFFFFFFFF) + item(0xFFFFFFFF)
    )
    return Writer().file_of_body(opening * levels)


def empty_items() -> bytes:
    return Writer().file_of_body(
        struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0" + struct.pack("<L", 16 << 20) + item(0) * (2 << 20)
    )


def backslashes() -> bytes:
    writer = Writer(IMPLICIT_LITTLE)
    return writer.file([*minimal_image(writer), Element(0x00281052, "DS", b"\\" * (16 << 20))])


HOSTILE: dict[str, tuple[Callable[[], bytes], set[ReasonCode]]] = {
    "deflate bomb": (deflate_bomb, {ReasonCode.LIMIT_EXCEEDED}),
    "10,000 nested levels": (lambda: nested(10_000), {ReasonCode.LIMIT_EXCEEDED}),
    "2 million empty items": (empty_items, {ReasonCode.LIMIT_EXCEEDED}),
    "16 MB of backslashes": (backslashes, {ReasonCode.LIMIT_EXCEEDED}),
    "65535 squared": (
        lambda: image(t00280010=b"\xff\xff", t00280011=b"\xff\xff"),
        {ReasonCode.PIXEL_DATA_LENGTH_MISMATCH},
    ),
    "text in Rows": (lambda: image(t00280010=b"Four"), {ReasonCode.INVALID_VALUE}),
    "item longer than its sequence": (
        lambda: Writer().file_of_body(
            struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0" + struct.pack("<L", 8) + item(4096) + bytes(5000)
        ),
        {ReasonCode.TRUNCATED},
    ),
    "element across the end of its item": (
        lambda: Writer().file_of_body(
            struct.pack("<HH", 0x0008, 0x1140)
            + b"SQ\0\0"
            + struct.pack("<L", 20)
            + item(12)
            + struct.pack("<HH", 0x0008, 0x0104)
            + b"LO"
            + struct.pack("<H", 40)
            + bytes(44)
        ),
        {ReasonCode.TRUNCATED},
    ),
    "unknown VR": (
        lambda: Writer().file_of_body(struct.pack("<HH", 8, 0x60) + b"Zz\2\0CT"),
        {ReasonCode.MALFORMED},
    ),
    "stray item": (lambda: Writer().file_of_body(item(0)), {ReasonCode.MALFORMED}),
    "encapsulated without end": (
        lambda: Writer("1.2.840.10008.1.2.4.90").file_of_body(
            struct.pack("<HH", 0x7FE0, 0x0010)
            + b"OB\0\0"
            + struct.pack("<L", 0xFFFFFFFF)
            + item(0)
            + item(4)
            + bytes(4)
        ),
        {ReasonCode.TRUNCATED},
    ),
    "implicit bytes called explicit": (
        lambda: image(Writer(IMPLICIT_LITTLE)).replace(
            IMPLICIT_LITTLE.encode() + b"\0", EXPLICIT_BIG.encode()[:18]
        ),
        {ReasonCode.MALFORMED, ReasonCode.TRUNCATED},
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_ends_with_a_reason_and_small(name: str) -> None:
    build, expected = HOSTILE[name]
    content = build()
    tracemalloc.start()
    found = reason(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found in expected
    assert peak < 300 << 20


def test_unreadable_bytes_raise_the_error_tree_only() -> None:
    with pytest.raises(RejectedEvent) as caught:
        read_dataset(b"no DICOM")
    assert caught.value.reason == ReasonCode.NOT_DICOM


@pytest.mark.shared_data
def test_every_fuzzed_file_is_taken_or_refused_with_a_known_reason() -> None:
    files = part10_files("malformed", "fuzz")
    found = [reason(path.read_bytes()) for path in files]
    assert len(files) >= 100
    assert {each for each in found if each} <= set(ReasonCode)
    # The baseline is whole; what its name calls truncated or without prefix is not.
    by_name = {path.name: each for path, each in zip(files, found, strict=True)}
    assert by_name["BASELINE_valid_ct.dcm"] is None


@pytest.mark.shared_data
@pytest.mark.parametrize("folder", ["ct_chest_lidc0314", "cxr_dicom", "deid"])
def test_every_real_image_is_taken(folder: str) -> None:
    files = part10_files(folder)
    assert files
    assert {path.name: reason(path.read_bytes()) for path in files} == dict.fromkeys(
        path.name for path in files
    )


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("misc_pydicom/no_meta.dcm", ReasonCode.NOT_DICOM),
        ("misc_pydicom/MR_truncated.dcm", ReasonCode.TRUNCATED),
        ("misc_pydicom/rtplan_truncated.dcm", ReasonCode.TRUNCATED),
        ("misc_pydicom/meta_missing_tsyntax.dcm", ReasonCode.MISSING_ATTRIBUTE),
        ("transfer_syntax/CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm", None),
        (
            "transfer_syntax/CTImage.dcm_JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm",
            ReasonCode.TRANSFER_SYNTAX_NOT_SUPPORTED,
        ),
    ],
)
def test_known_oddities_get_their_true_reason(path: str, expected: ReasonCode | None) -> None:
    assert reason(shared(path).read_bytes()) == expected


def test_an_allowed_class_is_a_storage_class_that_pydicom_knows_too() -> None:
    from pydicom.uid import UID

    from rayline.dicom.sop_classes import ALLOWED_SOP_CLASSES

    assert CT_IMAGE_STORAGE in ALLOWED_SOP_CLASSES
    unknown = {uid for uid in ALLOWED_SOP_CLASSES if UID(uid).name == uid}
    # Label Map Segmentation is newer than pydicom's dictionary.
    assert unknown <= {"1.2.840.10008.5.1.4.1.1.66.7"}
    assert all("Storage" in UID(uid).name for uid in ALLOWED_SOP_CLASSES - unknown)


def test_a_refused_value_is_quoted_nowhere(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    content = image(t00080018=b"Doe^Jane", t00080060=b"Doe^Jane^of^the^Long^Name")
    rejection = screen(Instance(content))
    assert rejection is not None
    written = capfd.readouterr()
    assert "Jane" not in rejection.explanation + written.out + written.err + caplog.text
