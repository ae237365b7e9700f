"""An estate of the test's own, in memory and on the shared local cloud: both must show the same."""

from pathlib import Path

import pytest
from support.in_memory_cloud.cloud import InMemoryCloud
from support.manual_clock import ManualClock
from support.processor_estate import ProcessorEstate


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture(params=["in-memory", "local"])
def estate(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> ProcessorEstate:
    """Names of the test's own; images are stored as received."""
    cloud = InMemoryCloud(clock) if request.param == "in-memory" else request.getfixturevalue("local_cloud")
    return ProcessorEstate(cloud, tmp_path, lease_seconds=60, clock_skew_seconds=20, batch_quiet_seconds=10)
