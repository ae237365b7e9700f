"""Reads a stack's settings from Pulumi config and reports every problem at once, each with its name."""

import difflib
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from rayline_infra.settings.section import NAMESPACE, Section, as_text, full_name

S = TypeVar("S", bound=Section)


class Reader:
    """Reads section by section and keeps the problems, so that one run tells all of them."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._known: set[str] = set()

    def read(self, section: type[S]) -> S:
        """The section; where it has problems, one without checks, which nobody may use."""
        fields = section.settings()
        self._known |= set(fields)
        values = {
            str(field.alias): raw for name, field in fields.items() if (raw := _configured(name)) is not None
        }
        try:
            read = section.model_validate(values)
        except ValidationError as error:
            self.problems += _problems(error, fields)
            return section.model_construct(None, **values)
        self.problems += [
            _wrong(full_name(name), reason, fields[full_name(name)]) for name, reason in read.problems()
        ]
        return read

    def refuse(self, section: type[Section], name: str, reason: str) -> None:
        """Report a setting that is wrong beside one of another section."""
        self.problems.append(_wrong(full_name(name), reason, section.settings()[full_name(name)]))

    def refuse_unknown(self) -> None:
        """Report settings of ours that no section has: a misspelled one would silently decide nothing."""
        for name in sorted(_names() - self._known):
            near = difflib.get_close_matches(name, self._known, n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it"
            self.problems.append(f"{name} is no setting; {hint}")


def _configured(name: str) -> str | None:
    namespace, _, key = name.partition(":")
    return pulumi.Config(namespace).get(key) or None


def _names() -> set[str]:
    found: Mapping[str, Any] = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    return {name for name in found if name.startswith(f"{NAMESPACE}:")}


def _problems(error: ValidationError, fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    for each in error.errors():
        name = full_name(str(each["loc"][0]))
        if each["type"] == "missing":
            yield f"{name} is missing; set it: {_command(name, fields[name])}"
        else:
            yield _wrong(name, each["msg"].removeprefix("Value error, "), fields[name])


def _wrong(name: str, reason: str, field: FieldInfo) -> str:
    return f"{name} is wrong: {reason[:1].lower()}{reason[1:]}; for example: {_command(name, field)}"


def _command(name: str, field: FieldInfo) -> str:
    (example,) = field.examples or ("",)
    # Without it Pulumi writes into the file of whatever stack is selected.
    return f"pulumi config set {name} {shlex.quote(as_text(example))} --stack {pulumi.get_stack()}"
