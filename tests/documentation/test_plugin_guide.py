"""The plugin guide names every hook with its exact signature, and its samples work."""

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rayline import hookspecs
from rayline.discovery import load_plugin
from rayline.hookspecs import DECIDERS, OBSERVERS, REGISTRARS, TRANSFORMERS
from rayline.plugin import PROJECT, Policy

HOOKS = sorted(OBSERVERS | DECIDERS | TRANSFORMERS | REGISTRARS)


@pytest.fixture(scope="module")
def guide(repository: Path) -> str:
    return (repository / "docs/plugins.md").read_text()


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


def _blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def readme_plugin(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The README's plugin, importable as the guide's tests import it."""
    (sample,) = _blocks((repository / "README.md").read_text())
    module = ModuleType("rayline_no_localizers")
    exec(sample, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_the_readmes_plugin_loads(readme_plugin: ModuleType) -> None:
    loaded = load_plugin(readme_plugin, version="1")
    assert [each.hook for each in loaded.implementations] == ["screen_instance"]


@pytest.mark.usefixtures("readme_plugin")
def test_the_guides_tests_pass_on_the_readmes_plugin(guide: str) -> None:
    (tests,) = _blocks(guide)
    namespace: dict[str, Any] = {}
    exec(tests, namespace)
    ran = [value() for name, value in namespace.items() if name.startswith("test_")]
    assert len(ran) == 2
