"""Built-in screening: what HealthImaging could not take, or nobody could use, is refused here."""

from rayline.dicom.instance import Instance
from rayline.dicom.sop_classes import BUILT_IN, Accepted
from rayline.dicom.validation import screen
from rayline.plugin import API_VERSION, Context, Policy, Rejection, hookimpl


class ScreenStage:
    """Validates every received instance before any site plugin sees it.

    Args:
        accepted: the SOP classes and modalities that the site takes.
    """

    api = API_VERSION
    name = "rayline.screen"
    policies = {  # noqa: RUF012 - the plugin contract's shape
        "screen_instance": Policy(on_failure="reject", timeout_seconds=60, order=0, sees_phi=True)
    }

    def __init__(self, accepted: Accepted = BUILT_IN) -> None:
        self._accepted = accepted

    @hookimpl
    def screen_instance(self, instance: Instance, context: Context) -> Rejection | None:
        """Refuse what is not a whole, importable image."""
        return screen(instance, self._accepted)
