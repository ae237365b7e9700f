"""Why a program could not be planned or applied."""

from rayline.errors import RaylineError


class ProgramError(RaylineError):
    """The program, or whatever brings its resources about, refused; the message names the resource and the fix."""
