"""The lines that training prints per epoch, and the expressions by which SageMaker reads them."""

from typing import Final

METRIC_EXPRESSIONS: Final[dict[str, str]] = {
    "train:loss": r"train_loss=([0-9.eE+-]+);",
    "train:accuracy": r"train_accuracy=([0-9.eE+-]+);",
    "train:learning_rate": r"learning_rate=([0-9.eE+-]+);",
    "train:epoch_seconds": r"epoch_seconds=([0-9.eE+-]+);",
}
"""Metric name to the MetricDefinition expression; ``API_MetricDefinition``."""


def epoch_line(
    epoch: int, epochs: int, loss: float, accuracy: float, learning_rate: float, seconds: float
) -> str:
    """One epoch's log line, which every expression of ``METRIC_EXPRESSIONS`` matches once.

    Args:
        epoch: epochs done, from 1.
        loss: mean training loss of the epoch.
        accuracy: share of augmented training images classified rightly in the epoch, 0 to 1.
        seconds: wall time of the epoch.
    """
    return (
        f"epoch={epoch}/{epochs}; train_loss={loss:.6f}; train_accuracy={accuracy:.6f}; "
        f"learning_rate={learning_rate:.8f}; epoch_seconds={seconds:.3f};"
    )
