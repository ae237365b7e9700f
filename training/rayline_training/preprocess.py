"""The Preprocess step: from a data set manifest to patient-disjoint train and test images."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from rayline.errors import ConfigurationError
from rayline_training.dataset import (
    CLASSES,
    DatasetFacts,
    DatasetManifest,
    DatasetSide,
    ManifestImage,
    pixel_digest,
    read_manifest,
)
from rayline_training.display import to_display, to_square
from rayline_training.split import Sample, split_by_patient

FETCHES_AT_ONCE: Final = 4
METADATA_KEPT: Final = 256

log = structlog.get_logger()


class ImageSetReader(Protocol):
    """What this step needs of ``rayline.healthimaging.reader.FrameReader``."""

    def metadata(self, datastore_id: str, image_set_id: str, version: str | None = None) -> dict[str, Any]:
        """The metadata document of an image set version."""
        ...

    def frame(
        self, datastore_id: str, image_set_id: str, frame_id: str, *, checksum: int | None = None
    ) -> npt.NDArray[Any]:
        """One decoded frame, checked against its checksum."""
        ...


class StaleManifest(ConfigurationError):
    """The manifest names an instance, version or frame content that HealthImaging does not hold."""


def preprocess(
    manifest_content: bytes,
    manifest_uri: str,
    reader: ImageSetReader,
    *,
    image_size: int,
    test_fraction: float,
    seed: int,
) -> dict[str, DatasetSide]:
    """Fetch, check, render, resize and split the manifest's images.

    Args:
        manifest_content: bytes of the manifest at ``manifest_uri``.
        image_size: side of the square images, in pixels.

    Returns:
        The sides ``train`` and ``test``.

    Raises:
        ConfigurationError: the manifest is not valid, does not match HealthImaging, or cannot be split.
    """
    if image_size < 32:
        raise ConfigurationError("the image size is under 32 pixels; set ImageSize to 64 or more")
    manifest = read_manifest(manifest_content)
    if not manifest.images:
        raise ConfigurationError("the data set manifest lists no image; verify images first")
    squares, contents = _fetch_all(manifest, reader, image_size)
    samples = [
        Sample(image.patient_key, content, image.label)
        for image, content in zip(manifest.images, contents, strict=True)
    ]
    split = split_by_patient(samples, test_fraction, seed, CLASSES)
    chosen = {"train": split.train, "test": split.test}
    pixels = {side: np.stack([squares[index] for index in indexes]) for side, indexes in chosen.items()}
    classes = {
        side: np.array([CLASSES.index(samples[index].label) for index in indexes], dtype=np.int64)
        for side, indexes in chosen.items()
    }
    facts = DatasetFacts(
        dataset_manifest_uri=manifest_uri,
        manifest_sha256=hashlib.sha256(manifest_content).hexdigest(),
        training_id=manifest.training_id,
        image_size=image_size,
        test_fraction=test_fraction,
        seed=seed,
        images={side: len(indexes) for side, indexes in chosen.items()},
        patients={"train": split.train_patients, "test": split.test_patients},
        classes={
            side: {name: int((classes[side] == index).sum()) for index, name in enumerate(CLASSES)}
            for side in chosen
        },
        pixel_sha256={side: pixel_digest(pixels[side], classes[side]) for side in chosen},
        content_duplicates=sum(count - 1 for count in Counter(contents).values()),
    )
    log.info("dataset_split", images=facts.images, patients=facts.patients, classes=facts.classes)
    return {
        side: DatasetSide(
            pixels[side],
            classes[side],
            tuple(manifest.images[index].sop_instance_uid for index in indexes),
            facts,
        )
        for side, indexes in chosen.items()
    }


def manifest_content(folder: Path) -> bytes:
    """The one manifest in a folder.

    Raises:
        ConfigurationError: the folder does not hold exactly one file.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(files) != 1:
        raise ConfigurationError(
            f"{len(files)} files in {folder}; point DatasetManifestUri at one manifest.json"
        )
    return files[0].read_bytes()


def run(
    manifest_folder: Path,
    manifest_uri: str,
    reader: ImageSetReader,
    outputs: Mapping[str, Path],
    *,
    image_size: int,
    test_fraction: float,
    seed: int,
) -> None:
    """Read the one manifest in a folder and write each side to its output folder.

    Raises:
        ConfigurationError: see ``preprocess``; also when the folder does not hold exactly one file.
    """
    sides = preprocess(
        manifest_content(manifest_folder),
        manifest_uri,
        reader,
        image_size=image_size,
        test_fraction=test_fraction,
        seed=seed,
    )
    for name, side in sides.items():
        side.save(outputs[name])


def instance_metadata(document: Mapping[str, Any], sop_instance_uid: str) -> Mapping[str, Any]:
    """The instance's part of an image set's metadata document.

    Raises:
        StaleManifest: the image set version does not hold the instance.
    """
    for series in document.get("Study", {}).get("Series", {}).values():
        if found := series.get("Instances", {}).get(sop_instance_uid):
            instance: Mapping[str, Any] = found
            return instance
    raise StaleManifest(
        "an instance of the manifest is not in its image set version; verify its image set again"
    )


def _fetch_all(
    manifest: DatasetManifest, reader: ImageSetReader, image_size: int
) -> tuple[Sequence[npt.NDArray[np.uint8]], Sequence[str]]:
    @lru_cache(maxsize=METADATA_KEPT)
    def metadata(datastore_id: str, image_set_id: str, version: str) -> dict[str, Any]:
        return reader.metadata(datastore_id, image_set_id, version)

    def fetch(image: ManifestImage) -> tuple[npt.NDArray[np.uint8], str]:
        document = metadata(image.datastore_id, image.image_set_id, image.image_set_version)
        instance = instance_metadata(document, image.sop_instance_uid)
        if image.image_frame_id not in {frame.get("ID") for frame in instance.get("ImageFrames", ())}:
            raise StaleManifest(
                "a frame of the manifest is not in its image set version; verify its image set again"
            )
        frame = reader.frame(
            image.datastore_id, image.image_set_id, image.image_frame_id, checksum=image.frame_checksum
        )
        contiguous = np.ascontiguousarray(frame)
        if zlib.crc32(contiguous.tobytes()) != image.frame_checksum:
            raise StaleManifest(
                f"frame {image.image_frame_id} of image set {image.image_set_id} does not have the CRC-32 "
                f"that was verified; verify its image set again"
            )
        content = hashlib.sha256(f"{contiguous.shape}{contiguous.dtype.str}".encode() + contiguous.tobytes())
        shown = to_display(contiguous, instance.get("DICOM", {}))
        return to_square(shown, image_size), content.hexdigest()

    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        fetched = list(pool.map(fetch, manifest.images))
    return [square for square, _ in fetched], [content for _, content in fetched]
