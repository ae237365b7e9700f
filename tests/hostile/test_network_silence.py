"""Nothing that the intake uses reports to anybody: what runs beside patients' images keeps to itself."""

import os
import subprocess
import sys
from pathlib import Path

SEARCH_PIXELS = """
from rayline_deid.pixels.detection import onnxruntime
print(onnxruntime.__version__)
"""


def test_the_runtime_of_the_networks_neither_counts_nor_reports(tmp_path: Path) -> None:
    """onnxruntime keeps a device id and a queue of events for its makers in the home directory, unless told not to."""
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    run = subprocess.run(
        [sys.executable, "-c", SEARCH_PIXELS],
        env={**environment, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == []
