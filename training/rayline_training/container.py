"""Where SageMaker's container contract puts things.

Sources: SageMaker developer guide, "How Amazon SageMaker AI Provides Training Information" and "How Amazon
SageMaker AI Processing Runs Your Processing Container Image". ``SAGEMAKER_BASE_DIR``, which SageMaker's own
toolkits honour too, stands in for ``/opt/ml``.
"""

import json
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from rayline.errors import ConfigurationError

MESSAGE_BYTES = 1024
"""SageMaker keeps the first kilobyte of a failure or exit message."""


class Container(BaseSettings):
    """The folders and files of the job that this process runs in."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    base: Path = Field(default=Path("/opt/ml"), validation_alias="SAGEMAKER_BASE_DIR")

    def processing_input(self, name: str) -> Path:
        """Folder of a processing job's input."""
        return self.base / "processing" / "input" / name

    def processing_output(self, name: str) -> Path:
        """Folder of a processing job's output, made if absent."""
        return _made(self.base / "processing" / "output" / name)

    def channel(self, name: str) -> Path:
        """Folder of a training job's input channel."""
        return self.base / "input" / "data" / name

    @property
    def model(self) -> Path:
        """Folder that becomes ``model.tar.gz``; the served model lies here too."""
        return _made(self.base / "model")

    @property
    def checkpoints(self) -> Path:
        """Folder that outlives an interruption of the training job."""
        return _made(self.base / "checkpoints")

    def hyperparameters(self) -> dict[str, str]:
        """The training job's hyperparameters; SageMaker passes every one as a string.

        Raises:
            ConfigurationError: there is no hyperparameters.json.
        """
        path = self.base / "input" / "config" / "hyperparameters.json"
        if not path.is_file():
            raise ConfigurationError(f"no {path}; run as a training job, or set SAGEMAKER_BASE_DIR")
        return {str(name): str(value) for name, value in json.loads(path.read_text()).items()}

    def report_failure(self, training: bool, message: str) -> None:
        """Leave the reason where SageMaker looks: ``failure`` of training, ``message`` of processing."""
        output = _made(self.base / "output")
        (output / ("failure" if training else "message")).write_bytes(message.encode()[:MESSAGE_BYTES])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
