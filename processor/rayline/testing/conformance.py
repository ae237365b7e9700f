"""What every plugin must keep to, checked without AWS."""

from typing import Any

from rayline.discovery import LoadedPlugin, load_plugin
from rayline.profile import PluginProfile


def check_plugin(plugin: Any, settings: dict[str, Any] | None = None) -> LoadedPlugin:
    """Load a plugin as the processor would, with ``settings`` as the site profile gives them.

    Raises:
        ConfigurationError: it breaks the contract; the message names hook and fix.
    """
    profile = PluginProfile(name=str(getattr(plugin, "name", "")), settings=settings or {})
    return load_plugin(plugin, version="test", profile=profile)
