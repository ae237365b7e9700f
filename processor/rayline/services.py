"""What the built-in stages share; made once in each worker by :mod:`rayline.runtime`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rayline.aws import Clients
from rayline.dicom.instance import Instance
from rayline.events import Verified
from rayline.hashing import KeyedHash
from rayline.healthimaging.reader import FrameReader
from rayline.imports import ImportBatches
from rayline.instances import InstanceLedger
from rayline.observability.meter import Meter
from rayline.observability.traces import Traces
from rayline.outbox import Outbox
from rayline.plugin import Approval, Evaluation, Rejection
from rayline.profile import SiteProfile
from rayline.quarantine import Quarantine
from rayline.settings import Settings
from rayline.studies import Studies


class Hooks(Protocol):
    """The deciders and transformers that stages ask."""

    def screen(self, instance: Instance) -> Rejection | None:
        """The first rejection of an instance."""

    def transform(self, instance: Instance) -> Instance:
        """The instance after every transformer."""

    def accept_verification(self, event: Verified) -> Rejection | None:
        """The first refusal of a verification."""

    def approve_model(self, evaluation: Evaluation) -> Approval:
        """The first answer on a model."""


@dataclass(frozen=True)
class Services:
    """Clients, ledgers and stores of one worker."""

    settings: Settings
    profile: SiteProfile
    clients: Clients
    clock: Callable[[], datetime]
    keyed_hash: KeyedHash
    ledger: InstanceLedger
    batches: ImportBatches
    quarantine: Quarantine
    outbox: Outbox
    studies: Studies
    frames: FrameReader
    meter: Meter
    traces: Traces
    hooks: Callable[[], Hooks]
