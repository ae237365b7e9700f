"""Who looked at a patient's data, or changed what is kept of one: a line in the log, and an item that stays.

The item is written first, so that nothing is shown or done of which there is no record. It lies in the tracking table
(``AUDIT#site#id``), whose operators may add items and delete none, listed under ``{site}#audit`` by time. Entries
are named by their keyed ids; those who acted are staff, and named as they are known to AWS or to the API.
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import structlog

from rayline.dynamodb import Item, query, timestamp, to_attributes
from rayline.observability.meter import Meter
from rayline.observability.metrics import AUDIT_ENTRIES, AUDIT_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

Action = Literal["phi_viewed", "quarantine_released", "quarantine_purged"]

_log = structlog.get_logger()


def audit_listing(site: str) -> str:
    """Under what the index ``by_listing`` lists a site's audit trail."""
    return f"{site}#audit"


class AuditTrail:
    """Records what people did."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        site: str,
        clock: Callable[[], datetime],
        meter: Meter | None = None,
    ) -> None:
        self._client = client
        self._table = table
        self._site = site
        self._clock = clock
        self._meter = meter or Meter(site, clock=clock)

    def record(
        self,
        action: Action,
        by: str,
        *,
        entry_id: str = "",
        entries: int = 1,
        selection: Mapping[str, str] | None = None,
    ) -> None:
        """Record an act that is about to be done.

        Args:
            by: who acts.
            entry_id: of quarantine, where the act is about one.
            selection: which entries were asked for, where it is about several.
        """
        now = timestamp(self._clock())
        item = {
            "pk": f"AUDIT#{self._site}#{uuid.uuid4().hex}",
            "type": "audit",
            "site": self._site,
            "action": action,
            "by": by,
            "entry_id": entry_id or None,
            "entries": entries,
            "selection": dict(selection) if selection else None,
            "listing": audit_listing(self._site),
            "listed_at": now,
        }
        try:
            self._client.put_item(
                TableName=self._table,
                Item=to_attributes(item),
                ConditionExpression="attribute_not_exists(pk)",
            )
        except Exception:
            self._meter.record(AUDIT_ERRORS)
            raise
        self._meter.record(AUDIT_ENTRIES)
        _log.info("audit", action=action, by=by, entry_id=entry_id, entries=entries, site=self._site)

    def everything(self) -> "Iterator[Item]":
        """The trail of the site, oldest first."""
        return query(self._client, self._table, "by_listing", "listing", audit_listing(self._site))
