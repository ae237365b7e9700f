"""The access file says who may use the API; a wrong one keeps the API from starting."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from support.manual_clock import ManualClock
from typer.testing import CliRunner

from rayline.cli import api as verbs
from rayline.errors import ConfigurationError
from rayline.http_api.access import NotAuthenticated, Permission
from rayline.http_api.access_file import AccessFile, load_access_file
from rayline.http_api.load_balancer import HEADER
from rayline.observability.meter import Meter
from rayline.observability.traces import Untraced

LOAD_BALANCER = {
    "signer": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/rayline/0123456789abcdef",
    "issuer": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc",
    "client": "1example23456789",
    "groups_claim": "custom:groups",
    "groups": {"radiology-it": ["quarantine:read"]},
}
TOKEN = {"name": "anna", "sha256": hashlib.sha256(b"t").hexdigest(), "permissions": ["quarantine:read"]}


def written(folder: Path, document: Any) -> Path:
    """A file with a document in it."""
    path = folder / "access.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def test_tokens_and_load_balancer_are_known_side_by_side(tmp_path: Path, clock: ManualClock) -> None:
    known = load_access_file(written(tmp_path, {"tokens": [TOKEN], "load_balancer": LOAD_BALANCER}))
    authenticator = known.authenticator(clock)
    principal = authenticator.authenticate({"authorization": "Bearer t"})
    assert (principal.name, principal.permissions) == ("anna", {Permission.QUARANTINE_READ})
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate({HEADER: "e30.e30.e30"})
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate({})


@pytest.mark.parametrize("document", ["", "{}", {"tokens": []}])
def test_a_file_that_names_nobody_makes_no_api(tmp_path: Path, clock: ManualClock, document: Any) -> None:
    with pytest.raises(ConfigurationError, match="nobody"):
        load_access_file(written(tmp_path, document)).authenticator(clock)


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ("tokens: [", "no YAML"),
        ("[]", "wrong"),
        ({"token": [TOKEN]}, "token "),
        ({"tokens": [{**TOKEN, "sha256": "t"}]}, "tokens.0.sha256"),
        ({"tokens": [{**TOKEN, "permissions": ["everything"]}]}, "tokens.0.permissions"),
        ({"tokens": [{**TOKEN, "expires": "2026-01-01T00:00:00"}]}, "tokens.0.expires"),
        ({"load_balancer": {**LOAD_BALANCER, "signer": "arn:aws:s3:::x"}}, "load_balancer.signer"),
        ({"load_balancer": {**LOAD_BALANCER, "groups": {}}}, "load_balancer.groups"),
        ({"load_balancer": {**LOAD_BALANCER, "client": ""}}, "load_balancer.client"),
    ],
)
def test_a_wrong_file_is_refused_and_its_fault_named(tmp_path: Path, document: Any, what: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(what)):
        load_access_file(written(tmp_path, document))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="rayline api token"):
        load_access_file(tmp_path / "access.yaml")


# -- the verbs


NO_ESTATE = type("Estate", (), {"triage": None, "meter": Meter("test-site"), "traces": Untraced()})()


def run(*arguments: str) -> Any:
    """Run a verb."""
    app = typer.Typer()
    app.callback()(lambda: None)
    verbs.register(app)
    return CliRunner().invoke(app, ["api", *arguments])


def test_a_token_that_was_made_holds_with_the_lines_that_were_shown(
    tmp_path: Path, clock: ManualClock
) -> None:
    made = run("token", "anna b.", "-p", "quarantine:read", "-p", "phi:read", "--days", "30")
    assert made.exit_code == 0
    (token,) = re.findall(r"token, shown only now: (\S+)", made.stderr)
    assert token not in made.stdout
    known = load_access_file(written(tmp_path, made.stdout))
    principal = known.authenticator(clock).authenticate({"authorization": f"Bearer {token}"})
    assert (principal.name, principal.permissions) == (
        "anna b.", {Permission.QUARANTINE_READ, Permission.PHI_READ}
    )  # fmt: skip
    assert known.tokens[0].expires is not None


def test_a_token_with_an_unknown_permission_is_not_made() -> None:
    refused = run("token", "anna", "-p", "everything")
    assert isinstance(refused.exception, ConfigurationError)
    assert "quarantine:write" in str(refused.exception)


@pytest.mark.parametrize(
    ("document", "host", "what"),
    [
        ({}, "127.0.0.1", "nobody"),
        ({"tokens": [TOKEN]}, "0.0.0.0", "unencrypted"),
        ({"tokens": [TOKEN], "load_balancer": LOAD_BALANCER}, "192.0.2.1", "unencrypted"),
        ({"tokens": [TOKEN]}, "rayline.example", "unencrypted"),
    ],
)
def test_an_api_that_would_let_nobody_or_everybody_in_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: Any, host: str, what: str
) -> None:
    started: list[Any] = []
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: started.append(1))
    monkeypatch.setattr(verbs, "open_estate", lambda *_: NO_ESTATE)
    refused = run("serve", "--access", str(written(tmp_path, document)), "--host", host)
    assert isinstance(refused.exception, ConfigurationError)
    assert what in str(refused.exception)
    assert started == []


def test_an_api_starts_with_somebody_to_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **options: started.append(options))
    monkeypatch.setattr(verbs, "open_estate", lambda *_: NO_ESTATE)
    path = written(tmp_path, {"tokens": [TOKEN]})
    assert run("serve", "--access", str(path), "--port", "8081").exit_code == 0
    only_load_balancer = written(tmp_path, {"load_balancer": LOAD_BALANCER})
    assert run("serve", "--access", str(only_load_balancer), "--host", "0.0.0.0").exit_code == 0
    assert [(each["host"], each["port"], each["access_log"]) for each in started] == [
        ("127.0.0.1", 8081, False), ("0.0.0.0", 8080, False)
    ]  # fmt: skip


def test_nobody_starts_it_without_a_file() -> None:
    with pytest.raises(ConfigurationError, match="RAYLINE_API_ACCESS"):
        raise run("serve").exception or AssertionError("it started")


def test_the_files_own_example_is_one() -> None:
    import rayline.http_api.access_file as module

    example = (module.__doc__ or "").partition("::\n")[2].replace("<64 hex digits>", "0" * 64)
    known = AccessFile.model_validate(yaml.safe_load(example))
    assert known.load_balancer is not None
    assert len(known.tokens) == 1
