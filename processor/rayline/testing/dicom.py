"""Small, valid DICOM images to test on.

::

    image_instance(ImageSpec(kind="CR"))                                    # a computed radiograph
    image_instance(ImageSpec(kind="US", frames=5))                          # a cine loop
    image_instance(ImageSpec(transfer_syntax=JPEG2000Lossless))             # compressed pixels
    image_instance(ImageSpec(attributes={"PatientSex": "", "Laterality": None}))  # empty, and absent
    image_instance(ImageSpec(private={"machine note": "kept by vendor"}))   # private attributes
    image_instance(ImageSpec(identified=True))                              # planted names, ids and sequences
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final, Literal

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from rayline.dicom.instance import Instance
from rayline.testing import phi

ImageKind = Literal["CT", "MR", "CR", "DX", "US"]

CT_IMAGE_STORAGE: Final = UID("1.2.840.10008.5.1.4.1.1.2")

# PS3.4 §B.5, table B.5-1; US is the multi-frame class.
SOP_CLASSES: Final[Mapping[ImageKind, UID]] = {
    "CT": CT_IMAGE_STORAGE,
    "MR": UID("1.2.840.10008.5.1.4.1.1.4"),
    "CR": UID("1.2.840.10008.5.1.4.1.1.1"),
    "DX": UID("1.2.840.10008.5.1.4.1.1.1.1"),
    "US": UID("1.2.840.10008.5.1.4.1.1.3.1"),
}
TRANSFER_SYNTAXES: Final = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    HTJ2KLossless,
)

_PRIVATE_GROUP: Final = 0x0019
_PRIVATE_CREATOR: Final = "RAYLINE TEST"


@dataclass(frozen=True)
class ImageSpec:
    """What distinguishes one test image from another; UIDs follow from the three numbers.

    Attributes:
        patient: number of the patient, which also makes name and id.
        pixel: value of every pixel.
        kind: CT, MR, CR and DX have one frame of 16 bits; US is a loop of 8-bit frames.
        transfer_syntax: one of ``TRANSFER_SYNTAXES``.
        attributes: what differs from a plain image, by keyword; None leaves an attribute out, ``""`` empties it.
        private: texts by what they are for, each in a private attribute of its own.
        identified: whether ``rayline.testing.phi`` plants a patient in it, sequences and private attributes too.
    """

    patient: int = 1
    series: int = 1
    instance: int = 1
    rows: int = 16
    columns: int = 16
    pixel: int = 7
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    kind: ImageKind = "CT"
    frames: int = 1
    transfer_syntax: str = ExplicitVRLittleEndian
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    private: Mapping[str, str] = field(default_factory=dict, hash=False)
    identified: bool = False

    def __post_init__(self) -> None:
        if self.frames != 1 and self.kind != "US":
            raise ValueError(f"a {self.kind} image has one frame; use kind='US' for several")
        if self.transfer_syntax not in TRANSFER_SYNTAXES:
            raise ValueError(
                f"no builder for this transfer syntax; use one of {', '.join(TRANSFER_SYNTAXES)}"
            )

    def __str__(self) -> str:
        frames = f", {self.frames} frames" if self.frames > 1 else ""
        return f"a {self.kind} image in {UID(self.transfer_syntax).name}{frames}"


def image_content(spec: ImageSpec | None = None) -> bytes:
    """An image of ``frames`` × ``rows`` × ``columns`` (PS3.3 §A), as Part 10 bytes."""
    spec = spec or ImageSpec()
    dataset = _description(spec)
    dataset.update(_of_kind(spec))
    _set_pixels(dataset, spec)
    for keyword, value in spec.attributes.items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)
    if spec.private:
        block = dataset.private_block(_PRIVATE_GROUP, _PRIVATE_CREATOR, create=True)
        for offset, (purpose, text) in enumerate(spec.private.items()):
            block.add_new(offset, "LT", f"{purpose}: {text}")
    if spec.identified:
        phi.plant(dataset)
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    content = buffer.getvalue()
    return phi.PREAMBLE + content[128:] if spec.identified else content


def image_instance(spec: ImageSpec | None = None) -> Instance:
    """The same as an instance, as hooks get it."""
    return Instance(image_content(spec))


def _description(spec: ImageSpec) -> Dataset:
    """Patient, study, series and instance (PS3.3 §C.7.1–§C.7.6)."""
    study_uid = f"1.2.826.0.1.3680043.8.498.{spec.patient}"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(spec.transfer_syntax)
    meta.MediaStorageSOPClassUID = SOP_CLASSES[spec.kind]
    meta.MediaStorageSOPInstanceUID = UID(f"{study_uid}.{spec.series}.{spec.instance}")
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = f"{study_uid}.{spec.series}"
    dataset.StudyID = f"S{spec.patient}"
    dataset.SeriesNumber = spec.series
    dataset.InstanceNumber = spec.instance
    dataset.StudyDate = "20250102"
    dataset.StudyTime = "101112"
    dataset.AccessionNumber = f"ACC{spec.patient:06d}"
    dataset.Modality = spec.kind
    dataset.Manufacturer = "Rayline"
    dataset.PatientName = f"Testcase^Number{spec.patient:06d}"
    dataset.PatientID = f"PID{spec.patient:06d}"
    dataset.PatientBirthDate = "19700102"
    dataset.PatientSex = "O"
    dataset.ImageType = list(spec.image_type)
    return dataset


def _of_kind(spec: ImageSpec) -> Dataset:
    """What the modality's own modules ask for (PS3.3 §C.8)."""
    own = Dataset()
    match spec.kind:
        case "CT" | "MR":
            own.PixelSpacing = [1.0, 1.0]
            own.ImagePositionPatient = [0, 0, spec.instance]
            own.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            own.FrameOfReferenceUID = f"1.2.826.0.1.3680043.8.498.{spec.patient}.0"
            own.SliceThickness = 1.0
            if spec.kind == "CT":
                own.KVP = 120
                own.RescaleIntercept, own.RescaleSlope = 0, 1
            else:
                own.EchoTime, own.RepetitionTime = 10, 500
        case "CR" | "DX":
            own.BodyPartExamined = "CHEST"
            own.ViewPosition = "PA"
            own.ImagerPixelSpacing = [0.2, 0.2]
            if spec.kind == "DX":
                own.PresentationIntentType = "FOR PRESENTATION"
                own.PixelIntensityRelationship, own.PixelIntensityRelationshipSign = "LOG", 1
        case "US":
            own.NumberOfFrames = spec.frames
            own.FrameTime = 40
            own.FrameIncrementPointer = 0x00181063
    return own


def _set_pixels(dataset: Dataset, spec: ImageSpec) -> None:
    bits = 8 if spec.kind == "US" else 16
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = spec.rows, spec.columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = 0
    pixels = np.full((spec.frames, spec.rows, spec.columns), spec.pixel, np.uint8 if bits == 8 else np.uint16)
    syntax = UID(spec.transfer_syntax)
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        dataset.add_new(0x7FE00010, "OB", encapsulate([_encode(frame, syntax) for frame in pixels]))
        return
    content = pixels.astype(pixels.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
    dataset.add_new(0x7FE00010, "OW" if bits == 16 else "OB", content + b"\0" * (len(content) & 1))


def _encode(frame: NDArray[Any], syntax: UID) -> bytes:
    if syntax == HTJ2KLossless:
        return bytes(imagecodecs.htj2k_encode(frame))
    return bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", reversible=True))
