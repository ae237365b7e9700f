"""Train and evaluate on generated images, as the container would run them."""

from __future__ import annotations

import json
import re
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from support.training_images import generated_frame, separable_images

from rayline.errors import ConfigurationError
from rayline_training import evaluate, train
from rayline_training.__main__ import main
from rayline_training.dataset import DatasetSide
from rayline_training.metrics_log import METRIC_EXPRESSIONS
from rayline_training.model import load_model
from rayline_training.preprocess import preprocess
from rayline_training.serve import make_server

HYPERPARAMETERS = {"epochs": "6", "batch_size": "16", "learning_rate": "0.001", "seed": "1"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sides() -> dict[str, DatasetSide]:
    held = separable_images(40)
    return preprocess(held.manifest(), "s3://p/m.json", held, image_size=32, test_fraction=0.25, seed=0)


@pytest.fixture(scope="module")
def trained(sides: dict[str, DatasetSide], tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("opt-ml")
    sides["train"].save(base / "input/data/train")
    sides["test"].save(base / "processing/input/test")
    (base / "input/config").mkdir(parents=True)
    (base / "input/config/hyperparameters.json").write_text(json.dumps(HYPERPARAMETERS))
    lines: list[str] = []
    (base / "model").mkdir()
    train.run(base / "input/data/train", HYPERPARAMETERS, base / "model", base / "model", say=lines.append)
    (base / "log").write_text("\n".join(lines))
    return base


def test_every_epoch_logs_what_the_metric_definitions_read(trained: Path) -> None:
    text = (trained / "log").read_text()
    for name, expression in METRIC_EXPRESSIONS.items():
        found = re.findall(expression, text)
        assert len(found) == 6, name
        assert all(float(value) >= 0 for value in found)
    losses = [float(value) for value in re.findall(METRIC_EXPRESSIONS["train:loss"], text)]
    assert losses[-1] < losses[0]


def test_the_card_says_what_the_model_was_made_of(trained: Path, sides: dict[str, DatasetSide]) -> None:
    card = json.loads((trained / "model/model_card.json").read_text())
    assert card["image_size"] == 32
    assert card["classes"] == ["NORMAL", "PNEUMONIA"]
    assert card["dataset"]["manifest_sha256"] == sides["train"].facts.manifest_sha256
    assert card["hyperparameters"]["learning_rate"] == 0.001
    assert card["training_seconds"] > 0
    assert len(card["epoch_seconds"]) == 6
    assert sum(card["epoch_seconds"]) == pytest.approx(card["training_seconds"], abs=0.01)


@pytest.fixture(scope="module")
def evaluated(trained: Path, monkeypatch_module: pytest.MonkeyPatch) -> Path:
    folder = trained / "processing/input/model"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as packed:
        for name in ("model.pt", "model_card.json"):
            packed.add(trained / "model" / name, name)
    monkeypatch_module.setenv("SAGEMAKER_BASE_DIR", str(trained))
    assert main(["evaluate", "--threshold", "0.85"]) == 0
    return trained / "processing/output/evaluation"


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_separable_images_are_separated(evaluated: Path, sides: dict[str, DatasetSide]) -> None:
    document = json.loads((evaluated / "evaluation.json").read_text())
    assert document["schema_version"] == 1
    assert set(document["metrics"]) == {"accuracy", "precision", "recall", "f1", "roc_auc"}
    assert document["metrics"]["accuracy"] >= 0.9
    assert document["images"] == {"train": 60, "test": 20}
    assert document["patients"] == {"train": 60, "test": 20}
    assert document["threshold"] == 0.85
    assert len(document["epoch_seconds"]) == 6
    assert document["dataset_manifest_uri"] == "s3://p/m.json"
    matrix = np.array(document["confusion_matrix"])
    assert matrix.sum() == 20
    assert document["metrics"]["accuracy"] == pytest.approx(matrix.trace() / 20)
    predictions = json.loads((evaluated / "predictions.json").read_text())
    right = [(one["pneumonia_probability"] >= 0.5) == (one["label"] == "PNEUMONIA") for one in predictions]
    assert sum(right) == matrix.trace()
    assert {one["sop_instance_uid"] for one in predictions} == set(sides["test"].sop_instance_uids)


def test_the_report_holds_its_parts_and_loads_nothing(evaluated: Path) -> None:
    text = (evaluated / "report.html").read_text()
    document = json.loads((evaluated / "evaluation.json").read_text())
    svg = re.search(r"<svg id=\"roc-curve\".*?</svg>", text, re.DOTALL)
    assert svg
    curve = ElementTree.fromstring(svg[0]).find("polyline")
    assert curve is not None
    assert curve.attrib["points"].split()[0] == "44.0,364.0", "the curve starts at the lower left"
    assert curve.attrib["points"].split()[-1] == "364.0,44.0", "the curve ends at the upper right"
    table = re.search(r"<table id=\"confusion-matrix\">.*?</table>", text, re.DOTALL)
    assert table
    counts = [int(number) for number in re.findall(r"<td>(\d+)</td>", table[0])]
    assert counts == [number for line in document["confusion_matrix"] for number in line]
    assert "<td>60</td><td>20</td>" in text
    assert f"{document['metrics']['roc_auc']:.4f}" in text
    assert not re.search(r"(src|href)\s*=|@import|url\(", text)


def test_a_model_of_another_split_is_not_evaluated(
    trained: Path, evaluated: Path, sides: dict[str, DatasetSide], tmp_path: Path
) -> None:
    side = sides["test"]
    other = replace(side, facts=replace(side.facts, pixel_sha256={"train": "0", "test": "0"}))
    other.save(tmp_path / "test")
    with pytest.raises(ConfigurationError, match="trained on another data set"):
        evaluate.run(trained / "model", tmp_path / "test", tmp_path, 0.85)


class Interruption(Exception):
    """Stands for a spot instance that is taken away."""


def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    sides: dict[str, DatasetSide], tmp_path: Path
) -> None:
    hyperparameters = train.Hyperparameters(epochs=3, batch_size=30, learning_rate=0.001, seed=5)
    # Every reading of the clock is a minute later, so that every epoch leaves a checkpoint.
    minutes = iter(range(0, 10_000_000, 60))

    def clock() -> float:
        return float(next(minutes))

    def interrupt(line: str) -> None:
        if line.startswith("epoch=3/"):
            raise Interruption

    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = train.Trainer(
        sides["train"], hyperparameters, tmp_path / "whole", say=lambda line: None, clock=clock
    ).fit()
    with pytest.raises(Interruption):
        train.Trainer(sides["train"], hyperparameters, tmp_path / "parts", say=interrupt, clock=clock).fit()
    lines: list[str] = []
    resumed = train.Trainer(
        sides["train"], hyperparameters, tmp_path / "parts", say=lines.append, clock=clock
    ).fit()
    assert [line.partition(";")[0] for line in lines] == ["epoch=3/3"]
    for (name, one), (_, other) in zip(whole.state_dict().items(), resumed.state_dict().items(), strict=True):
        torch.testing.assert_close(one, other, msg=name)


def test_a_checkpoint_of_other_hyperparameters_is_ignored(
    sides: dict[str, DatasetSide], tmp_path: Path
) -> None:
    minutes = iter(range(0, 10_000_000, 60))
    for rate, epochs in ((0.001, 1), (0.002, 1)):
        lines: list[str] = []
        train.Trainer(
            sides["train"],
            train.Hyperparameters(epochs=epochs, batch_size=32, learning_rate=rate, seed=5),
            tmp_path,
            say=lines.append,
            clock=lambda: float(next(minutes)),
        ).fit()
        assert len(lines) == epochs


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"epochs": "0"}, "out of range"),
        ({"learning_rate": "fast"}, "not a number"),
        ({"batch_size": "1"}, "out of range"),
    ],
)
def test_wrong_hyperparameters_are_named(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        train.Hyperparameters.parse({**HYPERPARAMETERS, **changes})


def test_a_failing_step_leaves_its_reason_where_sagemaker_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    assert main(["evaluate", "--threshold", "0.85"]) == 1
    assert "run the train step first" in (tmp_path / "output/message").read_text()
    assert main(["train"]) == 1
    assert "hyperparameters.json" in (tmp_path / "output/failure").read_text()
    assert "run the train step first" in capsys.readouterr().err


@pytest.fixture(scope="module")
def served(trained: Path) -> Iterator[str]:
    with make_server(load_model(trained / "model"), "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def post(url: str, body: bytes, content_type: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def dicom(frame: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Rows, dataset.Columns = frame.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = frame.tobytes()
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_serving_answers_the_contract(served: str) -> None:
    with urllib.request.urlopen(f"{served}/ping", timeout=30) as answer:
        assert answer.status == 200
    for label in ("NORMAL", "PNEUMONIA"):
        frame = generated_frame(label, 1234)
        status, from_array = post(served, npy(frame), "application/x-npy")
        assert (status, from_array["label"]) == (200, label)
        assert sum(from_array["probabilities"].values()) == pytest.approx(1)
        status, from_file = post(served, dicom(frame), "application/dicom")
        assert status == 200
        assert from_file["probabilities"] == pytest.approx(from_array["probabilities"])


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"not dicom", "application/dicom", 400),
        (b"not numpy", "application/x-npy", 400),
        (npy(np.zeros((2, 3, 4, 5))), "application/x-npy", 400),
        (npy(np.array(["text"])), "application/x-npy", 400),
        (b"{}", "application/json", 415),
        (b"", "application/dicom", 400),
    ],
)
def test_serving_refuses_what_is_no_image(served: str, body: bytes, content_type: str, status: int) -> None:
    answered, document = post(served, body, content_type)
    assert answered == status
    assert document["error"]
