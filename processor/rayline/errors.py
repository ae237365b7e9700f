"""Rayline's error tree; messages are lowercase, name the fix and never the patient."""


class RaylineError(Exception):
    """The root of every error that Rayline raises on purpose."""


class RetryableError(RaylineError):
    """Something outside is not ready; the same call may succeed later."""


class PeerUnreachable(RetryableError):
    """A system outside, e.g. a PACS, could not be reached, or broke off; it counts as a connection error."""


class PluginFailed(RaylineError):
    """A plugin failed unexpectedly in a call whose policy is to retry; the message counts as failed."""


class ConfigurationError(RaylineError):
    """A setting is missing or wrong; the message names it and gives an example."""


class RejectedEvent(RaylineError):
    """The input is refused for good and must be kept where a person can look at it.

    Attributes:
        reason: machine-readable code, e.g. ``NOT_DICOM``.
        explanation: one sentence for a person, free of PHI.
        hook: the hook that refused it, where that is known, e.g. ``screen_instance``.
    """

    def __init__(self, reason: str, explanation: str, hook: str = "") -> None:
        super().__init__(f"{reason}: {explanation}")
        self.reason = reason
        self.explanation = explanation
        self.hook = hook

    def __reduce__(self) -> tuple[type["RejectedEvent"], tuple[str, str, str]]:
        return (type(self), (self.reason, self.explanation, self.hook))
