"""Every plugin of ours keeps the contract, with the settings of a site and without any."""

import importlib
import tomllib
from types import ModuleType

import pytest
from support.shared_data import ROOT

from rayline.discovery import installed_plugins
from rayline.testing import check_plugin
from rayline.testing.conformance import ContractBroken
from rayline.testing.findings import FindingCode

PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))
SETTINGS = {
    "approval": {"gates": {"accuracy": {"approve_at": 0.9, "reject_below": 0.85}}},
    "deid": {"secret": "deid"},
    "pacs_forward": {"destinations": [{"name": "a", "ae_title": "A", "host": "h", "port": 104}]},
}


def plugin_in(folder: str) -> ModuleType:
    """The plugin that a folder's project names by its entry point."""
    project = tomllib.loads((ROOT / "plugins" / folder / "pyproject.toml").read_text())["project"]
    ((name, module),) = project["entry-points"]["rayline.plugins"].items()
    plugin = importlib.import_module(module)
    assert name == plugin.name
    return plugin


def test_each_folder_is_an_installed_plugin() -> None:
    assert set(PLUGINS) <= set(installed_plugins())
    assert set(SETTINGS) <= set(PLUGINS)


@pytest.mark.parametrize("folder", PLUGINS)
def test_a_plugin_keeps_the_contract_without_settings(folder: str) -> None:
    check_plugin(plugin_in(folder))


@pytest.mark.parametrize("folder", sorted(SETTINGS))
def test_a_plugin_keeps_the_contract_with_settings(folder: str) -> None:
    check_plugin(plugin_in(folder), SETTINGS[folder])


@pytest.mark.parametrize("folder", PLUGINS)
def test_a_misspelled_setting_is_refused(folder: str) -> None:
    with pytest.raises(ContractBroken) as caught:
        check_plugin(plugin_in(folder), {"no_such_setting": 1})
    assert [finding.code for finding in caught.value.findings] == [FindingCode.NOT_LOADABLE]
