"""What a radiologist would say of an image, known by its pixels.

De-identification changes every name and UID but no pixel, and HealthImaging states the CRC-32 of each decoded
frame, so the label of a sent file finds its image set without a crosswalk.
"""

import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import pydicom

from rayline.events import Label
from rayline.healthimaging.frames import frame_pins
from rayline.healthimaging.reader import FrameReader
from rayline.verification import Verification
from rayline_local.samples import Sample


def labels_by_frame(samples: Sequence[Sample]) -> dict[int, Label]:
    """Label by CRC-32 of the frame, for the samples that have a label and must be accepted.

    A frame that came with two labels is left out: nobody could say which of them is true.
    """
    found: dict[int, Label] = {}
    disputed: set[int] = set()
    for sample in samples:
        if sample.label is None or sample.refused_for is not None:
            continue
        dataset = pydicom.dcmread(BytesIO(sample.content))
        size = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
        checksum = zlib.crc32(dataset.PixelData[:size])
        if found.setdefault(checksum, sample.label) != sample.label:
            disputed.add(checksum)
    return {checksum: label for checksum, label in found.items() if checksum not in disputed}


def image_set_documents(client: Any, datastore_id: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every image set of a data store: id, version and metadata document, as HealthImaging itself answers."""
    reader = FrameReader(client)
    pages = client.get_paginator("search_image_sets").paginate(datastoreId=datastore_id)
    for page in pages:
        for summary in page["imageSetsMetadataSummaries"]:
            image_set_id, version = summary["imageSetId"], str(summary["version"])
            yield image_set_id, version, reader.metadata(datastore_id, image_set_id, version)


def verifications(
    documents: Sequence[tuple[str, str, dict[str, Any]]], labels: dict[int, Label]
) -> list[Verification]:
    """A verification for every image set of one frame whose label is known."""
    found = []
    for image_set_id, version, metadata in documents:
        pins = frame_pins(metadata)
        if len(pins) == 1 and pins[0].checksum in labels:
            found.append(Verification(image_set_id, version, labels[pins[0].checksum]))
    return found
