"""A site's plugins add verbs to the command, and can neither replace nor break those that are there."""

import json
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
    assert finished.returncode == 1
    assert "NOT_INSTALLED" in finished.stdout
    assert "no_such_plugin" in finished.stdout
    assert "Traceback" not in finished.stderr


# -- list and check


REFUSER = """
    from pydantic import BaseModel, ConfigDict, Field
    from rayline.plugin import Policy, Rejection, hookimpl

    api = 1
    name = "refuser"
    policies = {{"screen_instance": Policy(on_failure="reject", timeout_seconds=5, sees_phi=True)}}

    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        why: str = Field(default="a rule of the site", description="what refusals say")

    @hookimpl
    def settings_model():
        return Settings

    @hookimpl
    def screen_instance(instance, context):
        return {answer}
"""
ADMITS = REFUSER.format(answer="None")
BREAKS = REFUSER.format(answer='Rejection("not a code", context.settings.why)')


def written_profile(folder: Path, plugins: str) -> str:
    path = folder / "profile.yaml"
    path.write_text(f"identity: original\nplugins: [{plugins}]\n")
    return str(path)


def test_list_tells_whose_word_each_part_of_a_policy_is(tmp_path: Path) -> None:
    install_plugin(tmp_path, "refuser", ADMITS)
    install_plugin(tmp_path, "idle", ADMITS)
    listed = "{name: refuser, policies: {screen_instance: {timeout_seconds: 7}}}"
    profile = written_profile(tmp_path, listed)
    rows = {
        row["plugin"]: row
        for row in json.loads(rayline(tmp_path, "plugins", "list", "--json", "--profile", profile).stdout)
    }
    assert (rows["refuser"]["state"], rows["refuser"]["version"]) == ("loaded", "1.2.3")
    (screening,) = [each for each in rows["refuser"]["hooks"] if each["hook"] == "screen_instance"]
    assert screening["policy"]["timeout_seconds"] == 7
    assert screening["policy"]["memory_mb"] == 1024
    assert screening["from"] == {
        "memory_mb": "default",
        "on_failure": "plugin",
        "order": "default",
        "sees_phi": "plugin",
        "timeout_seconds": "site",
    }
    assert rows["idle"]["state"] == "not listed"
    shown = rayline(tmp_path, "plugins", "list", "--profile", profile).stdout
    assert "7 s*" in shown
    assert "1024 MiB " in shown
    assert "* the site profile says so" in shown
    assert "installed, but not in the site profile:" in shown


def test_list_tells_why_a_plugin_is_not_loaded(tmp_path: Path) -> None:
    install_plugin(tmp_path, "broken", "import no_such_module_at_all")
    install_plugin(tmp_path, "refuser", ADMITS)
    listed = (
        "name: broken",
        "name: missing",
        "name: spared, required: false",
        "name: refuser, settings: {wy: x}",
    )
    profile = written_profile(tmp_path, ", ".join(f"{{{each}}}" for each in listed))
    finished = rayline(tmp_path, "plugins", "list", "--profile", profile)
    assert finished.returncode == 0
    assert finished.stderr == ""
    assert "broken: broken: plugin broken cannot be imported: ModuleNotFoundError" in finished.stdout
    assert "missing: not installed: the site requires plugin missing" in finished.stdout
    assert "spared: not installed: the site can do without it" in finished.stdout
    assert "refuser: broken: settings of plugin refuser in the site profile: wy" in finished.stdout


def test_check_passes_what_keeps_the_contract_with_the_sites_settings(tmp_path: Path) -> None:
    install_plugin(tmp_path, "refuser", ADMITS)
    profile = written_profile(tmp_path, "{name: refuser, settings: {why: rule seven}}")
    finished = rayline(tmp_path, "plugins", "check", "--profile", profile)
    assert finished.returncode == 0, finished.stdout
    assert "1 plugins, 0 findings" in finished.stdout


def test_check_tells_each_finding_and_ends_with_1(tmp_path: Path) -> None:
    install_plugin(tmp_path, "refuser", BREAKS)
    install_plugin(tmp_path, "unimportable", "import no_such_module_at_all")
    profile = written_profile(
        tmp_path, "{name: refuser}, {name: unimportable}, {name: missing}, {name: spared, required: false}"
    )
    finished = rayline(tmp_path, "plugins", "check", "--json", "--profile", profile)
    assert finished.returncode == 1
    document = json.loads(finished.stdout)
    found = {(each["plugin"], one["code"]) for each in document["plugins"] for one in each["findings"]}
    assert found == {
        ("refuser", "REASON_NOT_A_CODE"),
        ("unimportable", "NOT_LOADABLE"),
        ("missing", "NOT_INSTALLED"),
    }
    assert document["findings"] == 3
    assert all(one["fix"] and one["explanation"] for each in document["plugins"] for one in each["findings"])
    shown = rayline(tmp_path, "plugins", "check", "--profile", profile)
    assert shown.returncode == 1
    assert "REASON_NOT_A_CODE" in shown.stdout
    assert "Traceback" not in shown.stderr


def test_check_takes_names_and_all_without_a_site_profile(tmp_path: Path) -> None:
    install_plugin(tmp_path, "refuser", ADMITS)
    install_plugin(tmp_path, "breaker", BREAKS.replace("refuser", "breaker"))
    named = rayline(tmp_path, "plugins", "check", "refuser")
    assert named.returncode == 0, named.stdout
    assert "1 plugins, 0 findings" in named.stdout
    everything = rayline(tmp_path, "plugins", "check", "--all", "--json")
    assert everything.returncode == 1
    by_name = {each["plugin"]: each["findings"] for each in json.loads(everything.stdout)["plugins"]}
    assert by_name["refuser"] == []
    assert [one["code"] for one in by_name["breaker"]] == ["REASON_NOT_A_CODE"]
    neither = rayline(tmp_path, "plugins", "check")
    assert neither.returncode == 2
    assert "set RAYLINE_SITE_PROFILE, or pass --profile" in neither.stderr


def test_check_lets_nothing_out_while_a_plugin_is_imported(tmp_path: Path) -> None:
    install_plugin(
        tmp_path,
        "caller",
        """
        import socket

        api = 1
        name = "caller"
        try:
            socket.create_connection(("192.0.2.1", 443), timeout=1)
        except OSError:
            pass
        """,
    )
    finished = rayline(tmp_path, "plugins", "check", "caller", "--json")
    assert finished.returncode == 1
    ((finding,),) = [each["findings"] for each in json.loads(finished.stdout)["plugins"]]
    assert finding["code"] == "OPENS_CONNECTION"
    assert "as it was imported" in finding["explanation"]


def test_without_hypothesis_check_says_what_to_install(tmp_path: Path) -> None:
    install_plugin(tmp_path, "refuser", ADMITS)
    (tmp_path / "hypothesis.py").write_text("raise ModuleNotFoundError('no', name='hypothesis')")
    finished = rayline(tmp_path, "plugins", "check", "refuser")
    assert finished.returncode == 2
    assert "pip install 'rayline[testing]'" in finished.stderr


def test_check_survives_a_plugin_that_ends_the_process_or_prints(tmp_path: Path) -> None:
    install_plugin(
        tmp_path,
        "ender",
        ADMITS.replace("refuser", "ender").replace("return None", "__import__('os')._exit(7)"),
    )
    install_plugin(
        tmp_path, "talker", ADMITS.replace("refuser", "talker") + "\n    print('hello from the import')\n"
    )
    finished = rayline(tmp_path, "plugins", "check", "ender", "talker", "--json")
    assert finished.returncode == 1
    ender, talker = json.loads(finished.stdout)["plugins"]
    assert [(each["code"], each["explanation"]) for each in ender["findings"]] == [
        ("CRASHED", "the process ended with exit code 7")
    ]
    assert talker["findings"] == []
    assert "hello from the import" in finished.stderr
