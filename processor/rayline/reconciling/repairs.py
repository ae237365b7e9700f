"""Repairs: the same event sent again, a reminder, or the outbox drained; never a state written by hand."""

from datetime import timedelta

from rayline.envelopes import message_body
from rayline.events import Event, EventIdentity
from rayline.parking import Parking
from rayline.reminders import BatchDue, reminder_body
from rayline.services import Services


class Repairs:
    """Sends what brings things about; the effect ledger makes a second sending harmless."""

    def __init__(self, services: Services, parking: Parking) -> None:
        self._services = services
        self._parking = parking
        self._drained = False

    def send_event(self, event: Event) -> str:
        """Send the event as its source would have."""
        self._send(message_body(event))
        return "its event was sent again"

    def send_parked(self, identity: EventIdentity, body: str, due_at: str | None) -> str:
        """Send a parked event's own message."""
        self._parking.resend(identity, body, due_at)
        return "its parked message was sent"

    def remind_of_batch(self, batch_id: str) -> str:
        """Have a worker look after an import batch."""
        self._send(reminder_body(BatchDue(site=self._services.settings.site, batch_id=batch_id)))
        return "a reminder of the batch was sent"

    def remind_of_study(self, study_instance_uid: str) -> str:
        """Have a worker look whether a study is complete."""
        self._services.studies.remind(study_instance_uid)
        return "a reminder of the study was sent"

    def drain_outbox(self, older_than: timedelta) -> str:
        """Publish what has not left; once a run, whatever number of entries asks for it."""
        if not self._drained:
            self._drained = True
            self._services.outbox.drain(older_than)
        return "the outbox was drained"

    def _send(self, body: str) -> None:
        self._services.clients.sqs.send_message(QueueUrl=self._services.settings.queue_url, MessageBody=body)
