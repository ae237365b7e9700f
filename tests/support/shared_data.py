"""Where the real images lie, and a loud skip where they do not."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("RAYLINE_DATA", str(ROOT / "../shared/data"))).resolve()


def shared(*parts: str) -> Path:
    """A path in the shared data; the test that asks is skipped, with the reason, where it is absent."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real data absent: no {path}; set RAYLINE_DATA to a folder of the shared layout")
    return path


def part10_files(*parts: str) -> list[Path]:
    """The files under a folder of the shared data that are, or claim to be, DICOM."""
    other = {".jpeg", ".json", ".npz", ".csv", ".md"}
    return sorted(path for path in shared(*parts).rglob("*") if path.is_file() and path.suffix not in other)
