"""Find text in the frames of an image, with a bounded number of looks.

Up to a number of frames, each is looked at. Of more, as many are looked at, evenly spaced, and projections of all
frames: of each eighth of them, the brightest and the darkest that a pixel gets.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from rayline.plugin import Header
from rayline_deid.pixels.attributes import not_cleanable
from rayline_deid.pixels.boxes import Box, simplified
from rayline_deid.pixels.detection import TextDetector, text_detector
from rayline_deid.pixels.display import Display, View
from rayline_deid.pixels.image import ImageFormat, Pixels
from rayline_deid.pixels.redaction import ImageFrames
from rayline_deid.pixels.settings import PixelSettings

_PROJECTED_PARTS: Final = 8
_ROUNDS: Final = 4
_AROUND: Final = 3


def find_text(
    header: Header, image: ImageFormat, known: tuple[Box, ...], settings: PixelSettings
) -> tuple[Box, ...]:
    """Boxes around the text of all frames, beside boxes that will be blank anyway.

    After each look, what it found is blanked and looked at again.

    Raises:
        RejectedEvent: ``PIXELS_NOT_CLEANABLE`` where text is found again and again, or a frame cannot be decoded.
    """
    display, detector = Display(header, image), text_detector(settings.threads)
    boxes = known
    for pixels in _looks(ImageFrames(header, image), settings.frames_examined):
        for view in display.views(pixels):
            boxes = simplified((*boxes, *_found(view, boxes, detector)), image.rows, image.columns)
    return boxes


def _found(view: View, known: tuple[Box, ...], detector: TextDetector) -> list[Box]:
    view = view.copy()
    covered = np.zeros(view.shape[:2], dtype=np.bool_)
    found: list[Box] = []
    latest: tuple[Box, ...] = known
    changed: tuple[Box, ...] | None = None
    for _ in range(_ROUNDS):
        for box in latest:
            _cover(view, box)
            covered[box.top : box.bottom, box.left : box.right] = True
        seen = detector.boxes(view, changed)
        latest = tuple(box for box in seen if not covered[box.top : box.bottom, box.left : box.right].all())
        if not latest:
            return found
        found += latest
        changed = latest
    if any(detector.is_legible(view, box) for box in latest):
        raise not_cleanable("text is found again after cleaning")
    return found


def _cover(view: View, box: Box) -> None:
    """Cover a box with what surrounds it: the edges of black would look like strokes in an image."""
    rows, columns = view.shape[:2]
    around = Box(box.left - _AROUND, box.top - _AROUND, box.width + 2 * _AROUND, box.height + 2 * _AROUND)
    ring = around.within(rows, columns)
    outside = np.ones((ring.height, ring.width), dtype=np.bool_)
    inner = np.s_[box.top - ring.top : box.bottom - ring.top, box.left - ring.left : box.right - ring.left]
    outside[inner] = False
    surroundings = view[ring.top : ring.bottom, ring.left : ring.right][outside]
    level = np.median(surroundings, axis=0) if len(surroundings) else 0
    view[box.top : box.bottom, box.left : box.right] = level


def _looks(frames: ImageFrames, most: int) -> Iterator[Pixels]:
    count = len(frames)
    if count <= most:
        yield from frames
        return
    chosen = {round(index * (count - 1) / (most - 1)) for index in range(most)}
    edges = [round(part * count / _PROJECTED_PARTS) for part in range(_PROJECTED_PARTS + 1)]
    for first, after in pairwise(edges):
        brightest: Pixels | None = None
        darkest: Pixels | None = None
        for index in range(first, after):
            pixels = frames[index]
            brightest = pixels if brightest is None else np.maximum(brightest, pixels)
            darkest = pixels if darkest is None else np.minimum(darkest, pixels)
            if index in chosen:
                yield pixels
        if brightest is not None and darkest is not None:
            yield brightest
            yield darkest
