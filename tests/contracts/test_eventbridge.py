"""EventBridge: what PutEvents takes and what it refuses with a 200, as the outbox relies on it."""

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from support.in_memory_cloud.cloud import InMemoryCloud
from support.manual_clock import ManualClock


@pytest.fixture
def bus(cloud: Any) -> tuple[Any, str]:
    client = cloud.client("events")
    name = f"contract-{uuid.uuid4().hex[:12]}"
    client.create_event_bus(Name=name)
    return client, name


def entry(bus: str, **changes: Any) -> dict[str, Any]:
    return {
        "EventBusName": bus,
        "Source": "rayline.processor",
        "DetailType": "ModelApproved",
        "Detail": json.dumps({"site": "x"}),
        **changes,
    }


def test_each_entry_has_its_own_answer(bus: tuple[Any, str]) -> None:
    client, name = bus
    answer = client.put_events(Entries=[entry(name), entry(name)])
    assert answer["FailedEntryCount"] == 0
    assert answer["Entries"][0]["EventId"] != answer["Entries"][1]["EventId"]


def test_an_entry_that_fails_does_not_fail_the_call(clock: ManualClock) -> None:
    """As AWS does; the local cloud takes every entry."""
    cloud = InMemoryCloud(clock)
    cloud.client("events").create_event_bus(Name="own")
    cloud.events.refuse = lambda given: given["DetailType"] == "B"
    entries = [entry("own"), entry("own", Detail="no json"), entry("own", DetailType="B"), entry("own")]
    answer = cloud.client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 2
    assert ["ErrorCode" in each for each in answer["Entries"]] == [False, True, True, False]
    assert len(cloud.events.taken) == 2


def test_a_call_has_one_to_ten_entries(bus: tuple[Any, str]) -> None:
    client, name = bus
    for number in (0, 11):
        with pytest.raises((ClientError, ParamValidationError)):
            client.put_events(Entries=[entry(name)] * number)
    assert client.put_events(Entries=[entry(name)] * 10)["FailedEntryCount"] == 0
