"""Why an estate could not be provisioned."""

from rayline.errors import RaylineError


class ProvisionError(RaylineError):
    """The program or the local cloud refused; the message names the resource and the fix."""
