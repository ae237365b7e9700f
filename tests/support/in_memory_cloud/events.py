"""EventBridge in memory: takes entries, refuses some of them with a 200, and keeps what it took in order."""

import json
from collections.abc import Callable
from itertools import count
from typing import Any

from support.in_memory_cloud.calls import aws_error

MAX_ENTRIES = 10
MAX_ENTRY_BYTES = 256 * 1024  # of a request, all entries together (PutEvents quota)


class InMemoryEventBridge:
    """The one operation that Rayline uses.

    Attributes:
        taken: entries that were accepted, as their rules would see them.
        refuse: says of an entry whether it fails, though the call succeeds.
    """

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.refuse: Callable[[dict[str, Any]], bool] = lambda entry: False
        self._buses = {"default"}
        self._numbers = count(1)

    def create_event_bus(self, *, Name: str) -> dict[str, Any]:
        self._buses.add(Name)
        return {}

    def put_events(self, *, Entries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        if not 1 <= len(Entries) <= MAX_ENTRIES:
            raise aws_error("ValidationException", "1 to 10 entries are allowed", "PutEvents")
        size = sum(
            len(entry.get(name, "").encode())
            for entry in Entries
            for name in ("Source", "DetailType", "Detail")
        )
        if size > MAX_ENTRY_BYTES:
            raise aws_error(
                "ValidationException", "Total size of the entries in the request is over", "PutEvents"
            )
        answers = [self._put(entry) for entry in Entries]
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}

    def _put(self, entry: dict[str, Any]) -> dict[str, Any]:
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": f"Parameter {name} is not valid."}
        if entry["Source"].startswith("aws."):
            return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "not a source of yours"}
        try:
            if not isinstance(json.loads(entry["Detail"]), dict):
                raise ValueError
        except ValueError:
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        if entry.get("EventBusName", "default") not in self._buses:
            # An unknown bus is not reported: the entry is taken, and no rule ever sees it.
            return {"EventId": f"event-{next(self._numbers)}"}
        if self.refuse(entry):
            return {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}
        number = next(self._numbers)
        self.taken.append({**entry, "Id": f"event-{number}"})
        return {"EventId": f"event-{number}"}
