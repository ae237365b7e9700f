"""Compares the ledgers with S3, HealthImaging and SageMaker, and has what is missing done.

It is driven by the sources: each check lists what a source says happened, and holds the ledgers against that. What
has not happened by now is a gap. A repair sends the same event again, a reminder, or what waits in the outbox; the
ledgers make that safe, and only whoever handles it records anything. The next run tells whether it helped.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from botocore.exceptions import ClientError

from rayline.dynamodb import is_condition_failure
from rayline.hookspecs import OBSERVERS
from rayline.observability.logs import failure_fields
from rayline.parking import Parking
from rayline.reconciling.events import EventCheck
from rayline.reconciling.image_sets import ImageSetCheck
from rayline.reconciling.imported import ImportedCheck
from rayline.reconciling.received import ReceivedCheck
from rayline.reconciling.repairs import Repairs
from rayline.reconciling.report import Gap, GapCode, Report, WayStage
from rayline.reconciling.survey import Found, Survey
from rayline.reconciling.trained import TrainedCheck
from rayline.reconciling.verified import VerifiedCheck
from rayline.reconciling.waiting import WaitingCheck
from rayline.runtime import Runtime

DEFAULT_SPAN = timedelta(days=7)
MARGIN = timedelta(seconds=60)  # for EventBridge and S3's listing
BACKLOG_GRACE = timedelta(hours=6)
# A run tags the originals of what was imported since the last one began, and an hour before, should that have died.
TAGGED_AGAIN = timedelta(hours=1)
_MESSAGES_A_WORKER = 10
_PAUSE = timedelta(minutes=10)

_log = structlog.get_logger()


class Check(Protocol):
    """Looks at one source."""

    def gaps(self) -> Iterator[Found]:
        """What that source says and the ledgers do not."""


class Reconciler:
    """Runs every check of one site."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        since: datetime | None = None,
        grace: timedelta | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            since: what happened earlier is not looked at; default seven days ago.
            grace: what happened, or was due, less than this ago is left alone; default a lease, the clock skew, a
                message's visibility and a minute, or six hours while the queue holds a backlog.
            tick: called after each page, for what cannot wait until the end.
        """
        self._services = runtime.services
        self._since = since
        self._grace = grace
        self._tick = tick
        self._last_run: datetime | None = None
        self._effect_names = frozenset(
            each.effect for hook in OBSERVERS for each in runtime.registry.implementations(hook)
        )

    def run(self, repair: bool) -> Report:
        """Look everywhere, and repair what can be; without ``repair`` nothing is written or sent."""
        services = self._services
        now = services.clock()
        report = Report(
            site=services.settings.site,
            repairs=repair,
            since=self._since or now - DEFAULT_SPAN,
            before=now - (self._grace if self._grace is not None else self._patience()),
        )
        survey = Survey(services, self._effect_names, now, report, self._tick)
        for found in self._gaps(survey):
            if found.identity is not None:
                survey.told.add(found.identity)
            gap = self._settle(found, repair)
            report.add(gap)
            _log.warning(
                "gap_found",
                stage=gap.stage.value,
                reason=gap.what.value,
                entry_id=gap.subject_hash,
                effect=gap.effect,
                decision=gap.done,
            )
        _log.info("reconciled", found=report.found, repaired=report.repaired, left=report.left)
        return report

    def _gaps(self, survey: Survey) -> Iterator[Found]:
        parking = Parking(self._services.clients, self._services.settings, clock=self._services.clock)
        repairs = Repairs(self._services, parking)
        events = EventCheck(survey, repairs)
        image_sets = ImageSetCheck(survey, repairs)
        # Image sets first: what the search lists need not be asked for instance by instance.
        checks: list[tuple[WayStage, Check]] = [
            (WayStage.IMPORTED, image_sets),
            (
                WayStage.RECEIVED,
                ReceivedCheck(
                    survey, events, image_sets, imported_since=(self._last_run or survey.since) - TAGGED_AGAIN
                ),
            ),
            (WayStage.IMPORTED, ImportedCheck(survey, events, repairs)),
            (WayStage.VERIFIED, VerifiedCheck(survey, events)),
            (WayStage.TRAINED, TrainedCheck(survey, events)),
            (WayStage.WAITING, WaitingCheck(survey, repairs, parking)),
        ]
        for stage, check in checks:
            try:
                yield from check.gaps()
            except Exception as error:
                # What is not known is a gap too, and keeps nobody from looking elsewhere.
                _log.error("source_not_read", stage=stage.value, **failure_fields(error))
                yield Found(stage, GapCode.SOURCE_NOT_READ, type(check).__name__)

    def _settle(self, found: Found, repair: bool) -> Gap:
        repaired, done = False, "nothing: this needs a person"
        if found.repair is not None and not repair:
            done = "nothing: a dry run"
        elif found.repair is not None:
            try:
                repaired, done = True, found.repair()
            except Exception as error:
                _log.error("gap_not_repaired", reason=found.what.value, **failure_fields(error))
                repaired, done = False, f"nothing: the repair failed with {type(error).__name__}"
        return Gap(found.stage, found.what, found.subject_hash, found.effect, repaired, done)

    def _patience(self) -> timedelta:
        settings = self._services.settings
        seconds = settings.lease_seconds + settings.clock_skew_seconds + settings.visibility_seconds
        grace = timedelta(seconds=seconds) + MARGIN
        # Behind a backlog, what was not handled yet is most likely in the queue, and would only lengthen it.
        return max(grace, BACKLOG_GRACE) if self._has_backlog() else grace

    def _has_backlog(self) -> bool:
        settings = self._services.settings
        answer = self._services.clients.sqs.get_queue_attributes(
            QueueUrl=settings.queue_url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        visible = int(answer["Attributes"]["ApproximateNumberOfMessages"])
        return visible > _MESSAGES_A_WORKER * settings.workers

    def begin(self) -> bool:
        """Whether a scheduled run may start: after a pause of the queue, one run stands for all that were due."""
        now = self._services.clock()
        try:
            answer = self._services.clients.dynamodb.update_item(
                TableName=self._services.ledger.table,
                Key={"pk": {"S": f"RECONCILIATION#{self._services.settings.site}"}},
                UpdateExpression="SET #type = :type, begun_at = :now",
                ConditionExpression="attribute_not_exists(begun_at) OR begun_at < :last",
                ExpressionAttributeNames={"#type": "type"},
                ExpressionAttributeValues={
                    ":type": {"S": "reconciliation"},
                    ":now": {"N": str(now.timestamp())},
                    ":last": {"N": str((now - _PAUSE).timestamp())},
                },
                ReturnValues="ALL_OLD",
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False
            raise
        if "begun_at" in (before := answer.get("Attributes", {})):
            self._last_run = datetime.fromtimestamp(float(before["begun_at"]["N"]), UTC)
        return True
