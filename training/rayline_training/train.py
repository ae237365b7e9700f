"""The Train step: fits the ResNet-50 with Adam, averages its last weights, and can be interrupted.

Nothing here sees the test images: epochs are fixed beforehand and no weights are picked by score.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
import torch

from rayline.errors import ConfigurationError
from rayline_training.augmentation import Augmentation, augment
from rayline_training.dataset import CLASSES, DatasetFacts, DatasetSide, pixel_digest
from rayline_training.metrics_log import epoch_line
from rayline_training.network import ARCHITECTURE, NORMALISATION, build_network, normalise, pick_device

WEIGHTS_FILE: Final = "model.pt"
CARD_FILE: Final = "model_card.json"
CHECKPOINT_FILE: Final = "checkpoint.pt"
CHECKPOINT_SECONDS: Final = 60.0
AVERAGED_SHARE: Final = 0.25
"""Share of the epochs, the last ones, whose weights are averaged (Izmailov et al. 2018)."""
STATISTICS_IMAGES: Final = 4096
"""Most images that batch normalisation is measured on again after averaging."""
IMAGES_FOR_AUGMENTED_WARMUP: Final = 2

log = structlog.get_logger()


@dataclass(frozen=True)
class Hyperparameters:
    """What the pipeline's parameters and the recipe choose.

    Attributes:
        learning_rate: highest rate of the one-cycle schedule (Smith & Topin 2018).
        label_smoothing: share of the target given to the other class.
    """

    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 0.001
    seed: int = 0
    label_smoothing: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> "Hyperparameters":
        """Read SageMaker's string hyperparameters.

        Raises:
            ConfigurationError: one is missing, not a number or out of range; the message names it.
        """
        try:
            parsed = cls(
                epochs=int(given["epochs"]),
                batch_size=int(given["batch_size"]),
                learning_rate=float(given["learning_rate"]),
                seed=int(given["seed"]),
            )
        except KeyError as error:
            raise ConfigurationError(
                f"hyperparameter {error.args[0]} is missing; set it in the pipeline"
            ) from None
        except ValueError as error:
            raise ConfigurationError(f"a hyperparameter is not a number: {error}") from None
        if parsed.epochs < 1 or parsed.batch_size < 2 or not 0 < parsed.learning_rate < 1:
            raise ConfigurationError(
                "hyperparameters out of range; epochs ≥ 1, batch_size ≥ 2 and learning_rate between 0 and 1"
            )
        return parsed


@dataclass
class _Progress:
    """All that a checkpoint holds besides the network and the optimizer."""

    epochs_done: int = 0
    averaged: int = 0
    seconds: float = 0.0
    epoch_seconds: list[float] = field(default_factory=list)


class Trainer:
    """Fits one network to one data set side.

    Args:
        checkpoints: folder that outlives an interruption; a checkpoint of other data or hyperparameters is
            ignored.
        say: receives each epoch's log line.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        side: DatasetSide,
        hyperparameters: Hyperparameters,
        checkpoints: Path,
        *,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        counts = np.bincount(side.classes, minlength=len(CLASSES))
        if len(side.pixels) < IMAGES_FOR_AUGMENTED_WARMUP or not counts.all():
            raise ConfigurationError("training needs images of every class; run the preprocess step again")
        self._pixels = side.pixels
        self._classes = torch.from_numpy(side.classes)
        self._hyperparameters = hyperparameters
        self._checkpoint = checkpoints / CHECKPOINT_FILE
        self._say = say
        self._clock = clock
        self._device = pick_device()
        self._batch_size = min(hyperparameters.batch_size, len(side.pixels))
        self._steps_per_epoch = len(side.pixels) // self._batch_size
        self._average_from = hyperparameters.epochs - max(1, round(hyperparameters.epochs * AVERAGED_SHARE))
        self._fingerprint = json.dumps(
            {"pixels": pixel_digest(side.pixels, side.classes), **asdict(hyperparameters)}, sort_keys=True
        )

        torch.manual_seed(hyperparameters.seed)
        self._network = build_network().to(self._device)
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=hyperparameters.learning_rate)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            max_lr=hyperparameters.learning_rate,
            total_steps=hyperparameters.epochs * self._steps_per_epoch,
        )
        weights = torch.tensor(len(side.pixels) / (len(CLASSES) * counts), dtype=torch.float32)
        self._loss = torch.nn.CrossEntropyLoss(
            weight=weights.to(self._device), label_smoothing=hyperparameters.label_smoothing
        )
        self._average: dict[str, torch.Tensor] = {}
        self._progress = _Progress()

    @property
    def training_seconds(self) -> float:
        """Wall time of all epochs so far, interruptions left out."""
        return self._progress.seconds

    @property
    def epoch_seconds(self) -> tuple[float, ...]:
        """Wall time of each epoch that was trained; of one that an interruption lost, the time of its repetition."""
        return tuple(self._progress.epoch_seconds)

    def fit(self) -> torch.nn.Module:
        """Train all epochs that no checkpoint holds; return the network with averaged weights, on the CPU."""
        self._resume()
        saved_at = self._clock()
        while self._progress.epochs_done < self._hyperparameters.epochs:
            self._epoch()
            if self._clock() - saved_at >= CHECKPOINT_SECONDS:
                self._save()
                saved_at = self._clock()
        self._network.load_state_dict(self._average)
        self._measure_statistics()
        return self._network.cpu().eval()

    def _epoch(self) -> None:
        epoch = self._progress.epochs_done
        started = self._clock()
        # A generator per epoch: a resumed run draws what an uninterrupted one would have drawn.
        generator = torch.Generator().manual_seed(self._hyperparameters.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self._pixels), generator=generator)
        self._network.train()
        total_loss, right, seen = 0.0, 0, 0
        rate = float(self._schedule.get_last_lr()[0])
        for step in range(self._steps_per_epoch):
            batch = order[step * self._batch_size : (step + 1) * self._batch_size]
            images = normalise(self._pixels[batch.numpy()]).to(self._device)
            views = augment(images, generator, self._hyperparameters.augmentation)
            classes = self._classes[batch].to(self._device)
            scores = self._network(views.contiguous(memory_format=torch.channels_last))
            loss = self._loss(scores, classes)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()
            self._schedule.step()
            total_loss += loss.item() * len(batch)
            right += int((scores.argmax(dim=1) == classes).sum())
            seen += len(batch)
        self._progress.epochs_done += 1
        if epoch >= self._average_from:
            self._add_to_average()
        seconds = self._clock() - started
        self._progress.seconds += seconds
        self._progress.epoch_seconds.append(seconds)
        self._say(
            epoch_line(
                epoch + 1, self._hyperparameters.epochs, total_loss / seen, right / seen, rate, seconds
            )
        )

    def _add_to_average(self) -> None:
        self._progress.averaged += 1
        for name, tensor in self._network.state_dict().items():
            value = tensor.detach().cpu()
            if name not in self._average or not value.is_floating_point():
                self._average[name] = value.clone()
            else:
                self._average[name] += (value - self._average[name]) / self._progress.averaged

    @torch.no_grad()
    def _measure_statistics(self) -> None:
        """Batch normalisation's running statistics belong to no averaged weights: measure them again."""
        for module in self._network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        self._network.train()
        generator = torch.Generator().manual_seed(self._hyperparameters.seed)
        order = torch.randperm(len(self._pixels), generator=generator)[:STATISTICS_IMAGES]
        size = max(self._batch_size, min(32, len(order)))
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            if len(batch) < max(2, size // 2) and start:
                continue
            self._network(normalise(self._pixels[batch.numpy()]).to(self._device))

    def _save(self) -> None:
        part = self._checkpoint.with_suffix(".part")
        torch.save(
            {
                "fingerprint": self._fingerprint,
                "network": self._network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "schedule": self._schedule.state_dict(),
                "average": self._average,
                "progress": asdict(self._progress),
            },
            part,
        )
        part.replace(self._checkpoint)

    def _resume(self) -> None:
        if not self._checkpoint.is_file():
            return
        held = torch.load(self._checkpoint, map_location=self._device, weights_only=True)
        if held["fingerprint"] != self._fingerprint:
            log.warning("checkpoint_of_other_training_ignored")
            return
        self._network.load_state_dict(held["network"])
        self._optimizer.load_state_dict(held["optimizer"])
        self._schedule.load_state_dict(held["schedule"])
        self._average = {name: tensor.cpu() for name, tensor in held["average"].items()}
        self._progress = _Progress(**held["progress"])
        log.info("training_resumed", epochs_done=self._progress.epochs_done)


def run(
    channel: Path,
    given: Mapping[str, str],
    model_folder: Path,
    checkpoints: Path,
    *,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train on the channel's data set and write ``model.pt`` and ``model_card.json``.

    Raises:
        ConfigurationError: no data set, or hyperparameters missing or out of range.
    """
    side = DatasetSide.load(channel)
    hyperparameters = Hyperparameters.parse(given)
    trainer = Trainer(side, hyperparameters, checkpoints, say=say, clock=clock)
    network = trainer.fit()
    torch.save(network.state_dict(), model_folder / WEIGHTS_FILE)
    card = model_card(side.facts, hyperparameters, trainer.training_seconds, trainer.epoch_seconds)
    (model_folder / CARD_FILE).write_text(json.dumps(card, indent=1, sort_keys=True))


def model_card(
    facts: DatasetFacts,
    hyperparameters: Hyperparameters,
    training_seconds: float,
    epoch_seconds: Sequence[float],
) -> dict[str, Any]:
    """What a reader of the model needs: input, classes, data set, recipe."""
    return {
        "schema_version": 1,
        "architecture": ARCHITECTURE,
        "intended_use": "research: flags chest X-rays with signs of pneumonia; not a medical device",
        "classes": list(CLASSES),
        "image_size": facts.image_size,
        "normalisation": NORMALISATION,
        "dataset": asdict(facts),
        "hyperparameters": asdict(hyperparameters),
        "optimizer": "Adam, one-cycle schedule, weights averaged over the last quarter of the epochs",
        "training_seconds": round(training_seconds, 3),
        "epoch_seconds": [round(seconds, 3) for seconds in epoch_seconds],
        "torch_version": str(torch.__version__),
    }
