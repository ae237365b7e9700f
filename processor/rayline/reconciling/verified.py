"""Radiologists' acts: each that was announced is recorded or refused, and counted towards a training run."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import takewhile

from rayline.dynamodb import Item, query, timestamp
from rayline.events import Verified
from rayline.instances import verification_listing
from rayline.reconciling.events import EventCheck, Happened
from rayline.reconciling.report import WayStage
from rayline.reconciling.survey import Found, Survey

_ITEMS_A_PAGE = 100


class VerifiedCheck:
    """Lists verifications since; they come at a person's pace."""

    def __init__(self, survey: Survey, events: EventCheck) -> None:
        self._survey = survey
        self._events = events

    def gaps(self) -> Iterator[Found]:
        """Acts whose event has not ended."""
        page: list[Item] = []
        for item in self._listed():
            page.append(item)
            if len(page) == _ITEMS_A_PAGE:
                yield from self._page(page)
                page = []
        yield from self._page(page)

    def _listed(self) -> Iterator[Item]:
        services = self._survey.services
        before = timestamp(self._survey.before)
        listed = query(
            services.clients.dynamodb,
            services.ledger.table,
            "by_listing",
            "listing",
            verification_listing(services.settings.site),
            since=("listed_at", timestamp(self._survey.since)),
        )
        return takewhile(lambda item: item["listed_at"] < before, listed)

    def _page(self, items: Sequence[Item]) -> Iterator[Found]:
        self._survey.looked_at(WayStage.VERIFIED, len(items))
        happened = [self._happened(item) for item in items]
        for each, _, found in self._events.unfinished(happened, lambda _: WayStage.VERIFIED):
            if found is None or self._has_not_left(each.subject_hash):
                continue
            yield found

    def _has_not_left(self, verification_id: str) -> bool:
        """Whether the act's own event is still in the outbox, with what the radiologist wrote beside the label."""
        item = self._survey.services.ledger.item(f"OUTBOX#{verification_id}")
        return item is not None and "outbox_shard" in item

    def _happened(self, item: Item) -> Happened:
        settings = self._survey.services.settings
        happened_at = datetime.fromisoformat(item["created_at"])
        event = Verified(
            site=settings.site,
            occurred_at=happened_at,
            action=item["action"],
            verification_id=item["verification_id"],
            datastore_id=settings.datastore_id,
            image_set_id=item["of_image_set"],
            image_set_version=item["image_set_version"],
            label=item["label"],
            verifier=item["verifier"],
        )
        return Happened(event, happened_at, event.verification_id)
