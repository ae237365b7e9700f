"""No patient on both sides, whatever the images are."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayline_training.split import ImpossibleSplit, Sample, split_by_patient

CLASSES = ("NORMAL", "PNEUMONIA")

samples = st.lists(
    st.builds(
        Sample,
        st.integers(0, 30).map(lambda number: f"patient-{number}"),
        st.integers(0, 60).map(lambda number: f"content-{number}"),
        st.sampled_from(CLASSES),
    ),
    min_size=2,
    max_size=80,
)


@given(samples, st.sampled_from([0.1, 0.2, 0.25, 0.4]), st.integers(0, 5))
def test_a_split_keeps_patients_apart_or_is_refused(images: list[Sample], fraction: float, seed: int) -> None:
    try:
        split = split_by_patient(images, fraction, seed, CLASSES)
    except ImpossibleSplit:
        return
    assert sorted(split.train + split.test) == list(range(len(images)))
    for mark in ("patient_key", "content"):
        train = {getattr(images[index], mark) for index in split.train}
        test = {getattr(images[index], mark) for index in split.test}
        assert not train & test, f"{mark} on both sides"
    assert len(split.test) >= math.ceil(round(fraction * len(images), 9))
    for side in (split.train, split.test):
        assert {images[index].label for index in side} == set(CLASSES)
    assert split == split_by_patient(images, fraction, seed, CLASSES), "the same input split otherwise"


@given(st.integers(2, 60), st.integers(2, 60), st.sampled_from([0.1, 0.2, 0.3]), st.integers(0, 3))
def test_one_image_per_patient_is_split_exactly_and_stratified(
    normal: int, pneumonia: int, fraction: float, seed: int
) -> None:
    images = [Sample(f"n{number}", f"n{number}", "NORMAL") for number in range(normal)]
    images += [Sample(f"p{number}", f"p{number}", "PNEUMONIA") for number in range(pneumonia)]
    split = split_by_patient(images, fraction, seed, CLASSES)
    on_test: dict[str, int] = defaultdict(int)
    for index in split.test:
        on_test[images[index].label] += 1
    assert on_test == {
        "NORMAL": math.ceil(round(fraction * normal, 9)),
        "PNEUMONIA": math.ceil(round(fraction * pneumonia, 9)),
    }
    assert (split.train_patients, split.test_patients) == (len(split.train), len(split.test))


def test_patients_under_new_keys_split_alike() -> None:
    images = [
        Sample(f"key-{number // 2}", f"pixels-{number}", CLASSES[number // 2 % 2]) for number in range(40)
    ]
    again = [
        Sample(f"other-{number // 2}", f"pixels-{number}", CLASSES[number // 2 % 2]) for number in range(40)
    ]
    first = split_by_patient(images, 0.2, 7, CLASSES)
    assert split_by_patient(again, 0.2, 7, CLASSES) == first
    assert split_by_patient(images, 0.2, 8, CLASSES) != first


def test_equal_pixels_join_their_patients_through_a_chain() -> None:
    chain = [
        Sample("a", "1", "NORMAL"),
        Sample("b", "1", "NORMAL"),
        Sample("b", "2", "NORMAL"),
        Sample("c", "2", "NORMAL"),
    ]
    others = [Sample(f"n{number}", f"n{number}", "NORMAL") for number in range(4)]
    others += [Sample(f"p{number}", f"p{number}", "PNEUMONIA") for number in range(8)]
    for seed in range(20):
        split = split_by_patient(chain + others, 0.25, seed, CLASSES)
        assert {index in split.test for index in range(4)} in ({True}, {False})
        assert split.train_patients + split.test_patients == 1 + 4 + 8


@pytest.mark.parametrize(
    ("images", "fraction", "reason"),
    [
        ([Sample("a", "1", "NORMAL"), Sample("b", "2", "NORMAL")], 0.2, "no image is labelled PNEUMONIA"),
        ([], 0.2, "NORMAL or PNEUMONIA"),
        (
            [
                Sample("a", "1", "NORMAL"),
                Sample("a", "2", "NORMAL"),
                Sample("b", "3", "PNEUMONIA"),
                Sample("c", "4", "PNEUMONIA"),
            ],
            0.2,
            "all 2 images labelled NORMAL belong to 1 patient",
        ),
        ([Sample(f"{n}", f"{n}", CLASSES[n % 2]) for n in range(6)], 0.9, "cannot be split"),
        ([Sample(f"{n}", f"{n}", CLASSES[n % 2]) for n in range(6)], 1.0, "between 0 and 1"),
    ],
)
def test_an_impossible_split_says_why(images: list[Sample], fraction: float, reason: str) -> None:
    with pytest.raises(ImpossibleSplit, match=reason):
        split_by_patient(images, fraction, 0, CLASSES)
