"""Routes below ``/api/v1/quarantine``."""

import base64
import binascii
from collections.abc import Callable
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime

from rayline.http_api.access import Permission, Principal
from rayline.http_api.problems import ProblemCode, ProblemRaised
from rayline.http_api.quarantine_models import (
    EntryId,
    Filter,
    FilterText,
    Header,
    PurgeAnswer,
    PurgeRequest,
    QuarantineEntry,
    QuarantineEntryDetail,
    QuarantineGroup,
    QuarantinePage,
    Released,
    RequeueAnswer,
    RequeueRequest,
)
from rayline.quarantining.dump import HeaderDump
from rayline.quarantining.entries import GroupBy, Selection
from rayline.quarantining.index import entry_at
from rayline.quarantining.triage import Triage

_LOOKED_THROUGH = 20_000  # entries a request, twenty requests to S3

EntryIdInPath = Annotated[EntryId, Path(description="id of an entry")]
Require = Callable[[Permission], Any]
Phi = Annotated[bool, Query(description="show what may name the patient; takes phi:read, and is recorded")]


def quarantine_routes(triage: Triage, require: Require) -> APIRouter:
    """The routes.

    Args:
        require: makes the dependency that lets a request pass to those who have a permission.
    """
    router = APIRouter(prefix="/api/v1/quarantine", tags=["quarantine"])
    Reader = Annotated[Principal, Depends(require(Permission.QUARANTINE_READ))]
    Writer = Annotated[Principal, Depends(require(Permission.QUARANTINE_WRITE))]
    Criteria = Annotated[Filter, Depends(_filter)]

    @router.get("/entries", operation_id="listQuarantine")
    def list_entries(
        _: Reader,
        criteria: Criteria,
        limit: Annotated[int, Query(ge=1, le=500, description="entries a page")] = 100,
        cursor: Annotated[str | None, Query(max_length=2000, description="next of the page before")] = None,
    ) -> QuarantinePage:
        """List entries, the newest first; a page may hold fewer than the limit where few entries are meant."""
        selection = _selection(triage, criteria)
        after = "" if cursor is None else _key_of(triage, cursor)
        entries, last = triage.quarantine.index.page(selection, after, limit, _LOOKED_THROUGH)
        return QuarantinePage(
            entries=[QuarantineEntry.of(each) for each in entries],
            next=_cursor_of(triage, last) if last else None,
        )

    @router.get("/groups", operation_id="groupQuarantine")
    def group_entries(
        _: Reader, criteria: Criteria, by: Annotated[GroupBy, Query(description="what to count by")]
    ) -> list[QuarantineGroup]:
        """Count entries by stage, reason, study or series, the largest group first."""
        return [QuarantineGroup.of(each) for each in triage.groups(_selection(triage, criteria), by)]

    @router.get("/entries/{entry_id}", operation_id="getQuarantineEntry")
    def get_entry(reader: Reader, entry_id: EntryIdInPath, phi: Phi = False) -> QuarantineEntryDetail:
        """Get one entry; with phi=true the sender's key too."""
        if phi:
            _may_see_patients(reader)
            return QuarantineEntryDetail.of_record(triage.record(entry_id, _name(reader)))
        return QuarantineEntryDetail.model_validate(triage.quarantine.entry(entry_id).as_json())

    @router.get("/entries/{entry_id}/header", operation_id="getQuarantineHeader")
    def get_header(reader: Reader, entry_id: EntryIdInPath, phi: Phi = False) -> Header:
        """Dump the header of an entry as far as it can be read; values that may name somebody take phi=true."""
        dump: HeaderDump | None
        if phi:
            _may_see_patients(reader)
            dump = triage.values(entry_id, _name(reader))
        else:
            dump = triage.header(triage.quarantine.entry(entry_id))
        if dump is None:
            raise ProblemRaised(
                HTTPStatus.NOT_FOUND,
                ProblemCode.NO_HEADER,
                "the entry is a message or an event, and has no header",
            )
        return Header.of(dump)

    @router.post("/entries/{entry_id}/release", operation_id="releaseQuarantineEntry")
    def release(writer: Writer, entry_id: EntryIdInPath) -> Released:
        """Send one entry again; it is screened anew."""
        triage.emptying.release(entry_id, _name(writer))
        return Released(entry_id=entry_id)

    @router.post("/requeue", operation_id="requeueQuarantine")
    def requeue(writer: Writer, request: RequeueRequest) -> RequeueAnswer:
        """Send all entries of a filter again, at most 500 a request; only counted unless dryRun is false."""
        selection = _selection(triage, request.filter)
        found = list(islice(triage.entries(selection), request.limit + 1))
        entries, more = found[: request.limit], len(found) > request.limit
        if request.dry_run:
            return RequeueAnswer(dry_run=True, found=len(entries), more=more)
        done = triage.emptying.requeue(entries, selection, _name(writer))
        return RequeueAnswer.of(len(entries), more, done)

    @router.post("/purge", operation_id="purgeQuarantine")
    def purge(writer: Writer, request: PurgeRequest) -> PurgeAnswer:
        """Delete entries that are older than a moment; only counted unless dryRun is false."""
        selection = _selection(triage, request.filter)
        found = list(islice(triage.entries(selection), request.limit + 1))
        entries, more = found[: request.limit], len(found) > request.limit
        if request.dry_run:
            return PurgeAnswer(dry_run=True, found=len(entries), more=more)
        done = triage.emptying.purge(entries, selection, _name(writer))
        days = triage.noncurrent_days() if done.kept_versions else None
        return PurgeAnswer.of(len(entries), more, done, days)

    return router


def _filter(
    stage: Annotated[FilterText | None, Query(description="stage or hook")] = None,
    reason: Annotated[FilterText | None, Query(description="reason code")] = None,
    study: Annotated[FilterText | None, Query(description="key of the study, or its beginning")] = None,
    series: Annotated[FilterText | None, Query(description="key of the series, or its beginning")] = None,
    since: Annotated[AwareDatetime | None, Query(description="quarantined at or after")] = None,
    before: Annotated[AwareDatetime | None, Query(description="quarantined before")] = None,
) -> Filter:
    return Filter(stage=stage, reason=reason, study=study, series=series, since=since, before=before)


def _selection(triage: Triage, criteria: Filter) -> Selection:
    return triage.selection(**dict(criteria))


def _name(principal: Principal) -> str:
    return f"api:{principal.name}"


def _may_see_patients(principal: Principal) -> None:
    if Permission.PHI_READ not in principal.permissions:
        raise ProblemRaised(
            HTTPStatus.FORBIDDEN,
            ProblemCode.PERMISSION_MISSING,
            f"this takes the permission {Permission.PHI_READ}",
        )


def _cursor_of(triage: Triage, key: str) -> str:
    return base64.urlsafe_b64encode(key.removeprefix(triage.quarantine.index.prefix).encode()).decode()


def _key_of(triage: Triage, cursor: str) -> str:
    try:
        key = triage.quarantine.index.prefix + base64.urlsafe_b64decode(cursor.encode("ascii")).decode()
    except (binascii.Error, UnicodeError):
        key = ""
    if entry_at(key) is None:
        raise ProblemRaised(
            HTTPStatus.UNPROCESSABLE_ENTITY, ProblemCode.INVALID_REQUEST, "wrong or missing: query.cursor"
        )
    return key
