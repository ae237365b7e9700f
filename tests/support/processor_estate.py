"""Queue, tables, buckets and bus of a test's own on the local cloud, and one worker's runtime on top of them.

HealthImaging and SageMaker are fakes: their stand-ins have tests of their own.
"""

import gzip
import io
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import SecretStr
from support.in_memory_cloud.cloud import InMemoryCloud
from support.local_cloud import REGION, LocalCloud

from rayline.aws import Clients
from rayline.dynamodb import Item, from_attributes
from rayline.hashing import KeyedHash
from rayline.instances import InstanceLedger
from rayline.runtime import Runtime, build_runtime
from rayline.settings import Settings
from rayline.watch import Unwatched, Watch
from rayline_infra.components.tracking import TABLE_INDEXES, TABLE_KEYS, KeySchema

SITE = "test-site"
SECRETS = {
    "tracking": SecretStr("tracking-secret-of-the-tests"),
    "deid": SecretStr("deid-secret-of-the-tests-0123456789"),
}


class LocalSession:
    """Makes clients against a local cloud, with the configuration that they are asked for."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._session = boto3.Session("test", "test", region_name=REGION)

    def client(self, name: str, config: Config) -> Any:
        """A client with root's key."""
        return self._session.client(
            name,  # type: ignore[call-overload]
            endpoint_url=self._cloud.endpoint_url,
            config=config.merge(Config(inject_host_prefix=False)),
        )


class FakeHealthImaging:
    """Remembers import jobs and serves metadata documents that a test gives."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.starts: list[str] = []
        self.metadata: dict[tuple[str, str], dict[str, Any]] = {}
        self.fail_with: Exception | None = None

    def start_dicom_import_job(self, **request: Any) -> dict[str, Any]:
        """One job a client token, as AWS promises."""
        if self.fail_with is not None:
            raise self.fail_with
        self.starts.append(request["clientToken"])
        job = self.jobs.setdefault(request["clientToken"], {**request, "jobId": uuid.uuid4().hex})
        return {"jobId": job["jobId"], "jobStatus": "SUBMITTED"}

    def get_image_set(self, datastoreId: str, imageSetId: str) -> dict[str, Any]:
        """The latest version that the test has put in."""
        versions = [int(version) for image_set, version in self.metadata if image_set == imageSetId]
        return {"versionId": str(max(versions)), "isPrimary": True}

    def get_image_set_metadata(self, datastoreId: str, imageSetId: str, versionId: str) -> dict[str, Any]:
        """One version's document, compressed as AWS sends it."""
        document = json.dumps(self.metadata[imageSetId, versionId]).encode()
        return {"imageSetMetadataBlob": io.BytesIO(gzip.compress(document))}


class FakeSageMaker:
    """Remembers executions, one for each client request token."""

    def __init__(self) -> None:
        self.executions: dict[str, dict[str, Any]] = {}

    def start_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        """Start, or answer with what the same token started."""
        self.executions.setdefault(request["ClientRequestToken"], request)
        number = list(self.executions).index(request["ClientRequestToken"])
        return {
            "PipelineExecutionArn": f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/{number:012d}"
        }


def aws_error(code: str, status: int = 400, operation: str = "Operation") -> ClientError:
    """An error as botocore raises it."""
    return ClientError(
        {"Error": {"Code": code, "Message": "told"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        operation,
    )


class ProcessorEstate:
    """What one processor needs, under names that no other test uses."""

    def __init__(
        self,
        cloud: "LocalCloud | InMemoryCloud",
        folder: Path,
        *,
        profile: str = "identity: original\n",
        name: str | None = None,
        **settings: Any,
    ) -> None:
        self._cloud = cloud
        self.name = name or f"t{uuid.uuid4().hex[:12]}"
        profile_path = folder / f"{self.name}.yaml"
        profile_path.write_text(profile)
        self.sqs = cloud.client("sqs")
        self.s3 = cloud.client("s3")
        self.dynamodb = cloud.client("dynamodb")
        buckets = {
            kind: f"{self.name}-{kind}"
            for kind in ("uploads", "quarantine", "imports", "preprocessed", "models", "reports")
        }
        for bucket in buckets.values():
            self.s3.create_bucket(Bucket=bucket)
        self.s3.put_bucket_versioning(
            Bucket=buckets["uploads"], VersioningConfiguration={"Status": "Enabled"}
        )
        for kind, key in TABLE_KEYS.items():
            create_table(
                self.dynamodb,
                f"{self.name}-{kind}",
                key,
                TABLE_INDEXES.get(kind, {}),
            )
        cloud.client("events").create_event_bus(Name=self.name)
        self.settings = Settings.model_validate(
            {
                "site": SITE,
                "stack": "test",
                "queue_url": self.sqs.create_queue(QueueName=self.name)["QueueUrl"],
                "dead_letter_queue_url": self.sqs.create_queue(QueueName=f"{self.name}-dlq")["QueueUrl"],
                "event_bus": self.name,
                **{f"{kind}_bucket": bucket for kind, bucket in buckets.items()},
                "image_tracking_table": f"{self.name}-image-tracking",
                "effects_table": f"{self.name}-effects",
                "model_metrics_table": f"{self.name}-model-metrics",
                "datastore_id": "d" * 32,
                "import_role_arn": "arn:aws:iam::123456789012:role/import",
                "pipeline_name": "training",
                "model_package_group": "pneumonia",
                "site_profile": profile_path,
                **settings,
            }
        )
        self.health_imaging = FakeHealthImaging()
        self.sagemaker = FakeSageMaker()

    @cached_property
    def clients(self) -> Clients:
        """The processor's own clients; HealthImaging and SageMaker are the fakes."""
        if isinstance(self._cloud, InMemoryCloud):
            clients = self._cloud.clients()
        else:
            clients = Clients(LocalSession(self._cloud))  # type: ignore[arg-type]
        clients.__dict__["medical_imaging"] = self.health_imaging
        clients.__dict__["sagemaker"] = self.sagemaker
        return clients

    def runtime(
        self, clock: Callable[[], datetime], *, owner: str = "worker", watch: Watch | None = None
    ) -> Runtime:
        """One worker's parts."""
        return build_runtime(
            self.settings, SECRETS, clients=self.clients, watch=watch or Unwatched(), owner=owner, clock=clock
        )

    def ledger(self, clock: Callable[[], datetime], clients: Clients | None = None) -> InstanceLedger:
        """The instance ledger, as an operator opens it."""
        return InstanceLedger(
            (clients or self.clients).dynamodb,
            self.settings.image_tracking_table,
            site=SITE,
            keyed_hash=KeyedHash.from_secrets(dict(SECRETS)),
            clock=clock,
        )

    def upload(self, key: str, content: bytes) -> str:
        """Put an object into the uploads bucket. Returns its version."""
        answer = self.s3.put_object(Bucket=self.settings.uploads_bucket, Key=key, Body=content)
        return str(answer["VersionId"])

    def tracked(self, kind: str) -> list[Item]:
        """Items of one type in the tracking table."""
        return [
            item
            for page in self.dynamodb.get_paginator("scan").paginate(
                TableName=self.settings.image_tracking_table
            )
            for item in map(from_attributes, page["Items"])
            if item.get("type") == kind
        ]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Keys in a bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def quarantine_records(self) -> list[dict[str, Any]]:
        """Every reason in quarantine."""
        bucket = self.settings.quarantine_bucket
        return [
            json.loads(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            for key in self.keys(bucket)
            if key.endswith("/reason.json")
        ]

    def messages(self) -> list[str]:
        """Bodies of the messages that can be received now; they are taken out."""
        bodies = []
        while found := self.sqs.receive_message(QueueUrl=self.settings.queue_url, MaxNumberOfMessages=10).get(
            "Messages", []
        ):
            for message in found:
                bodies.append(message["Body"])
                self.sqs.delete_message(
                    QueueUrl=self.settings.queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
        return bodies


def create_table(dynamodb: Any, name: str, key: KeySchema, indexes: Mapping[str, KeySchema]) -> None:
    """A table with the keys and indexes that the estate declares."""
    schemas = [key, *indexes.values()]
    attributes = {each for schema in schemas for each in (schema.hash_key, schema.range_key) if each}
    table: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": each, "AttributeType": "S"} for each in sorted(attributes)
        ],
        "KeySchema": _elements(key),
    }
    if indexes:
        table["GlobalSecondaryIndexes"] = [
            {"IndexName": index, "KeySchema": _elements(schema), "Projection": {"ProjectionType": "ALL"}}
            for index, schema in indexes.items()
        ]
    dynamodb.create_table(**table)


def _elements(schema: KeySchema) -> list[dict[str, str]]:
    pairs = ((schema.hash_key, "HASH"), (schema.range_key, "RANGE"))
    return [{"AttributeName": name, "KeyType": key_type} for name, key_type in pairs if name]
