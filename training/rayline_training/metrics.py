"""The numbers by which a model is judged."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rayline.errors import ConfigurationError

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metrics:
    """Scores of a two-class model, 0 to 1.

    Attributes:
        precision, recall, f1: of the positive class; 0 where undefined.
        roc_auc: chance that a positive scores above a negative, ties half (Mann-Whitney).
        confusion_matrix: ((true negatives, false positives), (false negatives, true positives)).
    """

    accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    confusion_matrix: tuple[tuple[int, int], tuple[int, int]]


def measure(probabilities: Probabilities, classes: npt.NDArray[np.int64]) -> Metrics:
    """Compare probabilities of the positive class with the true classes (1 positive), deciding at 0.5.

    Raises:
        ConfigurationError: lengths differ, or one class is absent so that no ROC-AUC exists.
    """
    if probabilities.shape != classes.shape:
        raise ConfigurationError(
            "as many probabilities as classes are needed; evaluate every test image once"
        )
    positive = classes == 1
    if positive.all() or not positive.any():
        raise ConfigurationError("the test images hold one class only; verify images of every class")
    predicted = probabilities >= 0.5
    true_positives = int((predicted & positive).sum())
    false_positives = int((predicted & ~positive).sum())
    false_negatives = int((~predicted & positive).sum())
    true_negatives = int((~predicted & ~positive).sum())
    precision = _ratio(true_positives, true_positives + false_positives)
    recall = _ratio(true_positives, true_positives + false_negatives)
    return Metrics(
        accuracy=_ratio(true_positives + true_negatives, len(classes)),
        precision=precision,
        recall=recall,
        f1=0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall),
        roc_auc=_roc_auc(probabilities, positive),
        confusion_matrix=((true_negatives, false_positives), (false_negatives, true_positives)),
    )


def roc_points(probabilities: Probabilities, classes: npt.NDArray[np.int64]) -> list[tuple[float, float]]:
    """The ROC curve from (0, 0) to (1, 1): false against true positive rate, one point per distinct score."""
    positive = classes == 1
    points = [(0.0, 0.0)]
    for score in np.unique(probabilities)[::-1]:
        above = probabilities >= score
        points.append(
            (
                _ratio(int((above & ~positive).sum()), int((~positive).sum())),
                _ratio(int((above & positive).sum()), int(positive.sum())),
            )
        )
    return points


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927)."""
    share = successes / trials
    centre = share + z * z / (2 * trials)
    margin = z * float(np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)))
    scale = 1 + z * z / trials
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def _roc_auc(probabilities: Probabilities, positive: npt.NDArray[np.bool_]) -> float:
    order = np.unique(probabilities, return_inverse=True, return_counts=True)
    _, inverse, counts = order
    # Mean rank of each distinct score; ties share theirs, which counts them half.
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    positives = int(positive.sum())
    negatives = len(positive) - positives
    rank_sum = float(mean_rank[inverse][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
