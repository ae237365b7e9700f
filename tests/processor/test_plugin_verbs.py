"""A site's plugins add verbs to the command, and can neither replace nor break those that are there."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.installed_plugin import install_plugin

GREETER = """
    import typer
    from rayline.plugin import hookimpl

    api = 1
    name = "greeter"

    @hookimpl
    def register_commands(app):
        @app.command()
        def greet(name: str) -> None:
            "Say hello."
            typer.echo(f"hello {name}")

        @app.command()
        def upload() -> None:
            typer.echo("not yours to replace")
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    install_plugin(tmp_path, "greeter", GREETER)
    (tmp_path / "site.yaml").write_text("identity: original\nplugins: [{name: greeter}]\n")
    (tmp_path / "env").write_text(f"RAYLINE_SITE_PROFILE={tmp_path / 'site.yaml'}\n")
    return tmp_path


def rayline(site: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command where only the site's own plugin folder and profile are known."""
    return subprocess.run(
        [sys.executable, "-m", "rayline.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=site,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "COLUMNS": "160", **environment},
        timeout=60,
        check=False,
    )


def test_a_verb_of_a_plugin_runs_and_is_listed(site: Path) -> None:
    assert rayline(site, "--env-file", "env", "greet", "radiology").stdout == "hello radiology\n"
    listed = rayline(site, "--help", RAYLINE_ENV_FILE="env").stdout
    assert "greet" in listed
    assert "Say hello." in listed


def test_a_plugin_replaces_no_verb_of_ours(site: Path) -> None:
    finished = rayline(site, "--env-file", "env", "upload", "nothing")
    assert "not yours to replace" not in finished.stdout
    assert finished.returncode == 2


def test_without_a_site_the_verb_is_unknown_and_ours_work(site: Path) -> None:
    assert "No such command 'greet'" in rayline(site, "greet", "radiology").stderr
    (site / "site.yaml").write_text("plugins: [{name: no_such_plugin}]")
    assert "No such command 'greet'" in rayline(site, "--env-file", "env", "greet", "x").stderr
    finished = rayline(site, "plugins", "check", "--profile", "site.yaml")
    assert finished.returncode == 2
    assert "no_such_plugin" in finished.stderr
    assert "Traceback" not in finished.stderr
