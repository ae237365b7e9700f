"""Image sets: which instances belong together, and how a set's metadata document grows by versions.

Source: AWS HealthImaging developer guide, "Understanding image sets" (primary and non-primary image sets) and
"Image
set metadata" (SchemaVersion 1.1).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rayline_local.healthimaging.attributes import Json
from rayline_local.healthimaging.instance import PRIMARY_ELEMENTS, STUDY_ELEMENTS, ImportedInstance
from rayline_local.healthimaging.store import NewFrame, Row, Store, new_id

SCHEMA_VERSION = "1.1"
Elements = tuple[str | None, ...]


@dataclass
class Batch:
    """What one job adds to one image set."""

    image_set_id: str
    is_primary: bool
    elements: Elements
    existing: Row | None
    instances: list[tuple[ImportedInstance, list[NewFrame]]] = field(default_factory=list)


@dataclass(frozen=True)
class Change:
    """An image set as a transaction left it, for its event."""

    image_set_id: str
    datastore_id: str
    is_primary: bool
    version: int
    state: str
    workflow: str
    created: bool


class Grouping:
    """Assigns the instances of one job to image sets.

    A series has one primary image set; an instance joins it when the primary elements agree, also across
    jobs. A
    conflict with the series' or the study's primary makes a non-primary set, one per combination of elements.
    """

    def __init__(self, store: Store, datastore_id: str) -> None:
        self._store = store
        self._datastore_id = datastore_id
        self._primary_of_series: dict[str, Batch] = {}
        self._study_elements: dict[str, Elements] = {}
        self._others: dict[Elements, Batch] = {}

    def batches(self) -> list[Batch]:
        """Every image set that got an instance."""
        sets = [*self._primary_of_series.values(), *self._others.values()]
        return [batch for batch in sets if batch.instances]

    def assign(self, instance: ImportedInstance, frames: list[NewFrame]) -> Batch:
        """The image set of one instance."""
        elements = instance.elements
        series_uid = str(instance.series["SeriesInstanceUID"])
        study_uid = str(instance.study["StudyInstanceUID"])
        primary = self._primary(series_uid)
        batch: Batch
        if primary is not None and primary.elements == elements:
            batch = primary
        elif primary is None and self._agrees_with_study(study_uid, elements):
            batch = Batch(new_id(), True, elements, None)
            self._primary_of_series[series_uid] = batch
            self._study_elements.setdefault(study_uid, elements[: len(STUDY_ELEMENTS)])
        else:
            batch = self._others.setdefault(elements, Batch(new_id(), False, elements, None))
        batch.instances.append((instance, frames))
        return batch

    def _primary(self, series_uid: str) -> Batch | None:
        if series_uid not in self._primary_of_series:
            row = self._store.row(
                "SELECT * FROM image_set WHERE datastore_id = ? AND series_uid = ? AND is_primary = 1"
                " AND state != 'DELETED'",
                self._datastore_id,
                series_uid,
            )
            if row is None:
                return None
            self._primary_of_series[series_uid] = Batch(
                row["id"], True, tuple(json.loads(row["elements"])), row
            )
        return self._primary_of_series[series_uid]

    def _agrees_with_study(self, study_uid: str, elements: Elements) -> bool:
        known = self._study_elements.get(study_uid)
        if known is None:
            row = self._store.row(
                "SELECT elements FROM image_set WHERE datastore_id = ? AND study_uid = ? AND is_primary = 1"
                " AND state != 'DELETED' LIMIT 1",
                self._datastore_id,
                study_uid,
            )
            if row is None:
                return True
            known = tuple(json.loads(row["elements"]))[: len(STUDY_ELEMENTS)]
            self._study_elements[study_uid] = known
        return known == elements[: len(STUDY_ELEMENTS)]


def empty_document(datastore_id: str, image_set_id: str) -> Json:
    """A metadata document without instances."""
    return {
        "SchemaVersion": SCHEMA_VERSION,
        "DatastoreID": datastore_id,
        "ImageSetID": image_set_id,
        "Patient": {"DICOM": {}},
        "Study": {"DICOM": {}, "Series": {}},
    }


def add_instance(document: Json, instance: ImportedInstance, frames: Sequence[NewFrame]) -> None:
    """Add an instance to a document, or replace the instance of the same SOP Instance UID.

    An attribute of a higher level whose value differs from the one already there stays with the instance, so
    that
    nothing is lost where the primary elements agree and another attribute does not.
    """
    study = document["Study"]
    series_uid = str(instance.series["SeriesInstanceUID"])
    series = study["Series"].setdefault(series_uid, {"DICOM": {}, "Instances": {}})
    attributes = dict(instance.instance)
    for level, values in (
        (document["Patient"]["DICOM"], instance.patient),
        (study["DICOM"], instance.study),
        (series["DICOM"], instance.series),
    ):
        for name, value in values.items():
            if level.setdefault(name, value) != value:
                attributes[name] = value
    series["Instances"][instance.sop_instance_uid] = {
        "DICOM": attributes,
        "DICOMVRs": instance.vrs,
        "StoredTransferSyntaxUID": instance.stored_transfer_syntax_uid,
        "ImageFrames": [
            {
                "ID": stored.id,
                "PixelDataChecksumFromBaseToFullResolution": [
                    {"Width": frame.width, "Height": frame.height, "Checksum": frame.checksum}
                ],
                "MinPixelValue": frame.min_value,
                "MaxPixelValue": frame.max_value,
                "FrameSizeInBytes": frame.decoded_bytes,
            }
            for stored, frame in zip(frames, instance.frames, strict=True)
        ],
    }


def frame_ids(document: Json) -> set[str]:
    """Every image frame that a document names."""
    return {
        frame["ID"]
        for series in document["Study"]["Series"].values()
        for instance in series["Instances"].values()
        for frame in instance["ImageFrames"]
    }


def instance_count(document: Json) -> int:
    """How many instances a document holds."""
    return sum(len(series["Instances"]) for series in document["Study"]["Series"].values())


def elements_of(document: Json) -> Elements:
    """The primary elements of a document, read from its patient, study and first series."""
    series: Json = next(iter(document["Study"]["Series"].values()), {"DICOM": {}})
    merged = {**document["Patient"]["DICOM"], **document["Study"]["DICOM"], **series["DICOM"]}
    return tuple(
        None if merged.get(name) is None else str(merged[name]).strip() or None for name in PRIMARY_ELEMENTS
    )


def search_columns(document: Json) -> dict[str, Any]:
    """What SearchImageSets filters and shows, as columns of `image_set`."""
    patient, study = document["Patient"]["DICOM"], document["Study"]["DICOM"]
    series_items: list[tuple[str, Json]] = list(document["Study"]["Series"].items())
    series_uid, series = series_items[0] if series_items else ("", {"DICOM": {}})
    attributes: Json = series["DICOM"]

    def text(level: Mapping[str, Any], name: str) -> str | None:
        value = level.get(name)
        return None if value is None else str(value).strip() or None

    number = text(attributes, "SeriesNumber")
    tags = {
        "DICOMPatientId": text(patient, "PatientID"),
        "DICOMPatientName": text(patient, "PatientName"),
        "DICOMPatientBirthDate": text(patient, "PatientBirthDate"),
        "DICOMPatientSex": text(patient, "PatientSex"),
        "DICOMStudyInstanceUID": text(study, "StudyInstanceUID"),
        "DICOMStudyId": text(study, "StudyID"),
        "DICOMStudyDescription": text(study, "StudyDescription"),
        "DICOMAccessionNumber": text(study, "AccessionNumber"),
        "DICOMSeriesInstanceUID": series_uid or None,
        "DICOMSeriesModality": text(attributes, "Modality"),
        "DICOMSeriesBodyPart": text(attributes, "BodyPartExamined"),
        "DICOMSeriesNumber": int(number) if number and number.lstrip("+-").isdigit() else None,
        "DICOMStudyDate": text(study, "StudyDate"),
        "DICOMStudyTime": text(study, "StudyTime"),
    }
    moment = (tags["DICOMStudyDate"] or "", tags["DICOMStudyTime"] or "")
    return {
        "study_uid": tags["DICOMStudyInstanceUID"],
        "series_uid": series_uid,
        "elements": json.dumps(elements_of(document)),
        "instances": instance_count(document),
        "patient_id": tags["DICOMPatientId"],
        "accession_number": tags["DICOMAccessionNumber"],
        "study_id": tags["DICOMStudyId"],
        "study_moment": f"{moment[0]}{moment[1]:0<6}"[:14] if moment[0] else None,
        "tags": json.dumps({name: value for name, value in tags.items() if value is not None}),
    }


def write_version(
    store: Store,
    *,
    datastore_id: str,
    image_set_id: str,
    version: int,
    is_primary: bool,
    document: Json,
    workflow: str,
    now: datetime,
    created_at: float | None = None,
    forced: bool = False,
) -> Change:
    """Make a document the image set's version; call inside a transaction."""
    moment = now.timestamp()
    relative = store.write_document(datastore_id, document)
    store.insert(
        "image_set_version",
        {
            "image_set_id": image_set_id,
            "version": version,
            "state": "ACTIVE",
            "workflow": workflow,
            "created_at": moment,
            "updated_at": moment,
            "forced": int(forced),
            "document": relative,
        },
    )
    store.insert(
        "image_set",
        {
            "id": image_set_id,
            "datastore_id": datastore_id,
            "is_primary": int(is_primary),
            "version": version,
            "state": "ACTIVE",
            "workflow": workflow,
            "created_at": created_at if created_at is not None else moment,
            "updated_at": moment,
            **search_columns(document),
        },
    )
    return Change(image_set_id, datastore_id, is_primary, version, "ACTIVE", workflow, version == 1)


def apply_batch(store: Store, datastore_id: str, batch: Batch, now: datetime) -> Change:
    """Write the version that one job makes of one image set; call inside a transaction."""
    current = store.row("SELECT * FROM image_set WHERE id = ?", batch.image_set_id)
    if current is None:
        document = empty_document(datastore_id, batch.image_set_id)
        version, created_at, workflow = 1, None, "CREATED"
    else:
        document = copy.deepcopy(latest_document(store, batch.image_set_id, current["version"]))
        version, created_at, workflow = current["version"] + 1, current["created_at"], "UPDATED"
    for instance, frames in batch.instances:
        add_instance(document, instance, frames)
        store.add_frames(datastore_id, batch.image_set_id, frames)
    return write_version(
        store,
        datastore_id=datastore_id,
        image_set_id=batch.image_set_id,
        version=version,
        is_primary=batch.is_primary,
        document=document,
        workflow=workflow,
        now=now,
        created_at=created_at,
    )


def latest_document(store: Store, image_set_id: str, version: int) -> Json:
    """The metadata document of a version; raises LookupError when there is none."""
    row = store.row(
        "SELECT document FROM image_set_version WHERE image_set_id = ? AND version = ?", image_set_id, version
    )
    if row is None or row["document"] is None:
        raise LookupError(image_set_id)
    return store.read_document(row["document"])
