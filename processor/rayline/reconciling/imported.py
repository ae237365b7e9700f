"""HealthImaging's import jobs and our batches: each batch gets its job, each job is accounted for and forwarded."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import takewhile
from typing import Any

from botocore.exceptions import ClientError

from rayline.dynamodb import Item, query, timestamp
from rayline.effects import event_identity
from rayline.events import Ingested
from rayline.imports import batch_key, batch_listing
from rayline.reconciling.events import EventCheck, Happened
from rayline.reconciling.judgement import has_ended
from rayline.reconciling.repairs import Repairs
from rayline.reconciling.report import GapCode, WayStage
from rayline.reconciling.survey import Found, Survey

_ENDED = ("COMPLETED", "FAILED")
_STUCK = timedelta(days=1)
_OURS = "rayline."


def stage_of(effect: str) -> WayStage:
    """What our own stages leave open is not imported; what a site's plugins leave open is not forwarded."""
    _, _, plugin = effect.partition(":")
    return WayStage.FORWARDED if plugin and not plugin.startswith(_OURS) else WayStage.IMPORTED


class ImportedCheck:
    """Follows batches that are not accounted for, and jobs that have ended."""

    def __init__(self, survey: Survey, events: EventCheck, repairs: Repairs) -> None:
        self._survey = survey
        self._events = events
        self._repairs = repairs
        self._settings = survey.services.settings
        self._client = survey.services.clients.medical_imaging

    def gaps(self) -> Iterator[Found]:
        """Batches without a job, jobs without an end, and ends without an account."""
        yield from self._batches()
        yield from self._jobs()

    # -- our side ----------------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[Found]:
        before = self._survey.before.timestamp()
        for item in self._open_batches():
            self._survey.looked_at(WayStage.IMPORTED, 1)
            batch_id = item["batch_id"]
            if item["state"] == "started":
                yield from self._started(item)
            elif float(item["lease_until"]) < before:
                abandoned = item["state"] == "open"
                yield Found(
                    WayStage.IMPORTED,
                    GapCode.BATCH_ABANDONED if abandoned else GapCode.BATCH_NOT_STARTED,
                    batch_id,
                    lambda each=batch_id: self._repairs.remind_of_batch(each),  # type: ignore[misc]
                )

    def _open_batches(self) -> Iterator[Item]:
        """Batches that are not accounted for, the oldest first, whenever they were opened."""
        services = self._survey.services
        listed = query(
            services.clients.dynamodb,
            services.ledger.table,
            "by_listing",
            "listing",
            batch_listing(self._settings.site),
        )
        before = timestamp(self._survey.before)
        return takewhile(lambda item: item["listed_at"] < before, listed)

    def _started(self, batch: Item) -> Iterator[Found]:
        try:
            job = self._properties(batch["job_id"])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
                raise
            yield Found(WayStage.IMPORTED, GapCode.JOB_MISSING, batch["batch_id"])
            return
        if job["jobStatus"] not in _ENDED:
            if self._survey.now - job["submittedAt"] > _STUCK:
                yield Found(WayStage.IMPORTED, GapCode.JOB_STUCK, batch["job_id"])
            return
        identity = event_identity(self._ended(job), self._survey.services.keyed_hash)
        item = self._survey.effects([identity]).get(identity)
        if has_ended(item, self._survey.effect_names):
            # Read again: the index that listed the batch may be behind.
            again = self._survey.tracked([batch["pk"]]).get(batch["pk"], {})
            if again.get("state") == "started":
                yield Found(WayStage.IMPORTED, GapCode.BATCH_NOT_ACCOUNTED, batch["batch_id"])

    # -- HealthImaging's side ----------------------------------------------------------------------------------

    def _jobs(self) -> Iterator[Found]:
        pages = self._client.get_paginator("list_dicom_import_jobs").paginate(
            datastoreId=self._settings.datastore_id
        )
        for page in pages:
            jobs = [
                each
                for each in page["jobSummaries"]
                # Other jobs may import into the same data store: ours read with our role.
                if each["dataAccessRoleArn"] == self._settings.import_role_arn
                and each["jobStatus"] in _ENDED
                and self._survey.spans(each.get("endedAt"))
            ]
            self._survey.looked_at(WayStage.IMPORTED, len(jobs))
            yield from self._unknown(jobs)
            happened = [self._happened(job) for job in jobs]
            yield from (
                found for *_, found in self._events.unfinished(happened, stage_of) if found is not None
            )

    def _unknown(self, jobs: Sequence[Any]) -> Iterator[Found]:
        keys = {job["jobId"]: batch_key(job["jobName"]) for job in jobs}
        known = self._survey.tracked(keys.values())
        yield from (
            Found(WayStage.IMPORTED, GapCode.JOB_UNKNOWN, job_id)
            for job_id, key in keys.items()
            if key not in known
        )

    def _happened(self, job: Any) -> Happened:
        job_id = job["jobId"]
        return Happened(
            self._ended(job), job["endedAt"], job_id, lambda: self._ended(self._properties(job_id))
        )

    def _properties(self, job_id: str) -> Any:
        return self._client.get_dicom_import_job(datastoreId=self._settings.datastore_id, jobId=job_id)[
            "jobProperties"
        ]

    def _ended(self, job: Any) -> Ingested:
        """The event of a job's end; a summary has no URIs, which identify nothing."""
        return Ingested(
            site=self._settings.site,
            occurred_at=job["endedAt"],
            subject="import_job",
            datastore_id=self._settings.datastore_id,
            job_id=job["jobId"],
            job_status=job["jobStatus"],
            input_s3_uri=job.get("inputS3Uri"),
            output_s3_uri=job.get("outputS3Uri"),
        )
