"""All that plugin authors import.

A plugin is a module (or object) named by an entry point of the group ``rayline.plugins``. It declares ``api``,
``name`` and, per hook, a :class:`Policy`, and implements hooks with :data:`hookimpl`::

    from rayline.plugin import Context, Instance, Rejection, hookimpl

    api = 1
    name = "no_localizers"

    @hookimpl
    def screen_instance(instance: Instance, context: Context) -> Rejection | None:
        if "LOCALIZER" in instance.dataset.get("ImageType", []):
            return Rejection(reason="LOCALIZER", explanation="localizers are not imported at this site")
        return None
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import pluggy
from pydantic import BaseModel, ConfigDict, Field

from rayline.dicom import dictionary
from rayline.dicom.content import WHOLE_BYTES, Content, InMemory, LocalFile, Piece, Spliced, Stretch
from rayline.dicom.header import Attributes, Header, read_header
from rayline.dicom.instance import Instance, Receipt
from rayline.dicom.rewriting import rewrite
from rayline.dicom.rules import (
    EMPTY,
    KEEP,
    REMOVE,
    Descend,
    Element,
    FileMeta,
    Insertion,
    Plan,
    Replace,
    Rules,
    Treatment,
    Treatments,
)
from rayline.environment import environment_secret
from rayline.errors import ConfigurationError, PeerUnreachable, RejectedEvent, RetryableError

if TYPE_CHECKING:
    from rayline.events import Evaluated, Event, Ingested, Label, Trained, Uploaded, Verified

__all__ = [
    "API_VERSION",
    "EMPTY",
    "KEEP",
    "REMOVE",
    "WHOLE_BYTES",
    "Approval",
    "Attributes",
    "ConfigurationError",
    "Content",
    "Context",
    "Descend",
    "Destination",
    "Element",
    "Evaluated",
    "Evaluation",
    "Event",
    "FileMeta",
    "Header",
    "InMemory",
    "Ingested",
    "Insertion",
    "Instance",
    "Label",
    "LocalFile",
    "PeerUnreachable",
    "Piece",
    "Plan",
    "Policy",
    "Receipt",
    "RejectedEvent",
    "Rejection",
    "Replace",
    "RetryableError",
    "Rules",
    "Spliced",
    "StoredInstance",
    "Stretch",
    "Trained",
    "Treatment",
    "Treatments",
    "Uploaded",
    "Verified",
    "dictionary",
    "environment_secret",
    "hookimpl",
    "read_header",
    "rewrite",
]

PROJECT = "rayline"
API_VERSION = 1

hookimpl = pluggy.HookimplMarker(PROJECT)

_EVENTS: Final = frozenset({"Evaluated", "Event", "Ingested", "Label", "Trained", "Uploaded", "Verified"})


def __getattr__(name: str) -> Any:
    """An event's class; their models take a while to make, and what only changes instances asks for none."""
    if name not in _EVENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rayline import events

    return getattr(events, name)


class Policy(BaseModel):
    """How the dispatcher treats one hook implementation.

    Attributes:
        on_failure: *reject* the input (fail closed), *retry* later, or *ignore* the failure.
        timeout_seconds: an overrun kills the worker process and counts as a failure.
        memory_mb: MiB of address space that a call may add; an overrun counts as a failure, and the worker is replaced.
        order: lower runs first; equal orders run by plugin name.
        sees_phi: without it, the event that the hook gets has its identifying fields blanked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_failure: Literal["reject", "retry", "ignore"]
    timeout_seconds: float = Field(default=60.0, gt=0)
    memory_mb: int = Field(default=1024, ge=16)
    order: int = 100
    sees_phi: bool = False


@dataclass(frozen=True)
class Rejection:
    """A refusal: a reason code for machines, and one sentence, free of PHI, for people."""

    reason: str
    explanation: str


@dataclass(frozen=True)
class Approval:
    """An answer to whether a registered model may be used."""

    decision: Literal["approve", "reject", "ask_human"]
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """What the pipeline measured of one model.

    Attributes:
        model_package_arn: the registered package, None where the pipeline refused to register.
        metrics: accuracy, precision, recall, f1 and roc_auc, each 0–1.
        threshold: the accuracy that the pipeline asked for.
        test_images: images of patients never trained on.
    """

    model_package_arn: str | None
    metrics: dict[str, float]
    threshold: float
    test_images: int


@dataclass(frozen=True)
class Destination:
    """A DICOM peer (PS3.8): AE title, host and port; ``identity`` is what it may receive."""

    name: str
    ae_title: str
    host: str
    port: int
    identity: Literal["deidentified", "original"] = "deidentified"


@dataclass(frozen=True)
class StoredInstance:
    """A de-identified instance as it was imported; ``open`` fetches its Part 10 bytes."""

    sop_instance_uid: str
    open: Callable[[], bytes] = field(repr=False)


class Context(Protocol):
    """What a hook may use beside its arguments."""

    @property
    def site(self) -> str:
        """The site that this processor serves."""

    @property
    def log(self) -> Any:
        """A structlog logger that carries the plugin's name; identifying values are redacted."""

    @property
    def settings(self) -> Any:
        """The plugin's settings, an instance of its ``settings_model``."""

    def clock(self) -> datetime:
        """The time now, in UTC."""

    def secret(self, name: str) -> bytes:
        """A secret of the site.

        Raises:
            ConfigurationError: the site has no secret of that name; there are no defaults.
        """

    def stored_instances(self, event: "Ingested") -> Iterator[StoredInstance]:
        """The de-identified instances that an *ingested* event is about: a job's, or an image set's."""

    def destinations(self, event: "Ingested") -> list[Destination]:
        """What all ``destinations`` hooks answer for an event."""
