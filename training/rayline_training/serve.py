"""Inference under SageMaker's contract: ``GET /ping`` and ``POST /invocations`` on port 8080.

Source: SageMaker developer guide, "Custom Inference Code with Hosting Services".
"""

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pydicom
import structlog

from rayline.dicom.reading import read_dataset
from rayline.errors import ConfigurationError, RejectedEvent
from rayline_training.dataset import CLASSES
from rayline_training.display import to_display, to_square
from rayline_training.model import TrainedModel
from rayline_training.network import pick_device, pneumonia_probability

PORT: Final = 8080
REQUEST_BYTES_LIMIT: Final = 25 * 1024 * 1024
"""SageMaker's own limit of a real-time invocation's payload."""

DICOM_KEYWORDS: Final = (
    "PhotometricInterpretation",
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
)

log = structlog.get_logger()


class UnusableInput(Exception):
    """The request's body is not an image that the model can take; the message carries no value of it."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def predict(model: TrainedModel, content: bytes, content_type: str) -> dict[str, Any]:
    """Classify one image.

    Args:
        content: a DICOM file (``application/dicom``; its first frame is used) or a 2-D NumPy array
            (``application/x-npy``) of grey values.

    Raises:
        UnusableInput: another content type (415), or a body that is no image (400).
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/dicom":
            frame, attributes = _read_dicom(content)
        elif kind == "application/x-npy":
            frame, attributes = np.load(BytesIO(content), allow_pickle=False), {}
        else:
            raise UnusableInput(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/dicom or application/x-npy"
            )
        square = to_square(to_display(frame, attributes), model.image_size)
    except RejectedEvent as error:
        raise UnusableInput(HTTPStatus.BAD_REQUEST, f"{error.reason}: send one whole DICOM image") from None
    except (
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        EOFError,
        OSError,
        ConfigurationError,
    ):
        raise UnusableInput(
            HTTPStatus.BAD_REQUEST, "the body is not a readable grey or colour image"
        ) from None
    device = pick_device()
    probability = float(pneumonia_probability(model.network.to(device), square[None], device=device)[0])
    return {
        "label": CLASSES[int(probability >= 0.5)],
        "probabilities": {CLASSES[0]: 1 - probability, CLASSES[1]: probability},
        "manifest_sha256": model.card["dataset"]["manifest_sha256"],
    }


def make_server(model: TrainedModel | None, host: str, port: int) -> ThreadingHTTPServer:
    """A server that answers until it is shut down; port 0 picks a free one.

    Args:
        model: None answers that no model has been approved yet; the endpoint is healthy nevertheless.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/ping":
                self._answer(HTTPStatus.OK, {"status": "ok"})
            else:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "only /ping and /invocations are served"})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if self.path != "/invocations" or not 0 < length <= REQUEST_BYTES_LIMIT:
                self.close_connection = True
                status = HTTPStatus.NOT_FOUND if self.path != "/invocations" else HTTPStatus.BAD_REQUEST
                self._answer(status, {"error": "post an image of at most 25 MiB to /invocations"})
                return
            body = self.rfile.read(length)
            if model is None:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "no model is served yet"})
                return
            try:
                answer = predict(model, body, self.headers.get("Content-Type") or "")
            except UnusableInput as error:
                self._answer(error.status, {"error": str(error)})
            else:
                self._answer(HTTPStatus.OK, answer)

        def _answer(self, status: HTTPStatus, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            log.debug("request", path=self.path.partition("?")[0])

    return ThreadingHTTPServer((host, port), Handler)


def _read_dicom(content: bytes) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    dataset: pydicom.Dataset = read_dataset(content)
    pixels = dataset.pixel_array
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        pixels = pixels[0]
    return pixels, {keyword: dataset.get(keyword) for keyword in DICOM_KEYWORDS}
