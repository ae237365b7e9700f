"""The identity of a DICOM instance, as the ledger and the log may know it."""

from dataclasses import dataclass
from typing import Final

from rayline.dicom.header import Attributes

_TAGS: Final = (0x0020000D, 0x0020000E, 0x00080018, 0x00080016, 0x00080060)


@dataclass(frozen=True)
class InstanceIdentity:
    """Study, series and SOP Instance UID, SOP Class UID and modality (PS3.3 §C.7, §C.12.1)."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str

    @classmethod
    def of(cls, header: Attributes) -> "InstanceIdentity":
        """Read it from a header; what is missing is empty."""
        return cls(*map(header.text, _TAGS))
