"""Part 10 files of small images in any encoding, made by pydicom and codecs that are not the product's."""

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
ULTRASOUND_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"


def image(
    rows: int,
    columns: int,
    *,
    frames: int = 1,
    samples: int = 1,
    allocated: int = 8,
    stored: int | None = None,
    signed: bool = False,
    photometric: str | None = None,
    **attributes: Any,
) -> Dataset:
    """An ultrasound image without pixel data."""
    dataset = Dataset()
    dataset.SOPClassUID = ULTRASOUND_MULTIFRAME if frames > 1 else ULTRASOUND
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.Modality = "US"
    dataset.PatientID = "P1"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel = samples
    dataset.PhotometricInterpretation = photometric or ("RGB" if samples == 3 else "MONOCHROME2")
    if samples == 3:
        dataset.PlanarConfiguration = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.BitsAllocated = allocated
    dataset.BitsStored = stored or allocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(signed)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def native_file(dataset: Dataset, cells: NDArray[Any], syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The file with cells, in their order of bytes, as native pixel data."""
    big = syntax == ExplicitVRBigEndian
    raw = cells.astype(cells.dtype.newbyteorder(">" if big else "<")).tobytes()
    return _written(dataset, raw + b"\0" * (len(raw) & 1), syntax)


def encapsulated_file(
    dataset: Dataset, frames: list[bytes], syntax: str, *, table: str = "basic", fragments: int = 1
) -> bytes:
    """The file with encoded frames; ``table`` is *none*, *basic* or *extended*."""
    padded = [frame + b"\0" * (len(frame) & 1) for frame in frames]
    if table == "extended":
        raw, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = encapsulate_extended(padded)
    else:
        raw = encapsulate(padded, fragments_per_frame=fragments, has_bot=table == "basic")
    return _written(dataset, raw, syntax)


def _written(dataset: Dataset, raw: bytes, syntax: str) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PixelData = raw
    word = dataset.BitsAllocated > 8 and not pydicom.uid.UID(syntax).is_compressed
    dataset["PixelData"].VR = "OW" if word else "OB"
    if pydicom.uid.UID(syntax).is_encapsulated:
        dataset["PixelData"].is_undefined_length = True
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def noise(shape: tuple[int, ...], bits: int, *, signed: bool = False, seed: int = 0) -> NDArray[Any]:
    """Samples that use all of their bits."""
    generator = np.random.default_rng(seed)
    low = -(1 << bits - 1) if signed else 0
    values = generator.integers(low, low + (1 << bits), shape)
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
