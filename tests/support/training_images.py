"""Generated chest images of two separable classes, and an image set reader that holds them in memory."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CLASSES = ("NORMAL", "PNEUMONIA")


def generated_frame(label: str, number: int, size: int = 48) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey gradient with noise; PNEUMONIA has a bright disc on one side."""
    generator = np.random.default_rng(number)
    rows, columns = np.mgrid[0:size, 0:size] / size
    image = 60 + 60 * rows + generator.normal(0, 6, (size, size))
    if label == "PNEUMONIA":
        top, left = 0.35 + 0.3 * generator.random(), 0.3 if number % 2 else 0.7
        image[(rows - top) ** 2 + (columns - left) ** 2 < 0.04] += 90
    return np.clip(image, 0, 255).astype(np.uint8)


@dataclass
class InMemoryImageSets:
    """Holds one frame per image set and answers like ``FrameReader``; counts what was asked."""

    frames: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    documents: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        frame: np.ndarray[Any, Any],
        label: str,
        patient_key: str,
        attributes: dict[str, Any] | None = None,
        version: str = "1",
    ) -> dict[str, Any]:
        """Hold one more image; returns its manifest entry."""
        number = len(self.images)
        image_set, frame_id, uid = f"{number:032x}", f"f{number:031x}", f"2.25.{number + 1}"
        self.frames[frame_id] = frame
        self.documents[image_set, version] = {
            "Study": {
                "Series": {
                    "2.25.9": {
                        "Instances": {
                            uid: {
                                "DICOM": attributes or {"PhotometricInterpretation": "MONOCHROME2"},
                                "ImageFrames": [{"ID": frame_id}],
                            }
                        }
                    }
                }
            }
        }
        entry = {
            "datastore_id": "d" * 32,
            "image_set_id": image_set,
            "image_set_version": version,
            "sop_instance_uid": uid,
            "image_frame_id": frame_id,
            "frame_checksum": zlib.crc32(np.ascontiguousarray(frame).tobytes()),
            "patient_key": patient_key,
            "label": label,
        }
        self.images.append(entry)
        return entry

    def manifest(self, **changes: Any) -> bytes:
        """The manifest of all images held."""
        return json.dumps(
            {
                "schema_version": 1,
                "training_id": "t1",
                "site": "site-a",
                "created_at": "2026-01-01T00:00:00Z",
                "images": self.images,
                **changes,
            }
        ).encode()

    def metadata(self, datastore_id: str, image_set_id: str, version: str | None = None) -> dict[str, Any]:
        return self.documents[image_set_id, version or "1"]

    def frame(
        self, datastore_id: str, image_set_id: str, frame_id: str, *, checksum: int | None = None
    ) -> np.ndarray[Any, Any]:
        return self.frames[frame_id]


def separable_images(per_class: int) -> InMemoryImageSets:
    """So many images of each class, one patient each."""
    held = InMemoryImageSets()
    for number in range(per_class):
        for label in CLASSES:
            held.add(generated_frame(label, number), label, f"{label}-{number}")
    return held
