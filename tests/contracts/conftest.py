"""Each contract holds of the in-memory cloud and of the local cloud alike."""

from pathlib import Path
from typing import Any

import pytest
from support.in_memory_cloud.cloud import InMemoryCloud
from support.local_cloud import LocalCloud
from support.manual_clock import ManualClock
from support.processor_estate import ProcessorEstate


@pytest.fixture
def clock() -> ManualClock:
    """The adapters' clock; SQS of the local cloud has its own."""
    return ManualClock()


@pytest.fixture(params=["in-memory", "local"])
def cloud(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """Where the contract is held."""
    if request.param == "in-memory":
        return InMemoryCloud(clock)
    return request.getfixturevalue("local_cloud")


@pytest.fixture
def estate(cloud: InMemoryCloud | LocalCloud, tmp_path: Path) -> ProcessorEstate:
    """Queue, tables, buckets and bus of the test's own."""
    return ProcessorEstate(cloud, tmp_path, lease_seconds=60, clock_skew_seconds=20, batch_quiet_seconds=10)
