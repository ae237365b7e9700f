"""The files that a run is asked to de-identify: named ones, those below folders, and those that patterns match."""

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rayline.plugin import ConfigurationError


class Input(NamedTuple):
    """One path to be read, which may turn out to be unreadable.

    Attributes:
        path: as it was named or found.
        relative: its place below the folder that was named; its own name where it was named itself.
    """

    path: str
    relative: str


def find_inputs(arguments: Sequence[str], output: str) -> list[Input]:
    """Everything that the arguments mean, each path once, in an order that depends on names alone.

    Links are followed; a folder that is reached twice is walked once, so that no loop has to end. What lies in
    the output folder is no input.

    Raises:
        ConfigurationError: an argument names nothing, or the output folder itself.
    """
    output_identity = _identity(output)
    found: dict[str, Input] = {}
    for argument in arguments:
        for path in _named(argument):
            if os.path.isdir(path):
                if output_identity is not None and _identity(path) == output_identity:
                    raise ConfigurationError("the output folder is also an input; name another one")
                for file in _below(path, {output_identity} if output_identity else set()):
                    found.setdefault(file, Input(file, os.path.relpath(file, path)))
            else:
                found.setdefault(path, Input(path, os.path.basename(path)))
    return list(found.values())


def _named(argument: str) -> list[str]:
    if os.path.lexists(argument):
        return [argument]
    if glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True, include_hidden=True))
        # `**` matches a folder and what is in it; the folder alone would add the rest again.
        files = [path for path in matches if not os.path.isdir(path)]
        if matches:
            return files or matches
        raise ConfigurationError(f"no file matches {argument}")
    raise ConfigurationError(f"no file or folder {argument}")


def _below(folder: str, visited: set[tuple[int, int]]) -> Iterator[str]:
    """Paths of all that is no folder; a folder that cannot be listed is handed on itself."""
    identity = _identity(folder)
    if identity is None or identity in visited:
        return
    visited.add(identity)
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        yield folder
        return
    for entry in ordered:
        try:
            is_folder = entry.is_dir()
        except OSError:  # a link to itself
            is_folder = False
        if is_folder:
            yield from _below(entry.path, visited)
        else:
            yield entry.path


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
