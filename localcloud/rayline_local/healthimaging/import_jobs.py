"""Import jobs: list a prefix, transcode each file, group, store, and account for every file.

Source: AWS HealthImaging developer guide, "Importing imaging data": quotas, job output and its manifests.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from rayline_local.front.rest import ServiceError
from rayline_local.front.services import Cloud
from rayline_local.healthimaging import edits
from rayline_local.healthimaging.image_sets import Change, Grouping, apply_batch
from rayline_local.healthimaging.instance import ImportedInstance, RefusedFile, read_instance
from rayline_local.healthimaging.store import NewFrame, Row, Store

FILES_MAX = 5_000
JOB_BYTES_MAX = 10 * 1024**3
SERVICE_PRINCIPAL = "medical-imaging.amazonaws.com"
JOB_THREADS = 2
#: files in flight per job: enough to keep the workers busy, few enough to bound memory
WINDOW = 8
ROLE_WAIT_SECONDS = 60.0

CONTENT_TYPES = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.93": "image/jp2",
    "1.2.840.10008.1.2.4.202": "image/jph",
    "1.2.840.10008.1.2.4.203": "image/jph",
}

log = structlog.get_logger("rayline.local.healthimaging")


class JobFailed(Exception):
    """The whole job fails; the message goes to GetDICOMImportJob."""


@dataclass(frozen=True)
class SourceFile:
    """One object under the input prefix."""

    key: str
    size: int


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key prefix of an S3 URI."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


def job_folder(output_uri: str, datastore_id: str, job_id: str) -> str:
    """The folder of a job's output, with a trailing slash, as GetDICOMImportJob shows it."""
    return f"{output_uri.rstrip('/')}/{datastore_id}-DicomImport-{job_id}/"


def _exit_with_parent() -> None:
    # A killed front must leave no worker behind; nothing else would tell the worker.
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class ImportJobs:
    """Runs import jobs in the background; jobs that a stop interrupted start again with the next process."""

    def __init__(
        self,
        cloud: Cloud,
        store: Store,
        publish_job: Callable[[Row], None],
        publish_image_set: Callable[[Change], None],
        processes: int,
    ) -> None:
        self._cloud = cloud
        self._store = store
        self._publish_job = publish_job
        self._publish_image_set = publish_image_set
        self._processes = processes
        self._threads = ThreadPoolExecutor(JOB_THREADS, thread_name_prefix="import-job")
        self._pool: ProcessPoolExecutor | None = None
        self._pool_lock = threading.Lock()
        self._grouping_lock = threading.Lock()
        self._stopping = threading.Event()

    def resume(self) -> None:
        """Start every job that has not ended."""
        for row in self._store.rows("SELECT id FROM import_job WHERE status IN ('SUBMITTED', 'IN_PROGRESS')"):
            self.submit(row["id"])

    def submit(self, job_id: str) -> None:
        """Run a job in the background."""
        self._threads.submit(self._guarded, job_id)

    def shutdown(self) -> None:
        """Stop at the next file; unfinished jobs stay IN_PROGRESS for the next process."""
        self._stopping.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _workers(self) -> ProcessPoolExecutor:
        with self._pool_lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    self._processes,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_exit_with_parent,
                )
            return self._pool

    def _guarded(self, job_id: str) -> None:
        if self._stopping.is_set():
            return
        try:
            self._run(job_id)
        except JobFailed as error:
            self._end(job_id, "FAILED", str(error))
        except Exception as error:
            if not self._stopping.is_set():
                log.exception("import job failed", job_id=job_id)
                self._end(job_id, "FAILED", f"internal error: {type(error).__name__}")

    def _job(self, job_id: str) -> Row:
        row = self._store.row("SELECT * FROM import_job WHERE id = ?", job_id)
        if row is None:
            raise LookupError(job_id)
        return row

    def _run(self, job_id: str) -> None:
        job = self._job(job_id)
        delay = getattr(self._cloud.faults("healthimaging"), "job_delay_seconds", 0.0)
        if delay and self._stopping.wait(delay):
            return
        s3 = self._client(job)
        if s3 is None:
            return
        self._store.update("import_job", job_id, {"status": "IN_PROGRESS"})
        self._publish_job(self._job(job_id))
        if job["result"] is None:
            if self._cloud.take_fault("healthimaging", "fail_jobs"):
                raise JobFailed("internal server error")
            result = self._import(job, s3)
            if result is None:
                return
        else:
            result = json.loads(job["result"])
        self._write_output(job, s3, result)
        self._end(job_id, "COMPLETED", None)

    def _client(self, job: Row) -> Any:
        """An S3 client as the import role; after a kill the estate's roles return only with `rayline local
        up`.
        """
        deadline = time.monotonic() + ROLE_WAIT_SECONDS
        while True:
            try:
                self._cloud.role_credentials(job["role_arn"], SERVICE_PRINCIPAL)
                return self._cloud.client("s3", job["role_arn"], SERVICE_PRINCIPAL)
            except ServiceError as error:
                if time.monotonic() > deadline:
                    raise JobFailed(f"cannot assume the import role: {error.code}") from error
            if self._stopping.wait(1.0):
                return None

    def _list(self, job: Row, s3: Any) -> list[SourceFile]:
        bucket, prefix = split_uri(job["input_uri"])
        files: list[SourceFile] = []
        try:
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for item in page.get("Contents", []):
                    if not item["Key"].endswith("/"):
                        files.append(SourceFile(item["Key"], int(item["Size"])))
                if len(files) > FILES_MAX:
                    raise JobFailed(f"the input prefix holds more than {FILES_MAX} files: split the job")
        except (ClientError, BotoCoreError) as error:
            raise JobFailed(f"cannot list the input prefix: {_code(error)}") from error
        if not files:
            raise JobFailed("no files found under the input prefix")
        if sum(file.size for file in files) > JOB_BYTES_MAX:
            raise JobFailed("the input prefix holds more than 10 GB: split the job")
        return files

    def _read_all(
        self, job: Row, s3: Any, files: list[SourceFile]
    ) -> Iterator[tuple[SourceFile, ImportedInstance | RefusedFile]]:
        """Each file's outcome in listing order, reading ahead by a window."""
        bucket, _ = split_uri(job["input_uri"])
        waiting: deque[tuple[SourceFile, Future[ImportedInstance | RefusedFile] | RefusedFile]] = deque()
        pool = self._workers()

        def outcome() -> tuple[SourceFile, ImportedInstance | RefusedFile]:
            file, pending = waiting.popleft()
            return file, pending if isinstance(pending, RefusedFile) else pending.result()

        for file in files:
            if self._stopping.is_set():
                return
            if any(
                self._cloud.take_fault("healthimaging", each) for each in ("fail_files", "fail_files_share")
            ):
                waiting.append((file, RefusedFile("InternalServerException", "internal server error")))
            else:
                try:
                    content = s3.get_object(Bucket=bucket, Key=file.key)["Body"].read()
                    waiting.append((file, pool.submit(read_instance, content)))
                except (ClientError, BotoCoreError) as error:
                    waiting.append((file, RefusedFile(_code(error), "cannot read the file from S3")))
            if len(waiting) >= WINDOW:
                yield outcome()
        while waiting:
            yield outcome()

    def _import(self, job: Row, s3: Any) -> dict[str, Any] | None:
        """Read, group and store all files in one transaction; None when the process is stopping."""
        datastore_id = job["datastore_id"]
        files = self._list(job, s3)
        accepted: list[tuple[SourceFile, ImportedInstance, list[NewFrame]]] = []
        failures: list[dict[str, Any]] = []
        for file, outcome in self._read_all(job, s3, files):
            if isinstance(outcome, RefusedFile):
                exception = {"exceptionType": outcome.exception_type, "message": outcome.message}
                failures.append({"inputFile": file.key, "exception": exception})
                continue
            content_type = CONTENT_TYPES.get(
                outcome.stored_transfer_syntax_uid or "", "application/octet-stream"
            )
            frames = [
                self._store.write_frame(datastore_id, frame.content, content_type) for frame in outcome.frames
            ]
            for frame in outcome.frames:
                object.__setattr__(
                    frame, "content", b""
                )  # stored: keep a large job's memory to its attributes
            accepted.append((file, outcome, frames))
        if self._stopping.is_set():
            return None
        with self._grouping_lock:
            result, changes = self._store_all(job, accepted, failures, len(files))
        self._cloud.record_accepted(
            "healthimaging",
            "FilesImported",
            job_id=job["id"],
            files={file.key: instance.sop_instance_uid for file, instance, _ in accepted},
            failed=[entry["inputFile"] for entry in failures],
        )
        for change in changes:
            self._publish_image_set(change)
        return result

    def _store_all(
        self,
        job: Row,
        accepted: list[tuple[SourceFile, ImportedInstance, list[NewFrame]]],
        failures: list[dict[str, Any]],
        scanned: int,
    ) -> tuple[dict[str, Any], list[Change]]:
        datastore_id = job["datastore_id"]
        with self._store.transaction():
            changes = self._finish_pending(datastore_id)
            grouping = Grouping(self._store, datastore_id)
            placed = [
                (file, grouping.assign(instance, frames), instance) for file, instance, frames in accepted
            ]
            now: datetime = self._cloud.clock()
            changes += [apply_batch(self._store, datastore_id, batch, now) for batch in grouping.batches()]
            result = {
                "scanned": scanned,
                "success": [
                    {
                        "inputFile": file.key,
                        "importResponse": {"imageSetId": batch.image_set_id, "isPrimary": batch.is_primary},
                    }
                    for file, batch, _ in placed
                ],
                "failure": failures,
                "imageSets": [
                    {
                        "imageSetId": batch.image_set_id,
                        "isPrimary": batch.is_primary,
                        "numberOfMatchedSOPInstances": len(
                            {instance.sop_instance_uid for instance, _ in batch.instances}
                        ),
                    }
                    for batch in grouping.batches()
                ],
            }
            self._store.update("import_job", job["id"], {"result": json.dumps(result)})
        return result, changes

    def _finish_pending(self, datastore_id: str) -> list[Change]:
        """Carry out writes that hold image sets locked, so that none of them is lost under this job's
        versions.
        """
        locked = self._store.rows(
            "SELECT id FROM image_set WHERE datastore_id = ? AND pending IS NOT NULL", datastore_id
        )
        return [
            change for row in locked for change in edits.finish(self._store, row["id"], self._cloud.clock)
        ]

    def _write_output(self, job: Row, s3: Any, result: dict[str, Any]) -> None:
        folder = job_folder(job["output_uri"], job["datastore_id"], job["id"])
        bucket, prefix = split_uri(folder)
        server_errors = sum(
            1
            for entry in result["failure"]
            if entry["exception"]["exceptionType"] == "InternalServerException"
        )
        summary = {
            "jobId": job["id"],
            "datastoreId": job["datastore_id"],
            "inputS3Uri": job["input_uri"],
            "outputS3Uri": folder,
            "successOutputS3Uri": f"{folder}SUCCESS/",
            "failureOutputS3Uri": f"{folder}FAILURE/",
            "warningOutputS3Uri": f"{folder}WARNING/",
            "numberOfScannedFiles": result["scanned"],
            "numberOfImportedFiles": len(result["success"]),
            "numberOfFilesWithCustomerError": len(result["failure"]) - server_errors,
            "numberOfFilesWithServerError": server_errors,
            "numberOfGeneratedImageSets": len(result["imageSets"]),
            "imageSetsSummary": result["imageSets"],
        }
        documents = {
            "job-output-manifest.json": json.dumps({"jobSummary": summary}),
            "SUCCESS/success.ndjson": _lines(result["success"]),
            "FAILURE/failure.ndjson": _lines(result["failure"]),
            "WARNING/warning.ndjson": "",
        }
        try:
            for name, content in documents.items():
                s3.put_object(Bucket=bucket, Key=prefix + name, Body=content.encode())
        except (ClientError, BotoCoreError) as error:
            raise JobFailed(f"cannot write the job output: {_code(error)}") from error

    def _end(self, job_id: str, status: str, message: str | None) -> None:
        values = {"status": status, "ended_at": self._cloud.clock().timestamp(), "message": message}
        self._store.update("import_job", job_id, values)
        self._publish_job(self._job(job_id))


def _code(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "ClientError"))
    return type(error).__name__


def _lines(entries: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)
