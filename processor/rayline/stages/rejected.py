"""on_rejected: what was refused without an object in quarantine is kept there as the event that it was."""

from rayline.context import HookContext
from rayline.events import Event, Uploaded
from rayline.instances import Stage
from rayline.plugin import API_VERSION, Policy, Rejection, hookimpl
from rayline.services import Services


class RejectedStage:
    """Makes every refusal visible in quarantine, whichever plugin refused and whatever event it was."""

    api = API_VERSION
    name = "rayline.rejected"
    policies = {  # noqa: RUF012 - the plugin contract's shape
        "on_rejected": Policy(on_failure="retry", timeout_seconds=60, order=0, sees_phi=True)
    }

    def __init__(self, services: Services) -> None:
        self._services = services

    @hookimpl
    def on_rejected(self, event: Event, rejection: Rejection, context: HookContext) -> None:
        """Keep the event, unless the intake has quarantined the object that it is about."""
        if isinstance(event, Uploaded):
            ledger = self._services.ledger
            item = ledger.instance(ledger.instance_id(event.bucket, event.key, event.version_id))
            if item is not None and item["stage"] == Stage.QUARANTINED:
                return
        entry_id = f"event-{self._services.keyed_hash.of(*event.identity_parts())}"
        self._services.quarantine.keep(
            entry_id,
            event.model_dump_json(by_alias=True).encode(),
            stage=event.kind,
            reason=rejection.reason,
            explanation=rejection.explanation,
        )
        context.log.warning("event_quarantined", reason=rejection.reason, entry_id=entry_id)
