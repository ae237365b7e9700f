"""Letting what was refused out of quarantine: as a new upload, into an import batch, or as the message that it was."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import ValidationError

from rayline.envelopes import message_body
from rayline.errors import RaylineError
from rayline.events import EVENT_ADAPTER
from rayline.names import RELEASED_FOLDER, UPLOAD_PREFIX
from rayline.objects import put_content
from rayline.quarantining.entries import EVENT, MESSAGE
from rayline.reminders import ImportAgain, reminder_body

if TYPE_CHECKING:
    from rayline.aws import Clients
    from rayline.instances import InstanceLedger
    from rayline.quarantine import Quarantine, QuarantineRecord
    from rayline.settings import Settings


class NotReleasable(RaylineError):
    """What is in quarantine cannot be sent again from there."""


class Releaser:
    """Sends entries of quarantine again and takes them out; what is sent is handled anew."""

    def __init__(
        self, clients: "Clients", settings: "Settings", ledger: "InstanceLedger", quarantine: "Quarantine"
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._ledger = ledger
        self._quarantine = quarantine

    def release(self, record: "QuarantineRecord") -> None:
        """Send an entry again, then take it out: a crash in between sends it twice, which does no harm.

        A file that HealthImaging refused stays until the processor has put it into an import batch again.

        Raises:
            NotReleasable: the intake is not done with it, or it holds what cannot be sent.
            NotInQuarantine: its content has gone.
        """
        if record.origin_key:
            self._upload(record)
            self._quarantine.remove(record.entry_id)
            return
        if record.was_imported:
            again = ImportAgain(
                site=record.site, entry_id=record.entry_id, quarantined_at=record.quarantined_at
            )
            self._send(reminder_body(again))
            return
        if record.entry_id.startswith(MESSAGE):
            self._send(self._quarantine.content(record.entry_id).decode("utf-8", "surrogatepass"))
        elif record.entry_id.startswith(EVENT):
            self._send(self._event_body(record.entry_id))
        # It may be refused again before this line, and then has the same id.
        self._quarantine.forget(record)

    def _upload(self, record: "QuarantineRecord") -> None:
        if self._ledger.instance(record.entry_id) is None:
            # Sent now, it would be recorded as quarantined afterwards, with nothing in quarantine.
            raise NotReleasable("the intake has not recorded it yet; try again in a minute")
        put_content(
            self._clients.s3,
            self._settings.uploads_bucket,
            f"{UPLOAD_PREFIX}{self._settings.site}/{RELEASED_FOLDER}{record.entry_id}",
            self._quarantine.stored(record.entry_id),
        )
        self._ledger.mark_released(record.entry_id)

    def _event_body(self, entry_id: str) -> str:
        """The message that announces a refused event.

        Raises:
            NotReleasable: the entry holds no event that this version of the processor knows.
        """
        try:
            event = EVENT_ADAPTER.validate_python(json.loads(self._quarantine.content(entry_id)))
        except (ValidationError, ValueError):
            raise NotReleasable(f"{entry_id} holds no event that this version knows") from None
        return message_body(event)

    def _send(self, body: str) -> None:
        try:
            self._clients.sqs.send_message(QueueUrl=self._settings.queue_url, MessageBody=body)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "InvalidMessageContents":
                raise
            raise NotReleasable("the message holds characters that SQS does not take") from None
