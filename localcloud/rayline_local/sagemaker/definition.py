"""A pipeline definition (schema 2020-12-01): its parameters, its steps, and what their expressions come to.

Source: SageMaker developer guide, "Pipelines JSON schema", and the SDK's own output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

SUPPORTED_STEP_TYPES = ("Processing", "Training", "Condition", "RegisterModel", "Fail")
SUPPORTED_VERSIONS = ("2020-12-01",)

_REFERENCE = re.compile(r"^(Parameters|Execution|Steps)\.(.+)$")
_PATH_PART = re.compile(r"\.?([A-Za-z0-9_-]+)|\['([^']+)'\]|\[\"([^\"]+)\"\]|\[(\d+)\]")


class InvalidDefinition(Exception):
    """The definition or the parameters given to it do not hold together; the message says where."""


class UnresolvedExpression(Exception):
    """An expression names something that has not happened or does not exist."""


@dataclass(frozen=True)
class Parameter:
    """One declared pipeline parameter."""

    name: str
    type: str
    default: Any = None
    enum: tuple[Any, ...] = ()

    def cast(self, text: Any) -> Any:
        """A given value, which the API passes as a string, in the parameter's type.

        Raises:
            InvalidDefinition: it is not of that type, or not one of the allowed values.
        """
        try:
            value = _CASTS[self.type](text)
        except (ValueError, TypeError):
            raise InvalidDefinition(f"parameter {self.name} must be of type {self.type}") from None
        if self.enum and value not in self.enum:
            raise InvalidDefinition(f"parameter {self.name} must be one of {list(self.enum)}")
        return value


def _boolean(value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError(value)
    return str(value).lower() == "true"


_CASTS: Mapping[str, Any] = {"String": str, "Integer": int, "Float": float, "Boolean": _boolean}


@dataclass(frozen=True)
class Step:
    """One step; a condition's branches are steps of their own that wait for it.

    Attributes:
        needs: names of the steps that must have succeeded first.
        chosen_by: the condition step and the outcome under which this step runs.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    needs: frozenset[str]
    property_files: tuple[Mapping[str, str], ...] = ()
    chosen_by: tuple[str, bool] | None = None
    display_name: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class PipelineDefinition:
    """A parsed definition, steps in the order in which they may run."""

    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...]
    property_files: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)

    def parameter_values(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Every parameter's value, given or default, in its type.

        Raises:
            InvalidDefinition: one is missing, unknown or of the wrong type.
        """
        declared = {parameter.name: parameter for parameter in self.parameters}
        if unknown := sorted(set(given) - set(declared)):
            raise InvalidDefinition(f"parameters {unknown} are not declared by the pipeline")
        missing = [name for name, one in declared.items() if name not in given and one.default is None]
        if missing:
            raise InvalidDefinition(f"parameters {missing} do not have default values and are not provided")
        return {name: one.cast(given.get(name, one.default)) for name, one in declared.items()}


def parse_definition(text: str) -> PipelineDefinition:
    """Parse a definition and check that every reference in it can be met.

    Raises:
        InvalidDefinition: not JSON, an unsupported version or step type, a reference to nothing, or a circle.
    """
    try:
        document = json.loads(text)
    except ValueError:
        raise InvalidDefinition("the pipeline definition is not valid JSON") from None
    if not isinstance(document, dict) or document.get("Version") not in SUPPORTED_VERSIONS:
        raise InvalidDefinition(f"the definition's Version must be one of {list(SUPPORTED_VERSIONS)}")
    parameters = tuple(_parameter(entry) for entry in document.get("Parameters", ()))
    steps = tuple(_flatten(document.get("Steps", ()), None, frozenset()))
    names = [step.name for step in steps]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidDefinition(f"step names {repeated} are used twice")
    declared = {parameter.name for parameter in parameters}
    for step in steps:
        if step.type not in SUPPORTED_STEP_TYPES:
            raise InvalidDefinition(f"the local cloud does not run steps of type {step.type} ({step.name})")
        for kind, path in references(step.arguments):
            if kind == "Parameters" and path not in declared:
                raise InvalidDefinition(f"step {step.name} names the undeclared parameter {path}")
        if unknown := sorted(step.needs - set(names)):
            raise InvalidDefinition(
                f"step {step.name} depends on {unknown}, which the pipeline does not have"
            )
    files = {step.name: {entry["PropertyFileName"]: entry for entry in step.property_files} for step in steps}
    return PipelineDefinition(parameters, tuple(_ordered(steps)), files)


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Every ``Get`` in an argument tree, as (``Parameters`` | ``Execution`` | ``Steps``, the rest)."""
    if isinstance(value, Mapping):
        if set(value) == {"Get"} and isinstance(value["Get"], str):
            yield _split_reference(value["Get"])
            return
        for item in value.values():
            yield from references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from references(item)


def _split_reference(text: str) -> tuple[str, str]:
    if not (match := _REFERENCE.match(text)):
        raise InvalidDefinition("a Get must start with Parameters., Execution. or Steps.")
    return match[1], match[2]


def _parameter(entry: Mapping[str, Any]) -> Parameter:
    if entry.get("Type") not in _CASTS:
        raise InvalidDefinition(f"parameter {entry.get('Name')} has no known type")
    return Parameter(
        entry["Name"], entry["Type"], entry.get("DefaultValue"), tuple(entry.get("EnumValues") or ())
    )


def _flatten(
    entries: Sequence[Mapping[str, Any]], chosen_by: tuple[str, bool] | None, inherited: frozenset[str]
) -> Iterator[Step]:
    for entry in entries:
        name, kind, arguments = entry.get("Name"), entry.get("Type"), entry.get("Arguments", {})
        if not isinstance(name, str) or not isinstance(kind, str):
            raise InvalidDefinition("every step needs a Name and a Type")
        own = {key: value for key, value in arguments.items() if key not in ("IfSteps", "ElseSteps")}
        used = {path.partition(".")[0] for place, path in references(own) if place == "Steps"}
        listed = {
            depends["Step"] if isinstance(depends, Mapping) else depends
            for depends in entry.get("DependsOn") or ()
        }
        needs = frozenset(used | listed | inherited)
        yield Step(
            name,
            kind,
            own,
            needs,
            tuple(entry.get("PropertyFiles") or ()),
            chosen_by,
            entry.get("DisplayName"),
            entry.get("Description"),
        )
        if kind == "Condition":
            for branch, outcome in (("IfSteps", True), ("ElseSteps", False)):
                yield from _flatten(arguments.get(branch) or (), (name, outcome), frozenset({name}))


def _ordered(steps: Sequence[Step]) -> Iterator[Step]:
    done: set[str] = set()
    waiting = list(steps)
    while waiting:
        ready = [step for step in waiting if step.needs <= done]
        if not ready:
            raise InvalidDefinition(f"steps {[step.name for step in waiting]} wait for each other")
        yield ready[0]
        done.add(ready[0].name)
        waiting.remove(ready[0])


# --- expressions --------------------------------------------------------------------------------------------


class Facts(Protocol):
    """What an execution knows when it resolves an expression."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Parameter values."""
        ...

    @property
    def execution(self) -> Mapping[str, Any]:
        """Execution variables, e.g. ``PipelineExecutionId``."""
        ...

    def step_properties(self, name: str) -> Mapping[str, Any]:
        """What a finished step's job describes."""
        ...

    def property_file(self, step: str, name: str) -> Any:
        """The parsed content of a step's property file."""
        ...


def resolve(value: Any, facts: Facts) -> Any:
    """An argument tree with every expression replaced by its value.

    Raises:
        UnresolvedExpression: an expression names nothing that exists.
    """
    if isinstance(value, list):
        return [resolve(item, facts) for item in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        ((key, body),) = value.items()
        if key == "Get":
            return _get(body, facts)
        if key == "Std:Join":
            return str(body["On"]).join(_text(resolve(item, facts)) for item in body["Values"])
        if key == "Std:JsonGet":
            return _json_get(body, facts)
    return {key: resolve(item, facts) for key, item in value.items()}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _get(text: str, facts: Facts) -> Any:
    kind, path = _split_reference(text)
    if kind == "Parameters":
        return walk(facts.parameters, path)
    if kind == "Execution":
        return walk(facts.execution, path)
    name, _, rest = path.partition(".")
    return walk(facts.step_properties(name), rest)


def _json_get(body: Mapping[str, Any], facts: Facts) -> Any:
    if "PropertyFile" in body:
        kind, path = _split_reference(body["PropertyFile"]["Get"])
        parts = path.split(".")
        if kind != "Steps" or len(parts) != 3 or parts[1] != "PropertyFiles":
            raise UnresolvedExpression("a PropertyFile must be Steps.<step>.PropertyFiles.<name>")
        return walk(facts.property_file(parts[0], parts[2]), body["Path"])
    raise UnresolvedExpression("the local cloud resolves Std:JsonGet of property files only")


def walk(document: Any, path: str) -> Any:
    """Follow ``a.b['c'][0]`` into a document; lists of named outputs may be entered by name.

    Raises:
        UnresolvedExpression: there is nothing at that path.
    """
    position = 0
    here = document
    while position < len(path):
        match = _PATH_PART.match(path, position)
        if match is None:
            raise UnresolvedExpression(f"the path {path} is not understood")
        position = match.end()
        name = match[1] or match[2] or match[3]
        try:
            here = here[int(match[4])] if name is None else here[name]
        except (KeyError, IndexError, TypeError):
            raise UnresolvedExpression(f"there is nothing at {path}") from None
    return here


def evaluate_conditions(conditions: Sequence[Mapping[str, Any]], facts: Facts) -> bool:
    """Whether every condition of a list holds.

    Raises:
        UnresolvedExpression: an operand names nothing, or a condition type is unknown.
    """
    return all(_holds(condition, facts) for condition in conditions)


def _holds(condition: Mapping[str, Any], facts: Facts) -> bool:
    kind = condition["Type"]
    if kind == "Not":
        return not _holds(condition["Expression"], facts)
    if kind == "Or":
        return any(_holds(one, facts) for one in condition["Conditions"])
    if kind == "In":
        return bool(
            resolve(condition["QueryValue"], facts) in [resolve(one, facts) for one in condition["Values"]]
        )
    left, right = resolve(condition["LeftValue"], facts), resolve(condition["RightValue"], facts)
    if kind == "Equals":
        return bool(left == right)
    try:
        if kind == "GreaterThan":
            return bool(left > right)
        if kind == "GreaterThanOrEqualTo":
            return bool(left >= right)
        if kind == "LessThan":
            return bool(left < right)
        if kind == "LessThanOrEqualTo":
            return bool(left <= right)
    except TypeError:
        raise UnresolvedExpression(f"{kind} cannot compare values of different types") from None
    raise UnresolvedExpression(f"the condition type {kind} is not known")
