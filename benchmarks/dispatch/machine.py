"""The machine and the versions under measurement."""

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path

_PACKAGES = ("rayline", "boto3", "botocore", "aws-lambda-powertools", "ministack")


@dataclass(frozen=True)
class Machine:
    """Where and with what was measured; ``load_average`` is the last minute's, before the first round."""

    system: str
    processor: str
    cores: int
    load_average: float
    python: str
    versions: dict[str, str]

    @classmethod
    def look(cls) -> "Machine":
        """This machine, now."""
        return cls(
            system=platform.platform(),
            processor=_processor(),
            cores=len(os.sched_getaffinity(0)),
            load_average=round(os.getloadavg()[0], 2),
            python=platform.python_version(),
            versions={name: importlib.metadata.version(name) for name in _PACKAGES},
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
