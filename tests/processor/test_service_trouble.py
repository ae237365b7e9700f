"""What may pass by itself, and what never will."""

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from support.processor_estate import aws_error

from rayline.aws import is_service_trouble


def cancelled(*codes: str) -> ClientError:
    """A transaction that DynamoDB cancelled, with a reason an item."""
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "told"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return ClientError(response, "TransactWriteItems")


@pytest.mark.parametrize(
    "error",
    [
        aws_error("ThrottlingException"),
        aws_error("Throttling"),
        aws_error("ProvisionedThroughputExceededException"),
        aws_error("SlowDown", 503),
        aws_error("InternalServerException", 500),
        aws_error("SomethingNew", 502),
        aws_error("TransactionConflictException"),
        EndpointConnectionError(endpoint_url="x"),
        ConnectTimeoutError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
        cancelled("None", "TransactionConflict"),
        cancelled("ThrottlingError", "None"),
    ],
)
def test_trouble_passes(error: Exception) -> None:
    assert is_service_trouble(error)


@pytest.mark.parametrize(
    "error",
    [
        aws_error("AccessDeniedException"),
        aws_error("NoSuchKey", 404),
        aws_error("ValidationException"),
        aws_error("ConditionalCheckFailedException"),
        ParamValidationError(report="x"),
        NoCredentialsError(),
        cancelled("ConditionalCheckFailed", "None"),
        cancelled("TransactionConflict", "ConditionalCheckFailed"),
        cancelled("None", "ValidationError"),
        ValueError(),
        KeyboardInterrupt(),
    ],
)
def test_a_mistake_does_not(error: BaseException) -> None:
    assert not is_service_trouble(error)
