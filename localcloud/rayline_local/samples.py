"""Made-up DICOM: a CT series, chest X-rays with a learnable opacity, and files that must be refused.

Every patient is invented, and every attribute that names one is filled, so that a leak shows. Real chest X-rays
can be wrapped in the same way.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from rayline.dicom.reasons import ReasonCode
from rayline_local.leaks import identifying_values
from rayline_local.made_up import Patient, Visit, describe, encode, made_up_patient, site_uid
from rayline_local.phantoms import Image, Label, chest_xray, ct_slice

CR_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.1"
CT_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
ENCAPSULATED_PDF_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.104.1"


@dataclass(frozen=True)
class Sample:
    """One file of a sample set.

    Attributes:
        name: relative path, as a sender might name it.
        content: the bytes.
        sop_instance_uid: None where the file has none to read.
        label: what a radiologist would say of a chest X-ray, None for other files.
        refused_for: the reason code that the intake must give, None where it must accept the file.
    """

    name: str
    content: bytes = field(repr=False)
    sop_instance_uid: str | None = None
    label: Label | None = None
    refused_for: str | None = None


@dataclass(frozen=True)
class SampleSet:
    """Files and the truth about them, in the order in which they should be sent."""

    samples: tuple[Sample, ...]

    @property
    def labels(self) -> dict[str, Label]:
        """Label by SOP Instance UID, as received, of the files that must be accepted."""
        return {
            sample.sop_instance_uid: sample.label
            for sample in self.samples
            if sample.label is not None and sample.sop_instance_uid is not None and sample.refused_for is None
        }

    @property
    def refused(self) -> dict[str, str]:
        """Expected reason code by file name."""
        return {each.name: each.refused_for for each in self.samples if each.refused_for is not None}

    def identifying_values(self) -> set[str]:
        """Every searchable value in the files that identifies a patient."""
        found: set[str] = set()
        for sample in self.samples:
            found |= identifying_values(sample.content)
        return found


def wrap(
    pixels: Image, patient: Patient, *, image_number: int = 1, implicit: bool = False, source: str = "phantom"
) -> tuple[bytes, str]:
    """A CR image (PS3.3 §A.2) of a grayscale picture, with every identifying attribute filled.

    Args:
        pixels: rows × columns of uint8.
        patient: whose image it is; one patient's images share a study.
        image_number: distinguishes the images of a patient.
        source: where the picture comes from, for the instance's UID.

    Returns:
        Part 10 bytes and the SOP Instance UID.
    """
    visit = Visit.of(patient, modality="CR", number=1)
    dataset = describe(patient, visit, sop_class_uid=CR_IMAGE_STORAGE, instance=f"{source}/{image_number}")
    # Each exposure is a series of its own, as projection radiography usually comes: one image set per image.
    dataset.SeriesInstanceUID = site_uid(f"{patient.key}/CR/series/{image_number}")
    dataset.SeriesNumber = image_number
    dataset.InstanceNumber = 1
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.BurnedInAnnotation = "NO"
    dataset.KVP = "85"
    dataset.WindowCenter, dataset.WindowWidth = "127.5", "255"
    _fill_pixels(dataset, pixels, bits_stored=8)
    uid = str(dataset.SOPInstanceUID)
    return encode(dataset, ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian), uid


def _fill_pixels(dataset: Dataset, pixels: Image, *, bits_stored: int) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = (int(side) for side in pixels.shape)
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = bits_stored, bits_stored - 1
    dataset.PixelRepresentation = 0
    content = np.ascontiguousarray(pixels).tobytes()
    dataset.add_new(0x7FE00010, "OW", content + b"\0" * (len(content) & 1))


def ct_series(seed: int, slices: int = 40) -> Iterator[Sample]:
    """One CT series (PS3.3 §A.3) of a made-up patient, from apex to diaphragm."""
    patient = made_up_patient(f"{seed}/ct")
    visit = Visit.of(patient, modality="CT", number=1)
    generator = np.random.default_rng([seed, 1])
    for number in range(1, slices + 1):
        dataset = describe(patient, visit, sop_class_uid=CT_IMAGE_STORAGE, instance=f"{seed}/ct/{number}")
        dataset.SeriesNumber = 2
        dataset.InstanceNumber = number
        dataset.BodyPartExamined = "CHEST"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.ImagePositionPatient = ["-180", "-180", f"{-120.5 + number * 2.5:.1f}"]
        dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        dataset.PixelSpacing = ["2.8125", "2.8125"]
        dataset.SliceThickness = "2.5"
        dataset.KVP = "120"
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
        dataset.WindowCenter, dataset.WindowWidth = "-600", "1500"
        _fill_pixels(dataset, ct_slice(generator, (number - 1) / max(1, slices - 1)), bits_stored=12)
        yield Sample(
            f"ct/slice-{number:03}.dcm", encode(dataset, ImplicitVRLittleEndian), str(dataset.SOPInstanceUID)
        )


def chest_xrays(seed: int, patients: int = 200) -> Iterator[Sample]:
    """Chest X-rays of made-up patients, one or two each, half of them with pneumonia."""
    for number in range(patients):
        generator = np.random.default_rng([seed, 2, number])
        label: Label = "PNEUMONIA" if number % 2 else "NORMAL"
        patient = made_up_patient(f"{seed}/cxr/{number}")
        for image in range(1, 2 + int(generator.random() < 0.5)):
            pixels = chest_xray(generator, label)
            content, uid = wrap(
                pixels, patient, image_number=image, implicit=number % 5 == 0, source=f"{seed}/cxr/{number}"
            )
            yield Sample(f"cxr/{patient.file_name}-{image}.dcm", content, uid, label)


def broken_files(seed: int, known: Sample) -> Iterator[Sample]:
    """Files that an intake must refuse, each for another reason.

    Args:
        known: an instance sent before, whose UID the last file reuses with other content.
    """
    patient = made_up_patient(f"{seed}/broken")
    generator = np.random.default_rng([seed, 3])
    content, uid = wrap(chest_xray(generator, "NORMAL"), patient, source=f"{seed}/broken")
    letter = f"Dear {patient.referring_physician}, your patient {patient.name} was here.\n".encode()
    yield Sample("broken/letter.txt", letter, None, refused_for=ReasonCode.NOT_DICOM.value)
    yield Sample("broken/empty.dcm", b"", None, refused_for=ReasonCode.EMPTY_OBJECT.value)
    yield Sample(
        "broken/truncated.dcm", content[: len(content) // 2], uid, refused_for=ReasonCode.TRUNCATED.value
    )
    visit = Visit.of(patient, modality="DOC", number=2)
    report = describe(patient, visit, sop_class_uid=ENCAPSULATED_PDF_STORAGE, instance=f"{seed}/report")
    report.MIMETypeOfEncapsulatedDocument = "application/pdf"
    report.EncapsulatedDocument = b"%PDF-1.4 " + letter + b" " * (len(letter) + 1 & 1)
    yield Sample(
        "broken/report.dcm",
        encode(report, ExplicitVRLittleEndian),
        str(report.SOPInstanceUID),
        refused_for=ReasonCode.SOP_CLASS_NOT_ALLOWED.value,
    )
    yield Sample(
        "broken/known-uid-other-content.dcm",
        _with_other_pixels(known.content),
        known.sop_instance_uid,
        refused_for=ReasonCode.UID_CONFLICT.value,
    )


def _with_other_pixels(content: bytes) -> bytes:
    """The same instance with its last pixel changed: pixel data is the last element of what we write."""
    return content[:-2] + bytes(byte ^ 0x55 for byte in content[-2:])


def generate(seed: int = 1, *, patients: int = 200, ct_slices: int = 40) -> SampleSet:
    """A whole made-up sample set; the same seed gives the same bytes."""
    ct = tuple(ct_series(seed, ct_slices))
    xrays = tuple(chest_xrays(seed, patients))
    return SampleSet((*ct, *xrays, *broken_files(seed, xrays[0])))


# Kermany 2018 names its files by patient: person<N>_…, IM-<N>-… and NORMAL2-IM-<N>-….
_KERMANY_PATIENT: Final = re.compile(r"^(person\d+|(?:NORMAL2-)?IM-\d+)")


def kermany_patient(file_name: str) -> str:
    """The patient of a chest X-ray of Kermany 2018, from its file name.

    Raises:
        ValueError: the name does not follow the data set's pattern.
    """
    match = _KERMANY_PATIENT.match(file_name)
    if match is None:
        raise ValueError(
            "not a file name of the chest X-ray set; expected person<N>_…, IM-<N>-… or NORMAL2-IM-<N>-…"
        )
    return match.group(1)


def wrap_kermany(folder: Path, seed: int = 1) -> Iterator[Sample]:
    """The JPEGs of ``folder``/NORMAL and ``folder``/PNEUMONIA as CR images of made-up patients."""
    for label in ("NORMAL", "PNEUMONIA"):
        seen: dict[str, int] = {}
        for path in sorted((folder / label).glob("*.jp*g")):
            key = kermany_patient(path.name)
            seen[key] = seen.get(key, 0) + 1
            pixels = np.asarray(imagecodecs.jpeg8_decode(path.read_bytes()))
            if pixels.ndim == 3:
                pixels = pixels.mean(axis=2).round().astype(np.uint8)
            patient = made_up_patient(f"{seed}/kermany/{key}")
            implicit = hashlib.sha256(key.encode()).digest()[0] < 64
            content, uid = wrap(
                pixels, patient, image_number=seen[key], implicit=implicit, source=f"kermany/{key}"
            )
            yield Sample(f"cxr/{patient.file_name}-{seen[key]}.dcm", content, uid, _label(label))


def _label(name: str) -> Label:
    return "PNEUMONIA" if name == "PNEUMONIA" else "NORMAL"


def from_shared(root: Path, seed: int = 1) -> SampleSet:
    """The shared data as one sample set: CT series, chest X-ray DICOM, wrapped chest X-rays and broken files.

    Args:
        root: a folder with ``ct_chest_lidc0314/``, ``cxr_dicom/`` and ``cxr224/``.
    """
    real: list[Sample] = []
    seen: set[str] = set()
    for kind, folder in (("ct", "ct_chest_lidc0314"), ("cr", "cxr_dicom")):
        for path in sorted((root / folder).glob("*.dcm")):
            content = path.read_bytes()
            uid = str(pydicom.dcmread(BytesIO(content), specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
            # Some files of the set share one SOP Instance UID, so only the first to arrive may be taken.
            refused_for = ReasonCode.UID_CONFLICT.value if uid in seen else None
            seen.add(uid)
            real.append(Sample(f"{kind}/{path.name}", content, uid, refused_for=refused_for))
    xrays = tuple(wrap_kermany(root / "cxr224", seed))
    return SampleSet((*real, *xrays, *broken_files(seed, xrays[0])))
