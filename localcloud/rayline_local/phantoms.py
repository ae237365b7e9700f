"""Pictures of no one: a chest X-ray and a CT slice, drawn from ellipses and noise."""

from typing import Any, Final, Literal

import numpy as np

Label = Literal["NORMAL", "PNEUMONIA"]
Image = np.ndarray[Any, np.dtype[Any]]

XRAY_SIZE: Final = 256
CT_SIZE: Final = 128


def _blob(
    shape: tuple[int, int], y: float, x: float, ry: float, rx: float, tilt: float, power: float
) -> Image:
    """A soft ellipse, 1 in its middle and 0 outside; centre and radii as fractions of the picture."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    dy, dx = rows / shape[0] - y, columns / shape[1] - x
    u = (dx * np.cos(tilt) + dy * np.sin(tilt)) / rx
    v = (dy * np.cos(tilt) - dx * np.sin(tilt)) / ry
    soft: Image = np.exp(-((u * u + v * v) ** power))
    return soft


def _smooth_noise(generator: np.random.Generator, size: int, cells: int) -> Image:
    """Noise of about unit amplitude whose detail has the size of a cell."""
    coarse = generator.normal(size=(cells + 1, cells + 1))
    axis = np.linspace(0, cells, size, endpoint=False)
    low = axis.astype(int)
    part = axis - low
    part = part * part * (3 - 2 * part)
    rows = coarse[low] * (1 - part)[:, None] + coarse[low + 1] * part[:, None]
    noise: Image = rows[:, low] * (1 - part) + rows[:, low + 1] * part
    return noise


def chest_xray(generator: np.random.Generator, label: Label, size: int = XRAY_SIZE) -> Image:
    """A chest X-ray phantom, ``size`` × ``size`` of uint8, bright where rays are absorbed (MONOCHROME2).

    Both labels share anatomy, exposure, noise and soft-tissue shadows outside the lungs; pneumonia adds
    three to five opacities of random place, size and contrast inside the lungs. Brightness alone tells the labels
    apart in about three of four; the rest takes a look at where it is bright.
    """
    shape = (size, size)
    exposure, tilt = generator.normal(150, 6), generator.normal(0, 0.05)
    picture = np.full(shape, exposure) + 6 * _smooth_noise(generator, size, 4)
    centre = 0.5 + generator.normal(0, 0.015)
    depth = generator.uniform(70, 88)
    lungs = []
    for side in (-1, 1):
        y, x = 0.48 + generator.normal(0, 0.015), centre + side * (0.2 + generator.normal(0, 0.01))
        ry, rx = generator.uniform(0.29, 0.35), generator.uniform(0.125, 0.155)
        picture -= depth * _blob(shape, y, x, ry, rx, side * 0.12 + tilt, 2.5)
        lungs.append((y, x, ry, rx))
    picture += generator.uniform(38, 58) * _blob(shape, 0.6, centre + 0.06, 0.16, 0.12, 0.5, 1.5)
    rows = np.mgrid[0:size, 0:size][0] / size
    columns = np.abs(np.mgrid[0:size, 0:size][1] / size - centre)
    ribs = np.sin(
        (rows + 0.9 * columns * columns + generator.uniform(0, 1)) * 2 * np.pi * generator.uniform(9, 11)
    )
    picture += generator.uniform(4, 9) * np.clip(ribs, 0, 1) * (columns < 0.4)
    for side in (-1, 1):
        # Hila: bright in every chest, so that brightness alone does not tell the labels apart.
        picture += generator.uniform(12, 30) * _blob(
            shape, 0.47 + generator.normal(0, 0.02), centre + side * 0.09, 0.07, 0.04, side * 0.4, 1.0
        )
    if label == "PNEUMONIA":
        for _ in range(int(generator.integers(3, 6))):
            y, x, ry, rx = lungs[int(generator.integers(2))]
            cloud = _blob(
                shape,
                y + generator.uniform(-0.6, 0.75) * ry,
                x + generator.uniform(-0.4, 0.4) * rx,
                generator.uniform(0.12, 0.22),
                generator.uniform(0.09, 0.14),
                generator.uniform(0, 3.1),
                1.2,
            )
            texture = 1 + 0.35 * _smooth_noise(generator, size, 16)
            picture += generator.uniform(32, 60) * cloud * np.clip(texture, 0.3, 1.7)
    picture += generator.normal(0, 6, shape) + 5 * _smooth_noise(generator, size, 12)
    grey: Image = np.clip(picture, 0, 255).astype(np.uint8)
    return grey


def ct_slice(generator: np.random.Generator, position: float, size: int = CT_SIZE) -> Image:
    """A slice of a chest phantom: ``size`` × ``size`` of uint16, 12 bits, where 1024 is water.

    Args:
        position: 0 at the apex of the lungs, 1 at the diaphragm.
    """
    shape = (size, size)
    body = _blob(shape, 0.5, 0.5, 0.34, 0.44, 0, 6)
    picture = 24 + 1040 * body
    spread = np.sin(np.pi * np.clip(0.15 + 0.7 * position, 0, 1))
    for side in (-1, 1):
        picture -= 880 * _blob(shape, 0.5, 0.5 + side * 0.2, 0.22 * spread, 0.14 * spread, side * 0.1, 4)
    picture += 60 * _blob(shape, 0.45, 0.54, 0.12, 0.12, 0, 4) + 700 * _blob(
        shape, 0.74, 0.5, 0.05, 0.05, 0, 4
    )
    picture += generator.normal(0, 14, shape)
    grey: Image = np.clip(picture, 0, 4095).astype(np.uint16)
    return grey
