"""A site with a quarantine, a processor that fills it, and an operator beside it."""

from typing import Any

from support.manual_clock import ManualClock
from support.processor_estate import SECRETS, SITE, ProcessorEstate

from rayline.aws import Clients
from rayline.envelopes import message_body
from rayline.events import Uploaded
from rayline.handler import MessageHandler
from rayline.hashing import KeyedHash
from rayline.quarantine import Quarantine
from rayline.quarantining.entries import Entry, Selection
from rayline.quarantining.triage import Triage, open_triage
from rayline.release import Releaser

HASH = KeyedHash.from_secrets(dict(SECRETS))


class QuarantinedSite:
    """Sends files, and looks at what becomes of those that are refused."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock) -> None:
        self.estate = estate
        self.clock = clock
        self.runtime = estate.runtime(clock)
        self.handler = MessageHandler(self.runtime)
        self.triage = self.open_triage()

    @property
    def quarantine(self) -> Quarantine:
        """The operator's."""
        return self.triage.quarantine

    def open_triage(self, clients: Clients | None = None) -> Triage:
        """What an operator uses, with other clients where a test wants them."""
        clients = clients or self.estate.clients
        settings, ledger = self.estate.settings, self.estate.ledger(self.clock, clients)
        quarantine = Quarantine(clients.s3, settings.quarantine_bucket, site=SITE, clock=self.clock)
        releaser = Releaser(clients, settings, ledger, quarantine)
        return open_triage(clients, settings, ledger, quarantine, releaser, clock=self.clock, hashed=HASH)

    def send(self, content: bytes, name: str = "DOE^JANE") -> str:
        """Upload a file and let the processor handle it. Returns its id in the ledger."""
        key = f"upload/{SITE}/{name}"
        bucket = self.estate.settings.uploads_bucket
        version = self.estate.upload(key, content)
        event = Uploaded(
            site=SITE, occurred_at=self.clock(), bucket=bucket, key=key, version_id=version, size_bytes=len(content)
        )  # fmt: skip
        assert self.handler.handle(message_body(event), 1).action == "delete"
        return self.runtime.services.ledger.instance_id(bucket, key, version)

    def refuse(self, number: int = 0, **more: Any) -> Entry:
        """Put an entry into quarantine, as a worker does."""
        arguments: dict[str, Any] = {
            "stage": "uploaded",
            "reason": "NOT_DICOM",
            "explanation": "the prefix DICM is not at byte 128",
            "origin": (self.estate.settings.uploads_bucket, f"upload/{SITE}/DOE^JANE{number}", "v"),
            **more,
        }
        content = arguments.pop("content", b"no image")
        return self.quarantine.keep(f"{number:032x}", content, **arguments).entry

    def listed(self, **asked: Any) -> list[Entry]:
        """What the index lists."""
        return list(self.triage.entries(Selection(**asked)))

    def stage_of(self, instance_id: str) -> str:
        """How far the ledger says that an instance has come."""
        item = self.runtime.services.ledger.instance(instance_id)
        assert item is not None
        return str(item["stage"])
