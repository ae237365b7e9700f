"""From stored pixel values to what a radiologist sees: rescale, window, polarity, then a square."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from rayline.errors import ConfigurationError

FloatImage = npt.NDArray[np.float32]

LUMINANCE: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Rec. 601 weights of red, green and blue; PS3.3 §C.7.6.3.1.2 (YBR_FULL)."""

SUPPORTED_PHOTOMETRIC: Final = ("MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422")


def to_display(frame: npt.NDArray[Any], attributes: Mapping[str, Any]) -> FloatImage:
    """Render one frame to grey values, 0 black to 1 white, with air dark.

    Modality rescale, then the first VOI window (linear, PS3.3 §C.11.2.1.2.1) or, without one, the 0.5th to
    99.5th percentile, then MONOCHROME1 inverted (PS3.3 §C.7.6.3.1.2).

    Args:
        frame: rows × columns, or rows × columns × 3, as stored.
        attributes: DICOM keywords to values, HealthImaging metadata or pydicom's; absent ones default.

    Raises:
        ConfigurationError: a photometric interpretation or shape that is not an image of grey or colour.
    """
    photometric = str(attributes.get("PhotometricInterpretation") or "MONOCHROME2").strip()
    if photometric not in SUPPORTED_PHOTOMETRIC:
        raise ConfigurationError(
            f"photometric interpretation {photometric} is not supported; convert it to MONOCHROME2"
        )
    values = frame.astype(np.float32)
    if values.ndim == 3 and values.shape[-1] == 3:
        values = values[..., 0] if photometric.startswith("YBR") else values @ LUMINANCE
    elif values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 2 or not values.size:
        raise ConfigurationError(
            f"a frame of {frame.ndim} dimensions is not an image; send one frame at a time"
        )
    values = values * _number(attributes, "RescaleSlope", 1.0) + _number(attributes, "RescaleIntercept", 0.0)
    low, high = _window(attributes) or _percentiles(values)
    shown: FloatImage = np.clip((values - low) / max(high - low, 1e-6), 0.0, 1.0).astype(np.float32)
    return np.subtract(1.0, shown) if photometric == "MONOCHROME1" else shown


def to_square(image: FloatImage, size: int) -> npt.NDArray[np.uint8]:
    """Fit an image into a ``size`` × ``size`` square, 0 to 255, keeping its proportions on a black ground."""
    rows, columns = image.shape
    scale = size / max(rows, columns)
    fitted = (max(1, round(rows * scale)), max(1, round(columns * scale)))
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(image))[None, None],
        size=fitted,
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )[0, 0].numpy()
    square = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - fitted[0]) // 2, (size - fitted[1]) // 2
    square[top : top + fitted[0], left : left + fitted[1]] = np.rint(np.clip(resized, 0, 1) * 255).astype(
        np.uint8
    )
    return square


def _window(attributes: Mapping[str, Any]) -> tuple[float, float] | None:
    centre = _first(attributes.get("WindowCenter"))
    width = _first(attributes.get("WindowWidth"))
    if centre is None or width is None or width <= 1:
        return None
    # PS3.3 §C.11.2.1.2.1: the ramp runs from c - 0.5 - (w-1)/2 to c - 0.5 + (w-1)/2.
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def _percentiles(values: FloatImage) -> tuple[float, float]:
    low, high = np.percentile(values, (0.5, 99.5))
    return float(low), float(high)


def _number(attributes: Mapping[str, Any], keyword: str, default: float) -> float:
    value = _first(attributes.get(keyword))
    return default if value is None else value


def _first(value: Any) -> float | None:
    values = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    try:
        return float(str(values[0]).strip())
    except (IndexError, ValueError):
        return None
