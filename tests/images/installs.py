"""Runs what each container file installs, in virtual environments instead of images: `make images-check`.

No container engine is needed: the commands are the file's own, with the stage's paths moved into a folder. It takes
minutes, so that `make test` leaves it out (the name is no test module's).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.dockerfile import Stage, read_dockerfile

ROOT = Path(__file__).parents[2]
# image: container file, and the entry commands that must answer
IMAGES = {
    "processor": ("processor/Dockerfile", [["rayline", "process"], ["rayline", "health"]]),
    "api": ("processor/Dockerfile", [["rayline", "api", "serve"], ["rayline", "api", "health"]]),
    "gateway": ("processor/Dockerfile", [["rayline", "dimse", "serve"], ["rayline", "dimse", "health"]]),
    "training": ("training/Dockerfile", [["python", "-m", "rayline_training"]]),
}
ENVIRONMENT_STAGE = {"training": "environment"}


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_what_it_runs(image: str, tmp_path: Path) -> None:
    file, commands = IMAGES[image]
    stages = {stage.name: stage for stage in read_dockerfile((ROOT / file).read_text())}
    chosen = ENVIRONMENT_STAGE.get(image, f"{image}-environment")
    for stage in ("wheels", "environment", *(() if chosen == "environment" else (chosen,))):
        _build(stages[stage], tmp_path)
    programs = tmp_path / "opt/venv/bin"
    assert not (programs / "pip").exists()
    for command in commands:
        run([str(programs / command[0]), *command[1:], "--help"], tmp_path, _variables(tmp_path))


def _build(stage: Stage, root: Path) -> None:
    folder = root / "build"
    folder.mkdir(exist_ok=True)
    variables, arguments = _variables(root), {}
    for instruction in stage.instructions:
        if instruction.keyword == "ARG":
            name, _, value = instruction.value.partition("=")
            arguments[name] = value
        elif instruction.keyword == "ENV":
            variables |= dict(part.split("=", 1) for part in instruction.value.split())
        elif instruction.keyword == "COPY" and not instruction.value.startswith("--from="):
            *sources, target = instruction.value.split()
            for source in sources:
                _copy(ROOT / source, folder / target)
        elif instruction.keyword == "RUN":
            _run_step(instruction.value, root, variables | arguments)


def _run_step(command: str, root: Path, variables: dict[str, str]) -> None:
    base = root / "base"
    if not base.exists():
        # Stands for the base image's own interpreter, which `pip` and `python` mean there.
        run([sys.executable, "-m", "venv", str(base)], root, variables)
    moved = command.replace("/opt/venv", str(root / "opt/venv")).replace("/wheels", str(root / "wheels"))
    run(["sh", "-ec", moved], root / "build", {**variables, "PATH": f"{base / 'bin'}:{variables['PATH']}"})


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def _variables(root: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "PATH"}
    return {**kept, "HOME": str(root), "TMPDIR": str(root)}


def run(command: list[str], folder: Path, variables: dict[str, str]) -> None:
    """Run a command; what it wrote is shown where it failed."""
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
