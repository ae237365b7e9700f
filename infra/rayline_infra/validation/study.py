"""A made-up study that says of itself that it is one: three slices of noise, under a patient who is nobody."""

import hashlib
import secrets
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pydicom
from pydicom.uid import generate_uid

from rayline.testing.dicom import ImageSpec, image_content

MARK = "RAYLINE-PROBE"
SLICES = 3
SIDE = 32


@dataclass(frozen=True)
class Slice:
    """One file of the study.

    Attributes:
        sha256: of the file, by which the ledger knows it.
        checksum: CRC-32 of its frame, by which HealthImaging does.
    """

    name: str
    content: bytes
    sha256: str
    checksum: int


@dataclass(frozen=True)
class ProbeStudy:
    """Three slices of one series."""

    id: str
    slices: tuple[Slice, ...]

    @classmethod
    def make(cls) -> "ProbeStudy":
        """A study that nothing in the estate has seen: its UIDs and pixels are random."""
        probe_id = secrets.token_hex(6)
        study, series = generate_uid(), generate_uid()
        noise = np.random.default_rng(int(probe_id, 16))
        return cls(
            probe_id, tuple(_slice(probe_id, number, study, series, noise) for number in range(1, SLICES + 1))
        )

    @property
    def sha256s(self) -> frozenset[str]:
        """What the ledger knows the slices by."""
        return frozenset(each.sha256 for each in self.slices)


def _slice(probe_id: str, number: int, study: str, series: str, noise: np.random.Generator) -> Slice:
    dataset = pydicom.dcmread(
        BytesIO(image_content(ImageSpec(kind="CT", instance=number, rows=SIDE, columns=SIDE)))
    )
    dataset.PatientName = f"{MARK}^{probe_id}"
    dataset.PatientID = f"{MARK}-{probe_id}"
    dataset.StudyDescription = dataset.SeriesDescription = MARK
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.InstanceNumber = number
    pixels = noise.integers(0, 2**11, SIDE * SIDE, dtype=np.uint16).tobytes()
    dataset.PixelData = pixels
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    content = buffer.getvalue()
    return Slice(f"probe-{number}.dcm", content, hashlib.sha256(content).hexdigest(), zlib.crc32(pixels))
