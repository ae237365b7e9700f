"""The benchmark's own arithmetic: what counts as a write, as a quantile, as handled once."""

import http.client
import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from support.local_cloud import REGION, LocalCloud
from support.processor_estate import create_table

from benchmarks.dispatch import training_events
from benchmarks.dispatch.rounds import quantile
from benchmarks.dispatch.write_counter import WriteCounter, written_tables
from rayline.envelopes import parse_message
from rayline.events import Trained
from rayline_infra.components.tracking import KeySchema


@pytest.mark.parametrize(
    ("operation", "request_body", "expected"),
    [
        ("GetItem", {"TableName": "t"}, []),
        ("Query", {"TableName": "t"}, []),
        ("PutItem", {"TableName": "t"}, ["t"]),
        ("UpdateItem", {"TableName": "t"}, ["t"]),
        ("DeleteItem", {"TableName": "t"}, ["t"]),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "a"}},
                    {"Update": {"TableName": "b"}},
                    {"Delete": {"TableName": "b"}},
                    {"ConditionCheck": {"TableName": "a"}},
                ]
            },
            ["a", "b", "b", "ConditionCheck"],
        ),
        ("BatchWriteItem", {"RequestItems": {"a": [{}, {}], "b": [{}]}}, ["a", "a", "b"]),
    ],
)
def test_every_item_of_a_write_counts(
    operation: str, request_body: dict[str, Any], expected: list[str]
) -> None:
    assert list(written_tables(operation, request_body)) == expected


def test_what_cannot_be_counted_is_an_error() -> None:
    with pytest.raises(NotImplementedError):
        list(written_tables("ExecuteStatement", {}))


@pytest.fixture
def counter(local_cloud: LocalCloud) -> Iterator[WriteCounter]:
    """A counter before the local cloud."""
    counter = WriteCounter(local_cloud.endpoint_url)
    with counter.serving():
        yield counter


def test_writes_are_counted_on_the_wire_accepted_and_refused(
    local_cloud: LocalCloud, counter: WriteCounter
) -> None:
    table = f"b{uuid.uuid4().hex[:8]}"
    create_table(local_cloud.client("dynamodb"), table, KeySchema("pk"), {})
    client = boto3.Session("test", "test", region_name=REGION).client(
        "dynamodb", endpoint_url=counter.endpoint_url, config=Config(retries={"total_max_attempts": 1})
    )
    put: Any = {"Item": {"pk": {"S": "1"}}, "ConditionExpression": "attribute_not_exists(pk)"}
    client.put_item(TableName=table, **put)
    with pytest.raises(ClientError):
        client.put_item(TableName=table, **put)
    assert client.get_item(TableName=table, Key={"pk": {"S": "1"}})["Item"] == {"pk": {"S": "1"}}
    assert counter.writes.by_table == {table: 2}
    assert counter.writes.refused == 1
    assert counter.writes.condition_checks == 0


def test_a_client_that_hangs_up_does_not_stop_the_counter(counter: WriteCounter) -> None:
    netloc = counter.endpoint_url.removeprefix("http://")
    connection = http.client.HTTPConnection(netloc, timeout=10)
    connection.putrequest("POST", "/")
    connection.putheader("content-length", "100")
    connection.endheaders()
    connection.close()
    second = http.client.HTTPConnection(netloc, timeout=10)
    second.request("POST", "/", b"{}", {"x-amz-target": "DynamoDB_20120810.ListTables"})
    assert second.getresponse().status in (200, 400, 403)
    second.close()


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)])
def test_quantiles_are_by_nearest_rank(share: float, expected: float) -> None:
    assert quantile([float(value) for value in range(1, 101)], share) == expected


def test_the_events_are_ones_that_the_processor_knows() -> None:
    (name,) = training_events.names("run-1", 1)
    event = parse_message(training_events.body(name), "hospital-a")
    assert isinstance(event, Trained)
    assert training_events.name_of(event.pipeline_execution_arn) == name
    assert (
        len({json.loads(training_events.body(each))["id"] for each in training_events.names("r", 50)}) == 50
    )
