"""Patient-disjoint, stratified train/test split, the same for the same images whatever their keys are."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rayline.errors import ConfigurationError


class ImpossibleSplit(ConfigurationError):
    """The images cannot be split so that both sides hold every class and no patient is on both."""


@dataclass(frozen=True)
class Sample:
    """What the split needs to know of one image.

    Attributes:
        patient_key: equal for images of one patient.
        content: digest of the decoded pixels; images with equal pixels count as one patient.
        label: class name.
    """

    patient_key: str
    content: str
    label: str


@dataclass(frozen=True)
class Split:
    """Indexes of the samples on each side, ascending, and how many patients each side holds."""

    train: tuple[int, ...]
    test: tuple[int, ...]
    train_patients: int
    test_patients: int


def split_by_patient(
    samples: Sequence[Sample], test_fraction: float, seed: int, classes: Sequence[str]
) -> Split:
    """Put whole patients on the test side until it holds its share of every class.

    Patients are taken in an order drawn from the seed and their images' content, so that patients under
    new keys split alike. A patient joins the test side when that brings the classes nearer to their shares;
    then the smallest overshoot fills what is missing.

    Returns:
        At least ``test_fraction`` of the samples on the test side; every class on both sides.

    Raises:
        ImpossibleSplit: the fraction is not between 0 and 1, a class is missing, or patients are too few.
    """
    if not 0 < test_fraction < 1:
        raise ImpossibleSplit("the test fraction must lie between 0 and 1; set TestFraction to 0.2, say")
    present = Counter(sample.label for sample in samples)
    if missing := [name for name in classes if not present[name]]:
        raise ImpossibleSplit(
            f"no image is labelled {' or '.join(missing)}; verify images of every class first"
        )

    patients = _Patients(samples, seed)
    for name in classes:
        if (holders := patients.holding(name)) < 2:
            raise ImpossibleSplit(
                f"all {present[name]} images labelled {name} belong to {holders} patient; train and test "
                f"need one each, so verify images of more patients"
            )
    shares = {name: max(1, math.ceil(test_fraction * present[name] - 1e-9)) for name in classes}
    chosen = patients.choose(shares, math.ceil(test_fraction * len(samples) - 1e-9))
    test = sorted(index for patient in chosen for index in patients.members[patient])
    on_test = set(test)
    train = [index for index in range(len(samples)) if index not in on_test]
    return Split(tuple(train), tuple(test), len(patients.members) - len(chosen), len(chosen))


class _Patients:
    """Connected components of images by patient key and by content."""

    def __init__(self, samples: Sequence[Sample], seed: int) -> None:
        parent = list(range(len(samples)))

        def root(index: int) -> int:
            while parent[index] != index:
                parent[index] = parent[parent[index]]
                index = parent[index]
            return index

        first: dict[tuple[str, str], int] = {}
        for index, sample in enumerate(samples):
            for mark in (("patient", sample.patient_key), ("content", sample.content)):
                parent[root(index)] = root(first.setdefault(mark, index))
        groups: dict[int, list[int]] = defaultdict(list)
        for index in range(len(samples)):
            groups[root(index)].append(index)

        def draw(members: list[int]) -> str:
            contents = sorted(samples[index].content for index in members)
            return hashlib.sha256(f"{seed}:{','.join(contents)}".encode()).hexdigest()

        self.members = sorted(groups.values(), key=draw)
        self.labels = [Counter(samples[index].label for index in members) for members in self.members]

    def holding(self, label: str) -> int:
        return sum(1 for labels in self.labels if labels[label])

    def choose(self, shares: dict[str, int], least: int) -> list[int]:
        have: Counter[str] = Counter()
        left = {name: self.holding(name) for name in shares}
        chosen: list[int] = []

        def takeable(patient: int) -> bool:
            # Each class keeps at least one patient to train on.
            return patient not in chosen and all(
                left[name] > 1 for name in self.labels[patient] if name in left
            )

        def distance(counts: Counter[str]) -> int:
            return sum(abs(shares[name] - counts[name]) for name in shares)

        def take(patient: int) -> None:
            chosen.append(patient)
            have.update(self.labels[patient])
            for name in self.labels[patient]:
                left[name] -= 1

        for patient in range(len(self.members)):
            if distance(have + self.labels[patient]) < distance(have) and takeable(patient):
                take(patient)
        while sum(have.values()) < least or any(not have[name] for name in shares):
            lacking = [name for name in shares if not have[name]]
            fitting = [
                patient
                for patient in range(len(self.members))
                if takeable(patient) and (not lacking or any(self.labels[patient][name] for name in lacking))
            ]
            if not fitting:
                raise ImpossibleSplit(
                    f"{len(self.members)} patients cannot be split with {least} test images and every class "
                    f"on both sides; verify images of more patients or lower TestFraction"
                )
            take(min(fitting, key=lambda patient: distance(have + self.labels[patient])))
        return chosen
