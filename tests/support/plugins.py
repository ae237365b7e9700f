"""Plugin objects made on the spot, and a dispatcher over them with its ledger in memory."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import SecretStr
from support.in_memory_effects import InMemoryEffects
from support.manual_clock import ManualClock

from rayline.discovery import load_plugin, registry_of
from rayline.dispatcher import Dispatcher
from rayline.effects import event_identity
from rayline.events import Event, EventIdentity, Ingested
from rayline.hashing import KeyedHash
from rayline.observability.meter import Meter
from rayline.plugin import Policy, StoredInstance, hookimpl
from rayline.profile import PluginProfile
from rayline.watch import Unwatched, Watch

SITE = "test-site"
LEASE_SECONDS = 60.0
SKEW_SECONDS = 20.0


class Plugin:
    """A plugin whose hooks are given as functions."""

    api = 1

    def __init__(
        self, name: str, policies: dict[str, Policy] | None = None, **hooks: Callable[..., Any]
    ) -> None:
        self.name = name
        self.policies = policies or {}
        for hook, function in hooks.items():
            setattr(self, hook, hookimpl(function))


class NoInstances:
    """No instance was ever imported."""

    def for_event(self, event: Ingested) -> Iterator[StoredInstance]:
        """None."""
        return iter(())


class Bench:
    """A dispatcher over plugins; `reload` is the next worker, on the same ledger."""

    def __init__(
        self, *plugins: Plugin, watch: Watch | None = None, profile: PluginProfile | None = None
    ) -> None:
        self.clock = ManualClock()
        self.effects = InMemoryEffects(
            clock=self.clock, lease_seconds=LEASE_SECONDS, clock_skew_seconds=SKEW_SECONDS
        )
        self.reload(*plugins, watch=watch, profile=profile)

    def reload(
        self,
        *plugins: Plugin,
        version: str = "1.0",
        watch: Watch | None = None,
        profile: PluginProfile | None = None,
    ) -> None:
        """Start a new dispatcher with these plugins."""
        loaded = [load_plugin(plugin, version=version, profile=profile) for plugin in plugins]
        self.meter = Meter(SITE, clock=self.clock)
        self.dispatcher = Dispatcher(
            registry_of(loaded),
            self.effects,  # type: ignore[arg-type]
            NoInstances(),
            site=SITE,
            secrets={"deid": SecretStr("a secret")},
            clock=self.clock,
            watch=watch or Unwatched(),
            meter=self.meter,
            jitter=lambda: 1.0,
        )

    def observe(self, event: Event) -> Any:
        """Deliver an event."""
        return self.dispatcher.observe(event, self.identity(event))

    def identity(self, event: Event) -> EventIdentity:
        """The ledger's key of an event."""
        return event_identity(event, KeyedHash(b"0123456789abcdef"))

    def states(self, event: Event) -> dict[str, str]:
        """Each recorded effect's state."""
        return {name: state.state for name, state in self.effects.states(self.identity(event)).items()}

    def reasons(self, event: Event) -> dict[str, str]:
        """Each recorded effect's reason."""
        return {name: state.reason for name, state in self.effects.states(self.identity(event)).items()}
