"""``rayline plugins new`` writes a project that installs, passes its own tests and the suite, and is in good style."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rayline.errors import ConfigurationError
from rayline.hookspecs import DECIDERS, OBSERVERS, REGISTRARS, TRANSFORMERS
from rayline.scaffold import PluginProject
from rayline.scaffold.hooks import SAMPLES

# An address that no proxy listens on: whatever asks the network fails at once.
NOWHERE = "http://127.0.0.1:9"


def run(arguments: Sequence[str], cwd: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Run a module of Python with further import paths and without network."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "COLUMNS": "160",
            "https_proxy": NOWHERE,
            "PIP_NO_INDEX": "1",
            "HOME": str(cwd),
        },
        timeout=300,
        check=False,
    )


def new(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(["rayline.cli", "plugins", "new", *arguments], folder)


def installed(project: Path, target: Path) -> Path:
    """Install a project with pip into a folder."""
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--target", str(target)]
    pip = run(["pip", "install", *options, str(project)], project)
    assert pip.returncode == 0, pip.stderr
    return target


def test_every_hook_has_a_sample() -> None:
    assert set(SAMPLES) | {"settings_model"} == OBSERVERS | DECIDERS | TRANSFORMERS | REGISTRARS


def test_a_new_plugin_installs_and_passes_its_own_tests_and_the_check(tmp_path: Path) -> None:
    made = new(tmp_path, "no_localizers")
    assert made.returncode == 0, made.stderr
    for step in (
        "cd no_localizers",
        "pip install -e '.[test]'",
        "pytest",
        "rayline plugins check no_localizers",
    ):
        assert f"  {step}\n" in made.stdout
    project = tmp_path / "no_localizers"
    site_packages = installed(project, tmp_path / "site-packages")
    tested = run(["pytest", "-q", "-p", "no:cacheprovider"], project, site_packages)
    assert tested.returncode == 0, tested.stdout
    assert "3 passed" in tested.stdout
    checked = run(["rayline.cli", "plugins", "check", "no_localizers"], tmp_path, site_packages)
    assert checked.returncode == 0, checked.stdout
    assert "1 plugins, 0 findings" in checked.stdout
    (tmp_path / "site.yaml").write_text(
        "plugins: [{name: no_localizers, settings: {refused_image_types: [DERIVED]}}]"
    )
    listed = run(["rayline.cli", "plugins", "list", "--profile", "site.yaml"], tmp_path, site_packages)
    assert "no_localizers 0.1.0 screen_instance" in listed.stdout


def test_a_plugin_with_every_hook_passes_its_own_tests_and_is_in_good_style(tmp_path: Path) -> None:
    made = new(tmp_path, "every_hook", "--directory", "deep/down", *(f"--hook={hook}" for hook in SAMPLES))
    assert made.returncode == 0, made.stderr
    project = tmp_path / "deep/down/every_hook"
    tested = run(["pytest", "-q", "-p", "no:cacheprovider"], project, installed(project, tmp_path / "target"))
    assert tested.returncode == 0, tested.stdout
    rules = "E,F,W,I,B,UP,SIM,RUF,PT,C4"
    for style in (
        [
            "ruff",
            "check",
            "--isolated",
            "--no-cache",
            "--line-length=100",
            f"--select={rules}",
            "rayline_every_hook",
        ],
        [
            "ruff",
            "format",
            "--isolated",
            "--no-cache",
            "--line-length=100",
            "--check",
            "rayline_every_hook",
            "tests",
        ],
        [
            "mypy",
            "--strict",
            "--cache-dir=/dev/null",
            "--follow-imports=silent",
            "rayline_every_hook",
            "tests",
        ],
    ):
        judged = run(style, project)
        assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("hook", sorted([*SAMPLES, "settings_model"]))
def test_a_plugin_of_any_one_hook_is_whole(hook: str, tmp_path: Path) -> None:
    folder = PluginProject("single", [hook, hook]).write(tmp_path)
    sources = {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert len(sources) == 5
    for path, text in sources.items():
        assert "$" not in text
        if path.suffix == ".py" or not text:
            compile(text, str(path), "exec")
            assert text == text.rstrip() + "\n" * bool(text)
    assert f"def {hook}(" in sources[folder / "rayline_single/__init__.py"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "No",
        "9lives",
        "a-b",
        "a__b",
        "_a",
        "a_",
        "rayline_x",
        "../x",
        "a b",
        "x" * 41,
        "größe",
        "deid",
        "training",
    ],
)
def test_a_bad_or_taken_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no name for a plugin|is installed already"):
        PluginProject(name, ["screen_instance"])


def test_an_unknown_hook_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    refused = new(tmp_path, "mine", "--hook", "on_uplaoded")
    assert refused.returncode == 2
    assert "there is no hook 'on_uplaoded'" in refused.stderr
    assert "on_uploaded" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_exists_is_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/kept.txt").write_text("kept")
    refused = new(tmp_path, "mine")
    assert refused.returncode == 2
    assert "exists; choose another --directory" in refused.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["kept.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        PluginProject("mine", []).write(tmp_path / "file")
