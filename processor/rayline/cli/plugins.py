"""``rayline plugins``: which plugins this site has, whether they keep the contract, what they did, and new ones."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rayline.aws import Clients
from rayline.cli import plugin_listing
from rayline.dynamodb import scan
from rayline.errors import ConfigurationError
from rayline.profile import SiteProfile, load_profile
from rayline.scaffold import PluginProject
from rayline.settings import load_settings, site_profile_path

_ProfileOption = Annotated[
    Path | None, typer.Option("--profile", help="Site profile; default the one in RAYLINE_SITE_PROFILE.")
]


def _profile(path: Path | None) -> SiteProfile:
    found = path or site_profile_path()
    if found is None:
        raise ConfigurationError(
            "no site profile is named; set RAYLINE_SITE_PROFILE, or pass --profile, e.g. config/site/local.yaml"
        )
    return load_profile(found)


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
    def list_plugins(
        profile: _ProfileOption = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the plugins as JSON.")] = False,
    ) -> None:
        """List the site's plugins, their hooks and the policies that hold, and what is not loaded and why."""
        rows = plugin_listing.list_plugins(_profile(profile))
        if as_json:
            typer.echo(json.dumps(rows, indent=2))
            return
        Console().print(plugin_listing.table_of(rows))
        for remark in plugin_listing.remarks(rows):
            typer.echo(remark)

    @verbs.command()
    def check(
        names: Annotated[
            list[str] | None, typer.Argument(help="Only these plugins, whether or not the site lists them.")
        ] = None,
        profile: _ProfileOption = None,
        everything: Annotated[
            bool,
            typer.Option("--all", help="Every installed plugin, with defaults where the site lists none."),
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    ) -> None:
        """Run the conformance suite over the site's plugins: every hook is called, without AWS and network.

        Exit status 1 if anything was found.
        """
        # Imported late: the suite is for authors and CI, and the processor's image has no Hypothesis.
        from rayline.cli.plugin_checks import check_plugins, table_of

        known = profile is not None or site_profile_path() is not None
        site = SiteProfile() if (names or everything) and not known else _profile(profile)
        checked = check_plugins(site, names or (), everything=everything)
        found = sum(len(each.findings) for each in checked)
        if as_json:
            document = {"findings": found, "plugins": [each.as_json() for each in checked]}
            typer.echo(json.dumps(document, indent=2))
        else:
            Console().print(table_of(checked))
            typer.echo(f"{len(checked)} plugins, {found} findings")
        raise typer.Exit(1 if found else 0)

    @verbs.command("new")
    def new_plugin(
        name: Annotated[str, typer.Argument(help="Lower-case words with underscores, e.g. no_localizers.")],
        hooks: Annotated[
            list[str] | None, typer.Option("--hook", help="A hook to implement; give it once for each.")
        ] = None,
        directory: Annotated[Path, typer.Option(help="Where to make the project's folder.")] = Path(),
    ) -> None:
        """Write the project of a new plugin: package, settings, policies, README and tests that pass as they stand."""
        folder = PluginProject(name, hooks or ["screen_instance"]).write(directory)
        typer.echo(f"wrote {folder}; next:")
        for step in (
            f"cd {shlex.quote(str(folder))}",
            "pip install -e '.[test]'",
            "pytest",
            f"rayline plugins check {name}",
        ):
            typer.echo(f"  {step}")
        typer.echo(f"then list it in the site profile, under plugins:\n  - name: {name}")

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
