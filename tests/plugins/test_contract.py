"""Each plugin keeps the contract that the processor checks at start-up, and imports nothing else of ours."""

import ast
import importlib
import tomllib

import pytest
from support.shared_data import ROOT

from rayline.plugin import ConfigurationError
from rayline.testing import check_plugin

PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))
SETTINGS = {
    "approval": {"gates": {"accuracy": {"approve_at": 0.9, "reject_below": 0.85}}},
    "deid": {"secret": "deid"},
    "pacs_forward": {"destinations": [{"name": "a", "ae_title": "A", "host": "h", "port": 104}]},
}


@pytest.mark.parametrize("folder", PLUGINS)
def test_a_plugin_loads_with_and_without_settings(folder: str) -> None:
    project = tomllib.loads((ROOT / "plugins" / folder / "pyproject.toml").read_text())["project"]
    ((name, module),) = project["entry-points"]["rayline.plugins"].items()
    plugin = importlib.import_module(module)
    assert check_plugin(plugin).name == name == plugin.name
    assert check_plugin(plugin, SETTINGS.get(folder)).implementations
    with pytest.raises(ConfigurationError):
        check_plugin(plugin, {"no_such_setting": 1})


@pytest.mark.parametrize("folder", PLUGINS)
def test_a_plugin_imports_the_contract_only(folder: str) -> None:
    allowed = ("rayline.plugin", "rayline.testing", f"rayline_{folder}")
    for path in (ROOT / "plugins" / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            ours = [each for each in names if each.split(".")[0].startswith("rayline")]
            assert all(
                any(each == root or each.startswith(f"{root}.") for root in allowed) for each in ours
            ), path
