"""The plugin guide names every hook, policy field and finding, and every block of code in it works."""

import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support.verbs import every_verb

from rayline import hookspecs
from rayline.cli.plugin_checks import check_plugins
from rayline.hookspecs import DECIDERS, OBSERVERS, REGISTRARS, TRANSFORMERS
from rayline.plugin import PROJECT, Context, Policy
from rayline.profile import SiteProfile
from rayline.scaffold import PluginProject
from rayline.testing import check_plugin, findings
from rayline.testing.findings import FindingCode

HOOKS = sorted(OBSERVERS | DECIDERS | TRANSFORMERS | REGISTRARS)


@dataclass(frozen=True)
class Block:
    """A block of code of a page; `path` is what its first line says, if it is a comment."""

    language: str
    text: str

    @property
    def path(self) -> str:
        first = self.text.partition("\n")[0]
        return first.removeprefix("# ") if first.startswith("# ") else ""


def blocks_of(page: Path, language: str) -> list[Block]:
    found = re.findall(r"```(\w+)\n(.*?)```", page.read_text(), flags=re.DOTALL)
    return [Block(kind, text) for kind, text in found if kind == language]


@pytest.fixture(scope="module")
def page(repository: Path) -> Path:
    return repository / "docs/plugins.md"


@pytest.fixture(scope="module")
def guide(page: Path) -> str:
    return page.read_text()


# -- the reference


def test_every_specified_hook_is_of_one_kind() -> None:
    specified = {name for name, value in vars(hookspecs).items() if hasattr(value, f"{PROJECT}_spec")}
    assert specified == set(HOOKS)
    assert len(HOOKS) == len(OBSERVERS) + len(DECIDERS) + len(TRANSFORMERS) + len(REGISTRARS)


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_documented_with_its_signature(hook: str, guide: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"| `{hook}({arguments})` |" in guide


@pytest.mark.parametrize("field", sorted(Policy.model_fields))
def test_each_policy_field_is_documented(field: str, guide: str) -> None:
    assert f"| `{field}` |" in guide


def test_each_part_of_the_context_is_documented(guide: str) -> None:
    parts = [name for name in vars(Context) if not name.startswith("_")]
    assert len(parts) == 7
    for part in parts:
        assert re.search(rf"^\| `context\.{part}[(`]", guide, flags=re.MULTILINE), part


@pytest.mark.parametrize("code", list(FindingCode))
def test_each_finding_is_documented_as_the_code_explains_it(code: FindingCode, guide: str) -> None:
    source = inspect.getsource(findings)
    (meaning,) = re.findall(rf"    # ([^\n]+)\n    {code.name} = ", source)
    assert f"| `{code.value}` | {meaning} |" in guide


# -- its code


@pytest.fixture(scope="module")
def plugins(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that the guide makes, with the guide's own files in it, and its further plugins beside."""
    folder = PluginProject("only_chest", ["screen_instance"]).write(tmp_path_factory.mktemp("guide"))
    for block in blocks_of(page, "python"):
        target = folder / block.path
        target.parent.mkdir(exist_ok=True)
        target.write_text(block.text)
    return folder


def test_every_python_block_says_which_file_it_is(page: Path) -> None:
    paths = [block.path for block in blocks_of(page, "python")]
    assert len(paths) == len(set(paths)) >= 6
    assert all(path.endswith(".py") for path in paths)


def test_the_guides_tests_pass(plugins: Path) -> None:
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=plugins,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(plugins)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert "6 passed" in tested.stdout


def test_the_guides_plugins_keep_the_contract(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(plugins))
    packages = sorted(path.parent.name for path in plugins.glob("rayline_*/__init__.py"))
    assert len(packages) == 4
    for package in packages:
        plugin = importlib.import_module(package)
        assert package == f"rayline_{plugin.name}"
        check_plugin(plugin)


def test_the_entry_point_is_the_one_that_new_writes(page: Path, plugins: Path) -> None:
    (block,) = blocks_of(page, "toml")
    said = tomllib.loads(block.text)["project"]["entry-points"]
    assert said == tomllib.loads((plugins / "pyproject.toml").read_text())["project"]["entry-points"]


def test_the_site_profile_is_one(page: Path, plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks_of(page, "yaml")
    profile = SiteProfile.model_validate(yaml.safe_load(block.text))
    dist_info = plugins / "rayline_only_chest-0.1.0.dist-info"
    dist_info.mkdir(exist_ok=True)
    (dist_info / "METADATA").write_text("Metadata-Version: 2.1\nName: rayline-only-chest\nVersion: 0.1.0\n")
    (dist_info / "entry_points.txt").write_text("[rayline.plugins]\nonly_chest = rayline_only_chest\n")
    monkeypatch.syspath_prepend(str(plugins))
    assert {each.plugin: each.findings for each in check_plugins(profile)} == {"deid": (), "only_chest": ()}


def test_the_commands_exist_with_their_options(page: Path, repository: Path) -> None:
    root = every_verb()
    lines = [line for block in blocks_of(page, "console") for line in block.text.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    ran = [line.split()[2:] for line in lines if line.startswith("$ rayline ")]
    ran += [
        re.sub(r"`.*", "", text).split() for text in re.findall(r"`rayline ([a-z -]+)`", page.read_text())
    ]
    assert len(ran) >= 8
    for words in ran:
        command = root
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert command is not root
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
        assert all((repository / word).is_file() for word in words if word.endswith(".yaml"))


# -- the README


def test_the_readmes_plugin_keeps_the_contract(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sample,) = blocks_of(repository / "README.md", "python")
    (tmp_path / "rayline_no_localizers.py").write_text(sample.text)
    monkeypatch.syspath_prepend(str(tmp_path))
    check_plugin(importlib.import_module("rayline_no_localizers"))
