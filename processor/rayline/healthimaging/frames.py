"""Reading an image set's metadata document: who it is, and which frames it holds.

Source: AWS HealthImaging developer guide, "Get image set metadata", SchemaVersion 1.1.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class FramePin:
    """One frame, as a verification pins it.

    Attributes:
        checksum: CRC-32 of the decoded frame at full resolution.
    """

    sop_instance_uid: str
    frame_id: str
    checksum: int


def instances_in(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each instance as (Series Instance UID, SOP Instance UID, its part of the document)."""
    for series_uid, series in metadata["Study"]["Series"].items():
        for sop_uid, instance in series["Instances"].items():
            yield series_uid, sop_uid, instance


def frame_pins(metadata: Mapping[str, Any]) -> list[FramePin]:
    """Every frame of an image set, by SOP Instance UID, in frame order."""
    return [
        FramePin(
            sop_uid, frame["ID"], int(frame["PixelDataChecksumFromBaseToFullResolution"][-1]["Checksum"])
        )
        for _, sop_uid, instance in sorted(instances_in(metadata), key=lambda each: each[:2])
        for frame in instance.get("ImageFrames", [])
    ]


def pins_digest(pins: list[FramePin]) -> str:
    """Hex SHA-256 over frames and checksums, whatever their order: two equal digests are the same pixels."""
    lines = "\n".join(f"{pin.sop_instance_uid} {pin.frame_id} {pin.checksum}" for pin in sorted(pins))
    return hashlib.sha256(lines.encode()).hexdigest()
