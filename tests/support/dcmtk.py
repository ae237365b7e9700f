"""dcmtk's programs, which others wrote: storescp to prove C-STORE against, dcmdump to read our files."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def dcmtk_storescp() -> str:
    """dcmtk's storescp; pynetdicom installs another program of that name, so the path is spelled out."""
    return _program("storescp", "C-STORE was not proven against it")


@pytest.fixture(scope="session")
def dcmtk_dcmdump() -> str:
    """dcmtk's dcmdump, which reads DICOM files independently of us and of pydicom."""
    return _program("dcmdump", "what we write was not read by it")


def _program(name: str, unproven: str) -> str:
    path = f"/usr/bin/{name}"
    if not Path(path).exists() and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(
            ["apt-get", "install", "-y", "-q", "dcmtk"], capture_output=True, timeout=300, check=False
        )
    if not Path(path).exists():
        pytest.skip(f"dcmtk absent and not installable: {unproven}")
    return path


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def storescp(executable: str, port: int, folder: Path, *options: str) -> Iterator[None]:
    """Run a storescp called RESEARCH that takes every transfer syntax and writes to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [executable, "-aet", "RESEARCH", "+xa", *options, "-od", str(folder), str(port)],
        env={**os.environ, "TCP_NODELAY": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, "storescp ended"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)  # polling, bounded by the deadline
    raise AssertionError("storescp does not listen")
