"""One side of the data set on disk, and the manifest that it was made from."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rayline.errors import ConfigurationError

CLASSES: Final = ("NORMAL", "PNEUMONIA")
"""Class names by index; PNEUMONIA is the positive class."""

Label = Literal["NORMAL", "PNEUMONIA"]
Pixels = npt.NDArray[np.uint8]
Classes = npt.NDArray[np.int64]


class ManifestImage(BaseModel):
    """One verified image, pinned to an image set version and to its frame's content."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    datastore_id: str
    image_set_id: str
    image_set_version: str
    sop_instance_uid: str
    image_frame_id: str
    frame_checksum: int = Field(description="CRC-32 of the decoded frame", ge=0, le=0xFFFF_FFFF)
    patient_key: str = Field(min_length=1, description="de-identified patient, equal for equal patients")
    label: Label


class DatasetManifest(BaseModel):
    """What the processor writes when enough images are verified."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1]
    training_id: str
    site: str
    images: tuple[ManifestImage, ...]


def read_manifest(content: bytes) -> DatasetManifest:
    """Parse a data set manifest.

    Raises:
        ConfigurationError: it is not a manifest of schema version 1; values are not quoted.
    """
    try:
        return DatasetManifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"the data set manifest is not valid at {place or 'its top'}: {first['msg'].lower()}; "
            f"write it by schema version 1"
        ) from None


@dataclass(frozen=True)
class DatasetFacts:
    """What both sides and the model card record about where the images came from.

    Attributes:
        images, patients: counts by side, ``train`` and ``test``.
        pixel_sha256: digest of each side's pixels and labels.
        content_duplicates: images whose pixels another image also has.
    """

    dataset_manifest_uri: str
    manifest_sha256: str
    training_id: str
    image_size: int
    test_fraction: float
    seed: int
    images: dict[str, int]
    patients: dict[str, int]
    classes: dict[str, dict[str, int]]
    pixel_sha256: dict[str, str]
    content_duplicates: int = 0
    schema_version: int = 1


@dataclass(frozen=True)
class DatasetSide:
    """The images of one side.

    Attributes:
        pixels: N × S × S, 0 black to 255 white, in display polarity.
        classes: N indexes into ``CLASSES``.
        sop_instance_uids: N stored (de-identified) SOP Instance UIDs.
    """

    pixels: Pixels
    classes: Classes
    sop_instance_uids: tuple[str, ...]
    facts: DatasetFacts

    def save(self, folder: Path) -> None:
        """Write ``images.npz`` and ``dataset.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            folder / "images.npz",
            pixels=self.pixels,
            classes=self.classes,
            sop_instance_uids=np.array(self.sop_instance_uids, dtype=np.str_),
        )
        (folder / "dataset.json").write_text(json.dumps(self.facts.__dict__, indent=1, sort_keys=True))

    @classmethod
    def load(cls, folder: Path) -> "DatasetSide":
        """Read what ``save`` wrote.

        Raises:
            ConfigurationError: the folder holds no data set.
        """
        if not (folder / "images.npz").is_file():
            raise ConfigurationError(f"no data set in {folder}; run the preprocess step first")
        with np.load(folder / "images.npz", allow_pickle=False) as arrays:
            return cls(
                pixels=arrays["pixels"],
                classes=arrays["classes"],
                sop_instance_uids=tuple(str(uid) for uid in arrays["sop_instance_uids"]),
                facts=read_facts(json.loads((folder / "dataset.json").read_text())),
            )


def read_facts(document: dict[str, Any]) -> DatasetFacts:
    """The facts of a ``dataset.json`` or of a model card."""
    return DatasetFacts(**{name: document[name] for name in DatasetFacts.__dataclass_fields__})


def pixel_digest(pixels: Pixels, classes: Classes) -> str:
    """SHA-256 over shape, pixels and labels."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    digest.update(np.ascontiguousarray(classes.astype("<i8")).tobytes())
    return digest.hexdigest()
