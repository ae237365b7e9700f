"""The classifier: MONAI's ResNet-50 on one grey channel, and how its input is normalised."""

from typing import Any, Final

import numpy as np
import torch
from monai.networks.nets import resnet50

from rayline_training.dataset import CLASSES, Pixels

ARCHITECTURE: Final = "monai.networks.nets.resnet50"
NORMALISATION: Final = "each image to zero mean and unit standard deviation"
LEAST_DEVIATION: Final = 1.0 / 255.0


def build_network() -> torch.nn.Module:
    """A ResNet-50 for 2-D grey images and two classes, not trained.

    MONAI's default first stride of 1 is another network of four times the work, so it is set to 2. Each
    block's last batch normalisation starts at zero, so that blocks start as identities (Goyal et al. 2017,
    §5.1), which steadies training on few images.
    """
    network: torch.nn.Module = resnet50(
        spatial_dims=2, n_input_channels=1, num_classes=len(CLASSES), conv1_t_stride=2
    )
    for module in network.modules():
        last = getattr(module, "bn3", None)
        if isinstance(last, torch.nn.BatchNorm2d):
            torch.nn.init.zeros_(last.weight)
    # Convolutions on CPU and tensor cores run a fifth faster in this layout.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def normalise(pixels: Pixels) -> torch.Tensor:
    """N × S × S grey values to N × 1 × S × S, each image at zero mean and unit standard deviation."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)).to(torch.float32).div_(255.0)[:, None]
    mean = images.mean(dim=(2, 3), keepdim=True)
    deviation = images.std(dim=(2, 3), keepdim=True).clamp_min(LEAST_DEVIATION)
    return (images - mean) / deviation


@torch.no_grad()
def pneumonia_probability(
    network: torch.nn.Module, pixels: Pixels, *, device: torch.device, batch_size: int = 32
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Probability of PNEUMONIA for each image, the mean over the image and its mirror image.

    Args:
        pixels: N × S × S, as ``DatasetSide.pixels``.
    """
    network.eval()
    parts: list[torch.Tensor] = []
    for start in range(0, len(pixels), batch_size):
        images = normalise(pixels[start : start + batch_size]).to(device)
        both = [network(view).softmax(dim=1)[:, 1] for view in (images, images.flip(3))]
        parts.append((both[0] + both[1]).div(2).double().cpu())
    return torch.cat(parts).numpy()


def pick_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
