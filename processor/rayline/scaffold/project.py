"""A new plugin's project: name, hooks and files."""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from rayline.discovery import installed_plugins
from rayline.errors import ConfigurationError
from rayline.scaffold.hooks import SAMPLES

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST_NAME = 40

_PYPROJECT = """\
[build-system]
requires = ["setuptools>=70.1"]
build-backend = "setuptools.build_meta"

[project]
name = "rayline-$verb"
version = "0.1.0"
description = "Rayline plugin: $name"
readme = "README.md"
requires-python = ">=3.11"
dependencies = [$dependencies]

[project.optional-dependencies]
test = ["rayline[testing]"]

[project.entry-points."rayline.plugins"]
$name = "rayline_$name"

[tool.setuptools]
packages = ["rayline_$name"]

[tool.setuptools.package-data]
rayline_$name = ["py.typed"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

_README = """\
# rayline_$name

A Rayline plugin. It implements $hooks.

1. `pip install -e '.[test]'`
2. `pytest`
3. List it in the site profile; what is listed is required, and the processor does not start without it:

       plugins:
         - name: $name
           settings: {}

4. `rayline plugins check $name`, and `rayline plugins list` to see the policies that hold

Each setting is described in `$settings`, in `rayline_$name/__init__.py`.
"""

_MODULE = '''\
"""The $name plugin: say here what it does for the site."""

$imports

api = 1
name = "$name"
$policies

class $settings(BaseModel):
    """Settings of the plugin in the site profile."""

    model_config = ConfigDict(extra="forbid", frozen=True)
$fields

@hookimpl
def settings_model() -> type[BaseModel]:
    """Settings of the plugin."""
    return $settings

$code'''

_TESTS = '''\
"""The plugin keeps Rayline's contract, and does what it is for."""

$imports


def context(**settings: Any) -> InMemoryContext:
    """What a hook gets beside its arguments, with settings as in the site profile."""
    return InMemoryContext(settings=plugin.$settings.model_validate(settings))


def test_the_plugin_keeps_the_contract() -> None:
    check_plugin(plugin)

$tests'''


class PluginProject:
    """The files of a new plugin.

    Args:
        name: lower-case words with underscores; the package is ``rayline_<name>``.
        hooks: what it implements; ``settings_model`` comes by itself.

    Raises:
        ConfigurationError: the name is none or is taken, or a hook does not exist.
    """

    def __init__(self, name: str, hooks: Sequence[str]) -> None:
        if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME or name.startswith("rayline"):
            raise ConfigurationError(
                f"{name!r} is no name for a plugin; use up to {_LONGEST_NAME} lower-case letters, digits and single "
                "underscores, without rayline in front, e.g. no_localizers"
            )
        if name in installed_plugins() or importlib.util.find_spec(f"rayline_{name}") is not None:
            raise ConfigurationError(f"rayline_{name} is installed already; choose another name")
        chosen = [hook for hook in dict.fromkeys(hooks) if hook != "settings_model"]
        if unknown := [hook for hook in chosen if hook not in SAMPLES]:
            raise ConfigurationError(
                f"there is no hook {unknown[0]!r}; choose of {', '.join(sorted([*SAMPLES, 'settings_model']))}"
            )
        self._name = name
        self._samples = {hook: SAMPLES[hook] for hook in chosen}

    def files(self) -> Mapping[str, str]:
        """Contents by path in the project."""
        camel = "".join(word.capitalize() for word in self._name.split("_"))
        verb = self._name.replace("_", "-")
        words = {"name": self._name, "verb": verb, "settings": f"{camel}Settings"}
        package = f"rayline_{self._name}"

        def filled(template: str, **further: str) -> str:
            return Template(Template(template).safe_substitute(further)).substitute(words).rstrip() + "\n"

        samples = self._samples.values()
        dependencies = ["rayline", "pydantic", *(["typer"] if "register_commands" in self._samples else [])]
        return {
            "pyproject.toml": filled(
                _PYPROJECT, dependencies=", ".join(f'"{dependency}"' for dependency in dependencies)
            ),
            "README.md": filled(
                _README, hooks=", ".join(f"`{hook}`" for hook in self._samples) or "no hook but its settings"
            ),
            f"{package}/__init__.py": filled(
                _MODULE,
                imports=self._imports(),
                policies=self._policies(),
                fields="".join(sample.settings for sample in samples),
                code="\n".join(sample.code for sample in samples),
            ),
            f"{package}/py.typed": "",
            f"tests/test_{self._name}.py": filled(
                _TESTS,
                imports=self._test_imports(package),
                tests="\n".join(sample.tests for sample in samples),
            ),
        }

    def write(self, directory: Path) -> Path:
        """Write the project into a new folder of its name.

        Raises:
            ConfigurationError: the folder exists, or cannot be made.
        """
        folder = directory / self._name
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise ConfigurationError(
                f"{folder} exists; choose another --directory, or move it away"
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"{folder} cannot be made ({error.strerror}); choose another --directory"
            ) from None
        for path, content in self.files().items():
            target = folder / path
            target.parent.mkdir(exist_ok=True)
            target.write_text(content, encoding="utf-8")
        return folder

    def _gathered(self, attribute: str) -> set[str]:
        return {name for each in self._samples.values() for name in getattr(each, attribute)}

    def _imports(self) -> str:
        modules = self._gathered("modules")
        fields = ["Field"] if any(each.settings for each in self._samples.values()) else []
        own = "".join(f"import {module}\n" for module in sorted(modules - {"typer"}))
        imports = [
            f"{own}\n" if own else "",
            "import typer\n" if "typer" in modules else "",
            _import_of("pydantic", {"BaseModel", "ConfigDict", *fields}),
            _import_of("rayline.plugin", {"hookimpl", *self._gathered("types"), *self._policy_types()}),
        ]
        return "".join(imports).rstrip()

    def _policy_types(self) -> list[str]:
        return ["Policy"] if any(each.policy for each in self._samples.values()) else []

    def _policies(self) -> str:
        lines = [
            f'    "{hook}": Policy({each.policy}),\n' for hook, each in self._samples.items() if each.policy
        ]
        return "policies = {\n" + "".join(lines) + "}\n" if lines else ""

    def _test_imports(self, package: str) -> str:
        typer = "typer" in self._gathered("modules")
        strategies = self._gathered("strategies")
        imports = [
            "from typing import Any\n\n",
            "import typer\n" if typer else "",
            "from hypothesis import given\n" if strategies else "",
            _import_of("rayline.plugin", self._gathered("test_types")),
            _import_of("rayline.testing", {"InMemoryContext", "check_plugin", *self._gathered("builders")}),
            _import_of("rayline.testing.strategies", strategies),
            "from typer.testing import CliRunner\n" if typer else "",
            f"\nimport {package} as plugin",
        ]
        return "".join(imports)


def _import_of(module: str, names: set[str]) -> str:
    """An import as ruff formats and sorts it: classes, then functions; one a line where they are too many."""
    if not names:
        return ""
    ordered = sorted(names, key=lambda name: (not name[0].isupper(), name))
    line = f"from {module} import {', '.join(ordered)}\n"
    if len(line) <= 89:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")\n"
