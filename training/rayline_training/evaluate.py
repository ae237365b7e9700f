"""The Evaluate step: metrics of the trained model on the test patients, as JSON and as a report."""

import json
from pathlib import Path
from typing import Any, Final

import structlog

from rayline.errors import ConfigurationError
from rayline_training.dataset import CLASSES, DatasetSide
from rayline_training.metrics import Metrics, Probabilities, measure
from rayline_training.model import TrainedModel, load_model
from rayline_training.network import pick_device, pneumonia_probability
from rayline_training.report import report_html

EVALUATION_FILE: Final = "evaluation.json"
REPORT_FILE: Final = "report.html"
PREDICTIONS_FILE: Final = "predictions.json"

log = structlog.get_logger()


def run(model_folder: Path, test_folder: Path, output: Path, threshold: float) -> None:
    """Write ``evaluation.json``, ``predictions.json`` and ``report.html``.

    Args:
        threshold: the gate's least accuracy; it is reported here and decided by the pipeline.

    Raises:
        ConfigurationError: model or test set are missing, or do not belong to one data set.
    """
    model = load_model(model_folder)
    side = DatasetSide.load(test_folder)
    _require_same_dataset(model, side)
    device = pick_device()
    probabilities = pneumonia_probability(model.network.to(device), side.pixels, device=device)
    metrics = measure(probabilities, side.classes)
    document = evaluation_document(metrics, model, side, threshold)
    log.info("model_evaluated", **document["metrics"], test_images=document["images"]["test"])
    (output / EVALUATION_FILE).write_text(json.dumps(document, indent=1, sort_keys=True))
    (output / PREDICTIONS_FILE).write_text(json.dumps(_predictions(probabilities, side), indent=1))
    (output / REPORT_FILE).write_text(report_html(document, probabilities, side.classes, model.card))


def evaluation_document(
    metrics: Metrics, model: TrainedModel, side: DatasetSide, threshold: float
) -> dict[str, Any]:
    """The evaluation of schema version 1; the pipeline's gate reads ``metrics.accuracy``."""
    facts = side.facts
    return {
        "schema_version": 1,
        "metrics": {
            "accuracy": metrics.accuracy,
            "precision": metrics.precision,
            "recall": metrics.recall,
            "f1": metrics.f1,
            "roc_auc": metrics.roc_auc,
        },
        "images": facts.images,
        "patients": facts.patients,
        "classes": facts.classes,
        "confusion_matrix": [list(row) for row in metrics.confusion_matrix],
        "threshold": threshold,
        "dataset_manifest_uri": facts.dataset_manifest_uri,
        "manifest_sha256": facts.manifest_sha256,
        "training_seconds": model.card["training_seconds"],
        # A model that was packed before training told of its epochs can still be evaluated.
        "epoch_seconds": model.card.get("epoch_seconds", []),
    }


def _require_same_dataset(model: TrainedModel, side: DatasetSide) -> None:
    trained_on = model.card["dataset"]
    if trained_on["pixel_sha256"] != side.facts.pixel_sha256:
        raise ConfigurationError(
            "the model was trained on another data set, so its test images may be among them; "
            "evaluate it with the test side of its own split"
        )


def _predictions(probabilities: Probabilities, side: DatasetSide) -> list[dict[str, Any]]:
    return [
        {
            "sop_instance_uid": uid,
            "label": CLASSES[int(label)],
            "pneumonia_probability": round(float(chance), 6),
        }
        for uid, label, chance in zip(side.sop_instance_uids, side.classes, probabilities, strict=True)
    ]
