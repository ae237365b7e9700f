"""What ``rayline plugins check`` does: the conformance suite over the plugins of a site."""

import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from multiprocessing.connection import Connection
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from rayline.discovery import import_plugin, installed_plugins, not_installed, version_of
from rayline.errors import ConfigurationError
from rayline.profile import PluginProfile, SiteProfile
from rayline.testing.conformance import examine
from rayline.testing.findings import Finding, FindingCode
from rayline.testing.probe import offline

_LIMIT_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Checked:
    """One plugin and what was found."""

    plugin: str
    version: str
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """Name, version and findings."""
        return {
            "plugin": self.plugin,
            "version": self.version,
            "findings": [finding.as_json() for finding in self.findings],
        }


def check_plugins(
    profile: SiteProfile, names: Iterable[str] = (), *, everything: bool = False
) -> list[Checked]:
    """Run the suite over plugins, each with its settings and policies of the site profile.

    Args:
        names: only these; a plugin that the site does not list runs with its defaults.
        everything: every installed plugin beside those that the site lists.
    """
    installed = installed_plugins()
    wanted = {each.name: each for each in profile.plugins}
    chosen = list(dict.fromkeys(names)) or [
        *wanted,
        *(sorted(set(installed) - set(wanted)) if everything else ()),
    ]
    checked = []
    for name in chosen:
        entry = wanted.get(name, PluginProfile(name=name))
        if name in installed:
            version = version_of(installed[name])
            checked.append(Checked(name, version, tuple(_examine_apart(name, entry))))
        elif entry.required:
            finding = Finding(name, "", FindingCode.NOT_INSTALLED, not_installed(name, installed))
            checked.append(Checked(name, "", (finding,)))
    return checked


def _examine_apart(name: str, entry: PluginProfile) -> list[Finding]:
    """Examine an installed plugin in a process of its own, which it may take down, block or print to."""
    spawning = multiprocessing.get_context("spawn")
    receiving, sending = spawning.Pipe(duplex=False)
    process = spawning.Process(target=_examine_here, args=(sending, name, entry), daemon=True)
    process.start()
    sending.close()
    try:
        if not receiving.poll(_LIMIT_SECONDS):
            return [Finding(name, "", FindingCode.TOO_SLOW, f"the suite took more than {_LIMIT_SECONDS:g} s")]
        answer = receiving.recv()
    except EOFError:
        process.join()
        return [
            Finding(name, "", FindingCode.CRASHED, f"the process ended with exit code {process.exitcode}")
        ]
    finally:
        process.kill()
        process.join()
        receiving.close()
    if isinstance(answer, ConfigurationError):
        raise answer
    findings: list[Finding] = answer
    return findings


def _examine_here(sending: Connection, name: str, entry: PluginProfile) -> None:
    # Standard output is the report's; a plugin that prints as it is imported must not end up in it.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    answer: list[Finding] | ConfigurationError
    try:
        answer = list(_examine(installed_plugins()[name], entry))
    except ConfigurationError as error:
        answer = error
    sys.stdout.flush()  # the process is killed once it has answered
    sending.send(answer)


def _examine(entry_point: EntryPoint, entry: PluginProfile) -> Iterator[Finding]:
    with offline() as wanted:
        try:
            plugin = import_plugin(entry_point)
        except ConfigurationError as error:
            plugin = None
            yield Finding(entry.name, "", FindingCode.NOT_LOADABLE, str(error))
    if wanted:
        yield Finding(entry.name, "", FindingCode.OPENS_CONNECTION, f"as it was imported, to {wanted[0]}")
    if plugin is not None:
        yield from examine(plugin, profile=entry)


def table_of(checked: Iterable[Checked]) -> Table:
    """A row for each finding, and one for each plugin without any."""
    table = Table("plugin", "version", "finding", "hook", "what was seen, and what to do", show_lines=True)
    for each in checked:
        for finding in each.findings:
            seen = f"{finding.explanation}\n{finding.fix}"
            table.add_row(each.plugin, each.version, finding.code.value, finding.hook, escape(seen))
        if not each.findings:
            table.add_row(each.plugin, each.version, "none", "", "")
    return table
