"""A training whose instance is taken away: the process is killed, and another one goes on from its checkpoint."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.training_images import separable_images

from rayline_training.preprocess import preprocess

# As the container's entry point, with a checkpoint after each epoch instead of each minute.
TRAIN = (
    "from rayline_training import train; train.CHECKPOINT_SECONDS = 0.0\n"
    "from rayline_training.__main__ import main; raise SystemExit(main(['train']))"
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    held = separable_images(12)
    sides = preprocess(held.manifest(), "s3://p/m.json", held, image_size=32, test_fraction=0.25, seed=0)
    sides["train"].save(tmp_path / "input/data/train")
    (tmp_path / "input/config").mkdir(parents=True)
    hyperparameters = {"epochs": "3", "batch_size": "4", "learning_rate": "0.001", "seed": "1"}
    (tmp_path / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters))
    return tmp_path


def start(base: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", TRAIN], stdout=subprocess.PIPE, text=True, env=environment)


def epochs(lines: list[str]) -> list[int]:
    return [int(line.partition("=")[2].partition("/")[0]) for line in lines if line.startswith("epoch=")]


def test_a_killed_training_goes_on_where_its_checkpoint_was(base: Path) -> None:
    with start(base) as killed:
        assert killed.stdout is not None
        seen: list[str] = []
        # The second epoch has ended, so the first one's checkpoint is whole.
        while not (epochs(seen) and epochs(seen)[-1] == 2):
            seen.append(killed.stdout.readline())
            assert seen[-1], "the training ended before it was killed"
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert not (base / "model/model.pt").exists()
    with start(base) as resumed:
        output, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0
    again = epochs(output.splitlines())
    assert again[0] in (2, 3)
    assert again[-1] == 3
    assert (base / "model/model.pt").exists()
