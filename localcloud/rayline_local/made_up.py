"""Made-up patients, and data sets that name them in every way that DICOM knows."""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

# A root for documentation and tests, as a hospital's vendor would have one; real ones begin the same way.
SITE_ROOT: Final = "1.2.826.0.1.3680043.10.9999"
_IMPLEMENTATION_UID: Final = f"{SITE_ROOT}.1.1"

_FAMILY_NAMES: Final = """
Abernathy Blackwood Castellanos Dragomirov Eisenhauer Fitzgibbon Grzybowski Hollingsworth Ivanchenko
Jankauskas Kowalczyk Lindqvist Montgomery Nakashima Oyelaran Papadakis Quattrocchi Rasmussen Schwarzkopf
Thibodeaux Uchendu Vandermeer Wolstenholme Xanthopoulos Yamaguchi Zimmermann Achterberg Bellweather
Christodoulou Featherstone Gunnarsson Hatzidakis
"""
_GIVEN_NAMES: Final = """
Alexandra Bartholomew Clementine Desmond Evangeline Ferdinand Gwendolyn Humphrey Isadora Jeremiah
Katarzyna Leopold Marguerite Nathaniel Octavia Percival Quentin Rosalinda Sebastian Theodora Ulrich
Valentina Wilhelmina Xiomara Yolanda Zachariah Anastasia Benedict Cordelia Dominic Ernestine Florentin
"""
_STREETS: Final = """
Birchgrove Cloverfield Dunmore Elderberry Foxglove Hawthorne Larkspur Mulberry Thistledown
"""
_TOWNS: Final = """
Ashwick Brackenford Coldharbour Dunsmere Eastmarch Fernleigh Greywater Hollowbrook
"""
_HOSPITALS: Final = (
    "Saint Dunstan General Hospital",
    "Brackenford Royal Infirmary",
    "Coldharbour Childrens Hospital",
    "Larkspur Memorial Clinic",
)


@dataclass(frozen=True)
class Patient:
    """A person who does not exist.

    Attributes:
        key: what the person was made up from; equal keys are the same person.
        name: as DICOM writes it, ``Family^Given``.
        birth_date: DA, eight digits.
    """

    key: str
    family_name: str
    given_name: str
    identifier: str
    birth_date: str
    sex: str
    age: str
    street: str
    town: str
    telephone: str
    hospital: str
    referring_physician: str
    operator: str

    @property
    def name(self) -> str:
        return f"{self.family_name}^{self.given_name}"

    @property
    def file_name(self) -> str:
        """What a careless sender would call the patient's files."""
        return f"{self.family_name}_{self.given_name}_{self.identifier}".lower()


def _generator(key: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))


def _digits(generator: np.random.Generator, count: int) -> str:
    return "".join(str(digit) for digit in generator.integers(0, 10, count))


def made_up_patient(key: str) -> Patient:
    """The person that belongs to a key, the same in every run."""
    generator = _generator(f"patient/{key}")

    def pick(options: list[str] | tuple[str, ...]) -> str:
        return options[int(generator.integers(len(options)))]

    family, given = pick(_FAMILY_NAMES.split()), pick(_GIVEN_NAMES.split())
    birth_year = int(generator.integers(1931, 2012))
    return Patient(
        key=key,
        family_name=family,
        given_name=given,
        identifier=f"MRN{_digits(generator, 8)}",
        birth_date=f"{birth_year}{generator.integers(1, 13):02}{generator.integers(1, 29):02}",
        sex=pick(("F", "M")),
        age=f"{2019 - birth_year:03}Y",
        street=f"{generator.integers(1, 400)} {pick(_STREETS.split())} Lane",
        town=f"{pick(_TOWNS.split())} {_digits(generator, 5)}",
        telephone=f"+44 1632 {_digits(generator, 6)}",
        hospital=pick(_HOSPITALS),
        referring_physician=f"{pick(_FAMILY_NAMES.split())}^{pick(_GIVEN_NAMES.split())}^^Dr",
        operator=f"{pick(_FAMILY_NAMES.split())}^{pick(_GIVEN_NAMES.split())}",
    )


@dataclass(frozen=True)
class Visit:
    """One study of a patient: what its images share."""

    modality: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    accession_number: str
    study_id: str
    date: str
    time: str

    @classmethod
    def of(cls, patient: Patient, *, modality: str, number: int) -> "Visit":
        """A patient's visit; the same arguments give the same one."""
        key = f"{patient.key}/{modality}/{number}"
        generator = _generator(f"visit/{key}")
        return cls(
            modality=modality,
            study_instance_uid=site_uid(f"{key}/study"),
            series_instance_uid=site_uid(f"{key}/series"),
            frame_of_reference_uid=site_uid(f"{key}/frame-of-reference"),
            accession_number=f"ACC{_digits(generator, 9)}",
            study_id=f"STU{_digits(generator, 7)}",
            date=f"2019{generator.integers(1, 13):02}{generator.integers(1, 29):02}",
            time=f"{generator.integers(7, 19):02}{generator.integers(60):02}{generator.integers(60):02}."
            f"{generator.integers(1, 999_999):06}",
        )


def site_uid(key: str) -> str:
    """A UID under the made-up site's root."""
    return f"{SITE_ROOT}.{int.from_bytes(hashlib.sha256(key.encode()).digest()[:12], 'big')}"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def describe(patient: Patient, visit: Visit, *, sop_class_uid: str, instance: str) -> Dataset:
    """A data set that names the patient wherever a hospital's equipment would, without pixels.

    Args:
        instance: tells the instances of a series apart.
    """
    full_name = f"{patient.given_name} {patient.family_name}"
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = site_uid(f"instance/{instance}")
    ds.StudyInstanceUID = visit.study_instance_uid
    ds.SeriesInstanceUID = visit.series_instance_uid
    ds.FrameOfReferenceUID = visit.frame_of_reference_uid
    ds.InstanceCreatorUID = f"{SITE_ROOT}.7.{len(patient.hospital)}77123"
    ds.Modality = visit.modality
    for keyword in ("InstanceCreationDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(ds, keyword, visit.date)
    for keyword in ("InstanceCreationTime", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
        setattr(ds, keyword, visit.time)
    ds.AcquisitionDateTime = visit.date + visit.time
    ds.AccessionNumber = visit.accession_number
    ds.StudyID = visit.study_id
    ds.Manufacturer = "Rayline Phantoms"
    ds.ManufacturerModelName = "Made-up 1"
    ds.DeviceSerialNumber = f"SN{patient.identifier[3:]}77"
    ds.StationName = "BRACKENROOM4"
    ds.InstitutionName = patient.hospital
    ds.InstitutionAddress = f"{patient.street}, {patient.town}"
    ds.InstitutionalDepartmentName = f"Radiology of {patient.hospital}"
    ds.ReferringPhysicianName = patient.referring_physician
    ds.ReferringPhysicianAddress = f"{patient.street}, {patient.town}"
    ds.ReferringPhysicianTelephoneNumbers = patient.telephone
    ds.PerformingPhysicianName = patient.operator
    ds.NameOfPhysiciansReadingStudy = patient.referring_physician
    ds.OperatorsName = patient.operator
    ds.StudyDescription = f"Chest of {full_name}"
    ds.SeriesDescription = f"{visit.modality} {patient.identifier}"
    ds.ProtocolName = f"Protocol for {patient.family_name}"
    ds.PatientName = patient.name
    ds.PatientID = patient.identifier
    ds.IssuerOfPatientID = patient.hospital
    ds.PatientBirthDate = patient.birth_date
    ds.PatientSex = patient.sex
    ds.PatientAge = patient.age
    ds.PatientAddress = f"{patient.street}, {patient.town}"
    ds.PatientTelephoneNumbers = patient.telephone
    ds.OtherPatientNames = f"{patient.family_name}-Smythe^{patient.given_name}"
    ds.PatientMotherBirthName = f"{patient.family_name}son^Philippa"
    ds.PatientComments = f"{full_name} prefers to be called {patient.given_name}"
    ds.AdditionalPatientHistory = f"Seen by {patient.referring_physician} on {visit.date}"
    ds.ImageComments = f"Repeat for {patient.name}, {patient.telephone}"
    ds.RequestedProcedureDescription = f"X-ray for {full_name}"
    ds.RequestingPhysician = patient.referring_physician
    ds.AdmissionID = f"ADM{patient.identifier[3:]}"
    ds.PatientIdentityRemoved = "NO"

    other = Dataset()
    other.PatientID, other.IssuerOfPatientID = f"OLD{patient.identifier[3:]}", patient.hospital
    ds.OtherPatientIDsSequence = Sequence([other])
    person = Dataset()
    person.PersonIdentificationCodeSequence = Sequence(
        [_code(f"{patient.identifier}R", "99SITE", patient.operator)]
    )
    person.InstitutionName = patient.hospital
    ds.OperatorIdentificationSequence = Sequence([person])
    request = Dataset()
    request.AccessionNumber = visit.accession_number
    request.RequestedProcedureID = f"REQ{patient.identifier[3:]}"
    request.RequestedProcedureDescription = f"X-ray for {full_name}"
    request.ScheduledProcedureStepDescription = f"Step for {full_name}"
    ds.RequestAttributesSequence = Sequence([request])
    referenced = Dataset()
    referenced.ReferencedSOPClassUID = sop_class_uid
    referenced.ReferencedSOPInstanceUID = site_uid(f"earlier/{instance}")
    referenced.PurposeOfReferenceCodeSequence = Sequence([_code("121311", "DCM", "Localizer")])
    referenced.add_new(0x00081030, "LO", f"Earlier study of {full_name}")
    ds.ReferencedImageSequence = Sequence([referenced])

    ds.add_new(0x00090010, "LO", "RAYLINE PHANTOM")
    ds.add_new(0x00091001, "LO", f"Private {patient.name}")
    ds.add_new(0x00091002, "PN", patient.name)
    private_item = Dataset()
    private_item.PatientName, private_item.PatientID = patient.name, patient.identifier
    ds.add_new(0x00091003, "SQ", Sequence([private_item]))
    return ds


def encode(dataset: Dataset, transfer_syntax_uid: UID) -> bytes:
    """Part 10 bytes (PS3.10 §7), with a talkative file meta information as some senders write it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = UID(_IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "RAYLINE_SAMPLE"
    meta.SourceApplicationEntityTitle = "BRACKENROOM4"
    dataset.file_meta = meta
    buffer = BytesIO()
    pydicom.dcmwrite(
        buffer,
        dataset,
        enforce_file_format=True,
        implicit_vr=transfer_syntax_uid.is_implicit_VR,
        little_endian=True,
    )
    return buffer.getvalue()
