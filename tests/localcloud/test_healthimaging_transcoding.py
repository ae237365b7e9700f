"""What one file becomes: the same decoded pixels whatever the transfer syntax, and lossy frames as received."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom.encaps import generate_frames
from support.p10_files import ct_file, new_uid, pixels
from support.shared_data import part10_files, shared

from rayline_local.healthimaging.frames import encode_htj2k
from rayline_local.healthimaging.instance import ImportedInstance, RefusedFile, read_instance

RPCL = "1.2.840.10008.1.2.4.202"


def imported(path: Path) -> ImportedInstance:
    """The instance that a file becomes."""
    result = read_instance(path.read_bytes())
    assert isinstance(result, ImportedInstance), result
    return result


@given(
    frame=st.one_of(
        *(
            arrays.arrays(np.dtype(kind), st.tuples(st.integers(1, 70), st.integers(1, 70)))
            for kind in ("u1", "u2", "i2")
        )
    )
)
def test_htj2k_is_lossless_for_any_picture(frame: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(imagecodecs.htj2k_decode(encode_htj2k(frame)), frame)


@pytest.mark.shared_data
def test_every_lossless_syntax_gives_the_same_pixels() -> None:
    reference = pydicom.dcmread(
        shared(
            "transfer_syntax",
            "CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm",
        )
    )
    expected = zlib.crc32(reference.PixelData)
    lossless = ("1.2", "1.2.2", "1.2.1.99", "4.57", "4.70", "4.80", "4.90", "1.2.5")
    found = [
        path
        for path in part10_files("transfer_syntax")
        if path.name.startswith("CTImage.dcm_") and path.stem.endswith(tuple(f".{uid}" for uid in lossless))
    ]
    assert len(found) >= 8
    for path in found:
        instance = imported(path)
        assert instance.stored_transfer_syntax_uid == RPCL, path.name
        assert [frame.checksum for frame in instance.frames] == [expected], path.name


@pytest.mark.shared_data
def test_lossy_frames_are_stored_as_received() -> None:
    for suffix in (
        "JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50",
        "JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91",
    ):
        path = shared("transfer_syntax", f"CTImage.dcm_{suffix}.dcm")
        dataset = pydicom.dcmread(path)
        instance = imported(path)
        assert instance.stored_transfer_syntax_uid == str(dataset.file_meta.TransferSyntaxUID)
        assert [frame.content for frame in instance.frames] == list(
            generate_frames(dataset.PixelData, number_of_frames=1)
        )


@pytest.mark.shared_data
def test_no_file_of_any_kind_breaks_the_import() -> None:
    for folder in ("malformed", "misc_pydicom", "charset", "sr_seg", "transfer_syntax"):
        for path in part10_files(folder):
            result = read_instance(path.read_bytes())
            if isinstance(result, RefusedFile):
                assert result.exception_type == "ValidationException"
                assert result.message


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "DICM prefix"),
        (lambda content: content[128:], "DICM prefix"),
        (lambda content: content[:-100], "cannot be decoded"),
        (lambda content: content[:140], "TransferSyntaxUID is missing"),
    ],
)
def test_damage_is_named_without_any_value(damage: Callable[[bytes], bytes], message: str) -> None:
    content = ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid(), PatientName="Secret^Name")
    result = read_instance(damage(content))
    assert isinstance(result, RefusedFile)
    assert message in result.message
    assert "Secret" not in result.message


def test_color_and_multi_frame() -> None:
    frame = np.random.default_rng(1).integers(0, 255, (3, 10, 12, 3), dtype=np.uint8)
    content = ct_file(
        frame[0, :, :, 0].astype(np.int16),
        study_uid=new_uid(),
        series_uid=new_uid(),
        NumberOfFrames=3,
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="RGB",
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        PixelData=frame.tobytes(),
    )
    result = read_instance(content)
    assert isinstance(result, ImportedInstance), result
    assert [item.checksum for item in result.frames] == [zlib.crc32(each.tobytes()) for each in frame]
    for item, each in zip(result.frames, frame, strict=True):
        np.testing.assert_array_equal(imagecodecs.htj2k_decode(item.content), each)


def test_number_strings_keep_their_characters() -> None:
    study, series = new_uid(), new_uid()
    content = ct_file(
        pixels(1), study_uid=study, series_uid=series, ImagePositionPatient=["-1.50", "2", "3E1"]
    )
    result = read_instance(content)
    assert isinstance(result, ImportedInstance)
    # PS3.5 §6.2: DS is text; "-1.50" and "-1.5" are different values of record.
    assert result.instance["ImagePositionPatient"][0] == "-1.50"
