"""``rayline plugins``: which plugins this site has, how they are treated, and what they did."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rayline.aws import Clients
from rayline.discovery import installed_plugins, load_site_plugins
from rayline.dynamodb import scan
from rayline.profile import SiteProfile, load_profile
from rayline.settings import load_settings

_ProfileOption = Annotated[
    Path | None, typer.Option("--profile", help="Site profile; default the one in RAYLINE_SITE_PROFILE.")
]


def _profile(path: Path | None) -> SiteProfile:
    return load_profile(path or load_settings().site_profile)


def effect_rows(kind: str | None) -> Iterator[dict[str, Any]]:
    """What the effect ledger says of each event: which plugin's hook ended how, and when."""
    for item in scan(Clients().dynamodb, load_settings().effects_table):
        _, event_kind, digest = item["pk"].split("#", 2)
        if kind not in (None, event_kind):
            continue
        for effect, state in sorted(item.items()):
            if not isinstance(state, dict):
                continue
            for called in (*state.get("calls", ()), effect):
                hook, _, plugin = called.partition(":")
                yield {
                    "event": event_kind,
                    "identity": digest,
                    "hook": hook,
                    "plugin": plugin,
                    "version": state.get("version", "") if called == effect else "",
                    "state": state["state"] if called == effect else "called",
                    "attempts": state.get("attempts", 0) if called == effect else 1,
                    "reason": str(state.get("reason", "")).partition(":")[0] if called == effect else "",
                    "at": state.get("at", ""),
                }


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(help="Show, check and trace the site's plugins.", no_args_is_help=True)
    app.add_typer(verbs, name="plugins")

    @verbs.command("list")
    def list_plugins(profile: _ProfileOption = None) -> None:
        """List the site's plugins, their hooks and the policies that hold."""
        loaded = load_site_plugins(_profile(profile))
        table = Table("plugin", "version", "hook", "on failure", "timeout", "order", "sees PHI")
        for plugin in loaded:
            for each in plugin.implementations:
                policy = each.policy
                table.add_row(
                    plugin.name,
                    plugin.version,
                    each.hook,
                    policy.on_failure,
                    f"{policy.timeout_seconds:g} s",
                    str(policy.order),
                    "yes" if policy.sees_phi else "no",
                )
        Console().print(table)
        idle = sorted(set(installed_plugins()) - {plugin.name for plugin in loaded})
        if idle:
            typer.echo(f"installed, but not in the site profile: {', '.join(idle)}")

    @verbs.command()
    def check(profile: _ProfileOption = None) -> None:
        """Load every plugin that the site requires; fails, naming the plugin, if one is missing or broken."""
        for plugin in load_site_plugins(_profile(profile)):
            typer.echo(f"{plugin.name} {plugin.version}: {len(plugin.implementations)} hooks")

    @verbs.command()
    def trace(
        event: Annotated[str | None, typer.Option(help="Only this kind, e.g. uploaded.")] = None,
        limit: Annotated[int, typer.Option(help="Newest rows to show.", min=1)] = 50,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a row.")] = False,
    ) -> None:
        """Show which plugin ran on which event, and how that ended; identities are keyed hashes."""
        rows = sorted(effect_rows(event), key=lambda row: str(row["at"]))
        if as_json:
            for row in rows:
                typer.echo(json.dumps(row, sort_keys=True))
            return
        table = Table("at", "event", "identity", "hook", "plugin", "state", "reason")
        for row in rows[-limit:]:
            time_of_day = str(row["at"])[11:19]
            shown = (time_of_day, row["event"], row["identity"][:8], row["hook"], row["plugin"], row["state"])
            table.add_row(*map(str, shown), str(row["reason"]))
        Console().print(table)
