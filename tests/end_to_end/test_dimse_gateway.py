"""`rayline dimse serve` as the gateway's task runs it: under its role, which can upload and read nothing back."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pynetdicom import AE
from support.own_estate import OwnEstate, eventually

from rayline.testing import ImageSpec, image_content
from rayline_local.tasks import process_environment, task_environment

DRAIN_SECONDS = 30
SENTINEL = "Zzyzx^Sentinel"


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEstate]:
    with OwnEstate(tmp_path_factory.mktemp("estate"), batchQuietSeconds="1") as made:
        yield made


class Running:
    """The gateway's process."""

    def __init__(self, estate: OwnEstate, folder: Path) -> None:
        self.environment = process_environment(task_environment(estate.front, "rayline-local-gateway"))
        self.environment |= {
            "RAYLINE_DIMSE_PORT": "0",
            "RAYLINE_DIMSE_HOST": "127.0.0.1",
            "RAYLINE_DIMSE_PEER_NETWORKS": "127.0.0.0/8",
            "RAYLINE_DIMSE_CALLING_AE_TITLES": "CT1",
            "TMPDIR": str(folder),
        }
        self._log_path = folder / "log"
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rayline.cli", "dimse", "serve"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self.environment,
            )  # fmt: skip

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log_path.read_text()

    def port(self) -> int:
        """Where it listens, once it does."""
        eventually(lambda: "takes images on" in self.log or self.process.poll() is not None, "the gateway")
        assert "takes images on" in self.log, self.log
        return int(self.log.partition("127.0.0.1 port ")[2].split()[0])


@pytest.fixture
def running(estate: OwnEstate, tmp_path: Path) -> Iterator[Running]:
    made = Running(estate, tmp_path)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
        made.process.wait(DRAIN_SECONDS)


def image(number: int) -> Any:
    dataset = pydicom.dcmread(io.BytesIO(image_content(ImageSpec(patient=7, series=3, instance=number))))
    dataset.PatientName = SENTINEL
    return dataset


def test_what_a_modality_sends_is_imported_and_sigterm_lets_it_finish(
    estate: OwnEstate, running: Running
) -> None:
    port = running.port()
    ae = AE(ae_title="CT1")
    first = image(1)
    ae.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
    peer = ae.associate("127.0.0.1", port, ae_title="RAYLINE")
    assert peer.is_established
    assert peer.send_c_store(first).Status == 0x0000
    if running.environment.get("RAYLINE_HEALTH_PORT", "0") != "0":
        healthy = subprocess.run(
            [sys.executable, "-m", "rayline.cli", "dimse", "health"],
            capture_output=True, text=True, env=running.environment, check=False, timeout=60,
        )  # fmt: skip
        assert healthy.returncode == 0, healthy.stderr
    os.kill(running.process.pid, signal.SIGTERM)
    # What is under way goes on.
    assert peer.send_c_store(image(2)).Status == 0x0000
    peer.release()
    assert running.process.wait(DRAIN_SECONDS) == 0, running.log
    assert "Traceback" not in running.log
    assert SENTINEL not in running.log
    assert '"GatewayInstances": 2' in running.log
    stored = estate.account.client("s3").list_objects_v2(Bucket=estate.account.bucket("uploads"))
    keys = [each["Key"] for each in stored["Contents"]]
    assert len(keys) == 2
    assert all(key.startswith("upload/") and "/dimse/" in key for key in keys)
    estate.processor.start()
    try:
        eventually(lambda: estate.account.stages()["imported"] == 2, "both imported", seconds=120)
    finally:
        estate.processor.kill()
