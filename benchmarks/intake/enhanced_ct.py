"""A multi-frame image of any size: an Enhanced CT of one patient, native or encapsulated, written frame by frame.

Source: PS3.3 §A.38.1; PS3.5 §A.4 for encapsulated pixel data.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

import imagecodecs
import numpy
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

ROWS: Final = 512
COLUMNS: Final = 512
FRAME_BYTES: Final = ROWS * COLUMNS * 2
#: What the file says of its patient, and of nobody else.
IDENTIFYING: Final = (b"Gigabyte^Gloria", b"PID-GIGABYTE-1", b"General Hospital of Gigabyte")

_ENHANCED_CT: Final = "1.2.840.10008.5.1.4.1.1.2.1"
_DISTINCT_FRAMES: Final = 8
# PS3.6: Data Set Trailing Padding, which some writers fill with whatever was in memory.
_TRAILING_PADDING: Final = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 32) + IDENTIFYING[0].ljust(
    32, b"\0"
)


def write_enhanced_ct(path: Path, size_bytes: int, *, encapsulated: bool = False, instance: int = 1) -> None:
    """Write an image of about ``size_bytes``, with names of the patient before and behind the pixels.

    Args:
        encapsulated: JPEG 2000 lossless, one fragment a frame, with a basic offset table.
        instance: makes its UIDs differ.
    """
    frames = [_frame(number) for number in range(_DISTINCT_FRAMES)]
    if encapsulated:
        frames = [_compressed(frame) for frame in frames]
    count = max(1, size_bytes * _DISTINCT_FRAMES // sum(map(len, frames)))
    with path.open("wb") as file:
        file.write(_header(count, encapsulated=encapsulated, instance=instance))
        chosen = [frames[number % _DISTINCT_FRAMES] for number in range(count)]
        file.writelines(_encapsulated(chosen) if encapsulated else _native(chosen))
        file.write(_TRAILING_PADDING)


def _frame(number: int) -> bytes:
    """Noise around a gradient: as hard to compress as a CT of air and tissue."""
    noise = numpy.random.default_rng(number).normal(0, 12, (ROWS, COLUMNS))
    gradient = numpy.add.outer(numpy.arange(ROWS), numpy.arange(COLUMNS)) + 20 * number
    pixels: bytes = (gradient + noise + 100).astype("<u2").tobytes()
    return pixels


def _compressed(frame: bytes) -> bytes:
    pixels = numpy.frombuffer(frame, "<u2").reshape(ROWS, COLUMNS)
    encoded = bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, bitspersample=16))
    return encoded + bytes(len(encoded) & 1)


def _native(frames: list[bytes]) -> Iterator[bytes]:
    yield struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, sum(map(len, frames)))
    yield from frames


def _encapsulated(frames: list[bytes]) -> Iterator[bytes]:
    yield struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    offsets, offset = [], 0
    for frame in frames:
        offsets.append(offset)
        offset += 8 + len(frame)
    yield struct.pack("<HHI", 0xFFFE, 0xE000, 4 * len(frames)) + struct.pack(f"<{len(frames)}I", *offsets)
    for frame in frames:
        yield struct.pack("<HHI", 0xFFFE, 0xE000, len(frame))
        yield frame
    yield struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def _header(frames: int, *, encapsulated: bool, instance: int) -> bytes:
    """All before the pixel data."""
    dataset = _dataset(frames, f"1.2.826.0.1.3680043.8.498.77.{instance}")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless if encapsulated else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _dataset(frames: int, root: str) -> Dataset:
    name, patient_id, institution = (value.decode() for value in IDENTIFYING)
    dataset = Dataset()
    dataset.SOPClassUID = _ENHANCED_CT
    dataset.SOPInstanceUID = f"{root}.3"
    dataset.SeriesInstanceUID = f"{root}.2"
    dataset.StudyInstanceUID = f"{root}.1"
    dataset.FrameOfReferenceUID = f"{root}.4"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.Modality = "CT"
    dataset.Manufacturer = "Rayline"
    dataset.InstitutionName = institution
    dataset.PatientName = name
    dataset.PatientID = patient_id
    dataset.PatientBirthDate = "19500101"
    dataset.PatientSex = "F"
    dataset.StudyDate = dataset.ContentDate = "20260101"
    dataset.StudyTime = dataset.ContentTime = "120000"
    dataset.AcquisitionDateTime = "20260101120000"
    dataset.AccessionNumber = dataset.StudyID = "1"
    dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.PixelPresentation = "MONOCHROME"
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "NO"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.NumberOfFrames = frames
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.SharedFunctionalGroupsSequence = [_shared()]
    dataset.PerFrameFunctionalGroupsSequence = [_of_frame(number) for number in range(frames)]
    return dataset


def _shared() -> Dataset:
    measures = Dataset()
    measures.PixelSpacing = [0.7, 0.7]
    measures.SliceThickness = 0.5
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    return shared


def _of_frame(number: int) -> Dataset:
    content = Dataset()
    content.FrameAcquisitionDateTime = f"20260101120000.{number:06d}"
    content.StackID = "1"
    content.InStackPositionNumber = number + 1
    content.DimensionIndexValues = [1, number + 1]
    position = Dataset()
    position.ImagePositionPatient = [0, 0, number * 0.5]
    groups = Dataset()
    groups.FrameContentSequence = [content]
    groups.PlanePositionSequence = [position]
    return groups
