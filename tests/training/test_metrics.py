"""Metrics against values worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayline.errors import ConfigurationError
from rayline_training.metrics import measure, roc_points, wilson_interval


def test_ten_images_by_hand() -> None:
    probabilities = np.array([0.9, 0.8, 0.7, 0.55, 0.4, 0.6, 0.3, 0.2, 0.1, 0.05])
    classes = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    # At 0.5: 4 of 5 positives found, one false alarm. Of 25 pairs 23 are in order: only 0.4 and 0.55 lie below
    # the negative at 0.6.
    metrics = measure(probabilities, classes)
    assert metrics.confusion_matrix == ((4, 1), (1, 4))
    assert metrics.accuracy == pytest.approx(0.8)
    assert metrics.precision == pytest.approx(0.8)
    assert metrics.recall == pytest.approx(0.8)
    assert metrics.f1 == pytest.approx(0.8)
    assert metrics.roc_auc == pytest.approx(23 / 25)


def test_unequal_precision_and_recall_by_hand() -> None:
    metrics = measure(np.array([0.9, 0.9, 0.9, 0.9, 0.1, 0.1]), np.array([1, 1, 0, 0, 1, 0]))
    assert metrics.confusion_matrix == ((1, 2), (1, 2))
    assert metrics.precision == pytest.approx(0.5)
    assert metrics.recall == pytest.approx(2 / 3)
    assert metrics.f1 == pytest.approx(4 / 7)
    # Pairs: 2 positives at .9 against negatives .9 .9 .1 -> 0.5+0.5+1 each; positive at .1 -> 0+0+0.5.
    assert metrics.roc_auc == pytest.approx(4.5 / 9)


def test_no_positive_prediction_has_no_precision_and_no_f1() -> None:
    metrics = measure(np.array([0.1, 0.2]), np.array([1, 0]))
    assert (metrics.precision, metrics.recall, metrics.f1) == (0.0, 0.0, 0.0)
    assert metrics.roc_auc == 0.0


def test_one_half_counts_as_positive() -> None:
    assert measure(np.array([0.5, 0.49]), np.array([1, 0])).accuracy == 1.0


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_roc_auc_counts_pairs_and_is_the_area_under_the_points(drawn: list[tuple[int, bool]]) -> None:
    classes = np.array([int(positive) for _, positive in drawn])
    if classes.min() == classes.max():
        return
    scores = np.array([score / 6 for score, _ in drawn])
    pairs = [
        1.0 if positive > negative else 0.5 if positive == negative else 0.0
        for positive in scores[classes == 1]
        for negative in scores[classes == 0]
    ]
    expected = sum(pairs) / len(pairs)
    assert measure(scores, classes).roc_auc == pytest.approx(expected)
    points = roc_points(scores, classes)
    area = sum((right[0] - left[0]) * (right[1] + left[1]) / 2 for left, right in itertools.pairwise(points))
    assert area == pytest.approx(expected)
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))


def test_one_class_only_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="one class only"):
        measure(np.array([0.1, 0.9]), np.array([1, 1]))


def test_wilson_interval_of_a_published_example() -> None:
    # Newcombe 1998, table I: 81 of 263.
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
