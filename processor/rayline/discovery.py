"""Plugin discovery, fail closed: what the site profile lists is loaded and checked, or start-up ends."""

import importlib.metadata
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pluggy
from pydantic import BaseModel, ValidationError

from rayline import hookspecs
from rayline.errors import ConfigurationError
from rayline.hookspecs import DECIDERS, OBSERVERS, REGISTRARS, TRANSFORMERS
from rayline.plugin import API_VERSION, PROJECT, Policy
from rayline.profile import PluginProfile, PolicyOverride, SiteProfile, problems_of

ENTRY_POINT_GROUP = "rayline.plugins"

_SPECIFIED_HOOKS = OBSERVERS | DECIDERS | TRANSFORMERS | REGISTRARS
_FAIL_CLOSED_HOOKS = TRANSFORMERS | DECIDERS


def default_policy(hook: str) -> Policy:
    """What holds where a plugin declares no policy: deciders and transformers reject, observers are retried."""
    return Policy(
        on_failure="reject" if hook in _FAIL_CLOSED_HOOKS else "retry",
        sees_phi=hook in TRANSFORMERS or hook == "screen_instance",
    )


@dataclass(frozen=True)
class Implementation:
    """One plugin's implementation of one hook, with the policy that holds at this site."""

    hook: str
    plugin: str
    version: str
    policy: Policy
    function: Callable[..., Any] = field(repr=False)
    arguments: tuple[str, ...] = field(repr=False)
    settings: BaseModel | None = field(repr=False)

    @property
    def effect(self) -> str:
        """The attribute of the effect ledger that records this implementation."""
        return f"{self.hook}:{self.plugin}"

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Call with those of the arguments that the implementation names."""
        return self.function(**{name: arguments[name] for name in self.arguments})


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin that passed every check."""

    name: str
    version: str
    required: bool
    built_in: bool
    implementations: tuple[Implementation, ...]


@dataclass(frozen=True)
class PluginRegistry:
    """The plugins of this process, and their implementations by hook in calling order."""

    plugins: tuple[LoadedPlugin, ...]
    by_hook: Mapping[str, tuple[Implementation, ...]]

    def implementations(self, hook: str) -> tuple[Implementation, ...]:
        """Implementations of a hook, by order, then plugin name."""
        return self.by_hook.get(hook, ())


def _declared_policies(plugin: Any, name: str) -> Mapping[str, Policy]:
    declared = getattr(plugin, "policies", {})
    if not isinstance(declared, Mapping):
        raise ConfigurationError(f"plugin {name}: policies is no mapping of hook to rayline.plugin.Policy")
    for hook, policy in declared.items():
        if hook not in _SPECIFIED_HOOKS:
            raise ConfigurationError(f"plugin {name} declares a policy for the unknown hook {hook!r}")
        if not isinstance(policy, Policy):
            raise ConfigurationError(f"plugin {name}: the policy of {hook} is not a rayline.plugin.Policy")
    return MappingProxyType(dict(declared))


def _hook_implementations(plugin: Any, name: str) -> dict[str, pluggy.HookImpl]:
    """What carries the hookimpl mark in a plugin, checked against the specification by pluggy itself."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise ConfigurationError(f"plugin {name} does not fit the hook specification: {error}") from None
    found: dict[str, pluggy.HookImpl] = {}
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if caller.name in found:
                raise ConfigurationError(f"plugin {name} implements {caller.name} twice; keep one of them")
            _check_implementation(implementation, caller.name, name)
            found[caller.name] = implementation
    return found


def _check_implementation(implementation: pluggy.HookImpl, hook: str, name: str) -> None:
    """Refuse what a single, timed, synchronous call could not serve."""
    if implementation.hookwrapper or implementation.wrapper or implementation.optionalhook:
        raise ConfigurationError(
            f"plugin {name}: {hook} is a wrapper or optional hook; implement it plainly, "
            "since each implementation is called by itself"
        )
    if implementation.tryfirst or implementation.trylast:
        raise ConfigurationError(
            f"plugin {name}: {hook} asks to run first or last; declare an order in its Policy instead"
        )
    function = implementation.function
    if (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise ConfigurationError(
            f"plugin {name}: {hook} is a coroutine or generator, which would never run; make it a plain function"
        )
    try:
        inspect.signature(function).bind(**dict.fromkeys(implementation.argnames))
    except TypeError as error:
        raise ConfigurationError(
            f"plugin {name}: {hook} cannot be called with its arguments ({error}); name plain arguments"
        ) from None


def _settings(
    implementations: Mapping[str, pluggy.HookImpl], profile: PluginProfile | None, name: str
) -> BaseModel | None:
    given = profile.settings if profile else {}
    if "settings_model" not in implementations:
        if given:
            raise ConfigurationError(f"plugin {name} takes no settings, but the site profile has some")
        return None
    model = implementations["settings_model"].function()
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ConfigurationError(f"plugin {name}: settings_model returns no pydantic model; return the class")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(
            f"settings of plugin {name} in the site profile: {problems_of(error)}"
        ) from None


def _effective_policy(
    hook: str, declared: Mapping[str, Policy], override: PolicyOverride | None, name: str
) -> Policy:
    policy = declared.get(hook, default_policy(hook))
    if override is not None:
        policy = policy.model_copy(update=override.model_dump(exclude_none=True))
    if hook in TRANSFORMERS and policy.on_failure == "ignore":
        raise ConfigurationError(
            f"plugin {name}: {hook} may not ignore failures, "
            "since an instance would go on unchanged; use reject or retry"
        )
    if hook == "screen_instance" and not policy.sees_phi:
        raise ConfigurationError(
            f"plugin {name}: {hook} gets instances as they were received; set sees_phi in its policy, "
            "or take it out of the site profile"
        )
    return policy


def load_plugin(
    plugin: Any, *, version: str, profile: PluginProfile | None = None, built_in: bool = False
) -> LoadedPlugin:
    """Check one plugin object and bind its implementations to their policies and settings.

    Raises:
        ConfigurationError: wrong api, name, hook, policy or settings; the message names the plugin and the fix.
    """
    name = getattr(plugin, "name", None)
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"a plugin declares no name; set name = '...' in {plugin!r}")
    api = getattr(plugin, "api", None)
    if api != API_VERSION:
        raise ConfigurationError(
            f"plugin {name} declares api {api!r}; this processor speaks api {API_VERSION}"
        )
    found = _hook_implementations(plugin, name)
    declared = _declared_policies(plugin, name)
    overrides = dict(profile.policies) if profile else {}
    for hook in overrides:
        if hook not in found:
            raise ConfigurationError(
                f"the site profile has a policy for {hook}, which plugin {name} does not implement"
            )
    settings = _settings(found, profile, name)
    implementations = tuple(
        Implementation(
            hook=hook,
            plugin=name,
            version=version,
            policy=_effective_policy(hook, declared, overrides.get(hook), name),
            function=implementation.function,
            arguments=tuple(implementation.argnames),
            settings=settings,
        )
        for hook, implementation in sorted(found.items())
    )
    return LoadedPlugin(name, version, profile.required if profile else True, built_in, implementations)


def registry_of(plugins: Iterable[LoadedPlugin]) -> PluginRegistry:
    """Order the implementations of plugins by hook."""
    loaded = tuple(plugins)
    names = [plugin.name for plugin in loaded]
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise ConfigurationError(f"two plugins are called {duplicate}; remove one from the site profile")
    by_hook: dict[str, list[Implementation]] = {}
    for plugin in loaded:
        for implementation in plugin.implementations:
            by_hook.setdefault(implementation.hook, []).append(implementation)
    return PluginRegistry(
        loaded,
        MappingProxyType(
            {
                hook: tuple(sorted(found, key=lambda each: (each.policy.order, each.plugin)))
                for hook, found in by_hook.items()
            }
        ),
    )


def installed_plugins() -> dict[str, importlib.metadata.EntryPoint]:
    """Entry points of installed plugins, by name; nothing is imported.

    Raises:
        ConfigurationError: two distributions offer different plugins by one name.
    """
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for each in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        # Deleting the folder of an editable installation leaves its entry point behind.
        if importlib.util.find_spec(each.module.partition(".")[0]) is None:
            continue
        if found.setdefault(each.name, each).value != each.value:
            raise ConfigurationError(
                f"two installed packages offer a plugin {each.name} ({found[each.name].value} and {each.value}); "
                "uninstall one"
            )
    return found


def import_plugin(entry_point: importlib.metadata.EntryPoint) -> Any:
    """Import what an entry point names.

    Raises:
        ConfigurationError: it cannot be imported, or calls itself otherwise than its entry point.
    """
    try:
        plugin = entry_point.load()
    except Exception as error:
        raise ConfigurationError(
            f"plugin {entry_point.name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if (name := getattr(plugin, "name", entry_point.name)) != entry_point.name:
        raise ConfigurationError(
            f"the entry point {entry_point.name} names a plugin that calls itself {name}; give both one name"
        )
    return plugin


def version_of(entry_point: importlib.metadata.EntryPoint) -> str:
    """Version of the distribution that offers a plugin."""
    return entry_point.dist.version if entry_point.dist else "unknown"


def not_installed(name: str, installed: Iterable[str]) -> str:
    """What to tell of a plugin that a site requires and that no distribution offers."""
    return (
        f"the site requires plugin {name}, which is not installed; install it, "
        f"or take it out of the site profile (installed: {', '.join(sorted(installed)) or 'none'})"
    )


def load_site_plugins(profile: SiteProfile) -> list[LoadedPlugin]:
    """Load every plugin that the profile lists.

    Raises:
        ConfigurationError: one is broken, or is required and not installed.
    """
    installed = installed_plugins()
    loaded = []
    for wanted in profile.plugins:
        entry_point = installed.get(wanted.name)
        if entry_point is not None:
            plugin = import_plugin(entry_point)
            loaded.append(load_plugin(plugin, version=version_of(entry_point), profile=wanted))
        elif wanted.required:
            raise ConfigurationError(not_installed(wanted.name, installed))
    return loaded
