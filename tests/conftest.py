"""Fixtures for every test."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["support.local_cloud", "support.dcmtk"]

# The same examples everywhere, so that a red run can be repeated; `nightly` searches further.
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data(repository: Path) -> Path:
    """The real images; a test that needs them skips, with the reason shown, where they are absent."""
    root = Path(os.environ.get("RAYLINE_DATA") or repository / "../shared/data").resolve()
    if not (root / "MANIFEST.csv").exists():
        pytest.skip(f"no real images at {root}; set RAYLINE_DATA to run this on real data")
    return root
