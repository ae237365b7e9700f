"""Verbs that the site's plugins add through ``register_commands``; found only when nothing else has the name."""

from typing import Any

import typer
from typer.core import TyperGroup

from rayline.environment import load_environment_file
from rayline.errors import ConfigurationError


class SiteCommands(TyperGroup):
    """The command's own verbs and, after them, the plugins'; no plugin can replace a verb of ours.

    Contexts and commands are those of typer's own copy of click, which it exports no types of.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all verbs."""
        own = super().list_commands(ctx)
        return [*own, *sorted(set(_plugin_verbs(ctx)) - set(own))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A verb by its name."""
        return super().get_command(ctx, cmd_name) or _plugin_verbs(ctx).get(cmd_name)


def _plugin_verbs(ctx: Any) -> dict[str, Any]:
    """What the plugins of the site profile register; nothing where no profile is known or it is wrong.

    A wrong profile is told of by the verbs that need it.
    """
    # Imported late: a verb of the command's own asks for none of this.
    from rayline.discovery import load_site_plugins
    from rayline.profile import load_profile
    from rayline.settings import site_profile_path

    try:
        load_environment_file(ctx.params.get("env_file"))
        path = site_profile_path()
        plugins = load_site_plugins(load_profile(path)) if path else []
    except ConfigurationError:
        return {}
    verbs: dict[str, Any] = {}
    for plugin in plugins:
        for implementation in plugin.implementations:
            if implementation.hook == "register_commands":
                app = typer.Typer()
                app.callback()(lambda: None)  # keeps a single verb from becoming the whole command
                implementation.call({"app": app})
                group = typer.main.get_command(app)
                assert isinstance(group, TyperGroup)
                verbs |= group.commands
    return verbs
