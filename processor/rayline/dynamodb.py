"""DynamoDB items as plain dictionaries, and what a cancelled transaction says."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

Item = dict[str, Any]
TransactItem = dict[str, Any]

CONDITION_FAILED = "ConditionalCheckFailed"
_KEYS_A_CALL = 100  # of BatchGetItem

_SERIALIZER = TypeSerializer()
_DESERIALIZER = TypeDeserializer()


def to_attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    """Python values to DynamoDB's typed attributes; None values are left out, floats become numbers."""
    return {name: to_attribute(value) for name, value in item.items() if value is not None}


def to_attribute(value: Any) -> Any:
    """One typed attribute."""
    return _SERIALIZER.serialize(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        # DynamoDB has no NaN and no infinity; a measure that has no value is left out.
        return Decimal(str(value)) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        plain = {key: _plain(each) for key, each in value.items()}
        return {key: each for key, each in plain.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def from_attributes(attributes: Mapping[str, Any]) -> Item:
    """DynamoDB's typed attributes to Python values; whole numbers become int, others float."""
    return {name: _unplain(_DESERIALIZER.deserialize(value)) for name, value in attributes.items()}


def _unplain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _unplain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_unplain(each) for each in value]
    return value


def is_condition_failure(error: ClientError) -> bool:
    """Whether a single write failed on its condition."""
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"


def cancellation_codes(error: ClientError) -> list[str]:
    """Per item of a cancelled transaction, its reason code; empty for any other error.

    Source: DynamoDB API reference, TransactWriteItems, CancellationReasons.
    """
    if error.response.get("Error", {}).get("Code") != "TransactionCanceledException":
        return []
    reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
    return [str(reason.get("Code", "None")) for reason in reasons]


def scan(client: Any, table: str, *, attributes: Sequence[str] = (), **arguments: Any) -> Iterator[Item]:
    """Every item of a table or index, page by page.

    Args:
        attributes: names of the only attributes to read, which is much faster where items are large; by default
            all of them.
    """
    if attributes:
        # By other names, since some of ours, as `type`, are DynamoDB's own words.
        names = {f"#{number}": name for number, name in enumerate(attributes)}
        arguments |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
    for page in client.get_paginator("scan").paginate(TableName=table, **arguments):
        for item in page["Items"]:
            yield from_attributes(item)


def query(
    client: Any,
    table: str,
    index: str | None,
    attribute: str,
    value: str,
    *,
    since: tuple[str, str] | None = None,
    **arguments: Any,
) -> Iterator[Item]:
    """Items of one partition of a table or index, page by page, in range-key order.

    Args:
        since: the range key and its least value.
    """
    if index is not None:
        arguments["IndexName"] = index
    condition, names, values = "#key = :key", {"#key": attribute}, {":key": {"S": value}}
    if since is not None:
        condition += " AND #range >= :since"
        names["#range"], values[":since"] = since[0], {"S": since[1]}
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression=condition,
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values,
        **arguments,
    )
    for page in pages:
        for attributes in page["Items"]:
            yield from_attributes(attributes)


def batch_get(client: Any, table: str, keys: Iterable[str]) -> Iterator[Item]:
    """The items of a table with the hash key ``pk`` that exist among ``keys``, read consistently, in no order."""
    wanted = sorted(set(keys))
    for start in range(0, len(wanted), _KEYS_A_CALL):
        request: Any = {
            table: {
                "Keys": [{"pk": {"S": key}} for key in wanted[start : start + _KEYS_A_CALL]],
                "ConsistentRead": True,
            }
        }
        while request:
            response = client.batch_get_item(RequestItems=request)
            for attributes in response["Responses"].get(table, []):
                yield from_attributes(attributes)
            request = response.get("UnprocessedKeys", {})


def timestamp(moment: datetime) -> str:
    """An aware moment as text in UTC whose order is the order in time, to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
