"""A plugin goes by deleting its folder: the processor starts without one that the site can spare, and never without
one that it requires.

Each case runs in a site-packages of its own, which holds links to the real one's entries; the real one is not touched.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.own_estate import ROOT

from rayline.settings import Settings

INSTALLED = Path(sysconfig.get_paths()["purelib"])
PLUGINS = ("approval", "deid", "pacs_forward")
START = "import site, sys; site.addsitedir(sys.argv.pop(1)); from rayline.cli import main; main()"


def site_packages_without(plugin: str, folder: Path, *, uninstalled: bool) -> Path:
    """Links to all that is installed but a plugin's folder; and but its metadata, where it was uninstalled."""
    folder.mkdir()
    found = 0
    for entry in INSTALLED.iterdir():
        if f"rayline_{plugin}" in entry.name:
            found += 1
            if uninstalled or not entry.name.endswith(".dist-info"):
                continue
        (folder / entry.name).symlink_to(entry)
    assert found >= 2, f"rayline_{plugin} is not installed as a project of its own"
    return folder


def check(site_packages: Path, profile: Path) -> subprocess.CompletedProcess[str]:
    """`rayline process --check` with that site-packages and nothing else."""
    settings = {
        Settings.environment_name(name): "a-value"
        for name, field in Settings.model_fields.items()
        if field.is_required()
    }
    environment = {
        **settings,
        "PATH": os.environ["PATH"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "RAYLINE_SITE_PROFILE": str(profile),
        "RAYLINE_SECRET_TRACKING": "t" * 64,
        "RAYLINE_SECRET_DEID": "d" * 64,
    }
    return subprocess.run(
        # Without the site module, so that the real site-packages stays out; and without PYTHONPATH.
        [sys.executable, "-S", "-E", "-c", START, str(site_packages), "process", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=environment,
        check=False,
    )


@pytest.fixture
def profile(repository: Path) -> Path:
    """The local stack's: deid and approval are required, pacs_forward is not."""
    return repository / "config/site/local.yaml"


how = pytest.mark.parametrize("uninstalled", [False, True], ids=["folder deleted", "uninstalled"])


def test_all_plugins_are_there_to_begin_with(profile: Path, tmp_path: Path) -> None:
    everything = tmp_path / "site-packages"
    everything.mkdir()
    for entry in INSTALLED.iterdir():
        (everything / entry.name).symlink_to(entry)
    checked = check(everything, profile)
    assert checked.returncode == 0, checked.stderr
    assert set(PLUGINS) <= set(checked.stdout.replace(",", "").split())


@how
def test_the_processor_starts_without_a_plugin_that_the_site_can_spare(
    profile: Path, tmp_path: Path, uninstalled: bool
) -> None:
    remaining = site_packages_without("pacs_forward", tmp_path / "site-packages", uninstalled=uninstalled)
    checked = check(remaining, profile)
    assert checked.returncode == 0, checked.stderr
    found = set(checked.stdout.replace(",", "").split())
    assert {"deid", "approval", "rayline.intake"} <= found
    assert "pacs_forward" not in found


@how
@pytest.mark.parametrize("plugin", ["deid", "approval"])
def test_the_processor_does_not_start_without_a_plugin_that_the_site_requires(
    plugin: str, profile: Path, tmp_path: Path, uninstalled: bool
) -> None:
    remaining = site_packages_without(plugin, tmp_path / "site-packages", uninstalled=uninstalled)
    checked = check(remaining, profile)
    assert checked.returncode == 2
    assert f"requires plugin {plugin}, which is not installed" in checked.stderr
    assert "Traceback" not in checked.stderr
    assert not checked.stdout
