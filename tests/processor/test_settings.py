"""Settings come from the environment, and what is wrong with them is named."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rayline.environment import ENVIRONMENT_PREFIX, load_environment_file
from rayline.errors import ConfigurationError
from rayline.hashing import KeyedHash
from rayline.settings import (
    Settings,
    data_root,
    load_secrets,
    load_settings,
    use_environment_file,
)

REQUIRED = sorted(name for name, field in Settings.model_fields.items() if field.is_required())
VALUES = dict.fromkeys(REQUIRED, "x") | {"site": "hospital-a"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment without a setting of ours, restored afterwards whatever a test adds to it."""
    kept = dict(os.environ)
    for name in kept:
        if name.startswith(ENVIRONMENT_PREFIX):
            monkeypatch.delenv(name)
    yield
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update({name: value for name, value in kept.items() if name not in os.environ})


def give(monkeypatch: pytest.MonkeyPatch, **fields: str) -> None:
    for field, value in {**VALUES, **fields}.items():
        monkeypatch.setenv(Settings.environment_name(field), value)


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    for field in REQUIRED:
        assert f"RAYLINE_{field.upper()} " in str(caught.value)


@pytest.mark.parametrize("field", REQUIRED)
def test_a_single_missing_variable_is_named_and_no_other(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    give(monkeypatch)
    monkeypatch.delenv(Settings.environment_name(field))
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    named = [
        name for name in Settings.model_fields if f"{Settings.environment_name(name)} (" in str(caught.value)
    ]
    assert named == [field]


def test_complete_settings_load_and_overrides_win(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, workers="3", batch_quiet_seconds="1.5")
    settings = load_settings()
    assert (settings.site, settings.workers, settings.batch_quiet_seconds) == ("hospital-a", 3, 1.5)
    assert load_settings(workers=7).workers == 7


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("site", "Hospital A"),
        ("site", "a#b"),
        ("workers", "0"),
        ("workers", "many"),
        ("visibility_seconds", "43201"),
        ("lease_seconds", "0"),
        ("batch_quiet_seconds", "-1"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, field: str, value: str) -> None:
    give(monkeypatch, **{field: value})
    with pytest.raises(ConfigurationError, match=Settings.environment_name(field)):
        load_settings()


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_every_setting_is_documented(field: str) -> None:
    assert (Settings.model_fields[field].description or "").strip()


def test_secrets_are_named_in_lower_case_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYLINE_SECRET_DEID", "very secret")
    monkeypatch.setenv("RAYLINE_SECRET_EMPTY", "")
    secrets = load_secrets()
    assert list(secrets) == ["deid"]
    assert "very secret" not in repr(secrets)


def test_there_is_no_default_tracking_secret() -> None:
    with pytest.raises(ConfigurationError, match="RAYLINE_SECRET_TRACKING"):
        KeyedHash.from_secrets({})
    with pytest.raises(ConfigurationError, match="shorter than 16 bytes"):
        KeyedHash(b"short")


def test_an_environment_file_fills_in_what_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "env"
    path.write_text("RAYLINE_STACK=from-file\nRAYLINE_SITE=from-file\n")
    monkeypatch.setenv("RAYLINE_SITE", "from-shell")
    assert load_environment_file(path) == path
    assert (os.environ["RAYLINE_STACK"], os.environ["RAYLINE_SITE"]) == ("from-file", "from-shell")


def test_a_named_environment_file_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="rayline local up"):
        load_environment_file(tmp_path / "absent")
    monkeypatch.setenv("RAYLINE_ENV_FILE", str(tmp_path / "absent"))
    with pytest.raises(ConfigurationError, match="rayline local up"):
        load_environment_file()


def test_the_default_file_is_left_alone_inside_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_environment_file() is None
    (tmp_path / ".rayline").mkdir()
    (tmp_path / ".rayline/env").write_text("RAYLINE_STACK=local\n")
    monkeypatch.setenv("RAYLINE_QUEUE_URL", "https://queue")
    assert load_environment_file() is None
    monkeypatch.delenv("RAYLINE_QUEUE_URL")
    assert load_environment_file() == Path(".rayline/env")


def test_real_images_lie_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_root() == Path("../shared/data")
    monkeypatch.setenv("RAYLINE_DATA", "/images")
    assert data_root() == Path("/images")


def test_another_estate_s_environment_can_be_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, queue_url="another estate's")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody's")
    monkeypatch.setenv("RAYLINE_ENV_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("RAYLINE_DATA", "images")
    path = tmp_path / "env"
    path.write_text("RAYLINE_QUEUE_URL=this\nAWS_ENDPOINT_URL=http://127.0.0.1:1\n")
    use_environment_file(path)
    ours = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "RAYLINE_"))}
    assert ours == {
        "RAYLINE_QUEUE_URL": "this",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "RAYLINE_DATA": "images",
    }
