"""What a stack decides for itself, read from Pulumi config and checked before anything is built."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pulumi

from rayline.errors import ConfigurationError
from rayline_infra.settings.api import ApiSettings
from rayline_infra.settings.audit import AuditSettings
from rayline_infra.settings.cost import CostSettings
from rayline_infra.settings.events import EventsSettings
from rayline_infra.settings.gateway import GatewaySettings
from rayline_infra.settings.loading import Reader
from rayline_infra.settings.network import NetworkSettings
from rayline_infra.settings.observability import ObservabilitySettings
from rayline_infra.settings.processor import ProcessorSettings
from rayline_infra.settings.section import Section
from rayline_infra.settings.site import SiteSettings
from rayline_infra.settings.storage import StorageSettings
from rayline_infra.settings.training import TrainingSettings

__all__ = [
    "SECTIONS",
    "ApiSettings",
    "AuditSettings",
    "CostSettings",
    "EventsSettings",
    "GatewaySettings",
    "NetworkSettings",
    "ObservabilitySettings",
    "ProcessorSettings",
    "SiteSettings",
    "StackSettings",
    "StorageSettings",
    "TrainingSettings",
    "load_stack_settings",
]

# A load balancer's name has at most 32 characters, and "rayline-<stack>-gateway" is one (ELB, CreateLoadBalancer).
STACK_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?")


@dataclass(frozen=True)
class StackSettings:
    """Everything that one stack decides, in the order of its ``Pulumi.<stack>.yaml``."""

    stack: str
    site: SiteSettings
    network: NetworkSettings
    events: EventsSettings
    processor: ProcessorSettings
    api: ApiSettings
    gateway: GatewaySettings
    training: TrainingSettings
    storage: StorageSettings
    audit: AuditSettings
    observability: ObservabilitySettings
    cost: CostSettings


SECTIONS: tuple[type[Section], ...] = (
    SiteSettings,
    NetworkSettings,
    EventsSettings,
    ProcessorSettings,
    ApiSettings,
    GatewaySettings,
    TrainingSettings,
    StorageSettings,
    AuditSettings,
    ObservabilitySettings,
    CostSettings,
)


def load_stack_settings() -> StackSettings:
    """Read the settings of the stack that Pulumi is running.

    Raises:
        ConfigurationError: settings are missing, wrong or unknown, or the stack's name does not fit into names of
            AWS; the message names each one with an example.
    """
    reader = Reader()
    settings = StackSettings(
        stack=pulumi.get_stack(),
        site=reader.read(SiteSettings),
        network=reader.read(NetworkSettings),
        events=reader.read(EventsSettings),
        processor=reader.read(ProcessorSettings),
        api=reader.read(ApiSettings),
        gateway=reader.read(GatewaySettings),
        training=reader.read(TrainingSettings),
        storage=reader.read(StorageSettings),
        audit=reader.read(AuditSettings),
        observability=reader.read(ObservabilitySettings),
        cost=reader.read(CostSettings),
    )
    reader.refuse_unknown()
    if not STACK_NAME.fullmatch(settings.stack):
        reader.problems.append(
            f"the stack's name {settings.stack} is wrong: it has 1 to 16 lower-case letters, digits and hyphens, since "
            "names of load balancers hold it; for example: pulumi stack rename hospital-a"
        )
    # Sections with problems are unchecked, and say nothing about one another.
    if not reader.problems:
        for section, name, reason in _wrong_together(settings):
            reader.refuse(section, name, reason)
    if reader.problems:
        raise ConfigurationError("stack settings: " + "; ".join(reader.problems))
    return settings


def _wrong_together(settings: StackSettings) -> Iterator[tuple[type[Section], str, str]]:
    """Settings that are well within their sections and wrong beside one of another, each with the reason."""
    site, network = settings.site, settings.network
    for name, pattern in {
        "operatorPrincipalPattern": site.operator_principal_pattern,
        "reviewerPrincipalPattern": site.reviewer_principal_pattern,
        "uploaderPrincipalPattern": site.uploader_principal_pattern,
        "deployerPrincipalPattern": site.deployer_principal_pattern,
    }.items():
        if (account := pattern.split(":")[4]) not in (site.account_id, "*"):
            yield SiteSettings, name, f"it matches nobody: accountId is {site.account_id}, not {account}"
    for zone in network.availability_zones:
        if not re.fullmatch(re.escape(site.region) + "[a-z]", zone):
            yield NetworkSettings, "availabilityZones", f"{zone} is no zone of {site.region}"
    if settings.storage.replica_region == site.region:
        yield (
            StorageSettings,
            "replicaRegion",
            "a key has no replica in its own region, which aws:region names",
        )
    if settings.gateway.port == settings.processor.health_port:
        yield GatewaySettings, "dimsePort", "healthPort is the same, and the gateway listens on both"
    if site.deletion_protection and not settings.observability.runbook_url.startswith("https://"):
        yield (
            ObservabilitySettings,
            "runbookUrl",
            "where deletionProtection is true, alarms link what somebody can open at night: an https address",
        )
