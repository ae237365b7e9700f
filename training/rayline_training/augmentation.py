"""Random views of chest X-rays: small turns, shifts and scales, mirroring and exposure."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; wider ones cost accuracy on a few hundred images.

    Attributes:
        turn_radians, shift, scale, stretch: largest change; shift in halves of the side.
        exposure: largest change of gain and of offset, in standard deviations.
    """

    turn_radians: float = 0.35
    shift: float = 0.1
    scale: float = 0.15
    stretch: float = 0.1
    exposure: float = 0.2


def augment(images: torch.Tensor, generator: torch.Generator, ranges: Augmentation) -> torch.Tensor:
    """One random view of each image.

    Args:
        images: N × 1 × S × S, normalised.
        generator: CPU generator that draws every change, so that an epoch can be repeated.
    """
    count = images.shape[0]

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
    return views * gain.to(device) + offset.to(device)
