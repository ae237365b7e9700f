"""What can be said of a plugin without calling its hooks: its imports, its policies, the words on its settings."""

import ast
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from rayline.discovery import LoadedPlugin
from rayline.hookspecs import OBSERVERS, REGISTRARS
from rayline.plugin import Policy
from rayline.testing.findings import FindingCode

_ALLOWED_IMPORTS: Final = ("rayline.plugin", "rayline.testing")
_OUR_PACKAGES: Final = frozenset({"rayline", "rayline_training", "rayline_infra", "rayline_local"})

# SQS: a message can be held for 12 hours in all. What an upload's stage asks has that stage's 15 minutes.
_LONGEST_OBSERVER_SECONDS: Final = 43_200.0
_LONGEST_ANSWER_SECONDS: Final = 900.0

# Hooks whose arguments hold nothing that identifies a patient.
_WITHOUT_PHI: Final = frozenset(
    {"on_trained", "on_evaluated", "on_ingested", "approve_model", "destinations"}
)

Found = Iterator[tuple[str, FindingCode, str]]


def top_level_package(plugin: Any) -> str:
    """The package that a plugin belongs to, e.g. ``rayline_deid``."""
    module = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
    return str(module).partition(".")[0]


def _sources(plugin: Any) -> list[Path]:
    top = sys.modules.get(top_level_package(plugin))
    if top is None:
        return []
    folders = [Path(folder) for folder in getattr(top, "__path__", ())]
    if folders:
        return sorted(path for folder in folders for path in folder.rglob("*.py"))
    file = getattr(top, "__file__", None)
    return [Path(file)] if file else []


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module in _OUR_PACKAGES:
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module, node.lineno
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value, node.lineno


def foreign_imports(plugin: Any) -> Found:
    """Imports of Rayline beside the contract, wherever in the plugin's package they stand."""
    for path in _sources(plugin):
        for module, line in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            if module.partition(".")[0] not in _OUR_PACKAGES:
                continue
            if not any(module == allowed or module.startswith(f"{allowed}.") for allowed in _ALLOWED_IMPORTS):
                yield "", FindingCode.FOREIGN_IMPORT, f"{path.name}:{line} imports {module}"


def policies_not_sensible(plugin: Any, loaded: LoadedPlugin) -> Found:
    """Policies that load, and yet cannot be meant."""
    declared: Mapping[str, Policy] = getattr(plugin, "policies", {})
    implemented = {each.hook: each.policy for each in loaded.implementations}
    for hook in sorted(set(declared) - set(implemented)):
        yield hook, FindingCode.POLICY_NOT_SENSIBLE, "it has a policy, but the plugin does not implement it"
    for hook, policy in implemented.items():
        if hook in REGISTRARS:
            if hook in declared:
                yield hook, FindingCode.POLICY_NOT_SENSIBLE, "it runs once, at start; no policy applies to it"
            continue
        for problem in _problems_of(hook, policy):
            yield hook, FindingCode.POLICY_NOT_SENSIBLE, problem


def _problems_of(hook: str, policy: Policy) -> Iterator[str]:
    longest = _LONGEST_OBSERVER_SECONDS if hook in OBSERVERS else _LONGEST_ANSWER_SECONDS
    if policy.timeout_seconds > longest:
        yield (
            f"timeout_seconds is {policy.timeout_seconds:g}, but the event's message is held for at most "
            f"{longest:g} s in this hook"
        )
    if hook in ("screen_instance", "accept_verification") and policy.on_failure == "ignore":
        yield "on_failure is ignore, so that whatever makes it fail is let in"
    if hook in _WITHOUT_PHI and policy.sees_phi:
        yield "it asks to see PHI, but its arguments hold none; leave sees_phi out"


def settings_problems(loaded: LoadedPlugin, given: Mapping[str, Any]) -> Found:
    """Settings that nobody explains, and a model that swallows misspelled ones."""
    registrar = next((each for each in loaded.implementations if each.hook == "settings_model"), None)
    if registrar is None:
        return
    model: type[BaseModel] = registrar.call({})
    for each, name in _undocumented(model, set()):
        yield (
            "settings_model",
            FindingCode.SETTING_NOT_DOCUMENTED,
            f"{each.__name__}.{name} has no word on it",
        )
    try:
        model.model_validate({**given, "qz_no_such_setting": 1})
    except ValidationError:
        return
    yield "settings_model", FindingCode.SETTINGS_TAKE_ANYTHING, f"{model.__name__} takes an unknown setting"


def _undocumented(
    model: type[BaseModel], seen: set[type[BaseModel]]
) -> Iterator[tuple[type[BaseModel], str]]:
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        if not field.description and not re.search(
            rf"^\s*(\w+, )*{name}(, \w+)*: ", model.__doc__ or "", re.M
        ):
            yield model, name
        for inner in _models_in(field.annotation):
            yield from _undocumented(inner, seen)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
