"""DynamoDB tables: the instance ledger, the effect ledger and the model metrics."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, TableKind


@dataclass(frozen=True)
class KeySchema:
    """Key attributes of a table or an index; every key is a string."""

    hash_key: str
    range_key: str | None = None


TABLE_KEYS: Mapping[TableKind, KeySchema] = {
    "image-tracking": KeySchema("pk"),
    "effects": KeySchema("pk"),
    "model-metrics": KeySchema("model_version", "evaluated_at"),
}
# Sparse: an item is in an index only while it has the index's attributes.
TABLE_INDEXES: Mapping[TableKind, Mapping[str, KeySchema]] = {
    "image-tracking": {
        "by_received_uid": KeySchema("received_uid_hash"),
        "by_stored_uid": KeySchema("sop_instance_uid"),
        "by_image_set": KeySchema("image_set_id"),
        "by_study": KeySchema("study_instance_uid"),
        "by_verified": KeySchema("verified_site", "verified_at"),
        "by_quarantined": KeySchema("quarantined_site", "quarantined_at"),
        "by_outbox": KeySchema("outbox_shard", "created_at"),
        "by_open_study": KeySchema("open_study_site", "due_at"),
        "by_listing": KeySchema("listing", "listed_at"),
    },
    "effects": {"by_due": KeySchema("due_shard", "due_at")},
}
EXPIRY_ATTRIBUTE = "expires_at"
# Effects, and of the tracking table only outbox entries that were sent, carry the attribute.
EXPIRING: frozenset[TableKind] = frozenset({"effects", "image-tracking"})


@dataclass(frozen=True)
class TablesArgs:
    """Names and key of the tables."""

    names: EstateNames
    key_arn: pulumi.Input[str]
    deletion_protection: bool


class Tables(pulumi.ComponentResource):
    """Three tables: on demand, point-in-time recovery, encrypted with the tracking key."""

    def __init__(self, name: str, args: TablesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:tracking:Tables", name, None, opts)
        self._tables = {kind: self._declare(kind, args) for kind in TABLE_KEYS}
        self.register_outputs({})

    def name(self, kind: TableKind) -> pulumi.Output[str]:
        """Name of a table, known once the table exists."""
        return self._tables[kind].name

    def _declare(self, kind: TableKind, args: TablesArgs) -> aws.dynamodb.Table:
        key = TABLE_KEYS[kind]
        indexes = TABLE_INDEXES.get(kind, {})
        attributes = {
            attribute: None
            for schema in (key, *indexes.values())
            for attribute in (schema.hash_key, schema.range_key)
            if attribute is not None
        }
        return aws.dynamodb.Table(
            f"{kind}-table",
            name=args.names.table(kind),
            billing_mode="PAY_PER_REQUEST",
            hash_key=key.hash_key,
            range_key=key.range_key,
            attributes=[aws.dynamodb.TableAttributeArgs(name=each, type="S") for each in attributes],
            global_secondary_indexes=[_index(name, schema) for name, schema in indexes.items()],
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(
                enabled=True, kms_key_arn=args.key_arn
            ),
            ttl=(
                aws.dynamodb.TableTtlArgs(enabled=True, attribute_name=EXPIRY_ATTRIBUTE)
                if kind in EXPIRING
                else None
            ),
            deletion_protection_enabled=args.deletion_protection,
            opts=pulumi.ResourceOptions(parent=self, protect=args.deletion_protection),
        )


def _index(name: str, schema: KeySchema) -> aws.dynamodb.TableGlobalSecondaryIndexArgs:
    keys = [
        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name=attribute, key_type=key_type)
        for attribute, key_type in ((schema.hash_key, "HASH"), (schema.range_key, "RANGE"))
        if attribute is not None
    ]
    return aws.dynamodb.TableGlobalSecondaryIndexArgs(name=name, key_schemas=keys, projection_type="ALL")
