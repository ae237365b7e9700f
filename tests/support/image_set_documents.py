"""Image set metadata documents as HealthImaging answers them, as small as the processor needs."""

from typing import Any


def image_set_document(
    image_set_id: str, *, version: int = 1, frames: int = 1, checksum: int = 7
) -> dict[str, Any]:
    """One series with one instance; each frame's checksum follows from `checksum`."""
    instance_frames = [
        {
            "ID": f"frame{number}-of-{image_set_id}",
            "PixelDataChecksumFromBaseToFullResolution": [{"Checksum": 1}, {"Checksum": checksum + number}],
        }
        for number in range(frames)
    ]
    return {
        "SchemaVersion": "1.1",
        "ImageSetID": image_set_id,
        "VersionID": str(version),
        "Patient": {"DICOM": {"PatientID": f"P-{image_set_id}"}},
        "Study": {
            "DICOM": {"StudyInstanceUID": "1.2"},
            "Series": {
                "1.2.3": {
                    "DICOM": {"Modality": "DX"},
                    "Instances": {
                        f"1.2.3.{int(image_set_id, 16) % 1000}": {"DICOM": {}, "ImageFrames": instance_frames}
                    },
                }
            },
        },
    }
