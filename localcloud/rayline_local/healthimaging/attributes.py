"""DICOM data sets as HealthImaging's metadata JSON spells them.

Source: AWS HealthImaging developer guide, "Metadata normalization" and "Getting image set metadata"; PS3.3
§C.7 for
which attribute belongs to the patient, the study and the series.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from pydicom.charset import decode_element
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

Json = dict[str, Any]

#: PS3.3 §C.7.1.1 Patient Module
PATIENT_KEYWORDS = frozenset(
    (
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "TypeOfPatientID",
        "IssuerOfPatientIDQualifiersSequence",
        "PatientBirthDate",
        "PatientBirthTime",
        "PatientSex",
        "QualityControlSubject",
        "OtherPatientIDs",
        "OtherPatientIDsSequence",
        "OtherPatientNames",
        "PatientBirthName",
        "PatientMotherBirthName",
        "EthnicGroup",
        "PatientComments",
        "PatientAddress",
        "MilitaryRank",
        "BranchOfService",
        "CountryOfResidence",
        "RegionOfResidence",
        "PatientTelephoneNumbers",
        "PatientReligiousPreference",
        "PatientSpeciesDescription",
        "PatientSpeciesCodeSequence",
        "PatientBreedDescription",
        "PatientBreedCodeSequence",
        "ResponsiblePerson",
        "ResponsiblePersonRole",
        "ResponsibleOrganization",
        "PatientIdentityRemoved",
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "ReferencedPatientSequence",
        "MedicalRecordLocator",
    )
)
#: PS3.3 §C.7.2.1 General Study Module and §C.7.2.2 Patient Study Module
STUDY_KEYWORDS = frozenset(
    (
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "StudyDescription",
        "AccessionNumber",
        "IssuerOfAccessionNumberSequence",
        "ReferringPhysicianName",
        "ReferringPhysicianIdentificationSequence",
        "ConsultingPhysicianName",
        "PhysiciansOfRecord",
        "NameOfPhysiciansReadingStudy",
        "RequestingService",
        "RequestingPhysician",
        "ReferencedStudySequence",
        "ProcedureCodeSequence",
        "ReasonForPerformedProcedureCodeSequence",
        "AdmittingDiagnosesDescription",
        "AdmittingDiagnosesCodeSequence",
        "PatientAge",
        "PatientSize",
        "PatientWeight",
        "PatientBodyMassIndex",
        "Occupation",
        "AdditionalPatientHistory",
        "AdmissionID",
        "IssuerOfAdmissionIDSequence",
        "ReasonForVisit",
        "PatientSexNeutered",
        "PregnancyStatus",
        "LastMenstrualDate",
        "MedicalAlerts",
        "Allergies",
        "SmokingStatus",
        "PatientState",
    )
)
#: PS3.3 §C.7.3.1 General Series Module, §C.7.4.1 Frame of Reference and §C.7.5.1 General Equipment Module
SERIES_KEYWORDS = frozenset(
    (
        "Modality",
        "SeriesInstanceUID",
        "SeriesNumber",
        "Laterality",
        "SeriesDate",
        "SeriesTime",
        "PerformingPhysicianName",
        "ProtocolName",
        "SeriesDescription",
        "SeriesDescriptionCodeSequence",
        "OperatorsName",
        "ReferencedPerformedProcedureStepSequence",
        "BodyPartExamined",
        "PatientPosition",
        "SmallestPixelValueInSeries",
        "LargestPixelValueInSeries",
        "RequestAttributesSequence",
        "PerformedProcedureStepID",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "PerformedProcedureStepDescription",
        "FrameOfReferenceUID",
        "PositionReferenceIndicator",
        "Manufacturer",
        "InstitutionName",
        "InstitutionAddress",
        "StationName",
        "InstitutionalDepartmentName",
        "ManufacturerModelName",
        "DeviceSerialNumber",
        "SoftwareVersions",
    )
)
BINARY_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
PIXEL_KEYWORDS = frozenset(("PixelData", "FloatPixelData", "DoubleFloatPixelData"))


def attribute_name(tag: BaseTag) -> str:
    """The keyword of a standard attribute, eight hexadecimal digits for any other."""
    return keyword_for_tag(tag) or f"{tag.group:04X}{tag.element:04X}"


def _value_representation(raw: RawDataElement) -> str:
    if raw.VR and raw.VR != "UN":
        return raw.VR
    try:
        return "UN" if raw.tag.is_private else dictionary_VR(raw.tag)
    except KeyError:
        return raw.VR or "UN"


def _number_strings(value: bytes | None) -> Any:
    """DS and IS keep their characters, padding included: the text is the value of record, not its float."""
    text = (value or b"").decode("ascii", "replace").rstrip("\x00")
    parts = text.split("\\")
    if text.strip() == "":
        return None
    return parts if len(parts) > 1 else text


def _scalar(vr: str, value: Any) -> Any:
    if value is None or value == "":
        return None
    if vr == "AT":
        return f"{int(value):08X}"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and vr not in ("DS", "IS"):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def _element_value(element: DataElement) -> Any:
    if element.VR == "SQ":
        return [dict(item_attributes(item)) for item in element.value]
    if element.VR in BINARY_VRS or isinstance(element.value, bytes):
        content = element.value
        if not content:
            return None
        if isinstance(content, (bytes, bytearray)):
            return base64.b64encode(content).decode()
    if element.is_empty:
        return None
    if element.VM > 1:
        return [_scalar(element.VR, item) for item in element.value]
    return _scalar(element.VR, element.value)


def item_attributes(dataset: Dataset) -> Iterator[tuple[str, Any]]:
    """Name and JSON value of each attribute: empty is null, multi-valued a list, binary base64, PixelData
    null.
    """
    for name, _, value in attributes(dataset):
        yield name, value


def attributes(dataset: Dataset) -> Iterator[tuple[str, str, Any]]:
    """Name, value representation and JSON value of each attribute, in tag order."""
    for tag in sorted(dataset.keys()):
        name = attribute_name(tag)
        if tag.element == 0 and tag.group > 2:
            continue  # group lengths are retired (PS3.5 §7.2)
        if name in PIXEL_KEYWORDS:
            yield name, "OW", None
            continue
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement):
            vr = _value_representation(raw)
            if vr in ("DS", "IS"):
                content = raw.value if isinstance(raw.value, (bytes, type(None))) else None
                yield name, vr, _number_strings(content)
                continue
        element = dataset[tag]
        if isinstance(element.value, Sequence):
            yield name, "SQ", [dict(item_attributes(item)) for item in element.value]
            continue
        decode_element(element, dataset.get("SpecificCharacterSet", "ISO_IR 6") or "ISO_IR 6")
        yield name, str(element.VR), _element_value(element)


def needs_vr(name: str, vr: str) -> bool:
    """Whether a reader cannot know the VR from the attribute's name alone, so that DICOMVRs must carry it."""
    try:
        return dictionary_VR(name) != vr
    except (KeyError, ValueError):
        return True
