"""Plugin discovery, fail closed: what the site profile lists is loaded and checked, or start-up ends."""

import importlib.metadata
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pluggy
from pydantic import BaseModel, ValidationError

from rayline import hookspecs
from rayline.errors import ConfigurationError
from rayline.hookspecs import API_VERSION, DECIDERS, OBSERVERS, PROJECT, REGISTRARS, TRANSFORMERS
from rayline.plugin import Policy
from rayline.profile import PluginProfile, PolicyOverride, SiteProfile

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


def _apply(policy: Policy, override: PolicyOverride | None) -> Policy:
    if override is None:
        return policy
    return policy.model_copy(update=override.model_dump(exclude_none=True))


def _declared_policies(plugin: Any, name: str) -> Mapping[str, Policy]:
    declared = getattr(plugin, "policies", {})
    for hook, policy in declared.items():
        if hook not in _SPECIFIED_HOOKS:
            raise ConfigurationError(f"plugin {name} declares a policy for the unknown hook {hook!r}")
        if not isinstance(policy, Policy):
            raise ConfigurationError(f"plugin {name}: the policy of {hook} is not a rayline.plugin.Policy")
    return MappingProxyType(dict(declared))


def _hook_functions(plugin: Any, name: str) -> dict[str, Callable[..., Any]]:
    """Functions of a plugin that carry the hookimpl mark, checked against the specification by pluggy itself."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise ConfigurationError(f"plugin {name} does not fit the hook specification: {error}") from None
    functions: dict[str, Callable[..., Any]] = {}
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.hookwrapper or implementation.wrapper or implementation.optionalhook:
                raise ConfigurationError(
                    f"plugin {name}: {caller.name} is a wrapper or optional hook; implement it plainly, "
                    "since each implementation is called by itself"
                )
            functions[caller.name] = implementation.function
    return functions


def _settings(
    functions: dict[str, Callable[..., Any]], profile: PluginProfile | None, name: str
) -> BaseModel | None:
    given = profile.settings if profile else {}
    if "settings_model" not in functions:
        if given:
            raise ConfigurationError(f"plugin {name} takes no settings, but the site profile has some")
        return None
    model = functions["settings_model"]()
    try:
        validated: BaseModel = model.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise ConfigurationError(f"settings of plugin {name} in the site profile: {problems}") from None
    return validated


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
    functions = _hook_functions(plugin, name)
    declared = _declared_policies(plugin, name)
    overrides = dict(profile.policies) if profile else {}
    for hook in overrides:
        if hook not in functions:
            raise ConfigurationError(
                f"the site profile has a policy for {hook}, which plugin {name} does not implement"
            )
    settings = _settings(functions, profile, name)
    implementations = tuple(
        Implementation(
            hook=hook,
            plugin=name,
            version=version,
            policy=_apply(declared.get(hook, default_policy(hook)), overrides.get(hook)),
            function=function,
            arguments=tuple(parameter for parameter in inspect.signature(function).parameters),
            settings=settings,
        )
        for hook, function in sorted(functions.items())
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
    """Entry points of installed plugins, by name; nothing is imported."""
    return {each.name: each for each in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)}


def load_site_plugins(profile: SiteProfile) -> list[LoadedPlugin]:
    """Load every plugin that the profile lists.

    Raises:
        ConfigurationError: one that the site requires is not installed or broken.
    """
    installed = installed_plugins()
    loaded = []
    for wanted in profile.plugins:
        entry_point = installed.get(wanted.name)
        if entry_point is None:
            if not wanted.required:
                continue
            raise ConfigurationError(
                f"the site requires plugin {wanted.name}, which is not installed; "
                f"install it, or take it out of the site profile (installed: {', '.join(sorted(installed)) or 'none'})"
            )
        try:
            module = entry_point.load()
        except Exception as error:
            raise ConfigurationError(
                f"plugin {wanted.name} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        version = entry_point.dist.version if entry_point.dist else "unknown"
        plugin = load_plugin(module, version=version, profile=wanted)
        if plugin.name != wanted.name:
            raise ConfigurationError(
                f"the entry point {wanted.name} names a plugin that calls itself {plugin.name}"
            )
        loaded.append(plugin)
    return loaded
