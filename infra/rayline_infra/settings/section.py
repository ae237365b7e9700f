"""What a section of settings is: typed fields, each of them one flat setting with its meaning and an example."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

NAMESPACE = "rayline"
_REQUIRED: Any = object()


class Section(BaseModel):
    """Settings that belong together; a subclass holds nothing but ``setting`` fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Settings that are well alone but wrong beside others, each with the reason."""
        return iter(())

    @classmethod
    def settings(cls) -> dict[str, FieldInfo]:
        """The fields by the full name of their setting, e.g. ``rayline:site``."""
        return {full_name(str(field.alias)): field for field in cls.model_fields.values()}


def setting(name: str, description: str, example: object, default: Any = _REQUIRED, **bounds: Any) -> Any:
    """Declare a setting.

    Args:
        name: what stands in ``Pulumi.<stack>.yaml`` after ``rayline:``; a name with a colon stands as it is.
        description: one sentence that says what it decides, with its unit.
        example: a value that works.
        default: what holds where the stack does not say; left out where only the site can know.
        bounds: what ``pydantic.Field`` takes: ``ge``, ``le``, ``pattern`` …
    """
    if default is not _REQUIRED:
        bounds["default"] = default
    return Field(alias=name, description=description, examples=[example], **bounds)


def full_name(name: str) -> str:
    """The name of a setting with its namespace."""
    return name if ":" in name else f"{NAMESPACE}:{name}"


def as_text(value: object) -> str:
    """A value as it is set: ``pulumi config set rayline:site <text>``."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value)


def _flag(value: object) -> object:
    if value in ("true", "false"):
        return value == "true"
    if isinstance(value, bool):
        return value
    raise ValueError("it must be true or false")


def _list(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        raise ValueError("it must be a list") from None
    if not isinstance(found, list):
        raise ValueError("it must be a list")
    return tuple(found)


# Pulumi hands every setting over as text, a list as JSON.
Flag = Annotated[bool, BeforeValidator(_flag)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_list)]
Integers = Annotated[tuple[int, ...], BeforeValidator(_list)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(_list)]
