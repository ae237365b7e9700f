"""Find text in an 8-bit image: PP-OCRv6's small detector, and its recogniser for what is large.

The networks come as files of the package ``rapidocr`` (Apache-2.0) and run on onnxruntime; nothing is downloaded.
The detector (differentiable binarization, Liao et al., AAAI 2020) says for each pixel how likely it is the
core of a line of text. On radiographs it also takes whole lungs for text, so that whatever is far larger
than annotations are must be legible, too.
"""

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from rayline.plugin import ConfigurationError
from rayline_deid.pixels.boxes import Box, simplified

Image = NDArray[Any]

_DETECTOR: Final = "PP-OCRv6_det_small.onnx"
_RECOGNISER: Final = "PP-OCRv6_rec_small.onnx"

# One network input; its activations take about 400 MB.
_TILE: Final = 1088
_OVERLAP: Final = 128
# Text is cut off at the edge of many images: a margin lets the network see its end.
_MARGIN: Final = 32
_STRIDE: Final = 32
# The sizes at which an image is looked at: small text wants to be larger, large text smaller.
_SMALL_SIDE: Final = 640
_COARSE_SIDE: Final = 800
_MOST_PIXELS: Final = 24_000_000

_PROBABILITY: Final = 0.3
_MEAN_PROBABILITY: Final = 0.5
_LEAST_SIDE: Final = 3
_LEAST_LENGTH: Final = 6
# The network answers the core of a line: what it left off at each side, times the core's height.
_CORE_TO_LINE: Final = 1.6
# The first and last character of a line are found least surely: half the core's height more at its ends.
_LINE_ENDS: Final = 0.5
_PADDING: Final = 2

# Higher than so many pixels and this part of the image's shorter side, only what can be read is text.
_LARGE_PIXELS: Final = 40
_LARGE_PART: Final = 0.06
_LEGIBLE: Final = 0.9
_LEAST_CHARACTERS: Final = 3
# Characters are about half as wide as high: in a line they are at least so many, by its length over its height.
_LEAST_DENSITY: Final = 0.6
_LINE_HEIGHT: Final = 48
_LONGEST_LINE: Final = 2000


class _Tile(NamedTuple):
    scale: float
    box: Box  # in the scaled image with its margin


class TextDetector:
    """Finds text; the networks are loaded once, which takes about 0.3 s and 130 MB.

    Args:
        threads: how many threads one detection uses.

    Raises:
        ConfigurationError: the networks are not installed.
    """

    def __init__(self, threads: int = 1) -> None:
        self._detector = _session(_DETECTOR, threads)
        self._recogniser = _session(_RECOGNISER, threads)

    def boxes(self, image: Image, changed: Sequence[Box] | None = None) -> tuple[Box, ...]:
        """Boxes around all text in an image.

        Args:
            image: rows × columns, or rows × columns × RGB.
            changed: where given, look only where these boxes matter: the rest has been looked at.
        """
        rows, columns = image.shape[:2]
        found: list[Box] = []
        scaled: dict[float, Image] = {}
        for tile in _tiles(rows, columns):
            if changed is not None and not any(_source(tile).touches(box) for box in changed):
                continue
            if tile.scale not in scaled:
                scaled[tile.scale] = _scaled(image, tile.scale)
            piece = scaled[tile.scale][tile.box.top : tile.box.bottom, tile.box.left : tile.box.right]
            placed = (self._place(tile, core).within(rows, columns) for core in self._cores(piece))
            found += (box for box in placed if self._is_text(image, box))
        return simplified(found, rows, columns)

    def _place(self, tile: _Tile, core: Box) -> Box:
        distance = max(_CORE_TO_LINE * core.width * core.height / (2 * (core.width + core.height)), 1)
        more = _LINE_ENDS * min(core.width, core.height)
        across, down = (
            (distance + more, distance) if core.width >= core.height else (distance, distance + more)
        )
        left = (tile.box.left + core.left - _MARGIN - across) / tile.scale - _PADDING
        top = (tile.box.top + core.top - _MARGIN - down) / tile.scale - _PADDING
        right = (tile.box.left + core.right - _MARGIN + across) / tile.scale + _PADDING
        bottom = (tile.box.top + core.bottom - _MARGIN + down) / tile.scale + _PADDING
        column, row = int(np.floor(left)), int(np.floor(top))
        return Box(column, row, int(np.ceil(right)) - column, int(np.ceil(bottom)) - row)

    def _cores(self, piece: Image) -> Iterator[Box]:
        if piece.min() == piece.max():
            return  # without contrast there is no text, and a thousand black frames cost nothing
        rows, columns = piece.shape[:2]
        padded = cv2.copyMakeBorder(piece, 0, -rows % _STRIDE, 0, -columns % _STRIDE, cv2.BORDER_REPLICATE)
        probability = self._run(self._detector, padded)[0, 0, :rows, :columns]
        mask = (probability > _PROBABILITY).astype(np.uint8)
        count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask)
        for label in range(1, count):
            left, top, width, height = (int(value) for value in statistics[label][:4])
            if min(width, height) < _LEAST_SIDE or max(width, height) < _LEAST_LENGTH:
                continue
            part = np.s_[top : top + height, left : left + width]
            if probability[part][labels[part] == label].mean() >= _MEAN_PROBABILITY:
                yield Box(left, top, width, height)

    def _is_text(self, image: Image, box: Box) -> bool:
        small = min(box.width, box.height) <= max(_LARGE_PIXELS, _LARGE_PART * min(image.shape[:2]))
        return small or self.is_legible(image, box)

    def is_legible(self, image: Image, box: Box) -> bool:
        """Whether three or more characters can be read in a box, from left to right, upwards or downwards."""
        line = image[box.top : box.bottom, box.left : box.right]
        upright = [line, np.rot90(line), np.rot90(line, 3)] if box.height > box.width else [line]
        return any(self._legibility(np.ascontiguousarray(turned)) >= _LEGIBLE for turned in upright)

    def _legibility(self, line: Image) -> float:
        """How sure the recogniser is of the characters that it sees, 0–1, 0 where they are too few for a line."""
        width = min(max(round(line.shape[1] * _LINE_HEIGHT / line.shape[0]), 16), _LONGEST_LINE)
        resized = cv2.resize(line, (width, _LINE_HEIGHT), interpolation=cv2.INTER_AREA)
        padded = cv2.copyMakeBorder(
            resized, 0, 0, 0, max(320 - width, 0), cv2.BORDER_CONSTANT, value=(127,) * 3
        )
        answer = self._run(self._recogniser, padded)[0]
        characters = answer.argmax(axis=1)
        # Connectionist temporal classification: class 0 is no character, a repeated one counts once.
        counted = (characters != 0) & np.concatenate([[True], characters[1:] != characters[:-1]])
        least = max(_LEAST_CHARACTERS, _LEAST_DENSITY * line.shape[1] / line.shape[0])
        return float(answer.max(axis=1)[counted].mean()) if counted.sum() >= least else 0.0

    @staticmethod
    def _run(session: Any, image: NDArray[Any]) -> NDArray[np.float32]:
        planes = image.astype(np.float32) / 127.5 - 1
        # The networks were trained on blue, green, red.
        stacked = (
            np.repeat(planes[None], 3, axis=0) if planes.ndim == 2 else planes[..., ::-1].transpose(2, 0, 1)
        )
        answer: NDArray[np.float32] = session.run(
            None, {session.get_inputs()[0].name: np.ascontiguousarray(stacked[None])}
        )[0]
        return answer


@cache
def text_detector(threads: int = 1) -> TextDetector:
    """The detector of this process."""
    return TextDetector(threads)


def _session(name: str, threads: int) -> Any:
    specification = importlib.util.find_spec("rapidocr")
    folders: Iterable[str] = (specification and specification.submodule_search_locations) or ()
    for folder in folders:
        path = Path(folder, "models", name)
        if path.is_file():
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.enable_cpu_mem_arena = False
            options.log_severity_level = 3
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    raise ConfigurationError(f"text detection needs {name}; install rapidocr as constraints.txt pins it")


def _scales(rows: int, columns: int) -> Iterator[float]:
    longer = max(rows, columns)
    yield min(1.0, (_MOST_PIXELS / (rows * columns)) ** 0.5)
    if longer <= _SMALL_SIDE:
        yield 2.0
    if longer > _COARSE_SIDE:
        yield _COARSE_SIDE / longer


def _starts(length: int) -> list[int]:
    if length <= _TILE:
        return [0]
    count = -(-(length - _OVERLAP) // (_TILE - _OVERLAP))
    return [round(index * (length - _TILE) / (count - 1)) for index in range(count)]


def _tiles(rows: int, columns: int) -> Iterator[_Tile]:
    for scale in _scales(rows, columns):
        height = max(1, round(rows * scale)) + 2 * _MARGIN
        width = max(1, round(columns * scale)) + 2 * _MARGIN
        for top in _starts(height):
            for left in _starts(width):
                yield _Tile(scale, Box(left, top, min(_TILE, width), min(_TILE, height)))


def _source(tile: _Tile) -> Box:
    """The part of the image that a tile shows."""
    left, top = (tile.box.left - _MARGIN) / tile.scale, (tile.box.top - _MARGIN) / tile.scale
    width, height = tile.box.width / tile.scale, tile.box.height / tile.scale
    return Box(int(left) - 1, int(top) - 1, int(width) + 3, int(height) + 3)


def _scaled(image: Image, scale: float) -> Image:
    rows, columns = image.shape[:2]
    if scale != 1.0:
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return cv2.copyMakeBorder(image, *(_MARGIN,) * 4, cv2.BORDER_REPLICATE)
