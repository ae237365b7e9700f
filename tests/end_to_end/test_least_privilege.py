"""A day of every role under its own policy; `rayline local grants` then says which statement allowed what.

The local cloud enforces the roles in every end-to-end test. Here are the ways of working that no other test walks, so
that what is granted and never used is known to be idle, not untried.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
import yaml
from pynetdicom import AE
from support.own_estate import ROOT, OwnEstate, eventually, json_lines, rayline

from rayline_local.commands import environment_for
from rayline_local.samples import Sample, generate
from rayline_local.tasks import process_environment

SIZE = (
    "--made-up=24",
    "--set=rayline:imageSize=32",
    "--set=rayline:epochs=3",
    "--set=rayline:batchQuietSeconds=1",
    # Some model has to be decided on.
    "--set=rayline:accuracyThreshold=0.5",
)
PROFILE = "config/site/approving.yaml"
# Above what is copied in one piece, so that S3 has to be asked for a copy by parts.
LARGE_BYTES = 70 * 1024 * 1024
LATER = generate(seed=77, patients=2, ct_slices=1)


def write_profile(path: Path) -> None:
    """The local stack's site profile with a gate that every model passes."""
    profile = yaml.safe_load((ROOT / "config/site/local.yaml").read_text())
    (approval,) = [each for each in profile["plugins"] if each["name"] == "approval"]
    gate = {"approve_at": 0.0, "reject_below": 0.0}
    approval["settings"] = {"minimum_test_images": 1, "gates": {"accuracy": gate}}
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(profile))


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEstate]:
    """The main job's estate after its run, its processor at work again."""
    folder = tmp_path_factory.mktemp("day")
    build_dir = folder / "build"
    write_profile(folder / PROFILE)
    more = ("--patience", "120", f"--set=rayline:siteProfile={PROFILE}", *SIZE)
    finished = rayline("demo", "--build-dir", build_dir, *more, cwd=folder, check=False, seconds=540)
    assert (build_dir / "summary.json").exists(), finished.stdout + finished.stderr
    with OwnEstate(build_dir, batchQuietSeconds="1") as kept:
        kept.processor.start()
        yield kept


@contextmanager
def serving(estate: OwnEstate, role: str, *command: str, **more: str) -> Iterator[None]:
    """A service of the estate, started as its task is: its definition's settings, its role's credentials."""
    environment = process_environment({**environment_for(estate.state_dir, role), **more})
    log = (estate.folder / f"{role}.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "rayline.cli", *command], env=environment, stdout=log, stderr=log
    )
    try:
        yield
        assert process.poll() is None, (estate.folder / f"{role}.log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        log.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def as_role(estate: OwnEstate, role: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A verb under a role of people."""
    environment = {
        "RAYLINE_ENV_FILE": str(estate.state_dir / "env"),
        **estate.front.role_environment(role),
    }
    return rayline(*arguments, environment=environment, check=False)


def entries(estate: OwnEstate, reason: str) -> list[str]:
    return [entry for entry, record in estate.account.quarantine().items() if record["reason"] == reason]


def test_a_model_was_decided_on(estate: OwnEstate) -> None:
    (package,) = estate.account.model_packages()
    assert package["ModelApprovalStatus"] == "Approved"


def test_an_operator_looks_at_the_estate_and_at_what_was_refused(estate: OwnEstate) -> None:
    estate.operator("status")
    listed = json_lines(estate.operator("quarantine", "list", "--json").stdout)
    assert listed
    for reason in ("NOT_DICOM", "TRUNCATED"):
        (entry, *_) = entries(estate, reason)
        estate.operator("quarantine", "show", entry, "--json")
    estate.operator("reconcile", "--dry-run", "--json", check=False)
    estate.operator("events", "list", check=False)


def test_an_operator_sends_again_what_is_too_large_to_be_copied_at_once(estate: OwnEstate) -> None:
    large = Sample("broken/large-letter.dcm", os.urandom(LARGE_BYTES))
    before = set(estate.account.quarantine())
    assert estate.upload([large]) == 1
    (entry,) = eventually(lambda: set(estate.account.quarantine()) - before, "the letter is in quarantine")
    estate.operator("quarantine", "release", entry)
    # It is still a letter: it comes back as another entry.
    again = eventually(
        lambda: set(estate.account.quarantine()) - before - {entry}, "the letter is refused once more"
    )
    estate.operator("quarantine", "purge", *again, "--yes", check=False)


def test_a_reviewer_lists_what_was_refused_and_opens_nothing(estate: OwnEstate) -> None:
    listed = as_role(estate, "reviewer", "quarantine", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    assert json_lines(listed.stdout)
    (entry, *_) = entries(estate, "TRUNCATED")
    shown = as_role(estate, "reviewer", "quarantine", "show", entry, "--json")
    assert shown.returncode == 0, shown.stderr
    assert as_role(estate, "reviewer", "quarantine", "show", entry, "--phi").returncode != 0
    assert as_role(estate, "reviewer", "quarantine", "release", entry).returncode != 0


def test_the_api_serves_triage_and_nothing_else(estate: OwnEstate) -> None:
    made = rayline("api", "token", "triage", "-p", "quarantine:read", "-p", "quarantine:write")
    access = estate.folder / "access.yaml"
    access.write_text(made.stdout)
    token = made.stderr.partition("token, shown only now: ")[2].split()[0]
    port = free_port()
    command = ("api", "serve", "--access", str(access), "--port", str(port))
    with serving(estate, "api", *command, RAYLINE_API_ACCESS_DOCUMENT=""):
        eventually(lambda: answers(port), "the API listens")

        def ask(method: str, path: str, body: Any = None) -> Any:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/api/v1{path}",
                method=method,
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                data=json.dumps(body or {}).encode() if method == "POST" else None,
            )
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)

        found = ask("GET", "/quarantine/entries")
        assert found["entries"]
        (entry, *_) = entries(estate, "TRUNCATED")
        assert ask("GET", f"/quarantine/entries/{entry}")["reason"] == "TRUNCATED"
        ask("GET", f"/quarantine/entries/{entry}/header")
        ask("POST", f"/quarantine/entries/{entry}/release")
        old = {"before": "2100-01-01T00:00:00Z", "reason": "EMPTY_OBJECT"}
        ask("POST", "/quarantine/purge", {"filter": old, "dry_run": False})


def test_the_gateway_keeps_what_a_modality_sends(estate: OwnEstate) -> None:
    sample = next(each for each in LATER.samples if each.refused_for is None)
    image = pydicom.dcmread(BytesIO(sample.content))
    port = free_port()
    before = len(estate.account.object_versions("uploads"))
    more = {"RAYLINE_DIMSE_PEER_NETWORKS": "127.0.0.0/8"}
    with serving(estate, "gateway", "dimse", "serve", "--port", str(port), **more):
        eventually(lambda: answers(port), "the gateway listens")
        modality = AE(ae_title="CT1")
        modality.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
        association = modality.associate("127.0.0.1", port, ae_title="RAYLINE")
        assert association.is_established
        assert association.send_c_store(image).Status == 0x0000
        association.release()
        assert len(estate.account.object_versions("uploads")) == before + 1
