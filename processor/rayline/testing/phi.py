"""Identifying values that are planted into test input, and looked for wherever they must not be.

No value occurs by chance: each text starts with ``qz``, and the birth date is one that no builder uses otherwise.
"""

import struct
import zlib
from typing import Final

from pydicom.dataset import Dataset

from rayline.dicom.instance import Instance

PATIENT_NAME: Final = "qzname"
SENDERS_KEY: Final = "upload/qzname_qzpid4711/qzkey.dcm"
FINDINGS: Final = "opacity, as in qzname's earlier study (qzfindings)"

PREAMBLE: Final = b"qzpreamble".ljust(128, b"\0")

# Direct identifiers only: what an option of PS3.15 §E.3 may keep (UIDs, dates of the study, the institution, the
# device) is a site's choice, and no finding.
IDENTIFYING_VALUES: Final = {
    "qzname": "PatientName",
    "qzpid4711": "PatientID",
    "19510617": "PatientBirthDate",
    "qzotherid": "OtherPatientIDs",
    "qzissuedid": "OtherPatientIDsSequence",
    "qzstreet": "PatientAddress",
    "qzphone": "PatientTelephoneNumbers",
    "qzmother": "PatientMotherBirthName",
    "qzaccession": "AccessionNumber",
    "qzreferrer": "ReferringPhysicianName",
    "qzoperator": "OperatorsName",
    "qzcomment": "PatientComments",
    "qzstudytext": "StudyDescription",
    "qzrequest": "RequestAttributesSequence",
    "qzdeep": "a sequence within a sequence within a sequence",
    "qzprivate": "a private attribute",
    "qzunknown": "a private attribute of unknown VR",
    "qzvendor": "a private creator",
    "qzpreamble": "the preamble",
    "qzpadding": "DataSetTrailingPadding",
    "qzkey": "the event's key",
    "qzfindings": "the event's findings",
}


def plant(dataset: Dataset) -> None:
    """Make a data set identify a patient, wherever patients are found in the field: see ``IDENTIFYING_VALUES``."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = f"{PATIENT_NAME}^Žaneta^^^"
    dataset.PatientID = "qzpid4711"
    dataset.PatientBirthDate = "19510617"
    dataset.add_new(0x00101000, "LO", ["qzotherid", "qzotherid-2"])
    other_id = Dataset()
    other_id.PatientID, other_id.TypeOfPatientID = "qzissuedid", "TEXT"
    dataset.OtherPatientIDsSequence = [other_id]
    dataset.PatientAddress = "9 qzstreet"
    dataset.PatientTelephoneNumbers = "qzphone 0199"
    dataset.PatientMotherBirthName = "qzmother^Ülle"
    dataset.AccessionNumber = "qzaccession"
    dataset.ReferringPhysicianName = "qzreferrer^Otto"
    dataset.OperatorsName = ["qzoperator^A", "qzoperator^B"]
    dataset.PatientComments = "qzcomment: asked for a copy"
    dataset.StudyDescription = "thorax of qzstudytext"
    request = Dataset()
    request.RequestedProcedureDescription = "qzrequest"
    dataset.RequestAttributesSequence = [request]
    outer, middle, inner = Dataset(), Dataset(), Dataset()
    inner.PersonName = "qzdeep"
    middle.ContentSequence, outer.ContentSequence = [inner], [middle]
    dataset.ContentSequence = [outer]
    block = dataset.private_block(0x0011, "qzvendor", create=True)
    block.add_new(0x01, "LO", "qzprivate")
    block.add_new(0x02, "UN", struct.pack("<H", 9) + b"qzunknown\0")
    dataset.add_new(0xFFFCFFFC, "OB", b"qzpadding\0")


def found_in_text(text: str) -> list[str]:
    """Where the planted values that a text quotes came from, e.g. ``["PatientName"]``."""
    lower = text.casefold()
    return [where for value, where in IDENTIFYING_VALUES.items() if value in lower]


def found_in_instance(instance: Instance) -> list[str]:
    """Where the planted values that an instance's file still holds came from."""
    content = _inflated(instance).lower()
    return [where for value, where in IDENTIFYING_VALUES.items() if value.encode() in content]


def _inflated(instance: Instance) -> bytes:
    """The file's bytes; of a deflated one, the bytes that it was before (PS3.5 §A.5)."""
    start = instance.content.find(b"1.2.840.10008.1.2.1.99")
    if start < 0:
        return instance.content
    meta_length = int.from_bytes(instance.content[140:144], "little")
    meta_end = 144 + meta_length
    try:
        return instance.content[:meta_end] + zlib.decompress(instance.content[meta_end:], -zlib.MAX_WBITS)
    except zlib.error:
        return instance.content
