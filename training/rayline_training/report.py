"""The evaluation as one HTML file that needs nothing else: figures, ROC curve, confusion matrix."""

import html
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rayline_training.dataset import CLASSES
from rayline_training.metrics import Probabilities, roc_points, wilson_interval

PLOT: Final = 320
MARGIN: Final = 44

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b2530;--soft:#5b6875;--line:#d5dbe1;--fill:#2b6cb0;--ground:#fff}
@media (prefers-color-scheme:dark){
:root{--ink:#e8edf2;--soft:#a3b0bd;--line:#3a4652;--fill:#63a4e8;--ground:#141a20}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);
max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse}th,td{border:1px solid var(--line);padding:.4rem .8rem;text-align:right}
th[scope=row]{text-align:left;font-weight:600}td.text{text-align:left;overflow-wrap:anywhere}
.verdict{padding:.6rem 1rem;border-left:.4rem solid var(--fill)}
.plots{display:flex;flex-wrap:wrap;gap:2rem;align-items:flex-start}
svg text{fill:var(--ink);font:12px system-ui,sans-serif}
caption{text-align:left;color:var(--soft);padding:.3rem 0}
"""


def report_html(
    evaluation: Mapping[str, Any],
    probabilities: Probabilities,
    classes: npt.NDArray[np.int64],
    card: Mapping[str, Any],
) -> str:
    """Render the report of one evaluation.

    Args:
        evaluation: as written to ``evaluation.json``.
        probabilities, classes: of the test images; only the curve is drawn from them.
        card: the model card.
    """
    metrics = evaluation["metrics"]
    passed = metrics["accuracy"] >= evaluation["threshold"]
    (true_negatives, false_positives), (false_negatives, true_positives) = evaluation["confusion_matrix"]
    tested = true_negatives + false_positives + false_negatives + true_positives
    low, high = wilson_interval(true_negatives + true_positives, tested)
    verdict = (
        f"Accuracy {metrics['accuracy']:.3f} on {tested} test images "
        f"{'meets' if passed else 'is below'} the threshold {evaluation['threshold']:g}: "
        f"{'registered, pending approval' if passed else 'not registered'}."
    )
    names = {
        "accuracy": "Accuracy",
        "precision": "Precision",
        "recall": "Recall (sensitivity)",
        "f1": "F1",
        "roc_auc": "ROC-AUC",
    }
    scores = "".join(_row(label, f"{metrics[name]:.4f}") for name, label in names.items())
    recipe = card["hyperparameters"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Rayline: evaluation of a pneumonia classifier</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>
<h1>Evaluation of a pneumonia classifier</h1>
<p class="verdict">{html.escape(verdict)} With {tested} images, the accuracy's 95 % interval runs from
{low:.3f} to {high:.3f}.</p>
<h2>Metrics</h2>
<table><caption>On patients never trained on; positive class: PNEUMONIA.</caption>{scores}</table>
<h2>Curve and confusion</h2>
<div class="plots">{_roc_svg(probabilities, classes, metrics["roc_auc"])}
{_confusion_table(evaluation["confusion_matrix"])}</div>
<h2>Data set</h2>
{_dataset_table(evaluation)}
<h2>Model</h2>
<table>{_row("Architecture", card["architecture"], text=True)}
{_row("Image size", f"{card['image_size']} × {card['image_size']}", text=True)}
{_row("Epochs", recipe["epochs"])}{_row("Batch size", recipe["batch_size"])}
{_row("Learning rate", recipe["learning_rate"])}{_row("Seed", recipe["seed"])}
{_row("Training seconds", f"{evaluation['training_seconds']:.0f}")}
{_row("Manifest", evaluation["dataset_manifest_uri"], text=True)}
{_row("Manifest SHA-256", evaluation["manifest_sha256"], text=True)}</table>
<p>{html.escape(str(card["intended_use"]))}.</p>
</body></html>
"""


def _row(label: str, value: object, *, text: bool = False) -> str:
    kind = ' class="text"' if text else ""
    return f'<tr><th scope="row">{html.escape(label)}</th><td{kind}>{html.escape(str(value))}</td></tr>'


def _dataset_table(evaluation: Mapping[str, Any]) -> str:
    head = '<tr><td></td><th scope="col">Train</th><th scope="col">Test</th></tr>'
    lines = [("Images", evaluation["images"]), ("Patients", evaluation["patients"])]
    lines += [
        (name, {side: evaluation["classes"][side][name] for side in ("train", "test")}) for name in CLASSES
    ]
    rows = "".join(
        f'<tr><th scope="row">{label}</th><td>{counts["train"]}</td><td>{counts["test"]}</td></tr>'
        for label, counts in lines
    )
    return f'<table id="dataset"><caption>Whole patients are on one side.</caption>{head}{rows}</table>'


def _confusion_table(matrix: list[list[int]]) -> str:
    head = "".join(f'<th scope="col">Predicted {name}</th>' for name in CLASSES)
    rows = "".join(
        f'<tr><th scope="row">True {name}</th>{"".join(f"<td>{count}</td>" for count in line)}</tr>'
        for name, line in zip(CLASSES, matrix, strict=True)
    )
    caption = "<caption>Confusion matrix</caption>"
    return f'<table id="confusion-matrix">{caption}<tr><td></td>{head}</tr>{rows}</table>'


def _roc_svg(probabilities: Probabilities, classes: npt.NDArray[np.int64], roc_auc: float) -> str:
    side = PLOT + 2 * MARGIN

    def place(point: tuple[float, float]) -> str:
        return f"{MARGIN + point[0] * PLOT:.1f},{MARGIN + (1 - point[1]) * PLOT:.1f}"

    curve = " ".join(place(point) for point in roc_points(probabilities, classes))
    ticks = "".join(
        f'<text x="{MARGIN + share * PLOT:.0f}" y="{side - MARGIN + 16}" '
        f'text-anchor="middle">{share:g}</text>'
        f'<text x="{MARGIN - 6}" y="{MARGIN + (1 - share) * PLOT + 4:.0f}" text-anchor="end">{share:g}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    far = side - MARGIN
    return (
        f'<svg id="roc-curve" role="img" aria-label="ROC curve, area {roc_auc:.3f}" '
        f'width="{side}" height="{side}" viewBox="0 0 {side} {side}">'
        f'<rect x="{MARGIN}" y="{MARGIN}" width="{PLOT}" height="{PLOT}" fill="none" stroke="var(--line)"/>'
        f'<line x1="{MARGIN}" y1="{far}" x2="{far}" y2="{MARGIN}" stroke="var(--line)" stroke-dasharray="4"/>'
        f'<polyline points="{curve}" fill="none" stroke="var(--fill)" stroke-width="2.5"/>{ticks}'
        f'<text x="{side / 2}" y="{side - 8}" text-anchor="middle">false positive rate</text>'
        f'<text x="{side / 2}" y="20" text-anchor="middle">ROC curve: area {roc_auc:.3f}</text>'
        f'<text transform="translate(12 {side / 2}) rotate(-90)" text-anchor="middle">'
        "true positive rate</text></svg>"
    )
