"""Forward imported instances to PACS destinations by C-STORE."""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rayline.plugin import (
    ConfigurationError,
    Context,
    Destination,
    Ingested,
    PeerUnreachable,
    Policy,
    RetryableError,
    hookimpl,
)
from rayline_pacs_forward.scu import Outgoing, StoreClient, Timeouts

api = 1
name = "pacs_forward"
policies = {
    # After the built-in stage (order 0), which records what the job imported.
    "on_ingested": Policy(on_failure="retry", timeout_seconds=600, order=200, sees_phi=False),
    "destinations": Policy(on_failure="retry", timeout_seconds=10, order=100, sees_phi=False),
}

# PS3.5 §6.2, VR AE: up to 16 characters without backslash and control characters; leading spaces mean nothing.
_AE_TITLE = r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}$"


class DestinationSettings(BaseModel):
    """One PACS.

    Attributes:
        name: what logs and errors call it.
        ae_title: what the PACS calls itself.
        host, port: where it listens.
        identity: what it may receive.
        modalities: send only these, e.g. ``[CT, CR]``; all where empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    ae_title: str = Field(pattern=_AE_TITLE)
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65_535)
    identity: Literal["deidentified", "original"] = "deidentified"
    modalities: frozenset[str] = frozenset()

    @field_validator("identity")
    @classmethod
    def _only_deidentified(cls, identity: str) -> str:
        if identity != "deidentified":
            raise ValueError(
                "identity: original is not supported, since only de-identified instances are kept; "
                "use identity: deidentified, or forward originals from the modality"
            )
        return identity

    def destination(self) -> Destination:
        """The destination as the ``destinations`` hook answers it."""
        return Destination(self.name, self.ae_title, self.host, self.port, self.identity)


class ForwardSettings(BaseModel):
    """Settings of the plugin in the site profile; durations in seconds.

    Attributes:
        calling_ae_title: what this site calls itself, as the PACS know it.
        destinations: the PACS; nothing is forwarded where there are none.
        connect_seconds: how long a PACS may take to accept a connection.
        association_seconds: how long it may take to accept an association.
        response_seconds: how long it may take to answer a C-STORE.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    calling_ae_title: str = Field(default="RAYLINE", pattern=_AE_TITLE)
    destinations: tuple[DestinationSettings, ...] = ()
    connect_seconds: float = Field(default=10, gt=0)
    association_seconds: float = Field(default=30, gt=0)
    response_seconds: float = Field(default=60, gt=0)

    @field_validator("destinations")
    @classmethod
    def _names_differ(cls, destinations: tuple[DestinationSettings, ...]) -> tuple[DestinationSettings, ...]:
        names = [each.name for each in destinations]
        if len(set(names)) < len(names):
            raise ValueError("two destinations have one name; give each its own")
        return destinations


@hookimpl
def settings_model() -> type[BaseModel]:
    """Settings of the plugin."""
    return ForwardSettings


@hookimpl
def destinations(event: Ingested, context: Context) -> list[Destination]:
    """The destinations of the settings, for what a job imported."""
    if not _is_finished_job(event):
        return []
    settings: ForwardSettings = context.settings
    return [each.destination() for each in settings.destinations]


@hookimpl
def on_ingested(event: Ingested, context: Context) -> None:
    """Send the job's instances to every destination.

    Jobs, not image sets, are forwarded: an image set's event tells of all its instances whenever one is added.

    Raises:
        RetryableError: a destination did not store every instance; the others did what they could.
        PeerUnreachable: one could not be reached, or broke off.
        ConfigurationError: a destination asks for original identity.
    """
    if not _is_finished_job(event):
        return
    settings: ForwardSettings = context.settings
    timeouts = Timeouts(settings.connect_seconds, settings.association_seconds, settings.response_seconds)
    modalities = {each.name: each.modalities for each in settings.destinations}
    failures: list[RetryableError] = []
    for destination in context.destinations(event):
        if destination.identity != "deidentified":
            raise ConfigurationError(
                f"destination {destination.name} asks for identity original, but only de-identified instances "
                "can be forwarded; set identity: deidentified"
            )
        client = StoreClient(destination, settings.calling_ae_title, timeouts)
        try:
            report = client.send(_outgoing(event, context, modalities.get(destination.name, frozenset())))
        except RetryableError as failure:
            failures.append(failure)
            context.log.warning("forwarding_failed", destination=destination.name, reason=str(failure))
        else:
            context.log.info(
                "instances_forwarded",
                destination=destination.name,
                stored=report.stored,
                with_warning=report.with_warning,
            )
    if failures:
        unreachable = any(isinstance(failure, PeerUnreachable) for failure in failures)
        raise (PeerUnreachable if unreachable else RetryableError)("; ".join(map(str, failures)))


def _is_finished_job(event: Ingested) -> bool:
    return event.subject == "import_job" and event.job_status == "COMPLETED"


def _outgoing(event: Ingested, context: Context, modalities: frozenset[str]) -> Iterator[Outgoing]:
    """The event's instances one after the other, so that a series never lies in memory as a whole."""
    for stored in context.stored_instances(event):
        outgoing = Outgoing.read(stored.open())
        if not modalities or outgoing.modality in modalities:
            yield outgoing
