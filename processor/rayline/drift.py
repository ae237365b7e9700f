"""Whether the endpoint answers as the model did on its test images.

SageMaker's own data quality monitor reads tables of numbers; what this endpoint takes is an image. So the scores are
compared: those that the endpoint's data capture kept, and those of the evaluation that approved the model.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rayline.dynamodb import query
from rayline.names import CAPTURE_PREFIX, EVALUATION_PREFIX
from rayline.observability.metrics import ANSWERS_COMPARED, PREDICTION_DRIFT
from rayline.services import Services

WINDOW = timedelta(days=1)
BINS = 10
# Fewer answers than this differ from the test images by chance alone.
LEAST_ANSWERS = 50
POSITIVE = "PNEUMONIA"


@dataclass(frozen=True)
class Drift:
    """What a comparison came to.

    Attributes:
        answers: how many of the endpoint's answers there were.
        index: population stability index; None where the answers are too few. Below 0.1 is no change, above 0.25 a
            large one (Siddiqi, Credit Risk Scorecards, 2006).
    """

    answers: int
    index: float | None


class DriftMonitor:
    """Compares the answers of the last day with the test images of the model that is served."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._s3 = services.clients.s3
        self._bucket = services.settings.reports_bucket

    def look(self) -> Drift | None:
        """Compare and publish; None where no model is served, or its evaluation is gone."""
        version = self._services.settings.endpoint_model
        if not version:
            return None
        evaluation = self._evaluation(version)
        if evaluation is None:
            return None
        expected = [
            float(each["pneumonia_probability"]) for each in self._read(evaluation, "predictions.json")
        ]
        manifest = str(self._read(evaluation, "evaluation.json")["manifest_sha256"])
        answers = list(self._answers(manifest))
        enough = len(answers) >= LEAST_ANSWERS and len(expected) >= LEAST_ANSWERS
        found = Drift(len(answers), stability_index(expected, answers) if enough else None)
        self._services.meter.record(ANSWERS_COMPARED, found.answers)
        if found.index is not None:
            self._services.meter.record(PREDICTION_DRIFT, found.index)
        return found

    def _evaluation(self, version: str) -> str | None:
        """Folder of the newest evaluation of a model version."""
        table = self._services.settings.model_metrics_table
        items = list(query(self._services.clients.dynamodb, table, None, "model_version", version))
        if not items:
            return None
        return f"{EVALUATION_PREFIX}{str(items[-1]['execution_arn']).rsplit('/', 1)[-1]}"

    def _read(self, folder: str, name: str) -> Any:
        return json.loads(self._body(f"{folder}/{name}"))

    def _body(self, key: str) -> bytes:
        return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def _answers(self, manifest: str) -> Iterator[float]:
        """Scores that data capture kept in the window, of the model that was made of this manifest only."""
        since = self._services.clock() - WINDOW
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=CAPTURE_PREFIX)
        for page in pages:
            for entry in page.get("Contents", ()):
                if entry["LastModified"] < since:
                    continue
                for line in self._body(entry["Key"]).splitlines():
                    answer = _answer(line)
                    if answer is not None and answer["manifest_sha256"] == manifest:
                        yield float(answer["probabilities"][POSITIVE])


def _answer(line: bytes) -> Any:
    """The endpoint's answer in a line of captured data, None where it refused the image.

    Source: SageMaker developer guide, "Capture data from real-time endpoint".
    """
    output = json.loads(line)["captureData"].get("endpointOutput")
    if not output or output.get("encoding") != "JSON":
        return None
    answer = json.loads(output["data"])
    return answer if "probabilities" in answer else None


def stability_index(expected: Sequence[float], found: Sequence[float]) -> float:
    """Population stability index of scores from 0 to 1, over the tenths of the expected ones."""
    ordered = sorted(expected)
    edges = [ordered[len(ordered) * each // BINS] for each in range(1, BINS)]
    return sum(
        (now - before) * math.log(now / before)
        for before, now in zip(_shares(expected, edges), _shares(found, edges), strict=True)
    )


def _shares(scores: Sequence[float], edges: Sequence[float]) -> list[float]:
    counts = [0] * (len(edges) + 1)
    for score in scores:
        counts[sum(score >= edge for edge in edges)] += 1
    # Half an answer more in each: an empty tenth would make the index infinite.
    whole = len(scores) + 0.5 * len(counts)
    return [(count + 0.5) / whole for count in counts]
