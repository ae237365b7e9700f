"""Small DICOM P10 files with known pixels, for tests that must not depend on our own builders."""

from __future__ import annotations

import io
import uuid
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian


def new_uid() -> str:
    """A UID of 46 characters at most, short enough to append to."""
    return f"1.2.826.0.1.3680043.8.498.{uuid.uuid4().int % 10**18}"


def pixels(seed: int, rows: int = 48, columns: int = 64) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A smooth signed 16-bit picture with noise, different for each seed."""
    random = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(rows), np.arange(columns)) * 7 - 1000
    return (ramp + random.integers(-50, 50, (rows, columns))).astype(np.int16)


def ct_file(
    frame: np.ndarray[Any, Any],
    *,
    study_uid: str,
    series_uid: str,
    sop_uid: str | None = None,
    **attributes: Any,
) -> bytes:
    """One CT image, Explicit VR Little Endian; keyword arguments set or replace attributes (None removes one)."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = sop_uid or new_uid()
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = series_uid
    dataset.PatientName = "Doe^Jane"
    dataset.PatientID = "P-1"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "F"
    dataset.StudyDate = "20240501"
    dataset.StudyTime = "101112"
    dataset.StudyID = "S1"
    dataset.AccessionNumber = "A-1"
    dataset.Modality = "CT"
    dataset.SeriesNumber = 3
    dataset.InstanceNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.RescaleSlope = "1.0"
    dataset.RescaleIntercept = "-1024"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = frame.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.PixelData = np.ascontiguousarray(frame.astype("<i2")).tobytes()
    for keyword, value in attributes.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
