"""What waits in our own stores: parked events past due, open studies, and entries that have not left the outbox."""

from collections.abc import Iterator, Sequence

from rayline.dynamodb import Item, query, timestamp
from rayline.events import EventIdentity
from rayline.outbox import SHARDS
from rayline.parking import PARKED_FOLDER, Parking, parked_identity
from rayline.reconciling.judgement import has_ended, judge
from rayline.reconciling.repairs import Repairs
from rayline.reconciling.report import GapCode, WayStage
from rayline.reconciling.survey import Found, Survey


class WaitingCheck:
    """Runs last, so that it tells only of what no source told of."""

    def __init__(self, survey: Survey, repairs: Repairs, parking: Parking) -> None:
        self._survey = survey
        self._repairs = repairs
        self._parking = parking

    def gaps(self) -> Iterator[Found]:
        """What waited for too long."""
        yield from self._parked()
        yield from self._due_without_body()
        yield from self._studies()
        yield from self._outbox()

    def _parked(self) -> Iterator[Found]:
        services = self._survey.services
        pages = services.clients.s3.get_paginator("list_objects_v2").paginate(
            Bucket=services.settings.quarantine_bucket, Prefix=f"{services.settings.site}/{PARKED_FOLDER}/"
        )
        for page in pages:
            identities = [
                parked_identity(entry["Key"])
                for entry in page.get("Contents", [])
                if entry["LastModified"] < self._survey.before
            ]
            self._survey.looked_at(WayStage.WAITING, len(identities))
            yield from self._page(identities)

    def _page(self, identities: Sequence[EventIdentity]) -> Iterator[Found]:
        items = self._survey.effects(identities)
        for identity in identities:
            item = items.get(identity)
            if has_ended(item, self._survey.effect_names):
                self._tidy(identity)
                continue
            unfinished = judge(item, self._survey.before, self._survey.before, self._survey.effect_names)
            if unfinished is not None and identity not in self._survey.told:
                yield self._found(identity, unfinished.what, unfinished.effect, item)

    def _tidy(self, identity: EventIdentity) -> None:
        """Remove what two workers left that parked and ended an event at the same time."""
        if self._survey.report.repairs:
            self._parking.forget(identity, always=True)

    def _found(self, identity: EventIdentity, what: GapCode, effect: str, item: Item | None) -> Found:
        def repair() -> str:
            body = self._parking.body(identity)
            if body is None:
                return "nothing: it has ended meanwhile"
            return self._repairs.send_parked(identity, body, item.get("due_at") if item else None)

        return Found(
            WayStage.WAITING,
            what,
            _digest(identity),
            None if what is GapCode.EFFECT_DEAD else repair,
            effect,
            identity,
        )

    def _due_without_body(self) -> Iterator[Found]:
        for item in self._parking.due(self._survey.before):
            identity = EventIdentity(item["pk"])
            if identity not in self._survey.told and self._parking.body(identity) is None:
                yield Found(
                    WayStage.WAITING, GapCode.PARKED_BODY_MISSING, _digest(identity), identity=identity
                )

    def _studies(self) -> Iterator[Found]:
        studies = self._survey.services.studies
        for study_instance_uid in studies.overdue(self._survey.before):
            yield Found(
                WayStage.WAITING,
                GapCode.STUDY_FORGOTTEN,
                studies.study_hash(study_instance_uid),
                lambda uid=study_instance_uid: self._repairs.remind_of_study(uid),  # type: ignore[misc]
            )

    def _outbox(self) -> Iterator[Found]:
        services = self._survey.services
        before = timestamp(self._survey.before)
        for shard in range(SHARDS):
            for item in query(
                services.clients.dynamodb, services.ledger.table, "by_outbox", "outbox_shard", str(shard)
            ):
                if item["created_at"] >= before:
                    break
                self._survey.looked_at(WayStage.ANNOUNCED, 1)
                yield Found(
                    WayStage.ANNOUNCED,
                    GapCode.OUTBOX_NOT_DRAINED,
                    item["entry_id"],
                    lambda: self._repairs.drain_outbox(self._survey.now - self._survey.before),
                )


def _digest(identity: EventIdentity) -> str:
    return identity.rsplit("#", 1)[-1]
