"""`rayline local` as a person runs it, on a state folder of the test's own and a free port."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.p10_files import ct_file, new_uid, pixels

COMMAND_SECONDS = 180
JOB_SECONDS = 60


def rayline(*arguments: str, check: bool = True, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command without any AWS or Rayline setting of the caller's."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RAYLINE_"))
    }
    result = subprocess.run(
        [sys.executable, "-c", "from rayline.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        env=environment,
        cwd=cwd,
        check=False,
    )
    if check:
        assert result.returncode == 0, result.stdout + result.stderr
    return result


def dotenv(path: Path) -> dict[str, str]:
    """Variables of an env file."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder with the estate up; tests may take it down, they leave it up."""
    state_dir = tmp_path_factory.mktemp("estate") / ".rayline"
    rayline("local", "up", "--state-dir", str(state_dir), "--port", "0")
    yield state_dir
    rayline("local", "reset", "--yes", "--state-dir", str(state_dir))


def status(state_dir: Path) -> dict[str, Any]:
    """The status document."""
    document: dict[str, Any] = json.loads(
        rayline("local", "status", "--json", "--state-dir", str(state_dir), check=False).stdout
    )
    return document


def test_up_writes_an_operator_environment_without_keys(estate: Path) -> None:
    variables = dotenv(estate / "env")
    assert stat.S_IMODE((estate / "env").stat().st_mode) == 0o600
    assert stat.S_IMODE((estate / "token").stat().st_mode) == 0o600
    assert "AWS_SECRET_ACCESS_KEY" not in variables
    assert (estate / "token").read_text().strip() not in (estate / "env").read_text()
    assert variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"].endswith("/credentials/rayline-local-operator")
    assert variables["RAYLINE_STACK"] == "local"
    assert not [name for name in variables if name.startswith("RAYLINE_SECRET_")]


def test_up_again_changes_nothing(estate: Path) -> None:
    before = status(estate)
    rayline("local", "up", "--state-dir", str(estate), "--port", "0")
    assert status(estate) == before


def test_roles_are_who_they_say(estate: Path) -> None:
    script = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
    for role in ("processor", "operator", "uploader", "training"):
        result = rayline(
            "local", "exec", "--state-dir", str(estate), "--role", role, "--", sys.executable, "-c", script
        )
        assert f":assumed-role/rayline-local-{role}/" in result.stdout


def test_zones_hold_for_roles(estate: Path) -> None:
    script = """
import os, sys, boto3
s3 = boto3.client('s3')
for kind in sys.argv[1:]:
    bucket = f'rayline-local-{kind}-123456789012'
    try:
        s3.get_object(Bucket=bucket, Key='upload/absent')
    except Exception as error:
        print(kind, error.response['Error']['Code'])
"""
    kinds = ["uploads", "quarantine", "preprocessed"]
    result = rayline(
        "local",
        "exec",
        "--state-dir",
        str(estate),
        "--role",
        "training",
        "--",
        sys.executable,
        "-c",
        script,
        *kinds,
    )
    answers = dict(line.split() for line in result.stdout.splitlines())
    assert answers["uploads"] == answers["quarantine"] == "AccessDenied"
    assert answers["preprocessed"] in ("NoSuchKey", "AccessDenied")


def test_the_processor_gets_settings_and_secrets(estate: Path) -> None:
    script = (
        "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k[:8] == 'RAYLINE_'}))"
    )
    result = rayline(
        "local", "exec", "--state-dir", str(estate), "--role", "processor", "--", sys.executable, "-c", script
    )
    variables = json.loads(result.stdout.splitlines()[-1])
    assert len(variables["RAYLINE_SECRET_DEID"]) >= 32
    assert variables["RAYLINE_SECRET_DEID"] != variables["RAYLINE_SECRET_TRACKING"]
    assert variables["RAYLINE_QUEUE_URL"]


def test_not_emulated_names_each_type_and_its_reason() -> None:
    document = json.loads(rayline("local", "status", "--not-emulated", "--json").stdout)
    assert document
    assert all(":" in token and reason for token, reason in document.items())


def test_state_survives_down_and_even_a_kill(estate: Path) -> None:
    outputs = status(estate)["outputs"]
    secrets_before = _secrets(estate)
    rayline("local", "down", "--state-dir", str(estate))
    assert status(estate)["running"] is False
    assert rayline("local", "exec", "--state-dir", str(estate), "--", "true", check=False).returncode == 2
    port = outputs["queue_url"].rsplit(":", 1)[-1].split("/")[0]
    rayline("local", "up", "--state-dir", str(estate), "--port", port)
    assert status(estate)["outputs"] == outputs
    assert _secrets(estate) == secrets_before, "a secret keeps its value over a clean restart"

    os.kill(status(estate)["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while status(estate)["running"] and time.monotonic() < deadline:
        time.sleep(0.05)
    rayline("local", "up", "--state-dir", str(estate), "--port", port)
    assert status(estate)["outputs"]["datastore_id"] == outputs["datastore_id"]
    _import_one(estate)


def _secrets(state_dir: Path) -> str:
    script = "import os; print(os.environ['RAYLINE_SECRET_DEID'] + os.environ['RAYLINE_SECRET_TRACKING'])"
    command = ["--role", "processor", "--", sys.executable, "-c", script]
    return rayline("local", "exec", "--state-dir", str(state_dir), *command).stdout


def _import_one(state_dir: Path) -> None:
    """One import under the estate's own roles, as root of the local account sees it."""
    document = status(state_dir)
    outputs = document["outputs"]
    session = boto3.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name=document["region"]
    )

    def client(service: str) -> Any:
        from botocore.config import Config

        return session.client(  # type: ignore[call-overload]
            service, endpoint_url=document["endpoint_url"], config=Config(inject_host_prefix=False)
        )

    bucket = outputs["imports_bucket"]
    content = ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid())
    client("s3").put_object(Bucket=bucket, Key="imports/batch/one.dcm", Body=content)
    imaging = client("medical-imaging")
    job = imaging.start_dicom_import_job(
        datastoreId=outputs["datastore_id"],
        dataAccessRoleArn=outputs["import_role_arn"],
        clientToken=new_uid(),
        inputS3Uri=f"s3://{bucket}/imports/batch/",
        outputS3Uri=f"s3://{bucket}/import-results/",
    )
    deadline = time.monotonic() + JOB_SECONDS
    while time.monotonic() < deadline:
        properties = imaging.get_dicom_import_job(datastoreId=outputs["datastore_id"], jobId=job["jobId"])
        if properties["jobProperties"]["jobStatus"] in ("COMPLETED", "FAILED"):
            break
        time.sleep(0.05)
    assert properties["jobProperties"]["jobStatus"] == "COMPLETED", properties


def test_a_taken_port_is_named_with_its_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = rayline("local", "up", "--state-dir", str(tmp_path / "s"), "--port", str(port), check=False)
    assert result.returncode == 2
    assert f"port {port} is in use" in result.stderr
    assert "--port" in result.stderr


def test_reset_removes_only_what_up_made(tmp_path: Path) -> None:
    state_dir = tmp_path / "s"
    (state_dir / "healthimaging").mkdir(parents=True)
    (state_dir / "healthimaging" / "x").touch()
    (state_dir / "mine.txt").write_text("keep")
    refused = rayline("local", "reset", "--state-dir", str(state_dir), check=False)
    assert refused.returncode != 0, "without --yes and a terminal nothing is deleted"
    assert (state_dir / "healthimaging" / "x").exists()
    rayline("local", "reset", "--yes", "--state-dir", str(state_dir))
    assert sorted(path.name for path in state_dir.iterdir()) == ["mine.txt"]
