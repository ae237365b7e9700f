"""An estate of the test's own on the shared local cloud."""

from pathlib import Path

import pytest
from support.local_cloud import LocalCloud
from support.manual_clock import ManualClock
from support.processor_estate import ProcessorEstate


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def estate(local_cloud: LocalCloud, tmp_path: Path) -> ProcessorEstate:
    """Names of the test's own; images are stored as received."""
    return ProcessorEstate(
        local_cloud, tmp_path, lease_seconds=60, clock_skew_seconds=20, batch_quiet_seconds=10
    )
