"""Many CT slices to be de-identified: the real ones of a chest, or made-up ones, each with UIDs of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from rayline.settings import data_root

SLICES: Final = 40
_CHEST: Final = "ct_chest_lidc0314"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of ours is made in it
# Inputs, one side's outputs, and what the system needs beside them.
_ROOM: Final = 3


@contextmanager
def working_folder(bytes_needed: int, chosen: Path | None) -> Iterator[Path]:
    """A folder for inputs and outputs: in memory where there is room, so that no disk is measured."""
    parent = chosen
    if parent is None and _MEMORY.is_dir():
        room = min(shutil.disk_usage(_MEMORY).free, _available_memory())
        parent = _MEMORY if room > _ROOM * bytes_needed else None
    with tempfile.TemporaryDirectory(prefix="rayline-bench-", dir=parent) as folder:
        yield Path(folder)


def _available_memory() -> int:
    (line,) = (
        line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")
    )
    return int(line.split()[1]) * 1024


def slices() -> tuple[list[bytes], str]:
    """Forty CT slices as Part 10 files, and where they are from."""
    real = sorted((data_root() / _CHEST).glob("*.dcm"))[:SLICES]
    if real:
        return [path.read_bytes() for path in real], f"{len(real)} slices of {_CHEST}"
    return [_made_up(number) for number in range(SLICES)], "made-up slices"


def write_files(folder: Path, count: int, originals: list[bytes]) -> None:
    """Write so many slices, 40 to a series and study; each has UIDs that no other one has."""
    folder.mkdir()
    uids = [_uids(original) for original in originals]
    for number in range(count):
        series, place = divmod(number, len(originals))
        content = originals[place]
        for uid in uids[place]:
            content = content.replace(uid, _renumbered(uid, series))
        (folder / f"{number:06}.dcm").write_bytes(content)


def _uids(content: bytes) -> list[bytes]:
    """The study's, the series' and the instance's UIDs of a file."""
    dataset = dcmread(BytesIO(content), stop_before_pixels=True)
    named = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    return [str(uid).encode("ascii") for uid in named]


def _renumbered(uid: bytes, number: int) -> bytes:
    """A UID of the same length, so that nothing else in the file changes."""
    root, _, last = uid.rpartition(b".")
    modulus = 10 ** (len(last) - 1)
    changed = (int(last) + number * 79_243_139) % modulus + modulus  # begins with 1, never with 0
    return root + b"." + str(changed).encode("ascii")


def _made_up(number: int) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"1.2.826.0.1.3680043.8.498.4{number:010}"
    dataset.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.20000000001"
    dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.30000000001"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Bench^Berta", "BENCH-1", "CT"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20240229"
    for element in range(200):
        dataset.add_new(0x00181000 + 2 * element, "LO", f"VALUE {element}")
    dataset.Rows = dataset.Columns = 512
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation, dataset.InstanceNumber = "MONOCHROME2", str(number)
    noise = numpy.random.default_rng(number).integers(0, 4096, (512, 512), dtype="<u2")
    dataset.PixelData = noise.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
