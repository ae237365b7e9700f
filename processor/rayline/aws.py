"""How the processor reaches AWS: boto3 clients of one session, with bounded timeouts and standard retries.

What those retries could not mend is either trouble of the service, which passes, or a fault of ours.
"""

from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from rayline.dynamodb import CONDITION_FAILED, cancellation_codes
from rayline.observability.calls import MeasuredCalls
from rayline.observability.meter import Meter
from rayline.observability.traces import Traces

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_medical_imaging import HealthImagingClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=16,
    # Path style serves every endpoint, loopback included, and virtual-host names gain nothing in a VPC.
    s3={"addressing_style": "path"},
)

# All requests to DynamoDB are written here, and tests check their parameters; to check the nested items of a
# transaction once more, each time, took a sixth of a worker's CPU time (`make bench`).
_DYNAMODB_CONFIG = _CONFIG.merge(Config(parameter_validation=False))

MAX_DELAY_SECONDS = 900  # of an SQS message (Amazon SQS quotas)
_CONNECTION_TROUBLE = (
    BotoConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)
_TROUBLE_CODES = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ResourceLimitExceeded",
        "ServiceQuotaExceededException",
        "SlowDown",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


def is_service_trouble(error: BaseException) -> bool:
    """Whether an error of AWS may pass by itself: a lost connection, a server error, a throttle, a busy item.

    A wrong parameter or a refused permission does not pass.
    """
    if isinstance(error, _CONNECTION_TROUBLE):
        return True
    if not isinstance(error, ClientError):
        return False
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if codes := cancellation_codes(error):
        return not {CONDITION_FAILED, "ValidationError"} & set(codes)
    return status >= 500 or code in _TROUBLE_CODES or "Throttl" in code


class Clients:
    """One session's clients, each made on first use; clients are thread-safe (boto3 guide, "Multithreading").

    Args:
        meter: takes in what every call is measured by; none is where nobody would read it.
        traces: where every call is a span, if it is part of a trace.
    """

    def __init__(
        self,
        session: boto3.Session | None = None,
        *,
        meter: Meter | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._session = session or boto3.Session()
        if meter is not None:
            MeasuredCalls(meter).install(self._session.events)
        if traces is not None:
            traces.install(self._session.events)

    @cached_property
    def s3(self) -> "S3Client":
        """Amazon S3."""
        return self._session.client("s3", config=_CONFIG)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """Amazon DynamoDB."""
        return self._session.client("dynamodb", config=_DYNAMODB_CONFIG)

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

    @cached_property
    def sts(self) -> "STSClient":
        """AWS Security Token Service."""
        return self._session.client("sts", config=_CONFIG)
