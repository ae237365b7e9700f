"""Asynchronous writes to image sets: delete, metadata update and copy, each finished from its stored plan.

The plan lies in the image set's row from the moment it is locked, so a stopped process finishes it when it
starts
again. Source: AWS HealthImaging developer guide, "Modifying image sets".
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rayline_local.front.rest import ServiceError
from rayline_local.front.services import Clock
from rayline_local.healthimaging.attributes import Json
from rayline_local.healthimaging.image_sets import (
    Change,
    elements_of,
    frame_ids,
    latest_document,
    write_version,
)
from rayline_local.healthimaging.store import Row, Store, new_id

UPDATE_BYTES_MAX = 10 * 1024
COPY_FRAMES_MAX = 1_000
#: identity attributes that change only with `force`
FORCED_KEYWORDS = frozenset(
    ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyID", "AccessionNumber", "PatientID")
)


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


# Updates


def parse_updates(updates: Mapping[str, bytes], forced: bool) -> dict[str, Json]:
    """Read and check the documents of a metadata update; raises ServiceError."""
    parsed: dict[str, Json] = {}
    for kind in ("updatableAttributes", "removableAttributes"):
        if kind not in updates:
            continue
        if len(updates[kind]) > UPDATE_BYTES_MAX:
            raise _invalid(f"{kind} is larger than {UPDATE_BYTES_MAX} bytes")
        try:
            document = json.loads(updates[kind])
        except ValueError as error:
            raise _invalid(f"{kind} is not JSON") from error
        if not isinstance(document, dict) or str(document.get("SchemaVersion")) != "1.1":
            raise _invalid(f"{kind} must have SchemaVersion 1.1")
        if not forced and _keywords(document) & FORCED_KEYWORDS:
            raise _invalid(f"{kind} changes identifying attributes: set force")
        parsed[kind] = document
    if not parsed:
        raise _invalid("updatableAttributes or removableAttributes must be given")
    return parsed


def _keywords(document: Json) -> set[str]:
    found: set[str] = set()
    for name, value in document.items():
        if name == "DICOM" and isinstance(value, dict):
            found |= set(value)
        elif isinstance(value, dict):
            found |= _keywords(value)
    return found


def _merge(target: Json, changes: Json) -> None:
    for name, value in changes.items():
        if name in ("SchemaVersion", "DatastoreID", "ImageSetID"):
            continue
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            target[name] = value


def _remove(target: Json, removals: Json) -> None:
    for name, value in removals.items():
        if name in ("SchemaVersion", "DatastoreID", "ImageSetID"):
            continue
        if name == "DICOM" and isinstance(value, dict):
            for keyword in value:
                target.get("DICOM", {}).pop(keyword, None)
        elif isinstance(value, dict) and value and isinstance(target.get(name), dict):
            _remove(target[name], value)
        else:
            target.pop(name, None)


# Copies


@dataclass(frozen=True)
class CopyPlan:
    """A checked copy: the document that the destination will get."""

    datastore_id: str
    destination_id: str
    destination_version: int
    is_primary: bool
    document: Json
    exists: bool
    forced: bool


def _subset(document: Json, copies: Mapping[str, Any] | None) -> Json:
    """The instances that `DICOMCopies` names, or all."""
    if copies is None:
        return document
    try:
        wanted = json.loads(copies["copiableAttributes"])
        if wanted.get("SchemaVersion") != "1.1":
            raise _invalid("copiableAttributes must have SchemaVersion 1.1")
        series_wanted = wanted["Study"]["Series"]
        chosen = {uid: set(series.get("Instances", {})) for uid, series in series_wanted.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise _invalid("copiableAttributes must name Study.Series.<UID>.Instances.<UID>") from error
    subset = copy.deepcopy(document)
    available = subset["Study"]["Series"]
    for series_uid, instances in chosen.items():
        if not instances <= set(available.get(series_uid, {}).get("Instances", {})):
            raise _invalid("copiableAttributes names instances that the source does not hold")
    subset["Study"]["Series"] = {
        uid: {
            **available[uid],
            "Instances": {sop: body for sop, body in available[uid]["Instances"].items() if sop in instances},
        }
        for uid, instances in chosen.items()
    }
    return subset


def plan_copy(
    store: Store,
    source: Row,
    source_information: Mapping[str, Any],
    destination_information: Mapping[str, Any] | None,
    *,
    force: bool,
    promote: bool,
) -> CopyPlan:
    """Check a copy and compose its result; raises ServiceError before anything is locked."""
    if source["state"] == "DELETED":
        raise ServiceError("ResourceNotFoundException", f"image set {source['id']} does not exist")
    document = _subset(
        latest_document(store, source["id"], source["version"]), source_information.get("DICOMCopies")
    )
    if len(frame_ids(document)) > COPY_FRAMES_MAX:
        raise ServiceError(
            "ServiceQuotaExceededException", f"a copy holds at most {COPY_FRAMES_MAX} image frames"
        )
    if destination_information is None:
        if promote and _primary_exists(store, source["datastore_id"], document):
            raise ServiceError("ConflictException", "the series has a primary image set already")
        destination_id = new_id()
        result = {**copy.deepcopy(document), "ImageSetID": destination_id}
        return CopyPlan(source["datastore_id"], destination_id, 1, promote, result, False, force)
    destination = store.row(
        "SELECT * FROM image_set WHERE datastore_id = ? AND id = ?",
        source["datastore_id"],
        destination_information["imageSetId"],
    )
    if destination is None or destination["state"] == "DELETED":
        raise ServiceError("ResourceNotFoundException", "the destination image set does not exist")
    if destination["id"] == source["id"]:
        raise _invalid("source and destination must differ")
    if (
        destination["state"] == "LOCKED"
        or str(destination["version"]) != destination_information["latestVersionId"]
    ):
        raise ServiceError("ConflictException", "the destination is locked or its version is not the latest")
    target = copy.deepcopy(latest_document(store, destination["id"], destination["version"]))
    if not force and elements_of(target) != elements_of(document):
        raise _invalid("source and destination differ in patient, study or series attributes: set force")
    for series_uid, series in document["Study"]["Series"].items():
        held = target["Study"]["Series"].setdefault(series_uid, {"DICOM": series["DICOM"], "Instances": {}})
        if set(held["Instances"]) & set(series["Instances"]):
            raise _invalid("the destination holds one of the instances already")
        held["Instances"].update(copy.deepcopy(series["Instances"]))
    return CopyPlan(
        source["datastore_id"],
        destination["id"],
        destination["version"] + 1,
        bool(destination["is_primary"]),
        target,
        True,
        force,
    )


def _primary_exists(store: Store, datastore_id: str, document: Json) -> bool:
    return any(
        store.row(
            "SELECT id FROM image_set WHERE datastore_id = ? AND series_uid = ? AND is_primary = 1"
            " AND state != 'DELETED'",
            datastore_id,
            series_uid,
        )
        for series_uid in document["Study"]["Series"]
    )


def start_copy(store: Store, plan: CopyPlan, clock: Clock) -> Row:
    """Lock or create the destination with the plan in its row; returns the row."""
    moment = clock().timestamp()
    with store.transaction():
        current = store.row("SELECT * FROM image_set WHERE id = ?", plan.destination_id)
        if current is not None and (
            current["state"] != "ACTIVE" or current["version"] != plan.destination_version - 1
        ):
            raise ServiceError("ConflictException", "the destination changed while the copy was prepared")
        document = store.write_document(plan.datastore_id, plan.document)
        pending = json.dumps(
            {
                "kind": "copied",
                "version": plan.destination_version,
                "document": document,
                "is_primary": plan.is_primary,
                "forced": plan.forced,
            }
        )
        if plan.exists:
            store.update(
                "image_set",
                plan.destination_id,
                {"state": "LOCKED", "workflow": "COPYING", "updated_at": moment, "pending": pending},
            )
        else:
            store.insert(
                "image_set",
                {
                    "id": plan.destination_id,
                    "datastore_id": plan.datastore_id,
                    "is_primary": int(plan.is_primary),
                    "version": 1,
                    "state": "LOCKED",
                    "workflow": "COPYING",
                    "created_at": moment,
                    "updated_at": moment,
                    "pending": pending,
                    "elements": json.dumps([]),
                    "instances": 0,
                    "tags": json.dumps({}),
                },
            )
            store.insert(
                "image_set_version",
                {
                    "image_set_id": plan.destination_id,
                    "version": 1,
                    "state": "LOCKED",
                    "workflow": "COPYING",
                    "created_at": moment,
                    "updated_at": moment,
                },
            )
        row = store.row("SELECT * FROM image_set WHERE id = ?", plan.destination_id)
    if row is None:
        raise LookupError(plan.destination_id)
    return row


# Finishing


def finish(store: Store, image_set_id: str, clock: Clock) -> list[Change]:
    """Carry out the plan in an image set's row; does nothing when there is none."""
    with store.transaction():
        row = store.row("SELECT * FROM image_set WHERE id = ?", image_set_id)
        if row is None or row["pending"] is None:
            return []
        plan = json.loads(row["pending"])
        if plan["kind"] == "delete":
            return [_finish_delete(store, row, clock())]
        if plan["kind"] == "update":
            return [_finish_update(store, row, plan, clock())]
        if plan["kind"] == "copied":
            return [_finish_copy(store, row, plan, clock())]
        # The source of a copy: nothing of it changes.
        values = {"state": "ACTIVE", "workflow": "COPIED", "pending": None, "updated_at": clock().timestamp()}
        store.update("image_set", image_set_id, values)
        return [_change({**row, **values})]


def _change(row: Row) -> Change:
    return Change(
        row["id"],
        row["datastore_id"],
        bool(row["is_primary"]),
        row["version"],
        row["state"],
        row["workflow"],
        False,
    )


def _finish_delete(store: Store, row: Row, now: datetime) -> Change:
    moment = now.timestamp()
    values = {
        "state": "DELETED",
        "workflow": "DELETED",
        "pending": None,
        "deleted_at": moment,
        "updated_at": moment,
        "tags": json.dumps({}),
        "patient_id": None,
        "accession_number": None,
    }
    store.update("image_set", row["id"], values)
    for version in store.rows("SELECT document FROM image_set_version WHERE image_set_id = ?", row["id"]):
        if version["document"]:
            store.path(version["document"]).unlink(missing_ok=True)
    for frame in store.rows("SELECT id, path FROM frame WHERE image_set_id = ?", row["id"]):
        shared = store.row("SELECT id FROM frame WHERE path = ? AND id != ?", frame["path"], frame["id"])
        if shared is None:
            store.path(frame["path"]).unlink(missing_ok=True)
    store.execute("DELETE FROM frame WHERE image_set_id = ?", row["id"])
    store.execute("UPDATE image_set_version SET document = NULL WHERE image_set_id = ?", row["id"])
    return _change({**row, **values})


def _finish_update(store: Store, row: Row, plan: Json, now: datetime) -> Change:
    if "revert_to" in plan:
        document = latest_document(store, row["id"], plan["revert_to"])
    else:
        document = copy.deepcopy(latest_document(store, row["id"], row["version"]))
        _remove(document, plan["updates"].get("removableAttributes", {}))
        _merge(document, plan["updates"].get("updatableAttributes", {}))
    return write_version(
        store,
        datastore_id=row["datastore_id"],
        image_set_id=row["id"],
        version=row["version"] + 1,
        is_primary=bool(row["is_primary"]),
        document=document,
        workflow="UPDATED",
        now=now,
        created_at=row["created_at"],
        forced=bool(plan["forced"]),
    )


def _finish_copy(store: Store, row: Row, plan: Json, now: datetime) -> Change:
    document = store.read_document(plan["document"])
    _own_frames(store, row, document)
    return write_version(
        store,
        datastore_id=row["datastore_id"],
        image_set_id=row["id"],
        version=plan["version"],
        is_primary=bool(plan["is_primary"]),
        document=document,
        workflow="COPIED",
        now=now,
        created_at=row["created_at"],
        forced=bool(plan["forced"]),
    )


def _own_frames(store: Store, row: Row, document: Json) -> None:
    """Give each copied frame an id of the destination's own; the bytes are shared."""
    for series in document["Study"]["Series"].values():
        for instance in series["Instances"].values():
            for frame in instance["ImageFrames"]:
                source = store.row("SELECT * FROM frame WHERE id = ?", frame["ID"])
                if source is None or source["image_set_id"] == row["id"]:
                    continue
                frame["ID"] = new_id()
                store.insert("frame", {**source, "id": frame["ID"], "image_set_id": row["id"]})
