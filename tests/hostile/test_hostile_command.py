"""`rayline deid run` works alone, on files that nobody screened: none ends it, and nothing of a name comes out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.hostile_files import HOSTILE, SENTINEL, UID_SENTINEL

LARGEST = 200_000
# Named for what makes them large; building them to find out would take longer than the test.
LARGE = (
    "MB",
    "million",
    "000,000",
    "100,000",
    "120,000",
    "200,000",
    "240,000",
    "800,000",
    "70,000",
    "250 times",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("command")
    (folder / "in").mkdir()
    for number, (name, hostile) in enumerate(HOSTILE.items()):
        if not any(word in name for word in LARGE):
            content = hostile.build()
            if len(content) <= LARGEST:
                (folder / "in" / f"{number}.dcm").write_bytes(content)
    # Beside the inputs, to see that nothing is written anywhere else.
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("rayline")), "deid", "run", "in",
            "--output", "out", "--report", "report.json", "--processes", "2",
        ],
        capture_output=True, text=True, cwd=folder, timeout=300, check=False,
    )  # fmt: skip
    return folder, done


def test_some_are_refused_and_none_ends_the_run(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = run
    # 3: some were refused; 1 would be files that could not be read or written.
    assert done.returncode == 3, done.stderr[-2000:]
    assert "Traceback" not in done.stderr + done.stdout
    report = json.loads((folder / "report.json").read_text())
    inputs = {str(path.relative_to(folder)) for path in (folder / "in").iterdir()}
    assert len(inputs) > 400
    assert sorted(entry["input"] for entry in report["files"]) == sorted(inputs)
    assert report["totals"]["failed"] == 0
    for entry in report["files"]:
        assert (entry["outcome"] == "refused") == (entry["output"] is None and entry["reason"] is not None)


def test_nothing_of_a_name_comes_out(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = run
    written = [path for path in (folder / "out").rglob("*") if path.is_file()]
    assert len(written) > 100
    for sentinel in (SENTINEL, UID_SENTINEL):
        assert [path for path in written if sentinel in path.read_bytes()] == []
        assert not any(sentinel.decode() in str(path) for path in written)
        assert sentinel.decode() not in done.stdout + done.stderr + (folder / "report.json").read_text()
    assert (done.stdout + done.stderr).replace("\n", "").replace("\x1b", "").isprintable()


def test_nothing_is_written_elsewhere(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = run
    assert sorted(path.name for path in folder.iterdir()) == ["in", "out", "report.json"]
    assert {path.suffix for path in (folder / "out").rglob("*") if path.is_file()} == {".dcm"}
