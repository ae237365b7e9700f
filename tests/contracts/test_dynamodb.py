"""DynamoDB: conditional writes, transactions, expressions and sparse indexes, as the ledgers rely on them."""

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from support.in_memory_cloud.cloud import InMemoryCloud
from support.manual_clock import ManualClock
from support.processor_estate import create_table

from rayline.dynamodb import scan
from rayline_infra.components.tracking import KeySchema


class Table:
    """A table of the test's own with one sparse index."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.name = f"contract-{uuid.uuid4().hex[:12]}"
        create_table(client, self.name, KeySchema("pk"), {"by_site": KeySchema("site", "at")})

    def key(self, pk: str = "a") -> dict[str, Any]:
        return {"TableName": self.name, "Key": {"pk": {"S": pk}}}

    def put(self, pk: str = "a", condition: str | None = None, **attributes: Any) -> None:
        more = {"ConditionExpression": condition} if condition else {}
        self.client.put_item(TableName=self.name, Item={"pk": {"S": pk}, **attributes}, **more)

    def update(
        self,
        expression: str,
        names: dict[str, str] | None = None,
        condition: str | None = None,
        pk: str = "a",
        **values: Any,
    ) -> Any:
        request: dict[str, Any] = {**self.key(pk), "UpdateExpression": expression}
        if names:
            request["ExpressionAttributeNames"] = names
        if condition:
            request["ConditionExpression"] = condition
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if values:
            request["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
        return self.client.update_item(**request)

    def item(self, pk: str = "a") -> Any:
        return self.client.get_item(**self.key(pk), ConsistentRead=True).get("Item")


@pytest.fixture
def table(cloud: Any) -> Table:
    return Table(cloud.client("dynamodb"))


def refused(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_an_item_that_is_not_there_is_no_error(table: Table) -> None:
    assert table.item() is None
    table.client.delete_item(**table.key())


def test_a_put_replaces_the_whole_item(table: Table) -> None:
    table.put(one={"S": "1"}, two={"S": "2"})
    table.put(two={"S": "3"})
    assert table.item() == {"pk": {"S": "a"}, "two": {"S": "3"}}


def test_a_put_that_must_be_new_is_refused_the_second_time(table: Table) -> None:
    table.put(condition="attribute_not_exists(pk)", one={"S": "1"})
    with pytest.raises(ClientError) as error:
        table.put(condition="attribute_not_exists(pk)", one={"S": "2"})
    assert refused(error) == "ConditionalCheckFailedException"
    assert table.item()["one"] == {"S": "1"}


def test_an_update_creates_what_is_not_there_and_a_condition_on_existence_does_not(table: Table) -> None:
    table.update("SET one = :one", one={"N": "1"})
    assert table.item() == {"pk": {"S": "a"}, "one": {"N": "1"}}
    with pytest.raises(ClientError) as error:
        table.update("SET one = :one", condition="attribute_exists(pk)", pk="b", one={"N": "1"})
    assert refused(error) == "ConditionalCheckFailedException"
    assert "Item" not in error.value.response
    assert table.item("b") is None


def test_a_failed_condition_answers_with_the_item_where_asked(table: Table) -> None:
    table.put(state={"M": {"token": {"S": "x"}}})
    with pytest.raises(ClientError) as error:
        table.update(
            "SET #s.#t = :new",
            {"#s": "state", "#t": "token"},
            condition="#s.#t = :old",
            new={"S": "z"},
            old={"S": "y"},
        )
    assert error.value.response["Item"] == {"pk": {"S": "a"}, "state": {"M": {"token": {"S": "x"}}}}


def test_nested_attributes_are_set_and_removed_by_path_even_with_dots_and_colons_in_names(
    table: Table,
) -> None:
    names = {"#e": "on_uploaded:some.plugin", "#l": "lease_until"}
    table.put(**{"on_uploaded:some.plugin": {"M": {"lease_until": {"N": "1.5"}, "x": {"S": "y"}}}})
    table.update("SET #e.#l = :l", names, l={"N": "1767225660.25"})
    assert table.item()["on_uploaded:some.plugin"]["M"]["lease_until"] == {"N": "1767225660.25"}
    table.update("REMOVE #e.#l", names)
    assert table.item()["on_uploaded:some.plugin"] == {"M": {"x": {"S": "y"}}}


def test_a_path_into_what_is_not_there_is_a_mistake(table: Table) -> None:
    table.put()
    with pytest.raises(ClientError) as error:
        table.update("SET gone.inner = :v", v={"S": "1"})
    assert refused(error) == "ValidationException"


def test_set_remove_add_and_if_not_exists_go_together_and_read_the_item_before(table: Table) -> None:
    table.put(former={"S": "1"}, amount={"N": "4"})
    table.update(
        "SET kept = if_not_exists(kept, :v), taken = former, sum_of = amount + :one REMOVE former ADD verified :one",
        v={"S": "first"},
        one={"N": "1"},
    )
    assert table.item() == {
        "pk": {"S": "a"},
        "kept": {"S": "first"},
        "taken": {"S": "1"},
        "sum_of": {"N": "5"},
        "amount": {"N": "4"},
        "verified": {"N": "1"},
    }
    table.update("SET kept = if_not_exists(kept, :v) ADD verified :one", v={"S": "2nd"}, one={"N": "1"})
    assert (table.item()["kept"], table.item()["verified"]) == ({"S": "first"}, {"N": "2"})


def test_an_update_answers_with_the_item_before_or_after_where_asked(table: Table) -> None:
    update = {
        **table.key(),
        "UpdateExpression": "SET one = :v",
        "ExpressionAttributeValues": {":v": {"S": "1"}},
    }
    assert "Attributes" not in table.client.update_item(**update, ReturnValues="ALL_OLD")
    old = table.client.update_item(**update, ReturnValues="ALL_OLD")["Attributes"]
    assert old == {"pk": {"S": "a"}, "one": {"S": "1"}}
    changed = {**update, "ExpressionAttributeValues": {":v": {"S": "2"}}, "ReturnValues": "ALL_NEW"}
    assert table.client.update_item(**changed)["Attributes"]["one"] == {"S": "2"}


def test_set_may_come_after_remove(table: Table) -> None:
    table.put(former={"S": "1"}, elder={"S": "2"})
    table.update("REMOVE former, elder SET fresh = :v", v={"S": "3"})
    assert table.item() == {"pk": {"S": "a"}, "fresh": {"S": "3"}}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("amount < :five", True),
        ("amount <= :four", True),
        ("amount > :four", False),
        ("amount >= :four", True),
        ("amount <> :five", True),
        ("amount = :four AND text_of = :t", True),
        ("amount = :five OR text_of = :t", True),
        ("NOT amount = :five", True),
        ("gone < :five", False),
        ("gone <> :five", True),
        ("attribute_not_exists(gone) AND attribute_exists(amount)", True),
        ("amount IN (:five, :four)", True),
        ("text_of IN (:five)", False),
        ("text_of < :five", False),
        ("text_of BETWEEN :t AND :u", True),
        ("begins_with(text_of, :p)", True),
        ("contains(text_of, :p)", True),
        ("(amount = :five OR amount = :four) AND NOT attribute_exists(gone)", True),
        ("amount = :five OR amount = :four AND attribute_exists(gone)", False),
    ],
)
def test_conditions(table: Table, condition: str, holds: bool) -> None:
    table.put(amount={"N": "4"}, text_of={"S": "tea"})
    values = {
        ":four": {"N": "4"},
        ":five": {"N": "5"},
        ":t": {"S": "tea"},
        ":u": {"S": "toe"},
        ":p": {"S": "te"},
    }
    request = {
        **table.key(),
        "UpdateExpression": "SET written = :yes",
        "ConditionExpression": condition,
        "ExpressionAttributeValues": {
            **{name: value for name, value in values.items() if name in condition},
            ":yes": {"BOOL": True},
        },
    }
    try:
        table.client.update_item(**request)
        written = True
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
        written = False
    assert written is holds
    assert ("written" in table.item()) is holds


@pytest.mark.parametrize(
    ("expression", "names", "values"),
    [
        ("SET state = :v", {}, {"v": {"S": "1"}}),
        ("SET one = :gone", {}, {"v": {"S": "1"}}),
        ("SET one = :v", {}, {"v": {"S": "1"}, "unused": {"S": "1"}}),
        ("SET one = :v", {"#unused": "x"}, {"v": {"S": "1"}}),
        ("SET pk = :v", {}, {"v": {"S": "1"}}),
        ("SET one", {}, {"v": {"S": "1"}}),
        ("SET one = two", {}, {}),
    ],
    ids=[
        "reserved",
        "undefined",
        "unused value",
        "unused name",
        "key",
        "syntax",
        "absent operand",
    ],
)
def test_mistakes_in_an_update_are_refused(
    table: Table, expression: str, names: dict[str, str], values: dict[str, Any]
) -> None:
    table.put()
    with pytest.raises(ClientError) as error:
        table.update(expression, names, **values)
    assert refused(error) == "ValidationException"
    assert table.item() == {"pk": {"S": "a"}}


def test_overlapping_paths_are_refused_in_memory_as_by_aws_though_the_local_cloud_takes_them() -> None:
    table = Table(InMemoryCloud(ManualClock()).client("dynamodb"))
    for expression in ("SET one = :v, one = :v", "SET one = :v REMOVE one.two"):
        with pytest.raises(ClientError) as error:
            table.update(expression, v={"S": "1"})
        assert refused(error) == "ValidationException"


def test_a_wrong_parameter_never_leaves_the_client(table: Table) -> None:
    with pytest.raises(ParamValidationError):
        table.client.get_item(TableName=table.name, Key={"pk": "a"})


def test_a_table_that_is_not_there(table: Table) -> None:
    with pytest.raises(ClientError) as error:
        table.client.get_item(TableName="no-such-table", Key={"pk": {"S": "a"}})
    assert refused(error) == "ResourceNotFoundException"


def transaction(
    table: Table, *pks: str, token: str | None = None, condition: str = "attribute_not_exists(pk)"
) -> Any:
    items = [
        {"Put": {"TableName": table.name, "Item": {"pk": {"S": pk}}, "ConditionExpression": condition}}
        for pk in pks
    ]
    more = {"ClientRequestToken": token} if token else {}
    return table.client.transact_write_items(TransactItems=items, **more)


def test_a_transaction_is_written_as_a_whole_or_not_at_all_and_says_what_failed(table: Table) -> None:
    transaction(table, "a")
    with pytest.raises(ClientError) as error:
        transaction(table, "b", "a", "c")
    assert refused(error) == "TransactionCanceledException"
    reasons = error.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed", "None"]
    assert table.item("b") is None
    transaction(table, "b", "c")
    assert table.item("c") == {"pk": {"S": "c"}}


def test_a_transaction_mixes_puts_updates_deletes_and_checks(table: Table) -> None:
    table.put("put-before")
    table.put("checked", state={"S": "open"})
    check = {
        "TableName": table.name,
        "Key": {"pk": {"S": "checked"}},
        "ConditionExpression": "#state = :open",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": {":open": {"S": "open"}},
    }
    update = {
        "TableName": table.name,
        "Key": {"pk": {"S": "counted"}},
        "UpdateExpression": "ADD verified :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    delete = {"TableName": table.name, "Key": {"pk": {"S": "put-before"}}}
    items = [{"Update": update}, {"ConditionCheck": check}, {"Delete": delete}]
    table.client.transact_write_items(TransactItems=items)
    assert table.item("counted") == {"pk": {"S": "counted"}, "verified": {"N": "1"}}
    assert table.item("checked") == {"pk": {"S": "checked"}, "state": {"S": "open"}}
    assert table.item("put-before") is None


def test_the_same_token_writes_once(table: Table) -> None:
    token = str(uuid.uuid4())
    transaction(table, "a", token=token)
    transaction(table, "a", token=token)
    with pytest.raises(ClientError) as error:
        transaction(table, "b", token=token)
    assert refused(error) == "IdempotentParameterMismatchException"


def test_a_transaction_touches_each_item_once_and_has_at_most_a_hundred(table: Table) -> None:
    for pks in (["a", "a"], [str(number) for number in range(101)]):
        with pytest.raises((ClientError, ParamValidationError)):
            transaction(table, *pks)
    transaction(table, *[str(number) for number in range(100)])


def test_a_sparse_index_holds_what_has_its_keys_in_their_order(table: Table) -> None:
    table.put("b", site={"S": "x"}, at={"S": "2"})
    table.put("a", site={"S": "x"}, at={"S": "1"})
    table.put("no-range", site={"S": "x"})
    table.put("other", site={"S": "y"}, at={"S": "1"})
    request = {
        "TableName": table.name,
        "IndexName": "by_site",
        "KeyConditionExpression": "#k = :k",
        "ExpressionAttributeNames": {"#k": "site"},
        "ExpressionAttributeValues": {":k": {"S": "x"}},
    }
    assert [item["pk"]["S"] for item in table.client.query(**request)["Items"]] == ["a", "b"]
    table.update("REMOVE site")
    assert [item["pk"]["S"] for item in table.client.query(**request)["Items"]] == ["b"]
    until = {
        **request,
        "KeyConditionExpression": "#k = :k AND #at <= :until",
        "ExpressionAttributeNames": {"#k": "site", "#at": "at"},
        "ExpressionAttributeValues": {":k": {"S": "x"}, ":until": {"S": "1"}},
    }
    assert table.client.query(**until)["Items"] == []
    with pytest.raises(ClientError) as error:
        table.client.query(**{**request, "IndexName": "by_nothing"})
    assert refused(error) == "ValidationException"
    with pytest.raises(ClientError) as error:
        table.client.query(**request, ConsistentRead=True)
    assert refused(error) == "ValidationException"


def test_an_index_key_is_a_string_that_is_not_empty(table: Table) -> None:
    for value in ({"N": "1"}, {"S": ""}):
        with pytest.raises(ClientError) as error:
            table.put(site=value, at={"S": "1"})
        assert refused(error) == "ValidationException"


def test_a_scan_may_read_some_attributes_alone(table: Table) -> None:
    table.put("a", type={"S": "batch"}, state={"S": "open"}, files={"N": "3"})
    table.put("b", type={"S": "instance"})
    found = list(scan(table.client, table.name, attributes=("type", "state")))
    assert sorted(found, key=lambda item: item["type"]) == [
        {"type": "batch", "state": "open"},
        {"type": "instance"},
    ]


def test_pages_of_query_and_scan_join_to_the_whole(table: Table) -> None:
    for number in range(7):
        table.put(f"{number}", site={"S": "x"}, at={"S": f"{number % 3}"}, odd={"BOOL": number % 2 == 1})
    pages = table.client.get_paginator("query").paginate(
        TableName=table.name,
        IndexName="by_site",
        KeyConditionExpression="#k = :k",
        ExpressionAttributeNames={"#k": "site"},
        ExpressionAttributeValues={":k": {"S": "x"}},
        Limit=2,
    )
    found = [item["pk"]["S"] for page in pages for item in page["Items"]]
    assert sorted(found) == [str(number) for number in range(7)]
    assert [int(pk) % 3 for pk in found] == sorted(int(pk) % 3 for pk in found)
    pages = list(
        table.client.get_paginator("scan").paginate(
            TableName=table.name,
            Limit=2,
            FilterExpression="odd = :yes",
            ExpressionAttributeValues={":yes": {"BOOL": True}},
        )
    )
    assert len(pages) >= 4
    assert sorted(item["pk"]["S"] for page in pages for item in page["Items"]) == ["1", "3", "5"]


def test_a_batch_reads_what_is_there(table: Table) -> None:
    table.put("a", one={"S": "1"})
    keys = [{"pk": {"S": pk}} for pk in ("a", "b")]
    answer = table.client.batch_get_item(RequestItems={table.name: {"Keys": keys, "ConsistentRead": True}})
    assert answer["Responses"][table.name] == [{"pk": {"S": "a"}, "one": {"S": "1"}}]
    assert answer["UnprocessedKeys"] == {}
    with pytest.raises(ClientError) as error:
        table.client.batch_get_item(RequestItems={table.name: {"Keys": [*keys, keys[0]]}})
    assert refused(error) == "ValidationException"


def test_an_item_has_at_most_400_kib(table: Table) -> None:
    with pytest.raises(ClientError) as error:
        table.put(large={"S": "x" * (400 * 1024)})
    assert refused(error) == "ValidationException"
    table.put(large={"S": "x" * (399 * 1024)})
