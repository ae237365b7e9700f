"""A site around a simulated processor: its plugins, which misbehave on demand, its PACS, and its patients' images."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pydicom
from support.plugins import Plugin
from support.simulated_processor import PluginHung

from rayline.plugin import (
    Approval,
    Context,
    Destination,
    Evaluation,
    Event,
    Ingested,
    Instance,
    Policy,
    Receipt,
    RejectedEvent,
    Rejection,
    RetryableError,
    Uploaded,
    Verified,
)
from rayline.testing import ImageSpec, image_content

SENTINEL = "Zzyzx^Sentinel"
SENTINEL_ID = "MRN-SENTINEL-4711"
UID_ROOT = "1.2.826.0.1.3680043.8.498"
SENTINELS = (SENTINEL.encode(), SENTINEL_ID.encode(), f"{UID_ROOT}.4711".encode())
PATIENT = 4711


def image_of(number: int, pixel: int = 7, series: int = 1) -> bytes:
    """An identified image; its number gives its UID, and its pixel value makes it another with the same UID."""
    content = image_content(ImageSpec(patient=PATIENT, series=series, instance=number, pixel=pixel))
    dataset = pydicom.dcmread(BytesIO(content))
    dataset.PatientName, dataset.PatientID = SENTINEL, SENTINEL_ID
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def new_uid(uid: str) -> str:
    """The UID that stands for another after de-identification."""
    return f"2.25.{int(hashlib.sha256(f'deid {uid}'.encode()).hexdigest()[:30], 16)}"


@dataclass
class Pacs:
    """An archive that takes what it is sent, unless it is down."""

    down: bool = False
    received: dict[str, set[str]] = field(default_factory=dict)
    sends: Counter[str] = field(default_factory=Counter)

    def store(self, sop_instance_uid: str, content: bytes) -> None:
        """C-STORE."""
        if self.down:
            raise RetryableError("the PACS refused the association")
        self.sends[sop_instance_uid] += 1
        digest = hashlib.sha256(content).hexdigest()
        self.received.setdefault(sop_instance_uid, set()).add(digest)


class Trouble(Exception):
    """A plugin's own exception; its message quotes the patient, as libraries' messages do."""

    def __init__(self) -> None:
        super().__init__(f"cannot read PatientName {SENTINEL} of {SENTINEL_ID}")


@dataclass
class Site:
    """The site's plugins and what they did.

    Attributes:
        modes: how each plugin behaves now: *ok*, *fail*, *busy* (not ready), *reject* or *hang*; absent is *ok*.
        seen_phi: what a plugin that may not see PHI was shown of it.
    """

    pacs: Pacs = field(default_factory=Pacs)
    modes: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    seen_phi: list[str] = field(default_factory=list)

    def act(self, plugin: str) -> None:
        """Behave as the mode says."""
        match self.modes.get(plugin, "ok"):
            case "fail":
                raise Trouble
            case "busy":
                raise RetryableError("what the plugin needs is not ready")
            case "reject":
                raise RejectedEvent("SITE_SAYS_NO", "the site does not want it")
            case "hang":
                raise PluginHung(plugin)

    # -- plugins -------------------------------------------------------------------------------------------------

    def plugins(self) -> dict[str, Plugin]:
        """Every plugin by name."""
        made = [self._deid(), self._forward(), self._auditor(), self._nosy(), self._strict(), self._reader()]
        return {plugin.name: plugin for plugin in made if plugin.name not in self.missing}

    def _deid(self) -> Plugin:
        def transform_instance(instance: Instance, context: Context) -> Instance:
            dataset = pydicom.dcmread(BytesIO(instance.content))
            self.act("deid")
            dataset.PatientName, dataset.PatientID = (
                "ANONYMOUS",
                hashlib.sha256(SENTINEL_ID.encode()).hexdigest()[:12],
            )
            for keyword in ("AccessionNumber", "StudyID", "PatientBirthDate"):
                setattr(dataset, keyword, "")
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
                setattr(dataset, keyword, new_uid(str(dataset[keyword].value)))
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            return instance.with_dataset(dataset, Receipt("deid", "profile", "key"))

        policy = Policy(on_failure="reject", timeout_seconds=30, order=0, sees_phi=True)
        return Plugin("deid", {"transform_instance": policy}, transform_instance=transform_instance)

    def _forward(self) -> Plugin:
        """Sends what was imported to the PACS, as rayline_pacs_forward does."""

        def on_ingested(event: Ingested, context: Context) -> None:
            self.act("forward")
            if event.subject == "import_job":
                for stored in context.stored_instances(event):
                    self.pacs.store(stored.sop_instance_uid, stored.open())

        return Plugin("forward", {"on_ingested": Policy(on_failure="retry")}, on_ingested=on_ingested)

    def _auditor(self) -> Plugin:
        """An observer of uploads that may see PHI and is tried again."""

        def on_uploaded(event: Uploaded, context: Context) -> None:
            self.act("auditor")

        policy = Policy(on_failure="retry", sees_phi=True, order=5)
        return Plugin("auditor", {"on_uploaded": policy}, on_uploaded=on_uploaded)

    def _nosy(self) -> Plugin:
        """An observer of everything that may not see PHI, whose failures do not matter."""

        def look(event: Event) -> None:
            if SENTINEL in event.model_dump_json():
                self.seen_phi.append(event.kind)
            self.act("nosy")

        def on_uploaded(event: Uploaded, context: Context) -> None:
            look(event)

        def on_verified(event: Verified, context: Context) -> None:
            look(event)

        def on_rejected(event: Event, rejection: Rejection, context: Context) -> None:
            look(event)

        hooks = {"on_uploaded": on_uploaded, "on_verified": on_verified, "on_rejected": on_rejected}
        policies = {hook: Policy(on_failure="ignore", order=-5) for hook in hooks}
        return Plugin("nosy", policies, **hooks)

    def _strict(self) -> Plugin:
        """An observer whose failure refuses the event."""

        def on_uploaded(event: Uploaded, context: Context) -> None:
            self.act("strict")

        policy = Policy(on_failure="reject", order=20)
        return Plugin("strict", {"on_uploaded": policy}, on_uploaded=on_uploaded)

    def _reader(self) -> Plugin:
        """Refuses verifications of a verifier who may not, approves models, and names destinations."""

        def accept_verification(event: Verified, context: Context) -> Rejection | None:
            return Rejection("NOT_ALLOWED", "the verifier may not") if event.verifier == "nobody" else None

        def approve_model(evaluation: Evaluation, context: Context) -> Approval | None:
            return Approval("approve", "good enough")

        def destinations(event: Ingested, context: Context) -> list[Destination]:
            return []

        return Plugin(
            "reader",
            {},
            accept_verification=accept_verification,
            approve_model=approve_model,
            destinations=destinations,
        )


def profile_text(*, deid_on_failure: str, with_deid: bool = True) -> str:
    """The site profile; a site that forgot to install de-identification has one that does not require it."""
    return f"""
identity: deidentified
plugins:
  - name: deid
    required: {"true" if with_deid else "false"}
    {"policies: {transform_instance: {on_failure: " + deid_on_failure + "}}" if with_deid else ""}
  - name: forward
  - name: auditor
  - name: nosy
  - name: strict
  - name: reader
"""


class EntryPoint:
    """What :func:`rayline.discovery.installed_plugins` finds of one plugin."""

    def __init__(self, plugin: Any, version: str) -> None:
        self._plugin = plugin
        self.name = plugin.name
        self.dist = self
        self.version = version

    def load(self) -> Any:
        """The plugin."""
        return self._plugin
