"""What ``rayline plugins list`` shows: each plugin of a site, and where each part of its policies comes from."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

from rich.table import Table

from rayline.discovery import import_plugin, installed_plugins, load_plugin, not_installed, version_of
from rayline.errors import ConfigurationError
from rayline.hookspecs import REGISTRARS
from rayline.profile import PluginProfile, SiteProfile


def list_plugins(profile: SiteProfile) -> list[dict[str, Any]]:
    """Each plugin that the site lists, then each that is installed and not listed; nothing raises for a broken one.

    ``state`` is *loaded*, *broken* or *not installed*, with its ``reason``; or *not listed*, and not imported.
    Each part of a policy comes from the plugin, from the site profile, or is a default of Rayline's.
    """
    installed = installed_plugins()
    listed = {wanted.name for wanted in profile.plugins}
    rows = [_described(wanted, installed) for wanted in profile.plugins]
    for name in sorted(set(installed) - listed):
        rows.append(
            {
                "plugin": name,
                "version": version_of(installed[name]),
                "required": False,
                "state": "not listed",
                "reason": "",
                "hooks": [],
            }
        )
    return rows


def _described(wanted: PluginProfile, installed: dict[str, EntryPoint]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "plugin": wanted.name,
        "version": "",
        "required": wanted.required,
        "reason": "",
        "hooks": [],
    }
    entry_point = installed.get(wanted.name)
    if entry_point is None:
        reason = not_installed(wanted.name, installed) if wanted.required else "the site can do without it"
        return {**row, "state": "not installed", "reason": reason}
    row["version"] = version_of(entry_point)
    try:
        plugin = import_plugin(entry_point)
        loaded = load_plugin(plugin, version=version_of(entry_point), profile=wanted)
    except ConfigurationError as error:
        return {**row, "state": "broken", "reason": str(error)}
    declared = getattr(plugin, "policies", {})
    hooks: list[dict[str, Any]] = []
    for each in loaded.implementations:
        if each.hook in REGISTRARS:
            hooks.append({"hook": each.hook, "policy": None, "from": {}})
            continue
        policy = each.policy.model_dump()
        own = set(declared[each.hook].model_fields_set) if each.hook in declared else set()
        override = wanted.policies.get(each.hook)
        site = set(override.model_dump(exclude_none=True)) if override else set()
        origin = {
            part: "site" if part in site else "plugin" if part in own else "default"
            for part in sorted(policy)
        }
        hooks.append({"hook": each.hook, "policy": policy, "from": origin})
    return {**row, "state": "loaded", "hooks": hooks}


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Hooks and policies of what is loaded; ``*`` marks what the site profile says."""
    table = Table(
        "plugin",
        "hook",
        "on\nfailure",
        "timeout",
        "memory",
        "order",
        "sees\nPHI",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for column in table.columns:
        column.no_wrap = True
    for row in rows:
        for each in row["hooks"]:
            shown = _cells(each["policy"], each["from"]) if each["policy"] else ["at start", "", "", "", ""]
            table.add_row(f"{row['plugin']} {row['version']}", each["hook"], *shown)
    return table


def _cells(policy: dict[str, Any], origin: dict[str, str]) -> list[str]:
    texts = {
        "on_failure": policy["on_failure"],
        "timeout_seconds": f"{policy['timeout_seconds']:g} s",
        "memory_mb": f"{policy['memory_mb']} MiB",
        "order": str(policy["order"]),
        "sees_phi": "yes" if policy["sees_phi"] else "no",
    }
    return [text + ("*" if origin[part] == "site" else "") for part, text in texts.items()]


def remarks(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What stands under the table: the site's own words, and each plugin that is not loaded, with the reason."""
    if any("site" in each["from"].values() for row in rows for each in row["hooks"]):
        yield "* the site profile says so; the rest is as the plugin declares it, or a default"
    for row in rows:
        if row["state"] in ("broken", "not installed"):
            yield f"{row['plugin']}: {row['state']}: {row['reason']}"
    if idle := [row["plugin"] for row in rows if row["state"] == "not listed"]:
        yield f"installed, but not in the site profile: {', '.join(idle)}"
