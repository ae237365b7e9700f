"""Drift of the endpoint's answers: what is compared, and what is not."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.in_memory_cloud.cloud import InMemoryCloud
from support.processor_estate import SITE, ProcessorEstate

from rayline.drift import Drift, DriftMonitor, stability_index
from rayline.dynamodb import to_attributes
from rayline.handler import MessageHandler
from rayline.names import CAPTURE_PREFIX
from rayline.reminders import DriftDue, reminder_body

SPREAD = [each / 100 for each in range(100)]


def captured(score: float, manifest: str = "m1", encoding: str = "JSON") -> str:
    """A line as data capture writes it (SageMaker developer guide, "Capture data from real-time endpoint")."""
    answer = {
        "label": "NORMAL",
        "probabilities": {"NORMAL": 1 - score, "PNEUMONIA": score},
        "manifest_sha256": manifest,
    }
    output = {"observedContentType": "application/json", "mode": "OUTPUT", "data": json.dumps(answer)}
    return json.dumps(
        {"captureData": {"endpointOutput": {**output, "encoding": encoding}}, "eventVersion": "0"}
    )


def test_the_same_scores_have_not_drifted() -> None:
    assert stability_index(SPREAD, SPREAD) == pytest.approx(0)


def test_scores_that_moved_have_drifted_the_more_the_farther() -> None:
    little = stability_index(SPREAD, [min(0.99, each + 0.05) for each in SPREAD])
    much = stability_index(SPREAD, [min(0.99, each + 0.5) for each in SPREAD])
    assert 0 < little < much
    # Above 0.25 the change is large (Siddiqi 2006).
    assert much > 0.25


def test_an_index_by_hand() -> None:
    """Ten in each tenth before; all in the first afterwards: shares with half an answer more in each."""
    found = [0.0] * 100
    before, first, rest = 10.5 / 105, 100.5 / 105, 0.5 / 105
    by_hand = (first - before) * math.log(first / before) + 9 * (rest - before) * math.log(rest / before)
    assert stability_index(SPREAD, found) == pytest.approx(by_hand)


class Served:
    """A site whose endpoint serves the first version, evaluated on a hundred images."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.now = datetime(2026, 3, 14, 9, tzinfo=UTC)
        cloud = InMemoryCloud(clock=lambda: self.now)
        self.estate = ProcessorEstate(cloud, folder, **{"endpoint_model": "pneumonia/1", **settings})
        self.put("evaluations/e1/evaluation.json", json.dumps({"manifest_sha256": "m1"}))
        self.put(
            "evaluations/e1/predictions.json",
            json.dumps([{"pneumonia_probability": each} for each in SPREAD]),
        )
        item = {
            "model_version": "pneumonia/1",
            "evaluated_at": "2026-03-01",
            "execution_arn": "arn:x/execution/e1",
        }
        self.estate.dynamodb.put_item(
            TableName=self.estate.settings.model_metrics_table, Item=to_attributes(item)
        )

    def put(self, key: str, body: str) -> None:
        self.estate.s3.put_object(Bucket=self.estate.settings.reports_bucket, Key=key, Body=body.encode())

    def capture(self, hour: str, lines: list[str]) -> None:
        self.put(
            f"{CAPTURE_PREFIX}rayline-test/AllTraffic/2026/03/14/{hour}/a.jsonl", "\n".join(lines) + "\n"
        )

    def look(self) -> Drift | None:
        return DriftMonitor(self.estate.runtime(lambda: self.now).services).look()


def test_the_answers_of_a_day_are_compared(tmp_path: Path) -> None:
    site = Served(tmp_path)
    site.capture("01", [captured(each) for each in SPREAD[:50]])
    site.capture("02", [captured(each) for each in SPREAD[50:]])
    assert site.look() == Drift(100, pytest.approx(0))


def test_answers_of_another_model_refusals_and_old_ones_do_not_count(tmp_path: Path) -> None:
    site = Served(tmp_path)
    site.capture("01", [captured(0.9)])
    site.now += timedelta(days=2)
    refused = {"captureData": {"endpointOutput": {"data": '{"error": "no image"}', "encoding": "JSON"}}}
    nothing = {"captureData": {}}
    lines = [
        captured(0.9, manifest="m2"),
        captured(0.9, encoding="BASE64"),
        json.dumps(refused),
        json.dumps(nothing),
    ]
    site.capture("09", [captured(0.5), *lines])
    assert site.look() == Drift(1, None)


def test_without_a_served_model_nothing_is_compared(tmp_path: Path) -> None:
    site = Served(tmp_path, endpoint_model="")
    site.capture("01", [captured(each) for each in SPREAD])
    assert site.look() is None


def test_without_an_evaluation_nothing_is_compared(tmp_path: Path) -> None:
    assert Served(tmp_path, endpoint_model="pneumonia/2").look() is None


def test_a_reminder_of_drift_is_handled_and_gone(tmp_path: Path) -> None:
    site = Served(tmp_path)
    site.capture("01", [captured(each) for each in SPREAD])
    handler = MessageHandler(site.estate.runtime(lambda: site.now))
    assert handler.handle(reminder_body(DriftDue(site=SITE)), 1).action == "delete"


def test_what_was_compared_is_published(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site = Served(tmp_path)
    site.capture("01", [captured(each) for each in SPREAD])
    services = site.estate.runtime(lambda: site.now).services
    DriftMonitor(services).look()
    services.meter.flush()
    (line,) = [json.loads(each) for each in capfd.readouterr().err.splitlines() if each.startswith("{")]
    assert line["AnswersCompared"] == 100
    assert line["PredictionDrift"] == pytest.approx(0)
