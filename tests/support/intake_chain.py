"""The complete way of an instance through the intake: screened, de-identified, and its output screened again."""

from dataclasses import dataclass
from typing import NamedTuple, cast

from pydantic import BaseModel

import rayline_deid
from rayline.dicom.content import Content
from rayline.errors import RaylineError, RejectedEvent
from rayline.plugin import Context, Instance
from rayline.stages.screen import ScreenStage

SECRET = b"0123456789abcdef0123456789abcdef"
#: Name and UID of a patient that no file names by chance.
SENTINEL = b"H0STILE^SENTINEL"
UID_SENTINEL = b"1.2.66666.1.66666"


class Passage(NamedTuple):
    """What became of a file.

    Attributes:
        reason: why it was refused, ``""`` where it passed.
        explanation: for a person.
        output: the file that left, None where it was refused.
        stage: who refused it: ``screen``, ``transform`` or, of the output, ``readback``.
    """

    reason: str
    explanation: str
    output: Content | None
    stage: str


@dataclass(frozen=True)
class SiteContext:
    """What both hooks use of their context; that of ``rayline.testing`` imports much that a worker does not."""

    settings: BaseModel
    site: str = "test-site"

    def secret(self, name: str) -> bytes:
        assert name == "deid"
        return SECRET


def context(settings: BaseModel | None = None) -> Context:
    """What both hooks get at a site whose one secret is :data:`SECRET`."""
    return cast(Context, SiteContext(settings or rayline_deid.DeidSettings()))


def screened(instance: Instance) -> tuple[str, str]:
    """Reason and explanation of the screening's refusal, both empty where it takes the file."""
    try:
        rejection = ScreenStage().screen_instance(instance, context())
    except RejectedEvent as refusal:
        return refusal.reason, refusal.explanation
    return (rejection.reason, rejection.explanation) if rejection else ("", "")


def passage(source: bytes | Content, settings: BaseModel | None = None) -> Passage:
    """Send a file through screening and the de-identification plugin, and screen what comes out.

    Raises:
        Exception: whatever is not of the error tree.
    """
    # One instance goes through all hooks, so that its header is read once.
    instance = Instance(source)
    reason, explanation = screened(instance)
    if reason:
        return Passage(reason, explanation, None, "screen")
    try:
        output = rayline_deid.transform_instance(instance, context(settings)).source
    except RejectedEvent as refusal:
        return Passage(refusal.reason, refusal.explanation, None, "transform")
    except RaylineError as error:
        return Passage(type(error).__name__, str(error), None, "transform")
    del instance
    reason, explanation = screened(Instance(output))
    return Passage(reason, explanation, output, "readback" if reason else "")


def deidentified(source: bytes | Content, settings: BaseModel | None = None) -> Content:
    """What the plugin makes of a file, without screening.

    Raises:
        RejectedEvent: it refuses the file.
    """
    return rayline_deid.transform_instance(Instance(source), context(settings)).source


def transformed(content: bytes, settings: BaseModel | None = None) -> bytes:
    """All bytes of :func:`deidentified`."""
    return deidentified(content, settings).whole()
