"""Reads container files: stages, and their instructions with continued lines joined."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Instruction:
    """One instruction, e.g. ``RUN`` and its command in one line."""

    keyword: str
    value: str


@dataclass(frozen=True)
class Stage:
    """One stage: its name, what it stands on, and its instructions."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


def read_dockerfile(text: str) -> list[Stage]:
    """The stages in order; what stands before the first one is left out."""
    found: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.keyword == "FROM":
            base, _, name = re.split(r"\s+(AS)\s+", instruction.value)
            found.append(Stage(name, base, ()))
        elif found:
            stage = found[-1]
            found[-1] = Stage(stage.name, stage.base, (*stage.instructions, instruction))
    return found


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    joined = ""
    for line in lines:
        joined += line.removesuffix("\\")
        if not line.endswith("\\"):
            keyword, _, value = joined.partition(" ")
            yield Instruction(keyword, " ".join(value.split()))
            joined = ""
