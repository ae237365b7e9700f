"""Show decoded frames in 8 bits, as a person or a text detector can look at them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rayline.plugin import Header
from rayline_deid.pixels.image import ImageFormat, Pixels

View = NDArray[np.uint8]

_WINDOW_CENTER: Final = 0x00281050
_WINDOW_WIDTH: Final = 0x00281051
_RESCALE_INTERCEPT: Final = 0x00281052
_RESCALE_SLOPE: Final = 0x00281053
_PALETTE_DESCRIPTORS: Final = (0x00281101, 0x00281102, 0x00281103)
_PALETTE_DATA: Final = (0x00281201, 0x00281202, 0x00281203)
_LONGEST_PALETTE: Final = 2 * 65536

_MOST_LEVELS_SHOWN: Final = 256
_MOST_LEVELS_RANKED: Final = 1 << 17
_JPEG: Final = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
# JPEG 2000 and lossy JPEG decoders undo the transform themselves.
_UNDONE: Final = frozenset({"YBR_ICT", "YBR_RCT"})


class Display:
    """Views of the frames of one image.

    Args:
        header: of the image.
        image: how its pixels are stored.
    """

    def __init__(self, header: Header, image: ImageFormat) -> None:
        self._image = image
        self._window = _window(header)
        self._palette = _palette(header) if image.photometric == "PALETTE COLOR" else None

    def views(self, pixels: Pixels) -> list[View]:
        """What a frame looks like: in colour, or grey through its window and again with its levels equalized.

        Whatever differs from its surroundings, by however little, differs visibly in one of them.
        """
        image = self._image
        if image.samples == 3:
            return [self._coloured(pixels)]
        samples = sample_values(pixels, image)
        if self._palette is not None:
            indices = np.clip(samples - self._palette[0], 0, len(self._palette[1]) - 1)
            coloured: View = self._palette[1][indices]
            return [coloured]
        if image.photometric == "MONOCHROME1":
            samples = -samples
        low, high = int(samples.min()), int(samples.max())
        views = [_stretched(samples, *(self._bounds(low, high)))]
        if high - low >= _MOST_LEVELS_SHOWN:
            views.append(_equalized(samples))
        return views

    def _bounds(self, low: int, high: int) -> tuple[float, float]:
        if self._window is None or high - low < _MOST_LEVELS_SHOWN:
            return low, high
        first, last = self._window
        if self._image.photometric == "MONOCHROME1":
            first, last = -last, -first
        # A window that shows nothing of the image hides what it shows.
        return (first, last) if first < high and last > low and last > first else (low, high)

    def _coloured(self, pixels: Pixels) -> View:
        image = self._image
        shift = max(image.stored - 8, 0)
        shown = pixels.astype(np.int64) >> shift if shift else pixels
        if (
            image.photometric.startswith("YBR")
            and image.photometric not in _UNDONE
            and (image.transfer_syntax_uid not in _JPEG)
        ):
            luminance, blue, red = (shown[..., index].astype(np.float32) for index in range(3))
            # PS3.3 §C.7.6.3.1.2, turned round.
            shown = np.stack(
                [
                    luminance + 1.402 * (red - 128),
                    luminance - 0.344136 * (blue - 128) - 0.714136 * (red - 128),
                    luminance + 1.772 * (blue - 128),
                ],
                axis=-1,
            )
        return np.ascontiguousarray(np.clip(shown, 0, 255).astype(np.uint8))


def sample_values(pixels: Pixels, image: ImageFormat) -> Pixels:
    """The samples as numbers, without what else their cells hold."""
    number = np.int32 if image.allocated <= 16 else np.int64
    if np.issubdtype(pixels.dtype, np.signedinteger):
        return pixels.astype(number)
    # Codecs hand on samples; only cells that are stored as they are have them above their lowest bits.
    lowest = image.high_bit + 1 - image.stored if image.native else 0
    samples: Pixels = pixels.astype(number)
    samples >>= lowest
    samples &= (1 << image.stored) - 1
    if image.signed:
        samples[samples >> image.stored - 1 != 0] -= 1 << image.stored
    return samples


def _stretched(samples: Pixels, low: float, high: float) -> View:
    shown = samples.astype(np.float32)
    shown -= low
    shown *= 255 / max(high - low, 1)
    view: View = np.clip(shown, 0, 255, out=shown).astype(np.uint8)
    return view


def _equalized(samples: Pixels) -> View:
    """Each level shown by its rank among the pixels."""
    above = (samples - samples.min()).clip(0, _MOST_LEVELS_RANKED)
    levels = np.cumsum(np.bincount(above.ravel()))
    ranks = (levels * (255 / levels[-1])).astype(np.uint8)
    view: View = ranks[above]
    return view


def _window(header: Header) -> tuple[float, float] | None:
    """First and last stored value of the first window (PS3.3 §C.11.2.1.2), None where there is none."""
    numbers = [header.numbers(tag) for tag in (_WINDOW_CENTER, _WINDOW_WIDTH)]
    if not all(numbers):
        return None
    center, width = (float(values[0]) for values in numbers if values)
    slope = (header.numbers(_RESCALE_SLOPE) or [1])[0] or 1
    intercept = (header.numbers(_RESCALE_INTERCEPT) or [0])[0]
    edges = sorted((center + side * width / 2 - intercept) / slope for side in (-1, 1))
    finite = all(abs(edge) < 1e9 for edge in edges)
    return (edges[0], edges[1]) if finite else None


def _palette(header: Header) -> tuple[int, View] | None:
    """First mapped value and RGB of each entry (PS3.3 §C.7.9); None where it is segmented or broken."""
    planes, first = [], 0
    order = ">" if header.big_endian else "<"
    for descriptor, data in zip(_PALETTE_DESCRIPTORS, _PALETTE_DATA, strict=True):
        numbers = header.numbers(descriptor) or []
        raw = header.raw(data, _LONGEST_PALETTE)
        if len(numbers) != 3 or not raw:
            return None
        entries, first, bits = (int(number) for number in numbers)
        entries = entries % 65536 or 65536
        wide = len(raw) >= 2 * entries
        values = (
            np.frombuffer(raw[: len(raw) - len(raw) % 2], f"{order}u2")
            if wide
            else np.frombuffer(raw, np.uint8)
        )
        if len(values) < entries:
            return None
        planes.append((values[:entries] >> (8 if wide and bits == 16 else 0)).astype(np.uint8))
    sizes = {len(plane) for plane in planes}
    return (first, np.stack(planes, axis=-1)) if len(sizes) == 1 else None
