"""Read image set metadata and frames from AWS HealthImaging, checked against their checksums."""

import gzip
import json
import zlib
from typing import Any, cast

import imagecodecs
import numpy as np

from rayline.errors import RaylineError
from rayline.observability.meter import Meter
from rayline.observability.metrics import COMPRESSION_RATIO


class ChecksumMismatch(RaylineError):
    """A decoded frame is not the one that was imported or verified."""


class FrameReader:
    """Reads image sets through a ``medical-imaging`` client.

    Source: AWS HealthImaging developer guide, GetImageSetMetadata and GetImageFrame.
    """

    def __init__(self, client: Any, *, meter: Meter | None = None) -> None:
        self._client = client
        self._meter = meter

    def metadata(self, datastore_id: str, image_set_id: str, version: str | None = None) -> dict[str, Any]:
        """The image set's metadata document, of one version or the latest."""
        request = {"datastoreId": datastore_id, "imageSetId": image_set_id}
        if version is not None:
            request["versionId"] = version
        response = self._client.get_image_set_metadata(**request)
        return cast(dict[str, Any], json.loads(gzip.decompress(response["imageSetMetadataBlob"].read())))

    def frame(
        self, datastore_id: str, image_set_id: str, frame_id: str, *, checksum: int | None = None
    ) -> np.ndarray[Any, np.dtype[Any]]:
        """One decoded frame: rows × columns (× samples), in the stored bit depth.

        Args:
            checksum: CRC-32 of the decoded full-resolution frame, from the metadata or a pinned verification.

        Raises:
            ChecksumMismatch: the decoded frame has another CRC-32.
        """
        response = self._client.get_image_frame(
            datastoreId=datastore_id,
            imageSetId=image_set_id,
            imageFrameInformation={"imageFrameId": frame_id},
        )
        encoded = response["imageFrameBlob"].read()
        pixels = imagecodecs.htj2k_decode(encoded)
        if self._meter is not None:
            self._meter.record(COMPRESSION_RATIO, pixels.nbytes / len(encoded))
        if checksum is not None and zlib.crc32(np.ascontiguousarray(pixels).tobytes()) != checksum:
            raise ChecksumMismatch(
                f"frame {frame_id} of image set {image_set_id} does not match its checksum"
            )
        return cast(np.ndarray[Any, np.dtype[Any]], pixels)
