"""The event archives as a source: EventBridge replays them to the rules of the event queue, and to no other.

Archives cannot be listed. What can be shown beforehand is what the effect ledger knows of the time in question;
events that never reached the processor are replayed too, and are what an archive is there for.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rayline.dynamodb import scan, timestamp
from rayline.errors import RaylineError
from rayline.events import EventIdentity
from rayline.names import ARCHIVED, ArchiveKind, EstateNames, RuleKind
from rayline.replaying.candidates import Candidate

if TYPE_CHECKING:
    from rayline.aws import Clients
    from rayline.settings import Settings

_POLL_SECONDS = 1.0
_UNDER_WAY = frozenset({"STARTING", "RUNNING"})


class ReplayFailed(RaylineError):
    """EventBridge did not complete a replay."""


@dataclass(frozen=True)
class Progress:
    """How far one archive's replay has come; ``until`` is the time of the last event that was replayed."""

    archive: ArchiveKind
    state: str
    until: datetime | None


class Archives:
    """Replays a span of time from both archives of the estate."""

    name = "archive"

    def __init__(
        self,
        clients: "Clients",
        settings: "Settings",
        *,
        since: datetime,
        until: datetime,
        started: datetime,
        pause: Callable[[float], None] = time.sleep,
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._since = since
        self._until = until
        self._started = started
        self._pause = pause
        self._tell = tell
        self._kind: str | None = None
        path = urlsplit(settings.queue_url).path.strip("/").split("/")
        self._names = EstateNames(settings.stack, path[0], clients.events.meta.region_name)

    def find(self, kind: str | None) -> list[Candidate]:
        """Events of the time in question that the effect ledger knows."""
        self._kind = kind
        return sorted(self._known(kind), key=lambda each: each.entry)

    def _known(self, kind: str | None) -> Iterator[Candidate]:
        for item in scan(self._clients.dynamodb, self._settings.effects_table):
            site, event_kind, _ = item["pk"].split("#", 2)
            at = item.get("created_at", "")
            if site != self._settings.site or kind not in (None, event_kind):
                continue
            if timestamp(self._since) <= at <= timestamp(self._until):
                yield Candidate(
                    kind=event_kind, identity=EventIdentity(item["pk"]), entry=at, reason="archived"
                )

    def send(self, candidates: Sequence[Candidate]) -> int:
        """Start the replays and wait until EventBridge has completed them. Returns how many events were known.

        Raises:
            ReplayFailed: one did not complete; those that did need no second run.
        """
        replays = {archive: self._start(archive, rules) for archive, rules in self._rules().items() if rules}
        for archive, replay in replays.items():
            self._wait(archive, replay)
        return len(candidates)

    def _rules(self) -> Mapping[ArchiveKind, list[RuleKind]]:
        return {
            archive: [rule for rule in rules if self._kind in (None, rule)]
            for archive, rules in ARCHIVED.items()
        }

    def _start(self, archive: ArchiveKind, rules: Sequence[RuleKind]) -> str:
        # One name a run: names are kept for 90 days, and only letters, digits, dots, dashes and underscores count.
        replay = f"{self._names.archive(archive)}-{self._started:%Y%m%dT%H%M%S%f}"
        self._clients.events.start_replay(
            ReplayName=replay,
            Description="rayline replay --from archive",
            EventSourceArn=self._names.archive_arn(archive),
            EventStartTime=self._since,
            EventEndTime=self._until,
            Destination={
                "Arn": self._names.archived_bus_arn(archive),
                "FilterArns": [self._names.rule_arn(rule) for rule in rules],
            },
        )
        return replay

    def _wait(self, archive: ArchiveKind, replay: str) -> None:
        while True:
            answer = self._clients.events.describe_replay(ReplayName=replay)
            state = answer["State"]
            self._tell(Progress(archive, state, answer.get("EventLastReplayedTime")))
            if state == "COMPLETED":
                return
            if state not in _UNDER_WAY:
                raise ReplayFailed(
                    f"the replay {replay} ended as {state}; `aws events describe-replay` says more"
                )
            self._pause(_POLL_SECONDS)

    def leave(self) -> None:
        """Looking changed nothing."""
