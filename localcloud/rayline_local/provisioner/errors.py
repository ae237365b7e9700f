"""Why an estate could not be provisioned."""

from rayline_infra.planning import ProgramError


class ProvisionError(ProgramError):
    """The local cloud refused; the message names the resource and the fix."""
