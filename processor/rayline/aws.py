"""How the processor reaches AWS: boto3 clients of one session, with bounded timeouts and standard retries."""

from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_medical_imaging import HealthImagingClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sqs import SQSClient

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=16,
    # Path style serves every endpoint, loopback included, and virtual-host names gain nothing in a VPC.
    s3={"addressing_style": "path"},
)


class Clients:
    """One session's clients, each made on first use; clients are thread-safe (boto3 guide, "Multithreading")."""

    def __init__(self, session: boto3.Session | None = None) -> None:
        self._session = session or boto3.Session()

    @cached_property
    def s3(self) -> "S3Client":
        """Amazon S3."""
        return self._session.client("s3", config=_CONFIG)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """Amazon DynamoDB."""
        return self._session.client("dynamodb", config=_CONFIG)

    @cached_property
    def sqs(self) -> "SQSClient":
        """Amazon SQS."""
        return self._session.client("sqs", config=_CONFIG)

    @cached_property
    def events(self) -> "EventBridgeClient":
        """Amazon EventBridge."""
        return self._session.client("events", config=_CONFIG)

    @cached_property
    def medical_imaging(self) -> "HealthImagingClient":
        """AWS HealthImaging."""
        return self._session.client("medical-imaging", config=_CONFIG)

    @cached_property
    def sagemaker(self) -> "SageMakerClient":
        """Amazon SageMaker."""
        return self._session.client("sagemaker", config=_CONFIG)
