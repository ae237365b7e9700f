"""Who may import whom, for the projects that import-linter does not know because they can be deleted."""

import ast
from pathlib import Path

import pytest

ALLOWED = {"rayline.plugin", "rayline.testing"}


def imported_modules(path: Path) -> set[str]:
    """Every module that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def _sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if ".venv" not in path.parts)


def test_plugins_import_the_contract_and_themselves_only(repository: Path) -> None:
    plugins = sorted(path.parent for path in (repository / "plugins").glob("*/pyproject.toml"))
    assert plugins, "no plugin found"
    for plugin in plugins:
        own = {path.name for path in plugin.iterdir() if path.name.startswith("rayline_")}
        for source in _sources(plugin):
            ours = {name for name in imported_modules(source) if name.split(".")[0].startswith("rayline")}
            strange = {
                name
                for name in ours
                if name.split(".")[0] not in own
                and not any(name == a or name.startswith(f"{a}.") for a in ALLOWED)
            }
            assert not strange, f"{source.relative_to(repository)} imports {sorted(strange)}"


@pytest.mark.parametrize("project", ["processor", "training", "infra", "localcloud"])
def test_nothing_imports_a_plugin(project: str, repository: Path) -> None:
    plugins = {path.name for path in (repository / "plugins").glob("*/rayline_*")}
    assert plugins
    for source in _sources(repository / project):
        assert not {name.split(".")[0] for name in imported_modules(source)} & plugins, source.relative_to(
            repository
        )
