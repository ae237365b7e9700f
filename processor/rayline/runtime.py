"""Composition: settings, profile and plugins to one worker's services and dispatcher."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import SecretStr

from rayline.aws import Clients
from rayline.discovery import PluginRegistry, load_plugin, load_site_plugins, registry_of
from rayline.dispatcher import Dispatcher
from rayline.effects import EffectLedger
from rayline.errors import ConfigurationError
from rayline.hashing import KeyedHash
from rayline.healthimaging.reader import FrameReader
from rayline.imports import ImportBatches
from rayline.instances import InstanceLedger
from rayline.observability.meter import Meter
from rayline.observability.traces import Traces, Untraced
from rayline.outbox import Outbox
from rayline.profile import SiteProfile, load_profile
from rayline.quarantine import Quarantine
from rayline.services import Hooks, Services
from rayline.settings import Settings
from rayline.stages.evaluated import EvaluatedStage
from rayline.stages.ingested import IngestedStage
from rayline.stages.intake import IntakeStage
from rayline.stages.rejected import RejectedStage
from rayline.stages.screen import ScreenStage
from rayline.stages.trained import TrainedStage
from rayline.stages.training import TrainingStage
from rayline.stages.verified import VerifiedStage
from rayline.stored import ImportedInstances
from rayline.studies import Studies
from rayline.watch import Watch

BUILT_IN_VERSION = "1"


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Runtime:
    """One worker's parts, wired."""

    services: Services
    effects: EffectLedger
    registry: PluginRegistry
    dispatcher: Dispatcher


def build_registry(profile: SiteProfile, services: Services) -> PluginRegistry:
    """The built-in stages and the site's plugins.

    Raises:
        ConfigurationError: a required plugin is missing or broken, or nothing could de-identify.
    """
    stages = [
        ScreenStage(profile.intake.accepted()),
        *(
            stage(services)
            for stage in (
                IntakeStage,
                IngestedStage,
                VerifiedStage,
                TrainingStage,
                TrainedStage,
                EvaluatedStage,
                RejectedStage,
            )
        ),
    ]
    built_in = [load_plugin(stage, version=BUILT_IN_VERSION, built_in=True) for stage in stages]
    registry = registry_of([*built_in, *load_site_plugins(profile)])
    if profile.identity == "deidentified" and not registry.implementations("transform_instance"):
        raise ConfigurationError(
            "the site profile asks for de-identified images, but no plugin transforms instances; "
            "list a de-identification plugin, or say identity: original"
        )
    return registry


def build_runtime(
    settings: Settings,
    secrets: Mapping[str, SecretStr],
    *,
    clients: Clients,
    watch: Watch,
    owner: str,
    clock: Callable[[], datetime] = utc_now,
    meter: Meter | None = None,
    traces: Traces | None = None,
) -> Runtime:
    """Wire one worker.

    Args:
        owner: name of the worker, unique among all that run.
        meter: default one of its own.
        traces: default none.

    Raises:
        ConfigurationError: the site profile, a plugin or a secret is missing or wrong.
    """
    profile = load_profile(settings.site_profile)
    meter = meter or Meter(settings.site, clock=clock)
    traces = traces or Untraced()
    keyed_hash = KeyedHash.from_secrets(dict(secrets))
    ledger = InstanceLedger(
        clients.dynamodb,
        settings.image_tracking_table,
        site=settings.site,
        keyed_hash=keyed_hash,
        clock=clock,
    )
    outbox = Outbox(
        clients.dynamodb,
        clients.events,
        table=settings.image_tracking_table,
        event_bus=settings.event_bus,
        clock=clock,
        traces=traces,
    )
    dispatchers: list[Dispatcher] = []

    def hooks() -> Hooks:
        return dispatchers[0]

    services = Services(
        settings=settings,
        profile=profile,
        clients=clients,
        clock=clock,
        keyed_hash=keyed_hash,
        ledger=ledger,
        batches=ImportBatches(clients, settings, ledger, clock=clock, owner=owner, watch=watch),
        quarantine=Quarantine(clients.s3, settings.quarantine_bucket, site=settings.site, clock=clock),
        outbox=outbox,
        studies=Studies(clients, settings, ledger, outbox, keyed_hash=keyed_hash, clock=clock),
        frames=FrameReader(clients.medical_imaging, meter=meter),
        meter=meter,
        traces=traces,
        hooks=hooks,
    )
    registry = build_registry(profile, services)
    effects = EffectLedger(
        clients.dynamodb,
        settings.effects_table,
        clock=clock,
        lease_seconds=settings.lease_seconds,
        clock_skew_seconds=settings.clock_skew_seconds,
    )
    dispatcher = Dispatcher(
        registry,
        effects,
        ImportedInstances(clients.s3, ledger, settings.imports_bucket),
        site=settings.site,
        secrets=secrets,
        clock=clock,
        watch=watch,
        meter=meter,
        traces=traces,
    )
    dispatchers.append(dispatcher)
    return Runtime(services, effects, registry, dispatcher)
