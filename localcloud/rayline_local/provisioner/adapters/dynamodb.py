"""DynamoDB tables."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tag_list, tolerate
from rayline_local.provisioner.clients import Clients

GONE = ("ResourceNotFoundException",)


class TableAdapter:
    """``aws:dynamodb/table:Table``, on demand only; keys and indexes are fixed once made."""

    # Locally a table with other indexes is another table: nothing but a test's data is lost.
    replaced_by = frozenset({"name", "hashKey", "rangeKey", "globalSecondaryIndexes", "attributes"})

    def __init__(self, clients: Clients) -> None:
        self._dynamodb = clients.get("dynamodb")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["name"]
        if not self.exists(name, inputs):
            self._create(inputs)
            self._dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
        self._update(inputs)
        found = self._dynamodb.describe_table(TableName=name)["Table"]
        return Made(name, {"arn": found["TableArn"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return tolerate(GONE, lambda: self._dynamodb.describe_table(TableName=resource_id)) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        if inputs.get("deletionProtectionEnabled"):
            raise RuntimeError("deletion protection is on; switch it off in one run, remove in the next")
        if tolerate(GONE, lambda: self._dynamodb.delete_table(TableName=resource_id)) is not None:
            waiter = self._dynamodb.get_waiter("table_not_exists")
            waiter.wait(TableName=resource_id, WaiterConfig={"Delay": 1})

    def _create(self, inputs: Inputs) -> None:
        if inputs.get("billingMode") != "PAY_PER_REQUEST":
            raise ValueError("only on-demand tables are known here; set billing_mode to PAY_PER_REQUEST")
        request: dict[str, Any] = {
            "TableName": inputs["name"],
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": _key_schema(inputs),
            "AttributeDefinitions": [
                {"AttributeName": each["name"], "AttributeType": each["type"]}
                for each in inputs["attributes"]
            ],
            "DeletionProtectionEnabled": bool(inputs.get("deletionProtectionEnabled")),
            "Tags": tag_list(inputs),
        }
        if encryption := inputs.get("serverSideEncryption"):
            request["SSESpecification"] = {
                "Enabled": bool(encryption["enabled"]),
                "SSEType": "KMS",
                "KMSMasterKeyId": encryption["kmsKeyArn"],
            }
        if indexes := inputs.get("globalSecondaryIndexes"):
            request["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": index["name"],
                    "KeySchema": [
                        {"AttributeName": key["attributeName"], "KeyType": key["keyType"]}
                        for key in index["keySchemas"]
                    ],
                    "Projection": {"ProjectionType": index["projectionType"]},
                }
                for index in indexes
            ]
        self._dynamodb.create_table(**request)

    def _update(self, inputs: Inputs) -> None:
        name = inputs["name"]
        if recovery := inputs.get("pointInTimeRecovery"):
            self._dynamodb.update_continuous_backups(
                TableName=name,
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": bool(recovery["enabled"])},
            )
        protection = bool(inputs.get("deletionProtectionEnabled"))
        found = self._dynamodb.describe_table(TableName=name)["Table"]
        if bool(found.get("DeletionProtectionEnabled")) != protection:
            self._dynamodb.update_table(TableName=name, DeletionProtectionEnabled=protection)
        if expiry := inputs.get("ttl"):
            self._set_expiry(name, expiry["attributeName"], bool(expiry["enabled"]))

    def _set_expiry(self, table: str, attribute: str, enabled: bool) -> None:
        found = self._dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        # DynamoDB refuses to set what is set already.
        if (found.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")) != enabled:
            self._dynamodb.update_time_to_live(
                TableName=table,
                TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute},
            )


def _key_schema(keys: Inputs) -> list[dict[str, str]]:
    schema = [{"AttributeName": keys["hashKey"], "KeyType": "HASH"}]
    if keys.get("rangeKey"):
        schema.append({"AttributeName": keys["rangeKey"], "KeyType": "RANGE"})
    return schema
