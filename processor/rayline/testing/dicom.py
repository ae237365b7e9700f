"""Small, valid DICOM images to test on."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from rayline.dicom.instance import Instance

CT_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.2")


@dataclass(frozen=True)
class ImageSpec:
    """What distinguishes one test image from another; UIDs follow from the three numbers.

    Attributes:
        patient: number of the patient, which also makes name and id.
        pixel: value of every pixel.
    """

    patient: int = 1
    series: int = 1
    instance: int = 1
    rows: int = 16
    columns: int = 16
    pixel: int = 7
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")


def image_content(spec: ImageSpec | None = None) -> bytes:
    """A CT image (PS3.3 §A.3) of ``rows`` × ``columns`` uint16 in Explicit VR Little Endian, as Part 10 bytes."""
    spec = spec or ImageSpec()
    study_uid = f"1.2.826.0.1.3680043.8.498.{spec.patient}"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CT_IMAGE_STORAGE
    meta.MediaStorageSOPInstanceUID = UID(f"{study_uid}.{spec.series}.{spec.instance}")
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = CT_IMAGE_STORAGE
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = f"{study_uid}.{spec.series}"
    dataset.StudyID = f"S{spec.patient}"
    dataset.SeriesNumber = spec.series
    dataset.InstanceNumber = spec.instance
    dataset.StudyDate = "20250102"
    dataset.StudyTime = "101112"
    dataset.AccessionNumber = f"ACC{spec.patient:06d}"
    dataset.Modality = "CT"
    dataset.Manufacturer = "Rayline"
    dataset.PatientName = f"Testcase^Number{spec.patient:06d}"
    dataset.PatientID = f"PID{spec.patient:06d}"
    dataset.PatientBirthDate = "19700102"
    dataset.PatientSex = "O"
    dataset.ImageType = list(spec.image_type)
    dataset.PixelSpacing = [1.0, 1.0]
    dataset.ImagePositionPatient = [0, 0, spec.instance]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.FrameOfReferenceUID = f"{study_uid}.0"
    dataset.SliceThickness = 1.0
    dataset.KVP = 120
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = spec.rows, spec.columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = np.full((spec.rows, spec.columns), spec.pixel, np.uint16).tobytes()
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def image_instance(spec: ImageSpec | None = None) -> Instance:
    """The same as an instance, as hooks get it."""
    return Instance(image_content(spec))
