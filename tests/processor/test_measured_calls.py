"""Calls of AWS are measured where botocore makes them, each attempt and each byte of a frame."""

import gzip
import io
import json
from typing import Any

import boto3
import botocore.session
import numpy as np
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    ResponseStreamingError,
)
from support.aws_answers import answer, answering_session
from support.local_cloud import LocalCloud
from support.manual_clock import ManualClock
from urllib3.exceptions import ProtocolError

from rayline.aws import Clients
from rayline.healthimaging.reader import FrameReader
from rayline.observability import calls
from rayline.observability.meter import Meter
from rayline.observability.metrics import METRICS

STORE, IMAGE_SET, FRAME = "d" * 32, "1" * 32, "f" * 32


class Measured:
    """Clients whose attempts are answered by a test, and what was measured of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: AWSResponse | Exception) -> None:
        monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
        self._log = io.StringIO()
        self._meter = Meter("test-site", clock=ManualClock(), stream=self._log)
        session = answering_session(*answers)
        self.clients = Clients(session, meter=self._meter)
        self.reader = FrameReader(self.clients.medical_imaging, meter=self._meter)

    def values(self) -> dict[tuple[str, ...], Any]:
        """Every value since the last time, by the metric's name and its labels."""
        self._meter.flush()
        by_name = {metric.name: metric for metric in METRICS}
        found = {}
        lines = self._log.getvalue().splitlines()
        self._log.seek(0)
        self._log.truncate()
        for line in map(json.loads, lines):
            for name in set(line) & set(by_name):
                found[name, *(line[by] for by in by_name[name].by)] = line[name]
        return found

    def counts(self) -> dict[tuple[str, ...], Any]:
        """Values of what does not take time."""
        return {key: value for key, value in self.values().items() if key[0] != "RetrievalLatency"}


def frame() -> tuple[bytes, np.ndarray[Any, Any]]:
    imagecodecs = pytest.importorskip("imagecodecs")
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    return imagecodecs.htj2k_encode(pixels), pixels


def test_a_frame_is_measured_until_its_last_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, pixels = frame()
    measured = Measured(monkeypatch, answer(200, encoded))
    assert (measured.reader.frame(STORE, IMAGE_SET, FRAME) == pixels).all()
    values = measured.values()
    (latency,) = values.pop(("RetrievalLatency", "GetImageFrame"))
    assert 0 < latency < 60_000
    (ratio,) = values.pop(("CompressionRatio",))
    assert ratio == pytest.approx(pixels.nbytes / len(encoded), rel=1e-5)
    assert values == {
        ("HealthImagingCalls", "GetImageFrame"): 1,
        ("RetrievedBytes", "GetImageFrame"): len(encoded),
    }


def test_metadata_is_measured_as_a_retrieval_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    body = gzip.compress(b'{"Patient": {}}')
    measured = Measured(monkeypatch, answer(200, body))
    assert measured.reader.metadata(STORE, IMAGE_SET) == {"Patient": {}}
    assert measured.counts() == {
        ("HealthImagingCalls", "GetImageSetMetadata"): 1,
        ("RetrievedBytes", "GetImageSetMetadata"): len(body),
    }


def test_a_retrieval_read_in_parts_counts_once_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(monkeypatch, answer(200, b"x" * 1000))
    body = measured.clients.medical_imaging.get_image_frame(
        datastoreId=STORE, imageSetId=IMAGE_SET, imageFrameInformation={"imageFrameId": FRAME}
    )["imageFrameBlob"]
    assert b"".join(body.iter_chunks(300)) == b"x" * 1000
    assert measured.counts()["RetrievedBytes", "GetImageFrame"] == 1000
    assert len(measured.values()) == 0, "what was told once is not told again"


def test_what_is_no_retrieval_is_counted_by_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(monkeypatch, answer(200, b'{"imageSetId": "1", "versionId": "1"}'))
    measured.clients.medical_imaging.get_image_set(datastoreId=STORE, imageSetId=IMAGE_SET)
    assert measured.values() == {("HealthImagingCalls", "GetImageSet"): 1}


def test_attempts_without_an_answer_count_each_and_the_call_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, _ = frame()
    away = EndpointConnectionError(endpoint_url="https://aws")
    measured = Measured(
        monkeypatch, away, ConnectTimeoutError(endpoint_url="https://aws"), answer(200, encoded)
    )
    measured.reader.frame(STORE, IMAGE_SET, FRAME)
    counts = measured.counts()
    assert counts["ConnectionErrors", "medical-imaging"] == 2
    assert counts["HealthImagingCalls", "GetImageFrame"] == 1
    assert ("RetrievalErrors", "GetImageFrame") not in counts


def test_a_retrieval_that_never_got_an_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(monkeypatch, EndpointConnectionError(endpoint_url="https://aws"))
    with pytest.raises(EndpointConnectionError):
        measured.reader.frame(STORE, IMAGE_SET, FRAME)
    counts = measured.values()
    assert counts["RetrievalErrors", "GetImageFrame"] == 1
    assert counts["HealthImagingCalls", "GetImageFrame"] == 1
    assert counts["ConnectionErrors", "medical-imaging"] == 5, "five attempts"
    assert ("RetrievalLatency", "GetImageFrame") not in counts


class Torn(io.BytesIO):
    """A body whose connection breaks."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Half of it, then nothing more."""
        part = super().read(10)
        if not part:
            raise ProtocolError("connection broken")
        return part


def test_a_retrieval_that_broke_off_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    torn = answer(200, b"")
    torn.raw = Torn(b"0123456789")
    torn.headers["content-length"] = "1000"
    measured = Measured(monkeypatch, torn)
    body = measured.clients.medical_imaging.get_image_frame(
        datastoreId=STORE, imageSetId=IMAGE_SET, imageFrameInformation={"imageFrameId": FRAME}
    )["imageFrameBlob"]
    with pytest.raises(ResponseStreamingError):
        list(body.iter_chunks(10))
    counts = measured.values()
    assert counts["RetrievalErrors", "GetImageFrame"] == 1
    assert counts["ConnectionErrors", "medical-imaging"] == 1
    assert counts["RetrievedBytes", "GetImageFrame"] == 10


@pytest.mark.parametrize(
    ("service", "status", "body", "headers"),
    [
        ("s3", 503, b"<Error><Code>SlowDown</Code></Error>", {}),
        ("sqs", 400, b'{"__type": "RequestThrottled"}', {}),
        ("dynamodb", 400, b'{"__type": "ProvisionedThroughputExceededException"}', {}),
        (
            "dynamodb",
            400,
            b'{"__type": "TransactionCanceledException", "CancellationReasons": [{"Code": "ThrottlingError"}]}',
            {},
        ),
        ("medical-imaging", 429, b"{}", {"x_amzn_errortype": "ThrottlingException"}),
    ],
)
def test_throttles_are_counted_by_service(
    monkeypatch: pytest.MonkeyPatch, service: str, status: int, body: bytes, headers: dict[str, str]
) -> None:
    measured = Measured(monkeypatch, answer(status, body, **headers))
    client: Any = getattr(measured.clients, service.replace("-", "_"))
    call = {
        "s3": lambda: (
            client.head_bucket(Bucket="bucket") if not body else client.get_object(Bucket="bucket", Key="key")
        ),
        "sqs": lambda: client.delete_message(QueueUrl="https://sqs/1/queue", ReceiptHandle="handle"),
        "dynamodb": lambda: client.transact_write_items(TransactItems=[]),
        "medical-imaging": lambda: client.get_image_set(datastoreId=STORE, imageSetId=IMAGE_SET),
    }[service]
    with pytest.raises(ClientError):
        call()
    assert measured.counts()["Throttles", service] >= 1


def test_a_refusal_is_no_throttle_and_no_connection_error(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(monkeypatch, answer(404, b"<Error><Code>NoSuchKey</Code></Error>"))
    with pytest.raises(ClientError):
        measured.clients.s3.get_object(Bucket="bucket", Key="key")
    assert measured.values() == {}


def test_credentials_that_cannot_be_fetched_are_a_connection_error(monkeypatch: pytest.MonkeyPatch) -> None:
    away = CredentialRetrievalError(provider="container-role", error_msg="timed out")
    measured = Measured(monkeypatch, away)
    with pytest.raises(CredentialRetrievalError):
        measured.clients.s3.get_object(Bucket="bucket", Key="key")
    assert measured.values() == {("ConnectionErrors", "credentials"): 1}


def test_retrievals_that_are_named_are_all_that_stream() -> None:
    model = botocore.session.get_session().get_service_model("medical-imaging")
    streaming = {
        name: model.operation_model(name).output_shape.serialization["payload"]
        for name in model.operation_names
        if model.operation_model(name).has_streaming_output
    }
    assert streaming == calls.RETRIEVALS
    assert model.service_id.hyphenize() == "medical-imaging"


def test_a_real_answer_is_measured_the_same_way(local_cloud: LocalCloud) -> None:
    """Over a socket, since bodies above are made up."""
    log = io.StringIO()
    meter = Meter("test-site", clock=ManualClock(), stream=log)
    session = boto3.Session("test", "test", region_name="us-east-1")
    calls.MeasuredCalls(meter).install(session.events)
    client = session.client("medical-imaging", endpoint_url=local_cloud.endpoint_url)
    client.list_datastores()
    meter.flush()
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["HealthImagingCalls"], line["Operation"]) == (1, "ListDatastores")
