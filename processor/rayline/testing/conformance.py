"""What every plugin must keep to, checked without AWS."""

from typing import Any

from rayline.discovery import LoadedPlugin, load_plugin
from rayline.errors import ConfigurationError
from rayline.hookspecs import TRANSFORMERS
from rayline.profile import PluginProfile


def check_plugin(plugin: Any, settings: dict[str, Any] | None = None) -> LoadedPlugin:
    """Load a plugin as the processor would, with ``settings`` as the site profile gives them.

    Raises:
        ConfigurationError: it breaks the contract; the message names hook and fix.
    """
    profile = PluginProfile(name=str(getattr(plugin, "name", "")), settings=settings or {})
    loaded = load_plugin(plugin, version="test", profile=profile)
    for implementation in loaded.implementations:
        if implementation.hook in TRANSFORMERS and implementation.policy.on_failure == "ignore":
            raise ConfigurationError(
                f"plugin {loaded.name}: {implementation.hook} may not ignore failures, "
                "since an instance would go on unchanged; use reject or retry"
            )
    return loaded
