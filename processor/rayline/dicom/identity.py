"""The identity of a DICOM instance, as the ledger and the log may know it."""

from dataclasses import dataclass

from pydicom.dataset import Dataset


@dataclass(frozen=True)
class InstanceIdentity:
    """Study, series and SOP Instance UID, SOP Class UID and modality (PS3.3 §C.7, §C.12.1)."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str

    @classmethod
    def of(cls, dataset: Dataset) -> "InstanceIdentity":
        """Read it from a data set; what is missing is empty."""
        return cls(
            *(
                str(dataset.get(keyword, "") or "")
                for keyword in (
                    "StudyInstanceUID",
                    "SeriesInstanceUID",
                    "SOPInstanceUID",
                    "SOPClassUID",
                    "Modality",
                )
            )
        )
