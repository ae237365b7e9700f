"""The PACS of a chaos run: somebody else's storage SCP that is down, refuses or breaks off for a while."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom

from rayline.errors import RaylineError
from rayline_local.chaos.inputs import fingerprint
from rayline_local.chaos.plan import PacsMode

AE_TITLE = "CHAOS"
#: pynetdicom installs a program of the same name, so dcmtk's path is spelled out
DCMTK_STORESCP = Path("/usr/bin/storescp")
_START_SECONDS = 20.0
_DCMTK_OPTIONS: dict[PacsMode, list[str]] = {
    "up": [],
    "refuses": ["--refuse"],
    "breaks off": ["--abort-during"],
    # It answers late; whoever ends it meanwhile leaves images that were stored and never acknowledged.
    "stalls": ["--sleep-after", "1"],
}


class PacsDidNotStart(RaylineError):
    """The SCP does not listen."""


@dataclass(frozen=True)
class Arrival:
    """One instance that the PACS stored.

    Attributes:
        digest: of the data set, whatever its file meta information says.
        at: when, in epoch seconds.
    """

    sop_instance_uid: str
    fingerprint: str
    digest: str
    at: float


class Pacs:
    """dcmtk's storescp where it is installed, else pynetdicom's SCP; each arrival becomes a file of its own."""

    def __init__(self, folder: Path, log_path: Path) -> None:
        self._folder = folder
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None
        self._mode: PacsMode = "down"
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def be(self, mode: PacsMode) -> None:
        """Behave so from now on."""
        if mode == self._mode:
            return
        self.stop()
        if mode != "down":
            self._start(mode)
        self._mode = mode

    def stop(self) -> None:
        """Listen no more."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
            self._process = None
        self._mode = "down"

    def _start(self, mode: PacsMode) -> None:
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(mode),
                env={**os.environ, "TCP_NODELAY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.02)
        raise PacsDidNotStart(f"the storage SCP does not listen; its log is {self._log_path}")

    def _command(self, mode: PacsMode) -> list[str]:
        if DCMTK_STORESCP.exists() and shutil.which(str(DCMTK_STORESCP)):
            options = ["-aet", AE_TITLE, "+xa", "--unique-filenames", *_DCMTK_OPTIONS[mode]]
            return [str(DCMTK_STORESCP), *options, "-od", str(self._folder), str(self.port)]
        module = [sys.executable, "-m", "rayline_local.chaos.storage_scp"]
        return [*module, "--port", str(self.port), "--folder", str(self._folder), "--mode", mode]

    def arrivals(self) -> Iterator[Arrival]:
        """Everything that was stored, in no order."""
        for path in self._folder.iterdir():
            if path.suffix == ".part":
                continue  # broken off while it was written: nothing was acknowledged
            content = path.read_bytes()
            dataset = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
            yield Arrival(
                str(dataset.SOPInstanceUID), fingerprint(content), _digest(content), path.stat().st_mtime
            )


def _digest(content: bytes) -> str:
    """Digest of the data set after the file meta information, which the SCP writes (PS3.10 §7.1)."""
    # The prefix ends at 132; the group length, the first element, says how much of group 0002 follows byte 144.
    meta_length = int.from_bytes(content[140:144], "little")
    return hashlib.sha256(content[144 + meta_length :]).hexdigest()
