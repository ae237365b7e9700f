"""The HealthImaging API: all 18 operations of botocore's model, over the store and the import jobs.

Not implemented, and refused with a ValidationException that says so: `importConfiguration` of
StartDICOMImportJob,
`includeStudyImageSets` of UpdateImageSetMetadata, and JPEG 2000 lossless as a data store's storage format.
Writes to an image set are asynchronous, as in AWS: the set is LOCKED, refuses other writes, then ACTIVE or
DELETED.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from rayline_local.front.faults import Count, Seconds, ServiceFaults, Share
from rayline_local.front.rest import ModeledService, Permission, ServiceError
from rayline_local.front.services import Cloud
from rayline_local.healthimaging import edits
from rayline_local.healthimaging.image_sets import Change
from rayline_local.healthimaging.import_jobs import SERVICE_PRINCIPAL, ImportJobs, job_folder, split_uri
from rayline_local.healthimaging.search import decode_token, encode_token, search_image_sets
from rayline_local.healthimaging.store import Row, Store, new_id

EVENT_SOURCE = "aws.medical-imaging"
IMAGING_VERSION = "1.0"
CONCURRENT_JOBS_MAX = 100
#: an adjustable quota in AWS; here it only stops a loop
DATASTORES_MAX = 1_000
PAGE_SIZE = 50

log = structlog.get_logger("rayline.local.healthimaging")


class HealthImagingFaults(ServiceFaults):
    """Fault switches of the stand-in."""

    fail_files: Count = 0
    """The next n files of import jobs fail with a server error; their jobs still complete."""
    fail_files_share: Share = 0
    """This share of the files fails so."""
    fail_jobs: Count = 0
    """The next n import jobs end as FAILED, with nothing imported."""
    job_delay_seconds: Seconds = 0
    """Each job stays SUBMITTED for this long."""
    metadata_conflicts: Count = 0
    """The next n GetImageSetMetadata answer 409, as they may for a while after an import."""


def _missing(what: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"{what} does not exist")


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def _moment(value: float | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, UTC)


class HealthImagingService(ModeledService):
    """AWS HealthImaging for one account; state lives under `<state dir>/healthimaging`."""

    service_name = "medical-imaging"
    fault_name = "healthimaging"

    def __init__(self, cloud: Cloud, processes: int = 1) -> None:
        super().__init__(cloud)
        self._cloud = cloud
        cloud.register_faults(self.fault_name, EVENT_SOURCE, HealthImagingFaults())
        self._store = Store(cloud.state_dir / "healthimaging")
        self._jobs = ImportJobs(cloud, self._store, self._publish_job, self._publish_image_set, processes)
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self) -> None:
        """Take up what the last process left: unfinished jobs and pending writes."""
        for row in self._store.rows("SELECT id FROM image_set WHERE pending IS NOT NULL"):
            self._spawn_edit(row["id"])
        self._jobs.resume()

    async def shutdown(self) -> None:
        """Stop the jobs at their next file and close the store."""
        await asyncio.to_thread(self._jobs.shutdown)
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._store.close()

    # Authorization

    def permissions(self, operation: str, members: Mapping[str, Any]) -> Sequence[Permission]:
        """The action on the data store or image set that the request names; passing a role needs
        iam:PassRole.
        """
        action = f"{self.iam_prefix}:{operation}"
        datastore_id = members.get("datastoreId")
        if operation in ("CreateDatastore", "ListDatastores"):
            return [Permission(action)]
        if "resourceArn" in members:
            return [Permission(action, str(members["resourceArn"]))]
        resource = self._datastore_arn(str(datastore_id))
        image_set_id = members.get("imageSetId") or members.get("sourceImageSetId")
        if image_set_id:
            resource = f"{resource}/imageset/{image_set_id}"
        permissions = [Permission(action, resource)]
        if operation == "StartDICOMImportJob":
            passed = {"iam:PassedToService": SERVICE_PRINCIPAL}
            permissions.append(Permission("iam:PassRole", str(members.get("dataAccessRoleArn")), passed))
        if operation == "CopyImageSet":
            destination = (members.get("copyImageSetInformation") or {}).get("destinationImageSet")
            if destination:
                target = f"{self._datastore_arn(str(datastore_id))}/imageset/{destination.get('imageSetId')}"
                permissions.append(Permission(action, target))
        return permissions

    def _datastore_arn(self, datastore_id: str) -> str:
        cloud = self._cloud
        return f"arn:aws:medical-imaging:{cloud.region}:{cloud.account_id}:datastore/{datastore_id}"

    def _image_set_arn(self, row: Row) -> str:
        return f"{self._datastore_arn(row['datastore_id'])}/imageset/{row['id']}"

    # Events

    def _publish_datastore(self, row: Row, detail_type: str) -> None:
        self._cloud.put_service_event(
            EVENT_SOURCE,
            f"Data Store {detail_type}",
            {
                "imagingVersion": IMAGING_VERSION,
                "datastoreId": row["id"],
                "datastoreName": row["name"],
                "datastoreStatus": row["status"],
            },
            [self._datastore_arn(row["id"])],
        )

    def _publish_job(self, row: Row) -> None:
        titles = {"SUBMITTED": "Submitted", "IN_PROGRESS": "In Progress", "COMPLETED": "Completed"}
        self._cloud.put_service_event(
            EVENT_SOURCE,
            f"Import Job {titles.get(row['status'], 'Failed')}",
            {
                "imagingVersion": IMAGING_VERSION,
                "datastoreId": row["datastore_id"],
                "jobId": row["id"],
                "jobName": row["name"],
                "jobStatus": row["status"],
                "inputS3Uri": row["input_uri"],
                "outputS3Uri": job_folder(row["output_uri"], row["datastore_id"], row["id"]),
            },
            [self._datastore_arn(row["datastore_id"])],
        )

    def _publish_image_set(self, change: Change) -> None:
        title = change.workflow.replace("_", " ").title()
        self._cloud.put_service_event(
            EVENT_SOURCE,
            f"Image Set {title}",
            {
                "imagingVersion": IMAGING_VERSION,
                "isPrimary": change.is_primary,
                "imageSetVersion": str(change.version),
                "datastoreId": change.datastore_id,
                "imagesetId": change.image_set_id,
                "imageSetState": change.state,
                "imageSetWorkflowStatus": change.workflow,
            },
            [f"{self._datastore_arn(change.datastore_id)}/imageset/{change.image_set_id}"],
        )

    def _publish_row(self, image_set_id: str) -> None:
        row = self._store.row("SELECT * FROM image_set WHERE id = ?", image_set_id)
        if row is not None:
            self._publish_image_set(
                Change(
                    row["id"],
                    row["datastore_id"],
                    bool(row["is_primary"]),
                    row["version"],
                    row["state"],
                    row["workflow"],
                    False,
                )
            )

    # Data stores

    async def op_create_datastore(self, **request: Any) -> dict[str, Any]:
        """Create a data store; the same client token with the same request answers the same store."""
        return await asyncio.to_thread(self._create_datastore, request)

    def _create_datastore(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("losslessStorageFormat", "HTJ2K") != "HTJ2K":
            raise _invalid("the local cloud stores HTJ2K only")
        fingerprint = json.dumps(request, sort_keys=True)
        with self._store.transaction():
            known = self._store.row("SELECT * FROM datastore WHERE client_token = ?", request["clientToken"])
            if known is not None:
                if known["request"] != fingerprint:
                    raise ServiceError("ConflictException", "clientToken was used with another request")
                return {"datastoreId": known["id"], "datastoreStatus": known["status"]}
            alive = self._store.rows("SELECT id FROM datastore WHERE status != 'DELETED'")
            if len(alive) >= DATASTORES_MAX:
                raise ServiceError("ServiceQuotaExceededException", f"limit of {DATASTORES_MAX} data stores")
            now = self._cloud.clock().timestamp()
            datastore_id = new_id()
            self._store.insert(
                "datastore",
                {
                    "id": datastore_id,
                    "name": request.get("datastoreName", datastore_id),
                    "status": "ACTIVE",
                    "kms_key_arn": request.get("kmsKeyArn"),
                    "lambda_authorizer_arn": request.get("lambdaAuthorizerArn"),
                    "storage_format": "HTJ2K",
                    "client_token": request["clientToken"],
                    "request": fingerprint,
                    "created_at": now,
                    "updated_at": now,
                },
            )
            self._put_tags(self._datastore_arn(datastore_id), request.get("tags", {}))
        row = self._datastore(datastore_id)
        self._publish_datastore({**row, "status": "CREATING"}, "Creating")
        self._publish_datastore(row, "Created")
        return {"datastoreId": datastore_id, "datastoreStatus": "CREATING"}

    def _datastore(self, datastore_id: str, active: bool = False) -> Row:
        row = self._store.row("SELECT * FROM datastore WHERE id = ?", datastore_id)
        if row is None or (active and row["status"] == "DELETED"):
            raise _missing(f"data store {datastore_id}")
        return row

    def op_get_datastore(self, **request: Any) -> dict[str, Any]:
        """Properties of one data store; a deleted one is still described."""
        row = self._datastore(request["datastoreId"])
        return {
            "datastoreProperties": {
                **self._datastore_summary(row),
                "kmsKeyArn": row["kms_key_arn"],
                "lambdaAuthorizerArn": row["lambda_authorizer_arn"],
                "losslessStorageFormat": row["storage_format"],
            }
        }

    def _datastore_summary(self, row: Row) -> dict[str, Any]:
        return {
            "datastoreId": row["id"],
            "datastoreName": row["name"],
            "datastoreStatus": row["status"],
            "datastoreArn": self._datastore_arn(row["id"]),
            "createdAt": _moment(row["created_at"]),
            "updatedAt": _moment(row["updated_at"]),
        }

    def op_list_datastores(self, **request: Any) -> dict[str, Any]:
        """Data stores, optionally of one status."""
        status = request.get("datastoreStatus")
        rows = self._store.rows("SELECT * FROM datastore ORDER BY created_at, id")
        matching = [self._datastore_summary(row) for row in rows if status in (None, row["status"])]
        return self._page("datastoreSummaries", matching, request, ["datastores", status])

    async def op_delete_datastore(self, **request: Any) -> dict[str, Any]:
        """Delete an empty data store."""
        row = self._datastore(request["datastoreId"], active=True)
        left = self._store.row(
            "SELECT id FROM image_set WHERE datastore_id = ? AND state != 'DELETED' LIMIT 1", row["id"]
        )
        if left is not None:
            raise ServiceError("ConflictException", "delete the data store's image sets first")
        values = {"status": "DELETED", "updated_at": self._cloud.clock().timestamp()}
        await asyncio.to_thread(self._store.update, "datastore", row["id"], values)
        self._publish_datastore({**row, "status": "DELETING"}, "Deleting")
        self._publish_datastore({**row, **values}, "Deleted")
        return {"datastoreId": row["id"], "datastoreStatus": "DELETING"}

    # Import jobs

    async def op_start_dicom_import_job(self, **request: Any) -> dict[str, Any]:
        """Start a job; the same client token with the same request answers the same job."""
        row, repeated = await asyncio.to_thread(self._start_job, request)
        self._cloud.record_accepted(
            self.fault_name,
            "StartDICOMImportJob",
            client_token=row["client_token"],
            input_s3_uri=row["input_uri"],
            job_id=row["id"],
            repeated=repeated,
        )
        return {
            "datastoreId": row["datastore_id"],
            "jobId": row["id"],
            "jobStatus": row["status"],
            "submittedAt": _moment(row["submitted_at"]),
        }

    def _start_job(self, request: dict[str, Any]) -> tuple[Row, bool]:
        """The job's row, and whether the client token had started it before."""
        datastore = self._datastore(request["datastoreId"], active=True)
        if "importConfiguration" in request:
            raise _invalid("the local cloud does not implement importConfiguration")
        for name in ("inputS3Uri", "outputS3Uri"):
            if not split_uri(request[name])[1]:
                raise _invalid(f"{name} must name a folder of the bucket")
        owner = request.get("inputOwnerAccountId", self._cloud.account_id)
        if owner != self._cloud.account_id:
            raise _invalid("the local cloud has one account: inputOwnerAccountId must be it")
        fingerprint = json.dumps(request, sort_keys=True)
        with self._store.transaction():
            known = self._store.row(
                "SELECT * FROM import_job WHERE datastore_id = ? AND client_token = ?",
                datastore["id"],
                request["clientToken"],
            )
            if known is not None:
                if known["request"] != fingerprint:
                    raise ServiceError("ConflictException", "clientToken was used with another request")
                return known, True
            self._cloud.role_credentials(request["dataAccessRoleArn"], SERVICE_PRINCIPAL)
            running = self._store.rows(
                "SELECT id FROM import_job WHERE status IN ('SUBMITTED', 'IN_PROGRESS')"
            )
            if len(running) >= CONCURRENT_JOBS_MAX:
                message = f"limit of {CONCURRENT_JOBS_MAX} concurrent import jobs"
                raise ServiceError("ServiceQuotaExceededException", message)
            job_id = new_id()
            self._store.insert(
                "import_job",
                {
                    "id": job_id,
                    "datastore_id": datastore["id"],
                    "name": request.get("jobName", job_id),
                    "status": "SUBMITTED",
                    "role_arn": request["dataAccessRoleArn"],
                    "input_uri": request["inputS3Uri"],
                    "output_uri": request["outputS3Uri"],
                    "client_token": request["clientToken"],
                    "request": fingerprint,
                    "submitted_at": self._cloud.clock().timestamp(),
                },
            )
        row = self._job(datastore["id"], job_id)
        self._publish_job(row)
        self._jobs.submit(job_id)
        return row, False

    def _job(self, datastore_id: str, job_id: str) -> Row:
        row = self._store.row(
            "SELECT * FROM import_job WHERE datastore_id = ? AND id = ?", datastore_id, job_id
        )
        if row is None:
            raise _missing(f"import job {job_id}")
        return row

    def op_get_dicom_import_job(self, **request: Any) -> dict[str, Any]:
        """Properties of one job."""
        row = self._job(request["datastoreId"], request["jobId"])
        return {
            "jobProperties": {
                **self._job_summary(row),
                "inputS3Uri": row["input_uri"],
                "outputS3Uri": job_folder(row["output_uri"], row["datastore_id"], row["id"]),
            }
        }

    def _job_summary(self, row: Row) -> dict[str, Any]:
        return {
            "jobId": row["id"],
            "jobName": row["name"],
            "jobStatus": row["status"],
            "datastoreId": row["datastore_id"],
            "dataAccessRoleArn": row["role_arn"],
            "submittedAt": _moment(row["submitted_at"]),
            "endedAt": _moment(row["ended_at"]),
            "message": row["message"],
        }

    def op_list_dicom_import_jobs(self, **request: Any) -> dict[str, Any]:
        """Jobs of a data store, newest first, optionally of one status."""
        datastore = self._datastore(request["datastoreId"])
        status = request.get("jobStatus")
        rows = self._store.rows(
            "SELECT * FROM import_job WHERE datastore_id = ? ORDER BY submitted_at DESC, id", datastore["id"]
        )
        matching = [self._job_summary(row) for row in rows if status in (None, row["status"])]
        return self._page("jobSummaries", matching, request, ["jobs", datastore["id"], status])

    # Image sets

    def _image_set(self, datastore_id: str, image_set_id: str) -> Row:
        self._datastore(datastore_id, active=True)
        row = self._store.row(
            "SELECT * FROM image_set WHERE datastore_id = ? AND id = ?", datastore_id, image_set_id
        )
        if row is None:
            raise _missing(f"image set {image_set_id}")
        return row

    def _version(self, row: Row, version_id: str | None) -> Row:
        version = self._store.row(
            "SELECT * FROM image_set_version WHERE image_set_id = ? AND version = ?",
            row["id"],
            row["version"] if version_id is None else int(version_id),
        )
        if version is None:
            raise _missing(f"version {version_id} of image set {row['id']}")
        return version

    def op_search_image_sets(self, **request: Any) -> dict[str, Any]:
        """One page of image sets that meet the filters."""
        datastore = self._datastore(request["datastoreId"], active=True)
        return search_image_sets(
            self._store,
            datastore["id"],
            request.get("searchCriteria", {}),
            request.get("maxResults"),
            request.get("nextToken"),
        )

    def op_get_image_set(self, **request: Any) -> dict[str, Any]:
        """Properties of an image set, by default of its latest version."""
        row = self._image_set(request["datastoreId"], request["imageSetId"])
        version = self._version(row, request.get("versionId"))
        latest = version["version"] == row["version"]
        current = row if latest else version
        return {
            "datastoreId": row["datastore_id"],
            "imageSetId": row["id"],
            "versionId": str(version["version"]),
            "imageSetState": current["state"],
            "imageSetWorkflowStatus": current["workflow"],
            "createdAt": _moment(row["created_at"]),
            "updatedAt": _moment(current["updated_at"]),
            "deletedAt": _moment(row["deleted_at"]),
            "message": current["message"],
            "imageSetArn": self._image_set_arn(row),
            "overrides": {"forced": True} if version["forced"] else None,
            "isPrimary": bool(row["is_primary"]),
            "lastAccessedAt": _moment(row["updated_at"]),
            "storageTier": "FREQUENT_ACCESS",
        }

    def op_get_image_set_metadata(self, **request: Any) -> dict[str, Any]:
        """The metadata document of a version, as gzip."""
        row = self._image_set(request["datastoreId"], request["imageSetId"])
        if self._cloud.take_fault(self.fault_name, "metadata_conflicts"):
            raise ServiceError("ConflictException", f"image set {row['id']} is being updated; retry later")
        version = self._version(row, request.get("versionId"))
        if row["state"] == "DELETED" or version["document"] is None:
            raise _missing(f"metadata of image set {row['id']}")
        return {
            "imageSetMetadataBlob": self._store.path(version["document"]),
            "contentType": "application/json",
            "contentEncoding": "gzip",
        }

    def op_get_image_frame(self, **request: Any) -> dict[str, Any]:
        """The stored bytes of one frame."""
        row = self._image_set(request["datastoreId"], request["imageSetId"])
        frame_id = request["imageFrameInformation"]["imageFrameId"]
        frame = self._store.row("SELECT * FROM frame WHERE id = ? AND image_set_id = ?", frame_id, row["id"])
        if row["state"] == "DELETED" or frame is None:
            raise _missing(f"image frame {frame_id}")
        return {"imageFrameBlob": self._store.path(frame["path"]), "contentType": frame["content_type"]}

    def op_list_image_set_versions(self, **request: Any) -> dict[str, Any]:
        """Versions of an image set, newest first; the workflow status is spelled as AWS spells it here."""
        row = self._image_set(request["datastoreId"], request["imageSetId"])
        rows = self._store.rows(
            "SELECT * FROM image_set_version WHERE image_set_id = ? ORDER BY version DESC", row["id"]
        )
        properties = []
        for version in rows:
            current = row if version["version"] == row["version"] else version
            properties.append(
                {
                    "imageSetId": row["id"],
                    "versionId": str(version["version"]),
                    "imageSetState": current["state"],
                    "ImageSetWorkflowStatus": current["workflow"],
                    "createdAt": _moment(version["created_at"]),
                    "updatedAt": _moment(version["updated_at"]),
                    "deletedAt": _moment(current["deleted_at"]),
                    "message": current["message"],
                    "overrides": {"forced": True} if version["forced"] else None,
                    "isPrimary": bool(row["is_primary"]),
                }
            )
        return self._page("imageSetPropertiesList", properties, request, ["versions", row["id"]])

    # Asynchronous writes

    def _lock(self, row: Row, expected_version: str | None, workflow: str, pending: Mapping[str, Any]) -> Row:
        """Lock an image set for one write; raises ConflictException when another one is under way."""
        with self._store.transaction():
            current = self._store.row("SELECT * FROM image_set WHERE id = ?", row["id"])
            if current is None or current["state"] == "DELETED":
                raise _missing(f"image set {row['id']}")
            if current["state"] == "LOCKED":
                raise ServiceError(
                    "ConflictException", f"image set {row['id']} is locked by another operation"
                )
            if expected_version is not None and expected_version != str(current["version"]):
                raise ServiceError(
                    "ConflictException",
                    f"version {expected_version} of image set {row['id']} is not the latest",
                )
            values = {
                "state": "LOCKED",
                "workflow": workflow,
                "updated_at": self._cloud.clock().timestamp(),
                "pending": json.dumps(pending),
            }
            self._store.update("image_set", row["id"], values)
            return {**current, **values}

    def _spawn_edit(self, image_set_id: str) -> None:
        async def edit() -> None:
            self._publish_row(image_set_id)
            changes = await asyncio.to_thread(edits.finish, self._store, image_set_id, self._cloud.clock)
            for change in changes:
                self._publish_image_set(change)

        task = asyncio.create_task(edit())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def op_delete_image_set(self, **request: Any) -> dict[str, Any]:
        """Delete an image set; it stays describable as DELETED."""
        row = self._image_set(request["datastoreId"], request["imageSetId"])
        locked = await asyncio.to_thread(self._lock, row, None, "DELETING", {"kind": "delete"})
        self._spawn_edit(row["id"])
        return {
            "datastoreId": row["datastore_id"],
            "imageSetId": row["id"],
            "imageSetState": locked["state"],
            "imageSetWorkflowStatus": locked["workflow"],
        }

    async def op_update_image_set_metadata(self, **request: Any) -> dict[str, Any]:
        """Make a new version with attributes changed or removed, or revert to an earlier version."""
        if request.get("includeStudyImageSets"):
            raise _invalid("the local cloud does not implement includeStudyImageSets")
        row = self._image_set(request["datastoreId"], request["imageSetId"])
        forced = bool(request.get("force"))
        updates = request["updateImageSetMetadataUpdates"]
        pending: dict[str, Any] = {"kind": "update", "forced": forced}
        if "revertToVersionId" in updates:
            self._version(row, updates["revertToVersionId"])
            pending["revert_to"] = int(updates["revertToVersionId"])
        else:
            pending["updates"] = edits.parse_updates(updates["DICOMUpdates"], forced)
        latest = request["latestVersionId"]
        locked = await asyncio.to_thread(self._lock, row, latest, "UPDATING", pending)
        self._spawn_edit(row["id"])
        return {
            "datastoreId": row["datastore_id"],
            "imageSetId": row["id"],
            "latestVersionId": str(row["version"]),
            "imageSetState": locked["state"],
            "imageSetWorkflowStatus": locked["workflow"],
            "createdAt": _moment(row["created_at"]),
            "updatedAt": _moment(locked["updated_at"]),
        }

    async def op_copy_image_set(self, **request: Any) -> dict[str, Any]:
        """Copy an image set, or some of its instances, to a new set or into another one."""
        locked, target = await asyncio.to_thread(self._start_copy, request)
        self._spawn_edit(target["id"])
        self._spawn_edit(locked["id"])
        return {
            "datastoreId": locked["datastore_id"],
            "sourceImageSetProperties": self._copy_properties(locked),
            "destinationImageSetProperties": self._copy_properties(target),
        }

    def _start_copy(self, request: dict[str, Any]) -> tuple[Row, Row]:
        information = request["copyImageSetInformation"]
        source_information = information["sourceImageSet"]
        source = self._image_set(request["datastoreId"], request["sourceImageSetId"])
        with self._store.transaction():
            plan = edits.plan_copy(
                self._store,
                source,
                source_information,
                information.get("destinationImageSet"),
                force=bool(request.get("force")),
                promote=bool(request.get("promoteToPrimary")),
            )
            pending = {"kind": "copy", "destination": plan.destination_id}
            locked = self._lock(source, source_information["latestVersionId"], "COPYING", pending)
            return locked, edits.start_copy(self._store, plan, self._cloud.clock)

    def _copy_properties(self, row: Row) -> dict[str, Any]:
        return {
            "imageSetId": row["id"],
            "latestVersionId": str(row["version"]),
            "imageSetState": row["state"],
            "imageSetWorkflowStatus": row["workflow"],
            "createdAt": _moment(row["created_at"]),
            "updatedAt": _moment(row["updated_at"]),
            "imageSetArn": self._image_set_arn(row),
        }

    # Tags

    def _tagged(self, arn: str) -> str:
        prefix = self._datastore_arn("")
        if not arn.startswith(prefix):
            raise _missing(f"resource {arn}")
        datastore_id, _, image_set = arn.removeprefix(prefix).partition("/imageset/")
        if image_set:
            self._image_set(datastore_id, image_set)
        else:
            self._datastore(datastore_id, active=True)
        return arn

    def _put_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self._store.insert("tag", {"arn": arn, "key": key, "value": value})

    def op_list_tags_for_resource(self, **request: Any) -> dict[str, Any]:
        """Tags of a data store or image set."""
        rows = self._store.rows(
            "SELECT key, value FROM tag WHERE arn = ?", self._tagged(request["resourceArn"])
        )
        return {"tags": {row["key"]: row["value"] for row in rows}}

    async def op_tag_resource(self, **request: Any) -> dict[str, Any]:
        """Add or change tags."""
        await asyncio.to_thread(self._put_tags, self._tagged(request["resourceArn"]), request["tags"])
        return {}

    async def op_untag_resource(self, **request: Any) -> dict[str, Any]:
        """Remove tags."""
        arn = self._tagged(request["resourceArn"])
        for key in request["tagKeys"]:
            await asyncio.to_thread(
                self._store.execute, "DELETE FROM tag WHERE arn = ? AND key = ?", arn, key
            )
        return {}

    def _page(
        self, name: str, items: list[dict[str, Any]], request: Mapping[str, Any], scope: object
    ) -> dict[str, Any]:
        offset = decode_token(request.get("nextToken"), scope)
        limit = request.get("maxResults") or PAGE_SIZE
        answer: dict[str, Any] = {name: items[offset : offset + limit]}
        if len(items) > offset + limit:
            answer["nextToken"] = encode_token(offset + limit, scope)
        return answer
