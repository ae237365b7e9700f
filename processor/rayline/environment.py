"""What is read of the environment by commands that need no settings, without the weight of those."""

import os
from pathlib import Path

from rayline.errors import ConfigurationError

ENVIRONMENT_PREFIX = "RAYLINE_"
SECRET_PREFIX = "RAYLINE_SECRET_"  # noqa: S105 - the name of a prefix
DEFAULT_ENVIRONMENT_FILE = Path(".rayline/env")


def environment_secret(name: str) -> bytes | None:
    """A secret as ECS injects it, ``deid`` from ``RAYLINE_SECRET_DEID``; None where it is absent or empty."""
    return os.environ.get(SECRET_PREFIX + name.upper(), "").encode("utf-8") or None


def load_environment_file(path: Path | None = None) -> Path | None:
    """Add the variables of a dotenv file to the environment, without overriding what is set.

    The file is ``path``, else ``$RAYLINE_ENV_FILE``, else ``.rayline/env`` where that exists. Inside a task,
    whose definition sets ``RAYLINE_QUEUE_URL``, the default file is left alone.

    Raises:
        ConfigurationError: a file was named that does not exist.
    """
    named = path or (Path(os.environ["RAYLINE_ENV_FILE"]) if os.environ.get("RAYLINE_ENV_FILE") else None)
    if named is None and os.environ.get("RAYLINE_QUEUE_URL"):
        return None
    file = named or DEFAULT_ENVIRONMENT_FILE
    if not file.exists():
        if named is not None:
            raise ConfigurationError(f"no environment file at {file}; run `rayline local up` to write one")
        return None
    # Imported late: most commands find no such file.
    from dotenv import dotenv_values

    for name, value in dotenv_values(file).items():
        if value is not None:
            os.environ.setdefault(name, value)
    return file
