"""Random views of chest X-rays: small turns, shifts and scales, mirroring, exposure, and patches left out."""

from dataclasses import dataclass
from typing import Final

import torch


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes.

    Attributes:
        turn_radians, shift, scale, stretch: largest change; shift in halves of the side.
        exposure: largest change of gain and of offset, in standard deviations.
        patch_probability: share of images with one rectangle blanked, of 10 to 35 % of the image's side.
    """

    turn_radians: float = 0.35
    shift: float = 0.2
    scale: float = 0.3
    stretch: float = 0.1
    exposure: float = 0.4
    patch_probability: float = 0.5


PATCH_LEAST: Final = 0.10
PATCH_RANGE: Final = 0.25


def augment(images: torch.Tensor, generator: torch.Generator, ranges: Augmentation) -> torch.Tensor:
    """One random view of each image.

    Args:
        images: N × 1 × S × S, normalised.
        generator: CPU generator that draws every change, so that an epoch can be repeated.
    """
    count, size = images.shape[0], images.shape[-1]

    def spread(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    turn = spread(count) * ranges.turn_radians
    scale = 1 + spread(count) * ranges.scale
    height = scale * (1 + spread(count) * ranges.stretch)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    matrix = torch.empty(count, 2, 3)
    matrix[:, 0, 0] = scale * torch.cos(turn) * mirror
    matrix[:, 0, 1] = -scale * torch.sin(turn)
    matrix[:, 0, 2] = spread(count) * ranges.shift
    matrix[:, 1, 0] = height * torch.sin(turn) * mirror
    matrix[:, 1, 1] = height * torch.cos(turn)
    matrix[:, 1, 2] = spread(count) * ranges.shift
    gain = 1 + spread(count, 1, 1, 1) * ranges.exposure
    offset = spread(count, 1, 1, 1) * ranges.exposure

    device = images.device
    grid = torch.nn.functional.affine_grid(matrix.to(device), list(images.shape), align_corners=False)
    views = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    views = views * gain.to(device) + offset.to(device)
    sides = (
        (size * (PATCH_LEAST + PATCH_RANGE * torch.rand(count, 2, generator=generator))).long().clamp_min(1)
    )
    corners = (torch.rand(count, 2, generator=generator) * (size - sides)).long()
    patched = torch.rand(count, generator=generator) < ranges.patch_probability
    for index in torch.nonzero(patched).flatten().tolist():
        top, left = corners[index].tolist()
        rows, columns = sides[index].tolist()
        views[index, :, top : top + rows, left : left + columns] = views[index].mean()
    return views
