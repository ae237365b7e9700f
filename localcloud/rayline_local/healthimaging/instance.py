"""One DICOM P10 file to what an image set stores of it: attributes by level, frames, grouping elements.

Runs in worker processes: nothing here touches the store, S3 or the event loop.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from typing import Any

from pydicom import config, dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from rayline_local.healthimaging.attributes import (
    PATIENT_KEYWORDS,
    SERIES_KEYWORDS,
    STUDY_KEYWORDS,
    Json,
    attributes,
    needs_vr,
)
from rayline_local.healthimaging.frames import StoredFrame, UnsupportedPixels, stored_frames

#: attributes that must agree for instances to share the series' primary image set
PRIMARY_ELEMENTS = (
    "StudyDate",
    "AccessionNumber",
    "PatientID",
    "StudyInstanceUID",
    "StudyID",
    "SeriesInstanceUID",
    "SeriesNumber",
)
STUDY_ELEMENTS = PRIMARY_ELEMENTS[:5]
REQUIRED_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
UID_LENGTH_MAX = 64
DICOM_PREFIX = b"DICM"
DICOM_PREAMBLE_BYTES = 128


@dataclass(frozen=True)
class ImportedInstance:
    """One accepted instance; `frames` are aligned with the frame order of the pixel data."""

    patient: Json
    study: Json
    series: Json
    instance: Json
    vrs: dict[str, str]
    elements: tuple[str | None, ...]
    sop_instance_uid: str
    stored_transfer_syntax_uid: str | None
    frames: list[StoredFrame] = field(default_factory=list)


@dataclass(frozen=True)
class RefusedFile:
    """One file that was not imported, with the exception that FAILURE/failure.ndjson names."""

    exception_type: str
    message: str


def read_instance(content: bytes) -> ImportedInstance | RefusedFile:
    """Read, check and transcode one file; never raises, and no message carries an attribute's value."""
    try:
        return _read(content)
    except UnsupportedPixels as error:
        return RefusedFile("ValidationException", f"DICOM object cannot be stored: {error}")
    except Exception as error:
        return RefusedFile("ValidationException", f"DICOM object cannot be parsed ({type(error).__name__})")


def _read(content: bytes) -> ImportedInstance | RefusedFile:
    if content[DICOM_PREAMBLE_BYTES : DICOM_PREAMBLE_BYTES + 4] != DICOM_PREFIX:
        return RefusedFile("ValidationException", "file is not a DICOM P10 file: the DICM prefix is missing")
    config.settings.reading_validation_mode = config.IGNORE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = dcmread(io.BytesIO(content))
        except (InvalidDicomError, EOFError):
            return RefusedFile("ValidationException", "file is not a DICOM P10 file or is truncated")
        refusal = _missing_identity(dataset)
        if refusal is not None:
            return refusal
        transfer_syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
        stored_syntax: str | None = None
        frames: list[StoredFrame] = []
        if "PixelData" in dataset or "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            stored_syntax, frames = stored_frames(dataset, transfer_syntax)
        return _by_level(dataset, stored_syntax, frames)


def _missing_identity(dataset: FileDataset) -> RefusedFile | None:
    if "TransferSyntaxUID" not in dataset.file_meta:
        return RefusedFile(
            "ValidationException", "TransferSyntaxUID is missing from the file meta information"
        )
    for keyword in REQUIRED_UIDS:
        value = str(dataset.get(keyword) or "")
        if not value:
            return RefusedFile("ValidationException", f"{keyword} is missing or empty")
        if len(value) > UID_LENGTH_MAX or not UID(value).is_valid:
            return RefusedFile("ValidationException", f"{keyword} is not a valid UID")
    return None


def _by_level(dataset: FileDataset, stored_syntax: str | None, frames: list[StoredFrame]) -> ImportedInstance:
    levels: dict[str, Json] = {"patient": {}, "study": {}, "series": {}, "instance": {}}
    vrs: dict[str, str] = {}
    for source in (dataset.file_meta, dataset):
        for name, vr, value in attributes(source):
            if name in PATIENT_KEYWORDS:
                level = "patient"
            elif name in STUDY_KEYWORDS:
                level = "study"
            elif name in SERIES_KEYWORDS:
                level = "series"
            else:
                level = "instance"
            levels[level][name] = value
            if needs_vr(name, vr):
                vrs[name] = vr
    return ImportedInstance(
        patient=levels["patient"],
        study=levels["study"],
        series=levels["series"],
        instance=levels["instance"],
        vrs=vrs,
        elements=tuple(_element_text(levels, keyword) for keyword in PRIMARY_ELEMENTS),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        stored_transfer_syntax_uid=stored_syntax,
        frames=frames,
    )


def _element_text(levels: dict[str, Json], keyword: str) -> str | None:
    value: Any = None
    for level in levels.values():
        if keyword in level:
            value = level[keyword]
    return None if value is None else str(value).strip() or None
