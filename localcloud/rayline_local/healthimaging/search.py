"""SearchImageSets: the documented filters, sorting and paging over the current version of each image set.

Source: AWS HealthImaging API reference, SearchCriteria, SearchFilter and SearchByAttributeValue.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rayline_local.front.rest import ServiceError
from rayline_local.healthimaging.store import Row, Store

PAGE_SIZE = 50

EQUAL_COLUMNS = {
    "DICOMPatientId": "patient_id",
    "DICOMAccessionNumber": "accession_number",
    "DICOMStudyId": "study_id",
    "DICOMStudyInstanceUID": "study_uid",
    "DICOMSeriesInstanceUID": "series_uid",
    "isPrimary": "is_primary",
}
RANGE_COLUMNS = {
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "DICOMStudyDateAndTime": "study_moment",
}


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def encode_token(offset: int, scope: object) -> str:
    """An opaque paging token that is good for one query only."""
    digest = hashlib.sha256(json.dumps(scope, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return base64.urlsafe_b64encode(f"{offset}:{digest}".encode()).decode()


def decode_token(token: str | None, scope: object) -> int:
    """The offset of a paging token; raises ServiceError for a token of another query."""
    if token is None:
        return 0
    try:
        offset, _, _ = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if token == encode_token(int(offset), scope):
            return int(offset)
    except (binascii.Error, ValueError):
        pass
    raise _invalid("nextToken is not valid for this request")


def _study_moment(value: Mapping[str, str]) -> str:
    date, time = value["DICOMStudyDate"], value.get("DICOMStudyTime", "")
    if not (len(date) == 8 and date.isdigit()):
        raise _invalid("DICOMStudyDate must be of the form YYYYMMDD")
    return f"{date}{time:0<6}"[:14]


def _column_value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if name == "DICOMStudyDateAndTime":
        return _study_moment(value)
    if isinstance(value, bool):
        return int(value)
    return value


def _condition(search_filter: Mapping[str, Any]) -> tuple[str, list[Any]]:
    values: Sequence[Mapping[str, Any]] = search_filter["values"]
    names = {name for value in values for name in value}
    if len(names) != 1:
        raise _invalid("the values of a filter must be of one attribute")
    name = names.pop()
    parameters = [_column_value(name, value[name]) for value in values]
    if search_filter["operator"] == "EQUAL":
        if len(parameters) != 1:
            raise _invalid("operator EQUAL takes one value")
        column = EQUAL_COLUMNS.get(name)
        if column is None:
            raise _invalid(f"operator EQUAL is not supported for {name}")
        return f"{column} = ?", parameters
    if len(parameters) != 2:
        raise _invalid("operator BETWEEN takes two values")
    column = RANGE_COLUMNS.get(name)
    if column is None:
        raise _invalid(f"operator BETWEEN is not supported for {name}")
    if parameters[0] > parameters[1]:
        raise _invalid("the first value of BETWEEN must not be after the second")
    return f"{column} BETWEEN ? AND ?", parameters


def search_image_sets(
    store: Store,
    datastore_id: str,
    criteria: Mapping[str, Any],
    page_size: int | None,
    token: str | None,
) -> dict[str, Any]:
    """One page of image sets that meet every filter; DELETED sets are never found."""
    conditions = ["datastore_id = ?", "state != 'DELETED'"]
    parameters: list[Any] = [datastore_id]
    for search_filter in criteria.get("filters", []):
        condition, values = _condition(search_filter)
        conditions.append(condition)
        parameters.extend(values)
    sort = criteria.get("sort")
    field = RANGE_COLUMNS[sort["sortField"]] if sort else "updated_at"
    order = sort["sortOrder"] if sort else "DESC"
    scope = [datastore_id, criteria]
    offset, limit = decode_token(token, scope), page_size or PAGE_SIZE
    rows = store.rows(
        f"SELECT * FROM image_set WHERE {' AND '.join(conditions)}"  # noqa: S608 - columns are ours
        f" ORDER BY {field} {order}, id LIMIT ? OFFSET ?",
        *parameters,
        limit + 1,
        offset,
    )
    answer: dict[str, Any] = {
        "imageSetsMetadataSummaries": [_summary(store, row) for row in rows[:limit]],
    }
    if sort:
        answer["sort"] = sort
    if len(rows) > limit:
        answer["nextToken"] = encode_token(offset + limit, scope)
    return answer


def _summary(store: Store, row: Row) -> dict[str, Any]:
    related = store.row(
        "SELECT COUNT(DISTINCT series_uid) AS series, SUM(instances) AS instances FROM image_set"
        " WHERE datastore_id = ? AND study_uid = ? AND state != 'DELETED'",
        row["datastore_id"],
        row["study_uid"],
    ) or {"series": 0, "instances": 0}
    tags = json.loads(row["tags"])
    tags["DICOMNumberOfStudyRelatedSeries"] = related["series"]
    tags["DICOMNumberOfStudyRelatedInstances"] = related["instances"]
    return {
        "imageSetId": row["id"],
        "version": row["version"],
        "createdAt": datetime.fromtimestamp(row["created_at"], UTC),
        "updatedAt": datetime.fromtimestamp(row["updated_at"], UTC),
        "lastAccessedAt": datetime.fromtimestamp(row["updated_at"], UTC),
        "storageTier": "FREQUENT_ACCESS",
        "DICOMTags": tags,
        "isPrimary": bool(row["is_primary"]),
    }
