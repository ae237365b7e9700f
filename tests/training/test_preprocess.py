"""From manifest to data set, against image sets held in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from support.training_images import InMemoryImageSets, generated_frame, separable_images

from rayline.errors import ConfigurationError
from rayline_training.dataset import CLASSES, DatasetSide
from rayline_training.preprocess import StaleManifest, preprocess, run
from rayline_training.split import ImpossibleSplit

OPTIONS = {"image_size": 32, "test_fraction": 0.25, "seed": 3}
URI = "s3://preprocessed/datasets/t1/manifest.json"


def test_each_image_lands_on_one_side_with_its_label() -> None:
    held = separable_images(6)
    sides = preprocess(held.manifest(), URI, held, **OPTIONS)
    labels = {entry["sop_instance_uid"]: entry["label"] for entry in held.images}
    seen: list[str] = []
    for side in sides.values():
        assert side.pixels.shape == (len(side.classes), 32, 32)
        for uid, index in zip(side.sop_instance_uids, side.classes, strict=True):
            assert CLASSES[index] == labels[uid]
            seen.append(uid)
    assert sorted(seen) == sorted(labels)
    facts = sides["test"].facts
    assert facts == sides["train"].facts
    assert facts.images == facts.patients == {"train": 8, "test": 4}
    assert facts.classes == {
        "train": {"NORMAL": 4, "PNEUMONIA": 4},
        "test": {"NORMAL": 2, "PNEUMONIA": 2},
    }
    assert facts.manifest_sha256 == hashlib.sha256(held.manifest()).hexdigest()


def test_the_disc_is_where_the_picture_has_it() -> None:
    held = separable_images(4)
    sides = preprocess(held.manifest(), URI, held, **OPTIONS)
    for side in sides.values():
        brightest = side.pixels.reshape(len(side.pixels), -1).astype(float)
        ill = brightest[side.classes == 1]
        # The disc covers about an eighth of the picture and tops the scale.
        assert ((ill > 200).mean(axis=1) > 0.08).all()


def test_equal_pixels_count_as_one_patient_and_are_reported() -> None:
    held = separable_images(6)
    twin = generated_frame("NORMAL", 0)
    held.add(twin.copy(), "NORMAL", "somebody-else")
    for seed in range(8):
        sides = preprocess(held.manifest(), URI, held, image_size=32, test_fraction=0.25, seed=seed)
        pictures = {name: {picture.tobytes() for picture in side.pixels} for name, side in sides.items()}
        assert not pictures["train"] & pictures["test"]
        assert sides["train"].facts.content_duplicates == 1
        assert sum(sides["train"].facts.patients.values()) == 12


def test_a_frame_with_another_checksum_is_refused() -> None:
    held = separable_images(3)
    held.frames[held.images[2]["image_frame_id"]] = generated_frame("NORMAL", 99)
    with pytest.raises(StaleManifest, match="CRC-32"):
        preprocess(held.manifest(), URI, held, **OPTIONS)


def test_a_version_without_the_instance_is_refused() -> None:
    held = separable_images(3)
    held.images[1]["sop_instance_uid"] = "2.25.404"
    with pytest.raises(StaleManifest, match="not in its image set version"):
        preprocess(held.manifest(), URI, held, **OPTIONS)


def test_a_frame_of_another_version_is_refused() -> None:
    held = separable_images(3)
    held.images[1]["image_frame_id"] = held.images[0]["image_frame_id"]
    with pytest.raises(StaleManifest, match="frame of the manifest"):
        preprocess(held.manifest(), URI, held, **OPTIONS)


def test_both_polarities_come_out_alike() -> None:
    held = separable_images(3)
    frame = generated_frame("PNEUMONIA", 50)
    held.add(frame, "PNEUMONIA", "upright")
    held.add(255 - frame, "PNEUMONIA", "inverted", {"PhotometricInterpretation": "MONOCHROME1"})
    sides = preprocess(held.manifest(), URI, held, **OPTIONS)
    pictures = {
        uid: picture
        for side in sides.values()
        for uid, picture in zip(side.sop_instance_uids, side.pixels, strict=True)
    }
    upright, inverted = (pictures[entry["sop_instance_uid"]].astype(int) for entry in held.images[-2:])
    assert np.abs(upright - inverted).max() <= 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "manifest is not valid at its top"),
        (b'{"schema_version": 2, "training_id": "t", "site": "s", "images": []}', "schema_version"),
        (b'{"schema_version": 1, "training_id": "t", "site": "s", "images": []}', "lists no image"),
    ],
)
def test_a_bad_manifest_says_what_is_wrong(content: bytes, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        preprocess(content, URI, InMemoryImageSets(), **OPTIONS)


def test_a_missing_class_is_refused() -> None:
    held = InMemoryImageSets()
    for number in range(6):
        held.add(generated_frame("NORMAL", number), "NORMAL", f"p{number}")
    with pytest.raises(ImpossibleSplit, match="no image is labelled PNEUMONIA"):
        preprocess(held.manifest(), URI, held, **OPTIONS)


def test_sides_survive_the_disk(tmp_path: Path) -> None:
    held = separable_images(4)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "manifest.json").write_bytes(held.manifest())
    outputs = {"train": tmp_path / "train", "test": tmp_path / "test"}
    run(tmp_path / "in", URI, held, outputs, **OPTIONS)
    expected = preprocess(held.manifest(), URI, held, **OPTIONS)
    for name, folder in outputs.items():
        side = DatasetSide.load(folder)
        np.testing.assert_array_equal(side.pixels, expected[name].pixels)
        np.testing.assert_array_equal(side.classes, expected[name].classes)
        assert side.sop_instance_uids == expected[name].sop_instance_uids
        assert side.facts == expected[name].facts


def test_several_files_are_no_manifest(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigurationError, match="2 files"):
        run(tmp_path, URI, InMemoryImageSets(), {}, **OPTIONS)
