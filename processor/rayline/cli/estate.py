"""What the verbs need of the estate, made from the environment."""

from dataclasses import dataclass, field

from rayline.aws import Clients
from rayline.hashing import KeyedHash
from rayline.instances import InstanceLedger
from rayline.observability.meter import Meter
from rayline.observability.traces import Traces, Untraced, open_traces
from rayline.outbox import Outbox
from rayline.quarantine import Quarantine
from rayline.quarantining.triage import Triage, open_triage
from rayline.release import Releaser
from rayline.runtime import utc_now
from rayline.settings import Settings, load_secrets, load_settings, traces_endpoint
from rayline.verification import Verifier


@dataclass(frozen=True)
class Estate:
    """Stores and ledgers as an operator sees them.

    Attributes:
        meter: what is measured of them; a command that runs for as long as it is needed publishes it.
        traces: where requests to AWS are spans; nowhere where a command does one thing and ends.
    """

    settings: Settings
    clients: Clients
    ledger: InstanceLedger
    quarantine: Quarantine
    releaser: Releaser
    triage: Triage
    verifier: Verifier
    meter: Meter
    traces: Traces = field(default_factory=Untraced)


class _NoSecret(KeyedHash):
    """Operators read the ledger, and need no secret for that; only the processor makes keyed hashes."""

    def __init__(self) -> None:
        super().__init__(b"\0" * 16)

    def of(self, *parts: str) -> str:
        """Refuse: an operator holds no tracking secret."""
        raise AssertionError("an operator makes no keyed hashes")


def open_estate(service: str = "") -> Estate:
    """The estate that the environment names.

    Args:
        service: the name that its traces have; without one there are none.

    Raises:
        ConfigurationError: a setting is missing; the message names it.
    """
    settings = load_settings()
    meter = Meter(settings.site)
    traces = open_traces(service, settings.site, traces_endpoint() if service else None)
    clients = Clients(meter=meter, traces=traces)
    ledger = InstanceLedger(
        clients.dynamodb,
        settings.image_tracking_table,
        site=settings.site,
        keyed_hash=_NoSecret(),
        clock=utc_now,
    )
    outbox = Outbox(
        clients.dynamodb,
        clients.events,
        table=settings.image_tracking_table,
        event_bus=settings.event_bus,
        clock=utc_now,
        traces=traces,
    )
    secrets = load_secrets()
    quarantine = Quarantine(clients.s3, settings.quarantine_bucket, site=settings.site, clock=utc_now)
    releaser = Releaser(clients, settings, ledger, quarantine)
    return Estate(
        settings=settings,
        clients=clients,
        ledger=ledger,
        quarantine=quarantine,
        releaser=releaser,
        triage=open_triage(
            clients,
            settings,
            ledger,
            quarantine,
            releaser,
            clock=utc_now,
            hashed=KeyedHash.from_secrets(secrets) if "tracking" in secrets else None,
            meter=meter,
        ),
        verifier=Verifier(
            clients.dynamodb,
            ledger,
            outbox,
            site=settings.site,
            datastore_id=settings.datastore_id,
            clock=utc_now,
        ),
        meter=meter,
        traces=traces,
    )
