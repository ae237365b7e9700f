"""DynamoDB in memory: tables with sparse indexes, conditional writes and transactions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.in_memory_cloud.calls import aws_error
from support.in_memory_cloud.expressions import (
    Attribute,
    Expressions,
    InvalidExpression,
    copied_item,
)

Item = dict[str, Attribute]
MAX_ITEM_BYTES = 400 * 1024
MAX_TRANSACTION_ITEMS = 100
MAX_BATCH_KEYS = 100


@dataclass(frozen=True)
class Keys:
    """Hash and range key of a table or index; every key is a string."""

    hash_key: str
    range_key: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The key attributes."""
        return (self.hash_key,) if self.range_key is None else (self.hash_key, self.range_key)


@dataclass
class Table:
    """Items by key; items are replaced, never changed."""

    keys: Keys
    indexes: Mapping[str, Keys]
    items: dict[tuple[str, ...], Item] = field(default_factory=dict)
    stale: dict[tuple[str, ...], Item] | None = None


class InMemoryDynamoDB:
    """The operations of the client that Rayline uses.

    Attributes:
        page_items: items that a page of Query and Scan looks at, so that pages occur with few items.
        written: called with table, item before and item after each change of an item.
    """

    def __init__(self, page_items: int = 50) -> None:
        self.page_items = page_items
        self._tables: dict[str, Table] = {}
        self._transactions: dict[str, str] = {}
        self.written: list[Callable[[str, Item | None, Item | None], object]] = []

    def items(self, table: str) -> list[Item]:
        """Everything in a table, for a test to look at."""
        return [copied_item(item) for item in self._tables[table].items.values()]

    def let_indexes_lag(self, lag: bool) -> None:
        """From now on indexes show what they show now, as eventual consistency allows; or catch up."""
        for table in self._tables.values():
            table.stale = dict(table.items) if lag else None

    # -- operations ----------------------------------------------------------------------------------------------

    def create_table(
        self,
        *,
        TableName: str,
        KeySchema: list[dict[str, str]],
        GlobalSecondaryIndexes: Sequence[dict[str, Any]] = (),
        **_: Any,
    ) -> dict[str, Any]:
        if TableName in self._tables:
            raise aws_error("ResourceInUseException", "Table already exists", "CreateTable")
        indexes = {each["IndexName"]: _keys(each["KeySchema"]) for each in GlobalSecondaryIndexes}
        self._tables[TableName] = Table(_keys(KeySchema), indexes)
        return {}

    def get_item(self, *, TableName: str, Key: Item, **_: Any) -> dict[str, Any]:
        table = self._table(TableName, "GetItem")
        found = table.items.get(_key_of(table, Key, "GetItem", exact=True))
        return {"Item": copied_item(found)} if found is not None else {}

    def put_item(self, **request: Any) -> dict[str, Any]:
        self._write("Put", request, "PutItem")
        return {}

    def update_item(self, **request: Any) -> dict[str, Any]:
        returned = request.get("ReturnValues", "NONE")
        if returned not in ("NONE", "ALL_OLD", "ALL_NEW"):
            raise NotImplementedError(f"ReturnValues {returned}")
        before, after = self._write("Update", request, "UpdateItem")
        item = {"NONE": None, "ALL_OLD": before, "ALL_NEW": after}[returned]
        return {} if item is None else {"Attributes": copied_item(item)}

    def delete_item(self, **request: Any) -> dict[str, Any]:
        self._write("Delete", request, "DeleteItem")
        return {}

    def _write(
        self, kind: str, request: Mapping[str, Any], operation: str
    ) -> tuple[Item | None, Item | None]:
        table, key, change = self._prepared(kind, request, operation)
        before = table.items.get(key)
        after, failed = change(before)
        if failed:
            more = {}
            if before is not None and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
                more = {"Item": copied_item(before)}
            raise aws_error(
                "ConditionalCheckFailedException", "The conditional request failed", operation, **more
            )
        self._apply(request["TableName"], table, key, after)
        return before, after

    def transact_write_items(
        self, *, TransactItems: list[dict[str, Any]], ClientRequestToken: str, **_: Any
    ) -> dict[str, Any]:
        operation = "TransactWriteItems"
        if not 1 <= len(TransactItems) <= MAX_TRANSACTION_ITEMS:
            raise aws_error("ValidationException", "1 to 100 items are allowed", operation)
        repeated = self._transactions.get(ClientRequestToken)
        if repeated is not None:
            if repeated != repr(TransactItems):
                raise aws_error("IdempotentParameterMismatchException", "another request", operation)
            return {}
        prepared = []
        for transact_item in TransactItems:
            ((kind, request),) = transact_item.items()
            prepared.append((request, *self._prepared(kind, request, operation)))
        targets = [(request["TableName"], key) for request, _, key, _ in prepared]
        if len(set(targets)) != len(targets):
            raise aws_error(
                "ValidationException",
                "Transaction request cannot include multiple operations on one item",
                operation,
            )
        reasons: list[dict[str, Any]] = []
        results = []
        for request, table, key, change in prepared:
            before = table.items.get(key)
            try:
                after, failed = change(before)
            except InvalidExpression as error:
                after, failed = None, False
                reasons.append({"Code": "ValidationError", "Message": str(error)})
            else:
                reasons.append({"Code": "ConditionalCheckFailed" if failed else "None"})
            if (
                failed
                and before is not None
                and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            ):
                reasons[-1]["Item"] = copied_item(before)
            results.append((request["TableName"], table, key, after))
        if any(reason["Code"] != "None" for reason in reasons):
            codes = ", ".join(reason["Code"] for reason in reasons)
            raise aws_error(
                "TransactionCanceledException",
                f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
                operation,
                CancellationReasons=reasons,
            )
        for name, table, key, after in results:
            self._apply(name, table, key, after)
        self._transactions[ClientRequestToken] = repr(TransactItems)
        return {}

    def batch_get_item(self, *, RequestItems: dict[str, Any], **_: Any) -> dict[str, Any]:
        operation = "BatchGetItem"
        wanted = [(name, key) for name, part in RequestItems.items() for key in part["Keys"]]
        if not 1 <= len(wanted) <= MAX_BATCH_KEYS:
            raise aws_error(
                "ValidationException", "Too many items requested for the BatchGetItem call", operation
            )
        responses: dict[str, list[Item]] = {name: [] for name in RequestItems}
        seen = set()
        for name, key in wanted:
            table = self._table(name, operation)
            identity = _key_of(table, key, operation, exact=True)
            if (name, identity) in seen:
                raise aws_error(
                    "ValidationException", "Provided list of item keys contains duplicates", operation
                )
            seen.add((name, identity))
            if identity in table.items:
                responses[name].append(copied_item(table.items[identity]))
        return {"Responses": responses, "UnprocessedKeys": {}}

    def query(self, **request: Any) -> dict[str, Any]:
        table, index, keys = self._searched(request, "Query")
        expressions = _expressions(request, "Query")
        hash_value = _hash_value(expressions, keys, request)
        found = [
            item
            for item in self._visible(table, index, keys)
            if item[keys.hash_key] == hash_value
            and _holds(expressions, expressions.key_condition, item, "Query")
        ]
        found.sort(
            key=lambda item: (
                item[keys.range_key]["S"].encode() if keys.range_key else b"",
                _identity(table.keys, item),
            ),
            reverse=not request.get("ScanIndexForward", True),
        )
        return self._page(table, keys, found, expressions, request, "Query")

    def scan(self, **request: Any) -> dict[str, Any]:
        table, index, keys = self._searched(request, "Scan")
        expressions = _expressions(request, "Scan")
        found = sorted(self._visible(table, index, keys), key=lambda item: _identity(table.keys, item))
        return self._page(table, keys, found, expressions, request, "Scan")

    # -- parts ---------------------------------------------------------------------------------------------------

    def _table(self, name: str, operation: str) -> Table:
        if name not in self._tables:
            raise aws_error(
                "ResourceNotFoundException", f"Requested resource not found: Table: {name}", operation
            )
        return self._tables[name]

    def _prepared(
        self, kind: str, request: Mapping[str, Any], operation: str
    ) -> tuple[Table, tuple[str, ...], Callable[[Item | None], tuple[Item | None, bool]]]:
        """Table, key and change of a write; the change says what the item becomes and whether the condition failed."""
        table = self._table(request["TableName"], operation)
        expressions = _expressions(request, operation)
        given = request["Item"] if kind == "Put" else request["Key"]
        key = _key_of(table, given, operation, exact=kind != "Put")
        if kind == "Put":
            _check_item(table, given, operation)
        elif kind == "Update" and expressions.update is not None:
            touched = {
                expressions.path(action[0])[0]
                for _, actions in expressions.update.parts
                for action in actions
            }
            if touched & set(table.keys.names):
                raise aws_error("ValidationException", "This attribute is part of the key", operation)
        elif kind not in ("Delete", "ConditionCheck", "Update"):
            raise NotImplementedError(f"{kind} in a transaction")

        def change(before: Item | None) -> tuple[Item | None, bool]:
            if not _holds(expressions, expressions.condition, before, operation):
                return before, True
            match kind:
                case "Put":
                    return copied_item(given), False
                case "Delete":
                    return None, False
                case "ConditionCheck":
                    return before, False
            item = dict(before) if before is not None else copied_item(given)
            if expressions.update is not None:
                try:
                    item = expressions.updated(item)
                except InvalidExpression as error:
                    if operation == "TransactWriteItems":
                        raise
                    raise aws_error("ValidationException", str(error), operation) from None
            _check_item(table, item, operation)
            return item, False

        return table, key, change

    def _apply(self, name: str, table: Table, key: tuple[str, ...], item: Item | None) -> None:
        before = table.items.get(key)
        if item is before:
            return
        if item is None:
            table.items.pop(key, None)
        else:
            table.items[key] = item
        for written in self.written:
            written(name, before, item)

    def _searched(self, request: Mapping[str, Any], operation: str) -> tuple[Table, str | None, Keys]:
        table = self._table(request["TableName"], operation)
        index = request.get("IndexName")
        if index is None:
            return table, None, table.keys
        if index not in table.indexes:
            raise aws_error(
                "ValidationException", f"The table does not have the specified index: {index}", operation
            )
        if request.get("ConsistentRead"):
            raise aws_error(
                "ValidationException",
                "Consistent reads are not supported on global secondary indexes",
                operation,
            )
        return table, index, table.indexes[index]

    @staticmethod
    def _visible(table: Table, index: str | None, keys: Keys) -> list[Item]:
        if index is None:
            return list(table.items.values())
        items = table.items if table.stale is None else table.stale
        return [item for item in items.values() if all("S" in item.get(name, {}) for name in keys.names)]

    def _page(
        self,
        table: Table,
        keys: Keys,
        found: list[Item],
        expressions: Expressions,
        request: Mapping[str, Any],
        operation: str,
    ) -> dict[str, Any]:
        start = request.get("ExclusiveStartKey")
        begin = 0
        if start is not None:
            identities = [_identity(table.keys, item) for item in found]
            # An item that went since the last page is skipped over by where it would be.
            begin = next(
                (index + 1 for index, each in enumerate(identities) if each == _identity(table.keys, start)),
                sum(each < _identity(table.keys, start) for each in identities),
            )
        limit = min(request.get("Limit", self.page_items), self.page_items)
        page = found[begin : begin + limit]
        kept = [item for item in page if _holds(expressions, expressions.filter, item, operation)]
        counted = request.get("Select") == "COUNT"
        answer: dict[str, Any] = {"Count": len(kept), "ScannedCount": len(page)}
        if not counted:
            answer["Items"] = [_projected(item, request) for item in kept]
        if begin + limit < len(found):
            last = page[-1]
            answer["LastEvaluatedKey"] = {
                name: last[name] for name in dict.fromkeys((*table.keys.names, *keys.names))
            }
        return answer


def _keys(schema: list[dict[str, str]]) -> Keys:
    names = {each["KeyType"]: each["AttributeName"] for each in schema}
    return Keys(names["HASH"], names.get("RANGE"))


def _expressions(request: Mapping[str, Any], operation: str) -> Expressions:
    given = dict(request)
    if "ProjectionExpression" in given:
        names = given.get("ExpressionAttributeNames", {})
        projected = {part.strip() for part in given["ProjectionExpression"].split(",")}
        given["ExpressionAttributeNames"] = {
            name: value
            for name, value in names.items()
            if name not in projected or name in str(given.get("KeyConditionExpression", ""))
        }
    try:
        return Expressions(given)
    except InvalidExpression as error:
        raise aws_error("ValidationException", f"Invalid expression: {error}", operation) from None


def _holds(expressions: Expressions, node: Any, item: Item | None, operation: str) -> bool:
    try:
        return expressions.holds(node, item)
    except InvalidExpression as error:
        raise aws_error("ValidationException", f"Invalid expression: {error}", operation) from None


def _projected(item: Item, request: Mapping[str, Any]) -> Item:
    if "ProjectionExpression" not in request:
        return copied_item(item)
    names = request.get("ExpressionAttributeNames", {})
    wanted = [part.strip() for part in request["ProjectionExpression"].split(",")]
    wanted = [names.get(name, name) for name in wanted]
    if any(any(character in name for character in ".[") for name in wanted):
        raise NotImplementedError("the in-memory cloud only projects whole attributes")
    return copied_item({name: item[name] for name in wanted if name in item})


def _hash_value(expressions: Expressions, keys: Keys, request: Mapping[str, Any]) -> Attribute:
    node = expressions.key_condition
    if node is None:
        raise aws_error("ValidationException", "a KeyConditionExpression must be given", "Query")
    parts = node.parts if node.kind == "and" else (node,)
    names = [expressions.path(part.parts[0]) for part in parts]
    if names[0] != (keys.hash_key,) or parts[0].kind != "=" or set(names) - {(each,) for each in keys.names}:
        raise aws_error("ValidationException", "Query condition missed key schema element", "Query")
    value: Attribute = request["ExpressionAttributeValues"][parts[0].parts[1].parts[0]]
    return value


def _identity(keys: Keys, item: Mapping[str, Attribute]) -> tuple[str, ...]:
    return tuple(item[name]["S"] for name in keys.names)


def _key_of(table: Table, given: Item, operation: str, *, exact: bool) -> tuple[str, ...]:
    names = table.keys.names
    if exact and set(given) != set(names):
        raise aws_error(
            "ValidationException", "The provided key element does not match the schema", operation
        )
    for name in names:
        if "S" not in given.get(name, {}):
            raise aws_error("ValidationException", f"Missing the key {name} in the item", operation)
        if not given[name]["S"] or len(given[name]["S"].encode()) > (2048 if name == names[0] else 1024):
            raise aws_error("ValidationException", "a key value is empty or too long", operation)
    return _identity(table.keys, given)


def _check_item(table: Table, item: Item, operation: str) -> None:
    for keys in table.indexes.values():
        for name in keys.names:
            if name in item and not item[name].get("S"):
                raise aws_error(
                    "ValidationException", f"an index key is empty or no string: {name}", operation
                )
    if _size(item.items()) > MAX_ITEM_BYTES:
        raise aws_error("ValidationException", "Item size has exceeded the maximum allowed size", operation)


def _size(pairs: Iterable[tuple[str, Attribute]]) -> int:
    return sum(len(name.encode()) + _value_size(value) for name, value in pairs)


def _value_size(value: Attribute) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "M":
            return 3 + _size(content.items()) + len(content)
        case "L":
            return 3 + sum(1 + _value_size(each) for each in content)
        case "S":
            return len(content.encode())
        case "B":
            return len(content)
        case "SS" | "NS" | "BS":
            return sum(len(each) for each in content)
    return len(str(content)) // 2 + 1
