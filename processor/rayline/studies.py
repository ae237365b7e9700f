"""Study completeness: a study is complete once it has fallen quiet and its images were imported or refused.

::

    absent ──touch──▶ open ──tick, quiet for long enough──▶ complete ──touch──▶ open (a late instance)

A worker touches a study with its first instance, and again while instances keep coming, but only every half quiet
period: so a whole series costs the item a few writes, and an item that was not touched for one and a half quiet
periods saw no instance for one. The first touch sends the tick, a delayed message that puts itself off until the
study is complete. A study waits at most ten quiet periods for instances that its headers promise or that are not
imported yet; after that it is called complete with what there is, and says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from botocore.exceptions import ClientError

from rayline.aws import MAX_DELAY_SECONDS
from rayline.dynamodb import (
    Item,
    from_attributes,
    is_condition_failure,
    query,
    timestamp,
    to_attribute,
)
from rayline.hashing import KeyedHash
from rayline.instances import InstanceLedger, Stage
from rayline.notifications import MAX_IMAGE_SETS_TOLD, StudyCompleted, outbox_entries
from rayline.outbox import Outbox
from rayline.reminders import StudyDue, reminder_body

if TYPE_CHECKING:
    from rayline.aws import Clients
    from rayline.settings import Settings

MAX_QUIETS = 10  # a study that waits for instances is completed without them after this many quiet periods
_MEMO_SIZE = 10_000

_log = structlog.get_logger()


@dataclass(frozen=True)
class StudyCounts:
    """Instances of one study by SOP Instance UID, and its image sets."""

    imported: int
    refused: int
    under_way: int
    image_set_ids: tuple[str, ...]

    @property
    def instances(self) -> int:
        """Instances that were taken in."""
        return self.imported + self.refused + self.under_way


@dataclass(frozen=True)
class _Touch:
    """When this worker touched a study, and whether it sent a tick then."""

    at: datetime
    ticked: bool


class Studies:
    """Opens and completes the studies of one site; each worker has its own."""

    def __init__(
        self,
        clients: "Clients",
        settings: "Settings",
        ledger: InstanceLedger,
        outbox: Outbox,
        *,
        keyed_hash: KeyedHash,
        clock: Callable[[], datetime],
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._ledger = ledger
        self._outbox = outbox
        self._hash = keyed_hash
        self._clock = clock
        self._quiet = timedelta(seconds=settings.study_quiet_seconds)
        self._touched: dict[str, _Touch] = {}

    def study_key(self, study_instance_uid: str) -> str:
        """Key of a study's item; the UID is the one after de-identification."""
        return f"STUDY#{self._settings.site}#{study_instance_uid}"

    # -- touching ----------------------------------------------------------------------------------------------

    def touch(self, study_instance_uid: str, expected: int | None, *, in_doubt: bool) -> None:
        """Note that an instance of a study is about to be recorded; to be repeated where that is.

        Args:
            expected: how many instances the study has, where the instance says so.
            in_doubt: whether this instance was at work before, in a worker that may have died before its tick was
                sent; then this worker sends one, unless it has. A second tick does no harm.
        """
        now = self._clock()
        known = self._touched.get(study_instance_uid)
        if known is not None and self._is_fresh(known, now) and (known.ticked or not in_doubt):
            return
        before = self._write_touch(study_instance_uid, expected, now)
        due_at = before.get("due_at")
        ticked = in_doubt or due_at is None or due_at < timestamp(now - self._patience)
        if ticked:
            self.remind(study_instance_uid, self._settings.study_quiet_seconds * 1.5)
        self._remember(study_instance_uid, _Touch(now, ticked))

    def _is_fresh(self, touch: _Touch, now: datetime) -> bool:
        return now - touch.at < self._quiet / 2

    def _write_touch(self, study_instance_uid: str, expected: int | None, now: datetime) -> Item:
        """One write, whether the study is new, open or complete. Returns the item as it was."""
        fields: dict[str, Any] = {
            "type": "study",
            "site": self._settings.site,
            "study_instance_uid": study_instance_uid,
            "state": "open",
            "open_study_site": self._settings.site,
            "touched_at": timestamp(now),
        }
        if expected is not None:
            fields["expected"] = expected
        names = {f"#f{index}": name for index, name in enumerate(fields)}
        values = {f":f{index}": to_attribute(value) for index, value in enumerate(fields.values())}
        sets = ", ".join(f"{name} = :f{index}" for index, name in enumerate(names))
        response = self._clients.dynamodb.update_item(
            TableName=self._ledger.table,
            Key={"pk": {"S": self.study_key(study_instance_uid)}},
            UpdateExpression=f"SET {sets}, due_at = if_not_exists(due_at, :due)",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={**values, ":due": {"S": self._due_at(now, self._quiet * 1.5)}},
            ReturnValues="ALL_OLD",
        )
        return from_attributes(response.get("Attributes", {}))

    def _due_at(self, now: datetime, delay: timedelta) -> str:
        return timestamp(now + min(delay, timedelta(seconds=MAX_DELAY_SECONDS)))

    def _remember(self, study_instance_uid: str, touch: _Touch) -> None:
        if len(self._touched) >= _MEMO_SIZE:
            self._touched = {
                uid: each for uid, each in self._touched.items() if self._is_fresh(each, touch.at)
            }
        self._touched[study_instance_uid] = touch

    def remind(self, study_instance_uid: str, delay_seconds: float = 0.0) -> None:
        """Send a study's tick."""
        self._clients.sqs.send_message(
            QueueUrl=self._settings.queue_url,
            MessageBody=reminder_body(
                StudyDue(site=self._settings.site, study_instance_uid=study_instance_uid)
            ),
            DelaySeconds=min(MAX_DELAY_SECONDS, round(delay_seconds)),
        )

    @property
    def _patience(self) -> timedelta:
        """How late a tick may be before it counts as lost; the queue may have a backlog."""
        return self._quiet + timedelta(seconds=self._settings.visibility_seconds)

    def study_hash(self, study_instance_uid: str) -> str:
        """What may be told of a study's UID."""
        return self._hash.of("study", study_instance_uid)

    def overdue(self, before: datetime) -> list[str]:
        """Open studies whose tick was due before a moment and has not come: it was lost, so :meth:`remind` of them."""
        late = timestamp(before)
        found = []
        for item in query(
            self._clients.dynamodb,
            self._ledger.table,
            "by_open_study",
            "open_study_site",
            self._settings.site,
        ):
            if item["due_at"] >= late:
                break  # the index is in the order of `due_at`
            found.append(item["study_instance_uid"])
        return found

    # -- the tick ----------------------------------------------------------------------------------------------

    def look_after(self, study_instance_uid: str) -> float | None:
        """Answer a tick: complete the study if it can be.

        Returns:
            Seconds until the tick must come again, None once the study is complete.
        """
        item = self._ledger.item(self.study_key(study_instance_uid))
        if item is None or item["state"] != "open":
            return None
        now = self._clock()
        quiet_for = now - datetime.fromisoformat(item["touched_at"])
        if quiet_for < self._quiet * 1.5:
            return self._put_off(item, now, self._quiet * 1.5 - quiet_for)
        counts = self._count(study_instance_uid)
        missing = counts.under_way > 0 or counts.instances < item.get("expected", 0)
        if missing and quiet_for < self._quiet * MAX_QUIETS:
            return self._put_off(item, now, self._quiet)
        if not self._complete(item, counts, now, complete=not missing):
            return self._quiet.total_seconds()
        return None

    def _put_off(self, item: Item, now: datetime, delay: timedelta) -> float:
        delay = max(delay, timedelta(seconds=1))
        self._update(item, "SET due_at = :due", {":due": self._due_at(now, delay)})
        return delay.total_seconds()

    def _count(self, study_instance_uid: str) -> StudyCounts:
        stages: dict[str, set[str]] = {}
        image_sets = []
        for item in query(
            self._clients.dynamodb, self._ledger.table, "by_study", "study_instance_uid", study_instance_uid
        ):
            match item.get("type"):
                case "instance" if item["stage"] != Stage.RELEASED:
                    stages.setdefault(item["sop_instance_uid"], set()).add(item["stage"])
                case "image_set":
                    image_sets.append(item["image_set_id"])
        # A file that HealthImaging refused may have been sent again: what became of the last one counts.
        imported = sum(Stage.IMPORTED in each for each in stages.values())
        under_way = sum(Stage.BATCHED in each and Stage.IMPORTED not in each for each in stages.values())
        refused = len(stages) - imported - under_way
        return StudyCounts(imported, refused, under_way, tuple(sorted(image_sets)))

    def _complete(self, item: Item, counts: StudyCounts, now: datetime, *, complete: bool) -> bool:
        """Record and tell that a study is complete; False where it must wait."""
        outcome = f"{counts.imported} {counts.refused} {counts.under_way} {complete}"
        update = "SET #state = :complete REMOVE open_study_site, due_at"
        if not counts.instances or item.get("outcome") == outcome:
            # Touched by instances that were then refused or known already: there is nothing to tell.
            return self._update(item, update, {":complete": "complete"})
        if "outbox_shard" in item:
            return False  # what the item carries has not left yet
        generation = item.get("generation", 0) + 1
        study_key = self.study_hash(item["study_instance_uid"])
        told = StudyCompleted(
            site=self._settings.site,
            occurred_at=now,
            study_key=study_key,
            generation=generation,
            datastore_id=self._settings.datastore_id,
            image_set_ids=list(counts.image_set_ids[:MAX_IMAGE_SETS_TOLD]),
            instances=counts.instances,
            imported=counts.imported,
            refused=counts.refused,
            expected=item.get("expected"),
            complete=complete,
        )
        (entry,) = (each.carried_by(item["pk"]) for each in outbox_entries([told]))
        fields = {
            **self._outbox.fields(entry),
            "completed_at": timestamp(now),
            "generation": generation,
            "outcome": outcome,
        }
        names = {f"#f{index}": name for index, name in enumerate(fields)}
        sets = ", ".join(f"{name} = :f{index}" for index, name in enumerate(names))
        written = self._update(
            item,
            f"SET {sets}, #state = :complete REMOVE open_study_site, due_at",
            {":complete": "complete", **{f":f{index}": each for index, each in enumerate(fields.values())}},
            names,
        )
        if written:
            self._outbox.publish([entry])
            _log.info(
                "study_completed", study_key=study_key, generation=generation, instances=counts.instances
            )
        return written

    def _update(
        self, item: Item, update: str, values: Mapping[str, Any], names: Mapping[str, str] | None = None
    ) -> bool:
        """Change an open study, unless it was touched since ``item`` was read; else False."""
        try:
            self._clients.dynamodb.update_item(
                TableName=self._ledger.table,
                Key={"pk": {"S": item["pk"]}},
                UpdateExpression=update,
                ConditionExpression="#state = :open AND touched_at = :touched",
                ExpressionAttributeNames={"#state": "state", **(names or {})},
                ExpressionAttributeValues={
                    name: to_attribute(value)
                    for name, value in {**values, ":open": "open", ":touched": item["touched_at"]}.items()
                },
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False
            raise
        return True
