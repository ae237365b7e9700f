"""Read a trained model back: weights and model card, from a folder or from ``model.tar.gz``."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rayline.errors import ConfigurationError
from rayline_training.network import ARCHITECTURE, build_network
from rayline_training.train import CARD_FILE, WEIGHTS_FILE


@dataclass(frozen=True)
class TrainedModel:
    """A network ready to predict, and its card."""

    network: torch.nn.Module
    card: dict[str, Any]

    @property
    def image_size(self) -> int:
        """Side of the square images that the network was trained on, in pixels."""
        return int(self.card["image_size"])


def holds_model(folder: Path) -> bool:
    """Whether SageMaker put anything into the folder of the served model; it does where a model was named."""
    return folder.is_dir() and any(folder.iterdir())


def load_model(folder: Path) -> TrainedModel:
    """Load the model in a folder, unpacking ``model.tar.gz`` beside it first where SageMaker left it packed.

    Raises:
        ConfigurationError: no model lies there, or another architecture's.
    """
    archive = folder / "model.tar.gz"
    if not (folder / WEIGHTS_FILE).is_file() and archive.is_file():
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    if not (folder / WEIGHTS_FILE).is_file() or not (folder / CARD_FILE).is_file():
        raise ConfigurationError(f"no model in {folder}; run the train step first")
    card = json.loads((folder / CARD_FILE).read_text())
    if card.get("architecture") != ARCHITECTURE:
        raise ConfigurationError(f"the model is not a {ARCHITECTURE}; use the image that trained it")
    network = build_network()
    network.load_state_dict(torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True))
    return TrainedModel(network.eval(), card)
